"""A whole engine on a database in memory, with executors driven by hand, under virtual time.

On leaving it checks what holds in every test, whatever happened: no attempt is sent twice or after a later one, none
before it is recorded, no execution of an at-most-once task is sent twice (I7), no two of a task that does not allow it are
at work at a time (I11), and no loop of the engine crashed that was
not meant to.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple

import structlog
from unit.engine.faulty_store import FaultyStore
from unit.engine.hand_executor import HandExecutor
from unit.engine.virtual_time import LoopClock

from mainspring.server.core.life_cycle import StateChange, with_state_changed
from mainspring.server.core.model import (
    Delivery,
    Execution,
    ExecutionRef,
    ExecutionState,
    NewTask,
    Task,
    TaskRef,
)
from mainspring.server.core.policies import DEFAULT, Overlap, Policies
from mainspring.server.core.policies import encode as encode_policies
from mainspring.server.core.schedule import Interval, OneTime, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.frames import AttemptId, WorkItem
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.engine import Engine
from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.observability.metrics import Metrics
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.shard_manager.lease import PartitionLease

ME, OTHER = "node-me", "node-other"
PARTITIONS = 4
NAMESPACE = "default"
CRASHES = frozenset({"round_crashed", "batch_failed"})


class Sent(NamedTuple):
    """One piece of work that the engine put on its way."""

    at: int
    executor_id: str
    item: WorkItem


class EngineBench:
    """Use it as a context manager. It starts with no partition and no executor.

    Args:
        settings: fields of `EngineSettings`.
    """

    def __init__(self, **settings: Any) -> None:
        self.clock = LoopClock()
        self.settings = EngineSettings(**settings)
        self.store = FaultyStore(SQLiteStore(":memory:", PARTITIONS, now=self.clock.now))
        self.held = HeldPartitions()
        self.sent: list[Sent] = []
        self.executors: list[HandExecutor] = []
        self.log: list[Any] = []
        self.fenced = 0
        """How often the engine told that it was fenced."""
        self.may_crash = False
        """Whether a crash of a batch or a round is what the test is about."""
        self._numbers = itertools.count()
        self._sent_ids: set[AttemptId] = set()
        self._latest: dict[ExecutionRef, int] = {}
        self._taken_back: set[AttemptId] = set()
        self._at_most_once: set[TaskRef] = set()
        self._alone: set[TaskRef] = set()
        self._forgetful: set[TaskRef] = set()
        """Tasks that keep a number of executions only."""
        self._complaints: list[str] = []

    async def __aenter__(self) -> EngineBench:
        await self.store.inner.start()
        self.metrics = Metrics()
        context = OwnerContext(ME, self.clock, self.store, self.held, self.settings, self.metrics)
        membership: Any = SimpleNamespace(view=lambda: SimpleNamespace(generation=0, members={}))
        peers: Any = None  # nobody else is known, so nothing is sent to anybody
        self.engine = Engine(
            context,
            ConnectedExecutors(self.settings.lease_s),
            OwnerRouter(membership, ME),
            peers,
            on_fenced=self._on_fenced,
        )
        self._capture = structlog.testing.capture_logs()
        self.log = self._capture.__enter__()
        self._running = asyncio.create_task(self.engine.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            for executor in self.executors:
                executor.stop()
            if kind is None:
                await self.check()
        finally:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._capture.__exit__(None, None, None)
            await self.store.inner.close()

    def _on_fenced(self) -> None:
        self.fenced += 1

    # --- what always holds ---------------------------------------------------------------------------------------

    def complain(self, complaint: str) -> None:
        """To be called from inside the engine's tasks, where an assertion would only be logged."""
        self._complaints.append(complaint)

    def work_sent(self, executor_id: str, item: WorkItem) -> None:
        """Notes a piece of work in the moment in which it is put on its way."""
        if item.attempt_id in self._sent_ids:
            self.complain(f"sent twice: {item}")
        ref, attempt = item.attempt_id
        if attempt <= self._latest.get(ref, 0):
            self.complain(f"sent after a later attempt: {item}")
        was_sent = ref in self._latest and AttemptId(ref, self._latest[ref]) not in self._taken_back
        if was_sent and TaskRef(ref.partition_id, ref.task_key) in self._at_most_once:
            self.complain(f"at most once, and sent again: {item}")
        if TaskRef(ref.partition_id, ref.task_key) in self._alone:
            self._complain_of_others(item)
        self._latest[ref] = attempt
        if self.store.recorded.get(item.attempt_id) != executor_id:
            self.complain(f"sent to {executor_id} and not recorded for it: {item}")
        if self.held.epoch_of(item.attempt_id.ref.partition_id) != item.epoch:
            self.complain(f"sent under an epoch that is not held: {item}")
        self._sent_ids.add(item.attempt_id)
        self.sent.append(Sent(self.clock.now(), executor_id, item))

    def work_taken_back(self, items: Iterable[WorkItem]) -> None:
        """Notes work that never left the outbox of a stream that has ended."""
        self._taken_back |= {item.attempt_id for item in items}

    def _complain_of_others(self, item: WorkItem) -> None:
        """I11: no other execution of the task runs at an executor that nobody could believe dead."""
        ref = item.attempt_id.ref
        for executor in self.executors:
            for other in executor.running:
                is_of_task = (other.ref.partition_id, other.ref.task_key) == (ref.partition_id, ref.task_key)
                if is_of_task and other.ref != ref and not executor.was_away:
                    self.complain(f"sent while {other} runs at {executor.executor_id}: {item}")

    async def check(self) -> None:
        """Everything that was sent is in the ledger, once; nothing crashed."""
        assert self._complaints == []
        before = list(self.sent)
        rows = {row.ref: row for row in await self.ledger()}
        for sent in before:
            if (
                self._task_of(sent.item.attempt_id.ref) in self._forgetful
                and sent.item.attempt_id.ref not in rows
            ):
                continue
            assert rows[sent.item.attempt_id.ref].attempt >= sent.item.attempt_id.attempt
        for row in rows.values():
            if row.state is ExecutionState.LOST:
                assert TaskRef(row.ref.partition_id, row.ref.task_key) in self._at_most_once, row
                assert self._is_explained(row), row
        crashes = [entry for entry in self.log if entry["event"] in CRASHES]
        assert self.may_crash or crashes == []

    @staticmethod
    def _task_of(ref: ExecutionRef) -> TaskRef:
        return TaskRef(ref.partition_id, ref.task_key)

    def _is_explained(self, lost: Execution) -> bool:
        """Whether an executor did what the reason says; one that this bench never had was silent."""
        executor = next((e for e in self.executors if e.executor_id == lost.executor_id), None)
        attempt_id = AttemptId(lost.ref, lost.attempt)
        begin = f"lost: executor {lost.executor_id} "
        if lost.reason.startswith(begin + "does not have it"):
            return executor is not None and attempt_id in executor.disowned
        if lost.reason.startswith(begin + "refused it"):
            return executor is not None and attempt_id in executor.refused
        is_silence = lost.reason.startswith((begin + "was not heard of", begin + "left"))
        return is_silence and (executor is None or executor.was_away)

    # --- partitions ----------------------------------------------------------------------------------------------

    async def take(self, *partition_ids: int, owner: str = ME) -> list[PartitionLease]:
        """Takes rows, whoever has them."""
        rows = {row.partition_id: row for row in await self.store.inner.read_partitions()}
        takes = [(p, rows[p].epoch) for p in partition_ids]
        leases = await self.store.inner.take_partitions(takes, owner)
        assert len(leases) == len(partition_ids)
        return leases

    async def adopt(self, *partition_ids: int) -> list[PartitionLease]:
        """Takes partitions and waits until they fire."""
        leases = await self.take(*partition_ids)
        self.engine.host.adopt(leases)
        await self.until(lambda: all(self.held.is_firing(p) for p in partition_ids))
        return leases

    def lease(self, partition_id: int) -> PartitionLease:
        """What the engine holds."""
        epoch = self.held.epoch_of(partition_id)
        assert epoch is not None
        return PartitionLease(partition_id, epoch)

    async def lose(self, *partition_ids: int) -> None:
        """Another node takes these, and the engine is told."""
        leases = [self.lease(p) for p in partition_ids]
        await self.take(*partition_ids, owner=OTHER)
        self.engine.host.revoke(leases)

    # --- tasks and what becomes of them --------------------------------------------------------------------------

    def task(
        self,
        partition_id: int = 0,
        *,
        handler: str = "noop",
        in_s: float = 0.0,
        every_s: float | None = None,
        payload: bytes = b"",
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
        policies: Policies = DEFAULT,
    ) -> NewTask:
        """A registration that falls into this partition, due so many seconds from now."""
        while True:
            task_id = f"task-{next(self._numbers)}"
            key = task_key(NAMESPACE, task_id)
            if partition_of(key, PARTITIONS) == partition_id:
                break
        at = self.clock.now() + round(in_s * 1_000_000)
        if every_s is not None and policies.overlap is not Overlap.ALLOW:
            self._alone.add(TaskRef(partition_id, key))
        if delivery is Delivery.AT_MOST_ONCE:
            self._at_most_once.add(TaskRef(partition_id, key))
        if policies.keep:
            self._forgetful.add(TaskRef(partition_id, key))
        schedule = OneTime(at) if every_s is None else Interval(round(every_s * 1_000_000), at)
        return NewTask(
            ref=TaskRef(partition_id, key),
            namespace=NAMESPACE,
            task_id=task_id,
            handler=handler,
            payload=payload,
            schedule=encode(Schedule(schedule)),
            definition_hash=bytes(16),
            scheduled_at=at,
            due_at=at,
            created_at=self.clock.now(),
            delivery=delivery,
            policies=encode_policies(policies),
        )

    async def store_tasks(self, *tasks: NewTask) -> list[TaskRef]:
        """Writes tasks without a hint: only a load or the sweep finds them."""
        await self.store.inner.create_tasks(tasks)
        return [task.ref for task in tasks]

    async def register(self, *tasks: NewTask) -> list[TaskRef]:
        """Registers tasks as a call does, with a hint."""
        await self.engine.registrar.create(tasks)
        return [task.ref for task in tasks]

    async def cancel(self, ref: TaskRef) -> Task:
        """Cancels a task as a call does."""
        now = self.clock.now()
        (cancelled,) = await self.store.inner.change_tasks(
            [ref], lambda task: with_state_changed(task, StateChange.CANCEL, now=now)
        )
        assert cancelled is not None
        await self.engine.announce([cancelled.task])
        return cancelled.task

    def allow_overlap(self, ref: TaskRef) -> None:
        """A task may run beside itself from now on."""
        self._alone.discard(ref)

    async def ledger(self, ref: TaskRef | None = None) -> list[Execution]:
        """Every row, or those of one task."""
        rows = (await self.store.inner.list_executions(NAMESPACE, limit=100_000)).executions
        return [row for row in rows if ref is None or (row.ref.partition_id, row.ref.task_key) == tuple(ref)]

    async def row(self, ref: TaskRef) -> Execution:
        """The only row of a task."""
        (row,) = await self.ledger(ref)
        return row

    def sent_of(self, ref: TaskRef) -> list[Sent]:
        """What was sent of a task, in order."""
        refs = ((s, s.item.attempt_id.ref) for s in self.sent)
        return [s for s, of in refs if (of.partition_id, of.task_key) == tuple(ref)]

    # --- executors -----------------------------------------------------------------------------------------------

    def executor(
        self,
        executor_id: str = "e1",
        *handlers: str,
        credit: int = 10,
        capacity: int | None = None,
        is_automatic: bool = False,
    ) -> HandExecutor:
        """Connects an executor, by default for handler "noop"."""
        made = HandExecutor(
            self,
            executor_id,
            handlers or ("noop",),
            capacity=credit if capacity is None else capacity,
            credit=credit,
            is_automatic=is_automatic,
        )
        self.executors.append(made)
        return made

    # --- waiting -------------------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], object], within_s: float = 5.0) -> None:
        """Waits until something holds, for so long of virtual time at most."""
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.002)

    async def until_sent(self, refs: Iterable[TaskRef], within_s: float = 5.0, attempts: int = 1) -> None:
        """Waits until so many attempts of each of these were sent."""
        wanted = list(refs)
        await self.until(lambda: all(len(self.sent_of(ref)) >= attempts for ref in wanted), within_s)

    async def until_state(
        self, refs: Iterable[TaskRef], state: ExecutionState = ExecutionState.SUCCEEDED, within_s: float = 5.0
    ) -> None:
        """Waits until the only row of each of these has a state."""
        wanted = set(refs)
        async with asyncio.timeout(within_s):
            while True:
                rows = await self.ledger()
                found = {TaskRef(r.ref.partition_id, r.ref.task_key) for r in rows if r.state is state}
                if wanted <= found:
                    return
                await asyncio.sleep(0.05)

    async def until_ended(self, ref: TaskRef, count: int, within_s: float = 5.0) -> None:
        """Waits until so many executions of a task are final."""
        async with asyncio.timeout(within_s):
            while sum(row.state.is_final for row in await self.ledger(ref)) < count:
                await asyncio.sleep(0.05)

    async def pass_time(self, seconds: float) -> None:
        """Lets virtual time pass, to see that something does not happen in it."""
        await asyncio.sleep(seconds)


def attempt_ids(sent: Iterable[Sent]) -> list[AttemptId]:
    return [s.item.attempt_id for s in sent]
