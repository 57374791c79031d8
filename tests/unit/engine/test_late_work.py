"""Work that its stream could not carry at once goes out only under an epoch that still rules."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.model import ExecutionRef, ExecutionState, TaskRef
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.dispatch.frames import AttemptId, WorkItem
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.server.engine.late_work import LateWork
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import Decision, OpenAttempt, OpenAttempts, Place
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.errors import StoreUnavailable
from mainspring.server.observability.metrics import Metrics
from mainspring.shard_manager.lease import PartitionLease, PartitionRow


class HandClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> int:
        return int(self.now_s * 1_000_000)

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Rows:
    """The partition rows, which may fail to be read a few times, or take long."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.rows = {p: PartitionRow(p, 5, "me") for p in range(4)}
        self.reads = self.failures = 0
        self.slow_reads = 0
        self.versions: dict[TaskRef, int] = {}

    async def read_versions(self, refs: Sequence[TaskRef]) -> dict[TaskRef, int]:
        return {ref: self.versions.get(ref, 1) for ref in refs}

    async def read_partitions(self) -> list[PartitionRow]:
        self.reads += 1
        rows = list(self.rows.values())
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable
        if self.slow_reads:
            self.slow_reads -= 1
            self.clock.now_s += 3
        return rows


class Bench:
    def __init__(self) -> None:
        self.clock, self.held = HandClock(), HeldPartitions()
        self.store = Rows(self.clock)
        for partition in range(4):
            self.held.hold(PartitionLease(partition, 5))
        self.context = OwnerContext(
            "me", cast(Any, self.clock), cast(Any, self.store), self.held, EngineSettings(), Metrics()
        )
        self.fenced: list[PartitionLease] = []
        self.context.signals.fenced = self._fenced
        executors = ConnectedExecutors(3.0)
        self.session = ExecutorSession("e", ["h"], 10, version="1", connected_at=0, heard_at_s=100.0)
        executors.connect(self.session)
        self.attempts = OpenAttempts(0)
        self.decided: list[OpenAttempt] = []
        self.context.signals.decided = self.decided.extend
        mishaps = Mishaps(self.context, self.attempts)
        self.late_work = LateWork(self.context, executors, self.attempts, mishaps, FenceCheck(self.context))

    def _fenced(self, leases: Any) -> None:
        self.fenced += leases
        for lease in leases:
            self.held.drop(lease)

    def item(self, partition: int, *, epoch: int = 5, age_s: float = 0.0, attempt: int = 1) -> WorkItem:
        ref = ExecutionRef(partition, 1, bytes(16))
        recorded = Dispatchable(ref, epoch, attempt, "e", "n", "t", "h", b"", 0, 1, 0)
        self.attempts.add(recorded, dispatched_at=0, wake_at=1_000_000)
        return WorkItem(AttemptId(ref, attempt), epoch, "n", "t", "h", b"", 0, self.clock.now_s - age_s, 1)

    async def sent_later(self) -> list[WorkItem]:
        for _ in range(40):
            await asyncio.sleep(0)
        outbox = await self.session.outgoing(asyncio.timeout(0))
        return [] if outbox is None else outbox.work


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_fresh_work_passes_and_nothing_is_read(bench: Bench) -> None:
    items = [bench.item(0), bench.item(1, age_s=1.9)]
    assert bench.late_work.sift(bench.session, items) == items
    assert bench.store.reads == 0


async def test_what_is_another_nodes_by_now_is_dropped_with_its_credit(bench: Bench) -> None:
    bench.held.drop(PartitionLease(1, 5))
    bench.held.hold(PartitionLease(2, 6))
    kept = bench.item(0)
    assert bench.late_work.sift(bench.session, [kept, bench.item(1), bench.item(2)]) == [kept]
    assert bench.session.credit == 2


