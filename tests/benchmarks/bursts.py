"""Bursts on a rig: registered ahead, due at one instant, run, and judged."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks import counters
from benchmarks.bulk import HANDLER, PAYLOAD
from benchmarks.evidence import count_final, forget_runs, verify
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
SLACK = 1.5
"""Registering may take so much longer than last time."""
TRIES = 3
WARM_UP = 1_000
_POLL_S = 0.25
FINAL_TIMEOUT_S = 60.0
_LEAST_PER_S = 200
"""A burst that drains more slowly than this is given up."""


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


class RegisteredLateError(TestingError):
    """A burst was not registered in time: what else runs on this machine?"""


class Bursts:
    """Bursts on one rig, one after another."""

    def __init__(self, rig: Rig) -> None:
        """Use this rig, which runs."""
        self.rig = rig
        self.final_timeout_s = FINAL_TIMEOUT_S
        """How long the ledger may lack an end, in seconds, before the checker says what is wrong with it."""
        self._count = 0
        self._registered_per_s = float(REGISTERED_PER_S)

    async def run(
        self,
        size: int,
        *,
        due_at: int | None = None,
        beside: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Burst:
        """One burst of so many one-time tasks, registered, run and judged.

        Args:
            size: How many.
            due_at: When, in microseconds; by default as soon as they can have been registered.
            beside: See `fire`.

        Raises:
            TestingError: See `fire`.
        """
        tries = TRIES if due_at is None else 1
        while True:
            tries -= 1
            at = due_at or self.soon_at(size)
            try:
                return await self.fire(one_time_plan(self.next_namespace(), size, at), at, beside=beside)
            except RegisteredLateError as error:
                if not tries:
                    raise
                print(f"once more: {error}", flush=True)

    def soon_at(self, size: int) -> int:
        """The next whole second by which so many tasks can have been registered, in microseconds."""
        return (now_us() // SECOND_US + math.ceil(self.ahead_s(size))) * SECOND_US

    def next_namespace(self) -> str:
        """A namespace of its own for the next burst."""
        self._count += 1
        return f"burst-{self._count}"

    def ahead_s(self, size: int) -> float:
        """How long before they are due so many tasks have to be registered, by the rate of the last ones."""
        return 2 * QUIET_S + SLACK * size / self._registered_per_s

    async def fire(
        self,
        plan: Sequence[PlannedTask],
        due_at: int,
        *,
        beside: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Burst:
        """Register a plan of one namespace, all of it due at one instant; let it run, and judge it.

        Args:
            plan: Each of its tasks has one scheduled time until the end.
            due_at: When, in microseconds.
            beside: Makes what is entered shortly before the due instant and left when everything has run.

        Raises:
            TestingError: It could not be registered in time or did not end, or the checker does not accept it.
        """
        rig, cluster = self.rig, self.rig.cluster
        earlier = counters.executed(await counters.read(cluster))
        try:
            tasks = await self._register(plan, due_at)
        except RegisteredLateError:
            await until_executed(rig, earlier + len(plan), give_up_s=10.0 + len(plan) / _LEAST_PER_S)
            forget_runs(cluster.run_logs)
            raise
        await sleep_until(due_at - SECOND_US // 2)
        with Sampling(cluster) as sampling, beside():
            before = await counters.read(cluster)
            await sleep_until(due_at)
            wanted = counters.executed(before) + len(plan)
            await until_executed(rig, wanted, give_up_s=10.0 + len(plan) / _LEAST_PER_S)
            await until_final(rig, (due_at, due_at + 1), len(plan), self.final_timeout_s)
            after = await counters.read(cluster)
        ledger = await judged(rig, tasks, (due_at, due_at + 1), final_timeout_s=self.final_timeout_s)
        return Burst(
            due_at,
            ledger,
            counters.difference(before, after),
            {kind: sampling.cpu_s(kind) for kind in KINDS},
            sampling.resident_mb("node"),
        )

    async def _register(self, plan: Sequence[PlannedTask], due_at: int) -> list[AcknowledgedTask]:
        load, already = self.rig.load, len(self.rig.load.tasks)
        began_s = time.monotonic()
        await load.register(plan)
        took_s = time.monotonic() - began_s
        if len(plan) > WARM_UP:
            self._registered_per_s = len(plan) / took_s
        if now_us() > due_at - QUIET_S * SECOND_US // 2:
            raise RegisteredLateError(
                f"{len(plan):,} tasks took {took_s:.1f} s to register, which was too long"
            )
        return load.tasks[already:]


def one_time_plan(
    namespace: str, size: int, due_at: int, *, handler: str = HANDLER, payload: bytes = PAYLOAD
) -> list[PlannedTask]:
    """So many one-time tasks for one instant."""
    return [
        PlannedTask(namespace, f"task-{number:06}", handler, "one-time", "burst", due_at, payload=payload)
        for number in range(size)
    ]


async def judged(
    rig: Rig,
    tasks: Sequence[AcknowledgedTask],
    window: tuple[int, int],
    *,
    is_last: bool = True,
    final_timeout_s: float = FINAL_TIMEOUT_S,
) -> tuple[LedgerRow, ...]:
    """The ledger of these tasks of one namespace, accepted by the checker. Raises as `evidence.verify`.

    The run logs are empty afterwards, unless others are to be judged by them, too.
    """
    cluster = rig.cluster
    await until_final(rig, window, len(tasks), final_timeout_s)
    runs = await asyncio.to_thread(read_run_logs, cluster.run_logs)
    ledger = await asyncio.to_thread(
        verify, cluster.mysql_url, tasks, runs, window=window, partitions=cluster.settings.partitions
    )
    if is_last:
        forget_runs(cluster.run_logs)
    return ledger


async def until_final(rig: Rig, window: tuple[int, int], count: int, timeout_s: float) -> None:
    """Wait until the ledger shows the end of so many executions with scheduled times in the window, or the time is up.

    The last word: the nodes' own count, which is cheaper to ask for, has a result that was repeated twice. What is still
    missing when the time is up is the checker's to name.
    """
    cluster, deadline = rig.cluster, time.monotonic() + timeout_s
    while True:
        ended = await asyncio.to_thread(count_final, cluster.mysql_url, window, cluster.settings.partitions)
        if ended >= count:
            return
        if time.monotonic() > deadline:
            print(f"{count - ended:,} executions have not ended after {timeout_s:g} s", flush=True)
            return
        await asyncio.sleep(_POLL_S)


async def until_executed(rig: Rig, count: int, *, give_up_s: float) -> None:
    """Wait until the nodes have counted the end of so many executions since they started.

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


@contextlib.asynccontextmanager
async def started(name: str, settings: RigSettings) -> AsyncIterator[Bursts]:
    """A rig that runs and is warm: its connections are open, its code was used.

    Raises:
        TestingError: It did not come up.
    """
    async with Rig(name, settings) as rig:
        await rig.start_all()
        bursts = Bursts(rig)
        await bursts.run(WARM_UP)
        yield bursts
