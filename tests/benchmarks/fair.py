"""`fair`: a herd at one instant, and what becomes due at a steady rate while the herd is still being worked off."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import counters
from benchmarks.bulk import Times
from benchmarks.bursts import Bursts, judged, lateness_of, until_executed
from benchmarks.prewritten import write_ahead
from benchmarks.results import Results

from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until

_GIVE_UP_S = 240.0


@dataclass(frozen=True, slots=True)
class FairSettings:
    """How large the herd is, and how much comes after it, for how long."""

    herd: int = 50_000
    rate: int = 200
    seconds: int = 10
    ahead_s: int = 20


async def measure(bursts: Bursts, settings: FairSettings, results: Results) -> None:
    """Write `fair ...` into the results.

    Raises:
        TestingError: A task did not end, or the checker does not accept what happened.
    """
    rig = bursts.rig
    herd_at = (now_us() // SECOND_US + settings.ahead_s) * SECOND_US
    later = Times(herd_at + SECOND_US, settings.rate)
    herd_tasks = await write_ahead(rig, bursts.next_namespace(), settings.herd, herd_at)
    later_tasks = await write_ahead(rig, bursts.next_namespace(), settings.rate * settings.seconds, later)
    await sleep_until(herd_at - SECOND_US // 2)
    before = await counters.read(rig.cluster)
    wanted = counters.executed(before) + len(herd_tasks) + len(later_tasks)
    await until_executed(rig, wanted, give_up_s=_GIVE_UP_S)
    counted = counters.difference(before, await counters.read(rig.cluster))
    until_at = later.from_at + settings.seconds * SECOND_US
    herd = await judged(rig, herd_tasks, (herd_at, herd_at + 1), is_last=False)
    after = await judged(rig, later_tasks, (later.from_at, until_at))
    name = f"fair {settings.herd} at once"
    results.put(f"{name} lateness max (ms)", lateness_of(herd).max_us / 1_000)
    results.put(f"fair {settings.rate}/s after them lateness p50 (ms)", lateness_of(after).p50_us / 1_000)
    results.put(f"fair {settings.rate}/s after them lateness p99 (ms)", lateness_of(after).p99_us / 1_000)
    results.put(f"{name} loop lag p99 (ms)", counters.quantile(counted, counters.LOOP_LAG, 0.99) * 1_000)
