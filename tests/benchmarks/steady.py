"""`steady`: so many one-time tasks a second at random instants, for a minute.

They were written into the database ahead, so that what is measured is running them and not registering them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import counters
from benchmarks.bulk import Times
from benchmarks.bursts import Bursts, judged, lateness_of, until_executed
from benchmarks.prewritten import write_ahead
from benchmarks.results import Results
from benchmarks.rig import Rig
from benchmarks.sampling import KINDS, Sampling

from mainspring.testing.history import LedgerRow
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until

AHEAD_S = 15
"""More than the window of the nodes: they load these tasks as they load all others."""
_GIVE_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class SteadySettings:
    """How many tasks a second, and for how long."""

    rates: tuple[int, ...] = (500, 2_000)
    seconds: int = 60


async def measure(
    bursts: Bursts, settings: SteadySettings, results: Results
) -> dict[str, Sequence[LedgerRow]]:
    """Write `steady ...` into the results; answer the ledger of each rate, for the plots.

    Raises:
        TestingError: A task did not end, or the checker does not accept what happened.
    """
    return {
        f"steady {rate}/s": await _one(bursts.rig, rate, settings.seconds, results) for rate in settings.rates
    }


async def _one(rig: Rig, rate: int, seconds: int, results: Results) -> tuple[LedgerRow, ...]:
    cluster, namespace, count = rig.cluster, f"steady-{rate}", rate * seconds
    times = Times((now_us() // SECOND_US + AHEAD_S + count // 50_000) * SECOND_US, rate)
    tasks = await write_ahead(rig, namespace, count, times)
    until_at = times.from_at + seconds * SECOND_US
    await sleep_until(times.from_at - SECOND_US // 2)  # none of them has run when the counters are read
    with Sampling(cluster) as sampling:
        before = await counters.read(cluster)
        await sleep_until(until_at)
        after = await counters.read(cluster)
    executed = counters.executed(after) - counters.executed(before)
    await until_executed(rig, counters.executed(before) + count, give_up_s=_GIVE_UP_S)
    ledger = await judged(rig, tasks, (times.from_at, until_at))
    lateness = lateness_of(ledger)
    name = f"steady {rate}/s"
    for percentile in ("p50", "p99", "max"):
        results.put(f"{name} lateness {percentile} (ms)", getattr(lateness, f"{percentile}_us") / 1_000)
    for kind in KINDS:
        results.put(f"{name} {kind} CPU (us/execution)", sampling.cpu_s(kind) * SECOND_US / executed)
    counted = counters.difference(before, after)
    results.put(f"{name} statements (per execution)", counted["Questions"] / executed)
    results.put(f"{name} commits (per execution)", counted["Binlog_commits"] / executed)
    results.put(f"{name} loop lag p99 (ms)", counters.quantile(counted, counters.LOOP_LAG, 0.99) * 1_000)
    results.put(f"{name} node memory (MiB)", sampling.resident_mb("node"))
    return ledger
