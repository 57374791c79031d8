"""`long`: very many executions of half a minute in flight at once: what heartbeats and leases cost meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks import counters
from benchmarks.bursts import judged, lateness_of, one_time_plan, started, until_executed
from benchmarks.results import Results
from benchmarks.rig import RigSettings
from benchmarks.sampling import KINDS, Sampling

from mainspring.testing.errors import TestingError
from mainspring.testing.history import LedgerRow
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until

HANDLER = "sleep"
_FIRST_LOOK_S = 1.0
_GIVE_UP_S = 120.0
_OPEN = "mainspring_open_executions"


@dataclass(frozen=True, slots=True)
class LongSettings:
    """How many executions, and for how long."""

    executions: int = 20_000
    seconds: int = 30
    executors: int = 2


async def measure(settings: LongSettings, results: Results) -> None:
    """Write `long ...` into the results.

    Raises:
        TestingError: They were never in flight all at once, did not end, or the checker does not accept it.
    """
    rig = RigSettings(executors=settings.executors, executor_capacity=settings.executions)
    async with started("long", rig) as bursts:
        cluster, load = bursts.rig.cluster, bursts.rig.load
        already = len(load.tasks)
        due_at = (now_us() // SECOND_US + round(bursts.ahead_s(settings.executions))) * SECOND_US
        payload = str(settings.seconds).encode()
        namespace = bursts.next_namespace()
        before = await counters.read(cluster)
        await load.register(
            one_time_plan(namespace, settings.executions, due_at, handler=HANDLER, payload=payload)
        )
        await sleep_until(due_at)
        # From when all are picked up until the first may end: half of the time that they take is left for that.
        await asyncio.sleep(settings.seconds / 2)
        with Sampling(cluster) as sampling:
            first = await counters.read(cluster)
            await sleep_until(due_at + int((settings.seconds - _FIRST_LOOK_S) * SECOND_US))
            last = await counters.read(cluster)
        wanted = counters.executed(before) + settings.executions
        await until_executed(bursts.rig, wanted, give_up_s=_GIVE_UP_S)
        ledger = await judged(bursts.rig, load.tasks[already:], (due_at, due_at + 1))
    _note(settings, results, ledger, sampling, counters.difference(first, last), first[_OPEN])


def _note(
    settings: LongSettings,
    results: Results,
    ledger: tuple[LedgerRow, ...],
    sampling: Sampling,
    counted: dict[str, float],
    in_flight: float,
) -> None:
    if in_flight < settings.executions:
        raise TestingError(
            f"{in_flight:,.0f} of {settings.executions:,} executions were in flight half-way: no time was left to look"
        )
    name = f"long {settings.executions} in flight"
    lateness = lateness_of(ledger)
    results.put(f"{name} lateness p99 (ms)", lateness.p99_us / 1_000)
    results.put(f"{name} lateness max (ms)", lateness.max_us / 1_000)
    for kind in KINDS:
        results.put(f"{name} {kind} CPU (% of a core)", 100 * sampling.cpu_s(kind) / sampling.seconds)
    results.put(f"{name} statements (per s)", counted["Questions"] / sampling.seconds)
    results.put(f"{name} loop lag p99 (ms)", counters.quantile(counted, counters.LOOP_LAG, 0.99) * 1_000)
    results.put(f"{name} node memory (MiB)", sampling.resident_mb("node"))
    again = sum(row.attempt > 1 for row in ledger)
    results.put(f"{name} sent again (count)", again)
