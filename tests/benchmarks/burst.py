"""`burst`: everything due at one instant, from the wheel to the last result that is recorded.

Tasks are registered ahead through BatchCreateTasks. The drain rate is executions through the time from the due instant to
the last result recorded; lateness is the ledger's: pick-up minus due time. The checker verifies the ledger after each burst.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from benchmarks import counters
from benchmarks.bulk import HANDLER, PAYLOAD
from benchmarks.evidence import forget_runs, verify
from benchmarks.results import Results
from benchmarks.rig import Rig, RigSettings
from benchmarks.sampling import KINDS, Sampling

from mainspring.testing.errors import TestingError
from mainspring.testing.history import AcknowledgedTask, LedgerRow
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.report import Spread
from mainspring.testing.run_log import read_run_logs
from mainspring.testing.workload import PlannedTask

REGISTERED_PER_S = 2_000
"""Assumed until a burst was registered."""
QUIET_S = 2.0
"""Between the last registration and the due instant at least, so that nothing of the one is seen in the other."""
_POLL_S = 0.25
_LEAST_PER_S = 200
"""A burst that drains more slowly than this is given up."""


@dataclass(frozen=True, slots=True)
class BurstSettings:
    """How many tasks, and how often."""

    sizes: tuple[int, ...] = (20_000, 50_000)
    repeats: int = 3
    rig: RigSettings = field(default_factory=RigSettings)


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst that the checker has accepted. Rates a second, instants in microseconds."""

    due_at: int
    ledger: tuple[LedgerRow, ...]
    counted: Mapping[str, float]
    """What servers and nodes counted from just before the due instant to the end."""
    cpu_s: Mapping[str, float]
    """Of all nodes, all executors, the database."""
    node_mb: float
    """Greatest resident size of a node meanwhile, in MiB."""

    @property
    def drained_per_s(self) -> float:
        """Executions through the time from the due instant to the last result recorded."""
        last_at = max(row.saved_at or 0 for row in self.ledger)
        return len(self.ledger) * SECOND_US / (last_at - self.due_at)

    @property
    def lateness(self) -> Spread:
        """Pick-up minus due time."""
        return lateness_of(self.ledger)

    def per_execution(self, *names: str) -> float:
        """How often the counters of these names went on, per execution."""
        return sum(self.counted.get(name, 0.0) for name in names) / len(self.ledger)

    def cpu_us(self, kind: str) -> float:
        """CPU time of a kind of process per execution, in microseconds."""
        return self.cpu_s[kind] * SECOND_US / len(self.ledger)


def lateness_of(ledger: Sequence[LedgerRow]) -> Spread:
    """Pick-up minus due time of what was picked up."""
    return Spread.of(row.picked_up_at - row.due_at for row in ledger if row.picked_up_at is not None)


class Bursts:
    """Bursts on one rig, one after another."""

    def __init__(self, rig: Rig) -> None:
        """Use this rig, which runs."""
        self._rig = rig
        self._count = 0
        self._registered_per_s = float(REGISTERED_PER_S)

    async def run(
        self, size: int, *, beside: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    ) -> Burst:
        """One burst of so many tasks, registered, run and judged.

        Args:
            size: How many.
            beside: Makes what is entered shortly before the due instant and left when everything has run.

        Raises:
            TestingError: It could not be registered in time or did not end, or the checker does not accept it.
        """
        self._count += 1
        namespace = f"burst-{self._count}"
        due_at, tasks = await self._register(namespace, size)
        rig, cluster = self._rig, self._rig.cluster
        await sleep_until(due_at - SECOND_US // 2)
        with Sampling(cluster) as sampling, beside():
            before = await counters.read(cluster)
            await sleep_until(due_at)
            await until_executed(rig, counters.executed(before) + size, give_up_s=10.0 + size / _LEAST_PER_S)
            after = await counters.read(cluster)
        runs = await asyncio.to_thread(read_run_logs, cluster.run_logs)
        ledger = await asyncio.to_thread(
            verify,
            cluster.mysql_url,
            tasks,
            runs,
            window=(due_at, due_at + 1),
            partitions=cluster.settings.partitions,
        )
        forget_runs(cluster.run_logs)
        return Burst(
            due_at,
            ledger,
            counters.difference(before, after),
            {kind: sampling.cpu_s(kind) for kind in KINDS},
            sampling.resident_mb("node"),
        )

    async def _register(self, namespace: str, size: int) -> tuple[int, list[AcknowledgedTask]]:
        load, already = self._rig.load, len(self._rig.load.tasks)
        ahead_s = 2 * QUIET_S + 1.25 * size / self._registered_per_s
        due_at = (now_us() // SECOND_US + round(ahead_s)) * SECOND_US
        began_s = time.monotonic()
        await load.register(
            [
                PlannedTask(
                    namespace, f"task-{number:06}", HANDLER, "one-time", "burst", due_at, payload=PAYLOAD
                )
                for number in range(size)
            ]
        )
        took_s = time.monotonic() - began_s
        self._registered_per_s = size / took_s
        if now_us() > due_at - QUIET_S * SECOND_US // 2:
            raise TestingError(
                f"{size:,} tasks took {took_s:.1f} s to register and were due after {ahead_s:.1f} s: busy machine?"
            )
        return due_at, load.tasks[already:]


async def until_executed(rig: Rig, count: int, *, give_up_s: float) -> None:
    """Wait until the nodes have recorded the end of so many executions since they started.

    Raises:
        TestingError: Not within `give_up_s`.
    """
    deadline = time.monotonic() + give_up_s
    done = 0
    while time.monotonic() < deadline:
        readings = [await asyncio.to_thread(counters.scrape, node) for node in rig.cluster.nodes]
        done = sum(map(counters.executed, readings))
        if done >= count:
            return
        await asyncio.sleep(_POLL_S)
    raise TestingError(f"{count - done:,} executions have not ended after {give_up_s:.0f} s")


async def measure(settings: BurstSettings, results: Results) -> dict[int, Burst]:
    """Write `burst ...` into the results; answer the last burst of each size, for the plots.

    Raises:
        TestingError: See `Bursts.run`.
    """
    last: dict[int, Burst] = {}
    async with Rig("burst", settings.rig) as rig:
        await rig.start_all()
        bursts = Bursts(rig)
        await bursts.run(1_000)  # connections open, code is warm
        for size in settings.sizes:
            measured = [await bursts.run(size) for _ in range(settings.repeats)]
            note(results, f"burst {size}", measured)
            last[size] = measured[-1]
    results.ratio(
        f"burst {max(settings.sizes)} to limit", f"burst {max(settings.sizes)} drain (executions/s)", LIMIT
    )
    return last


LIMIT = "limit (executions/s)"


def note(results: Results, name: str, measured: Sequence[Burst]) -> None:
    """Write what several bursts of one kind were like into the results, under this name."""
    results.spread(f"{name} drain (executions/s)", [burst.drained_per_s for burst in measured])
    for percentile in ("p50", "p99", "max"):
        values = [getattr(burst.lateness, f"{percentile}_us") / 1_000 for burst in measured]
        results.spread(f"{name} lateness {percentile} (ms)", values)
    for kind in KINDS:
        results.spread(f"{name} {kind} CPU (us/execution)", [burst.cpu_us(kind) for burst in measured])
    results.spread(
        f"{name} statements (per execution)", [burst.per_execution("Questions") for burst in measured]
    )
    results.spread(
        f"{name} commits (per execution)", [burst.per_execution("Binlog_commits") for burst in measured]
    )
    results.spread(f"{name} node memory (MiB)", [burst.node_mb for burst in measured])