async def test_late_work_goes_out_once_its_epoch_was_read_again(bench: Bench) -> None:
    bench.store.rows[1] = PartitionRow(1, 6, "other")
    fresh = bench.item(2)
    late = [bench.item(0, age_s=2.1), bench.item(1, age_s=2.1)]
    assert bench.late_work.sift(bench.session, [*late, fresh]) == [fresh]
    (sent,) = await bench.sent_later()
    assert sent.attempt_id == late[0].attempt_id
    assert sent.as_of_s == bench.clock.now_s
    assert bench.fenced == [PartitionLease(1, 5)]
    assert bench.session.credit == 1
    assert bench.late_work.sift(bench.session, [sent]) == [sent]


async def test_what_was_given_up_while_it_was_looked_at_does_not_go_out(bench: Bench) -> None:
    wanted, *given_up = (bench.item(partition, age_s=2.1) for partition in range(4))
    assert bench.late_work.sift(bench.session, [wanted, *given_up]) == []
    lost, queued, ended = (bench.attempts.get(item.attempt_id.ref) for item in given_up)
    assert lost is not None
    assert queued is not None
    assert ended is not None
    bench.attempts.decide(lost, Decision(ExecutionState.LOST, "disowned"))
    bench.attempts.queue(queued)
    bench.attempts.end(ended.ref)
    (sent,) = await bench.sent_later()
    assert sent.attempt_id == wanted.attempt_id
    assert bench.session.credit == 3


async def test_what_was_to_be_stopped_while_it_was_looked_at_ends_without_being_sent(bench: Bench) -> None:
    wanted, stopped = (bench.item(partition, age_s=2.1) for partition in range(2))
    assert bench.late_work.sift(bench.session, [wanted, stopped]) == []
    attempt = bench.attempts.get(stopped.ref)
    assert attempt is not None
    attempt.stop_reason = "cancelled by a call"
    assert [item.attempt_id for item in await bench.sent_later()] == [wanted.attempt_id]
    assert _ends(bench) == [(1, ExecutionState.CANCELLED)]
    assert bench.session.credit == 1


async def test_what_is_looked_at_when_its_stream_ends_was_never_sent(bench: Bench) -> None:
    item = bench.item(0, age_s=2.1)
    assert bench.late_work.sift(bench.session, [item]) == []
    bench.session.close()
    assert await bench.sent_later() == []
    attempt = bench.attempts.get(item.ref)
    assert attempt is not None
    assert (attempt.place, attempt.dispatched_at) == (Place.QUEUED, None)


async def test_nothing_goes_out_while_the_database_does_not_tell(bench: Bench) -> None:
    bench.store.failures, bench.store.slow_reads = 5, 1
    assert bench.late_work.sift(bench.session, [bench.item(0, age_s=9)]) == []
    await bench.sent_later()
    assert bench.store.reads == 7  # what took too long to be read was read again
    bench.store.failures = 1_000_000
    assert bench.late_work.sift(bench.session, [bench.item(0, age_s=9)]) == []
    assert await bench.sent_later() == []
    await bench.late_work.stop()


def _ends(bench: Bench) -> list[tuple[int, ExecutionState]]:
    return [(a.ref.partition_id, a.decision.state) for a in bench.decided if a.decision is not None]


async def test_what_a_call_has_changed_since_it_was_recorded_is_not_written(bench: Bench) -> None:
    first, again, other = bench.item(0), bench.item(1, attempt=2), bench.item(2)
    for partition in (0, 1):
        ref = TaskRef(partition, bytes(16))
        bench.context.notes.add(ref, 2, is_stopped=False, now_s=bench.clock.now_s)
    assert bench.late_work.sift(bench.session, [first, again, other]) == [other]
    assert _ends(bench) == [(0, ExecutionState.CANCELLED)]
    ran_before = bench.attempts.get(again.ref)
    assert ran_before is not None
    assert ran_before.place is Place.QUEUED  # goes on with the task as it is now
    assert bench.session.credit == 2


async def test_a_change_that_nobody_told_of_is_found_before_late_work_goes_out(bench: Bench) -> None:
    items = [bench.item(partition, age_s=2.1) for partition in range(3)]
    bench.store.versions[TaskRef(1, bytes(16))] = 2
    assert bench.late_work.sift(bench.session, items) == []
    assert [item.ref.partition_id for item in await bench.sent_later()] == [0, 2]
    assert _ends(bench) == [(1, ExecutionState.CANCELLED)]
