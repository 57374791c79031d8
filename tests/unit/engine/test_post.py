"""Hints to the owners of other partitions: gathered per address, kept a while when nobody is known to own them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from mainspring.server.clock import ClusterClock
from mainspring.server.core.model import DueTask, ExecutionRef, TaskRef
from mainspring.server.dispatch.frames import AttemptId, AttemptResult, ProgressReport
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.peers import Hint, PeerUnreachable
from mainspring.server.engine.post import Post
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.engine.supervision import keep_running
from mainspring.server.observability.metrics import Metrics
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.shard_manager.lease import PartitionLease
from mainspring.shard_manager.local import LocalMembership, LocalRegistry
from mainspring.shard_manager.membership import Member


class Calls:
    """Records what other nodes are told."""

    def __init__(self) -> None:
        self.hints: list[tuple[str, TaskRef]] = []
        self.holds_nothing: set[str] = set()
        """Addresses that hold none of what they are told of."""
        self.is_away: set[str] = set()
        self.progress: list[tuple[str, bytes]] = []

    async def send_hints(self, address: str, hints: Sequence[Hint]) -> list[Hint]:
        if address in self.is_away:
            raise PeerUnreachable("gone")
        self.hints += [(address, hint.ref) for hint in hints]
        return list(hints) if address in self.holds_nothing else []

    async def forward_results(
        self, address: str, executor_id: str, results: Sequence[AttemptResult]
    ) -> list[AttemptId]:
        return []

    async def forward_progress(self, address: str, reports: Sequence[ProgressReport]) -> None:
        if address in self.is_away:
            raise PeerUnreachable("gone")
        self.progress += [(address, report.progress) for report in reports]


class PostBench:
    """A post over an in-process registry."""

    def __init__(self, settings: EngineSettings) -> None:
        clock = ClusterClock()
        self.registry = LocalRegistry()
        membership = LocalMembership(self.registry, "me", "me:1", "test", clock)
        self.membership = membership
        self.calls = Calls()
        self.own: list[Hint] = []
        self.held = HeldPartitions()
        context = OwnerContext("me", clock, SQLiteStore(), self.held, settings, Metrics())
        self.post = Post(context, OwnerRouter(membership, "me"), self.calls, self.own.append)
        self.clock = clock

    def other_owns(self, partition_id: int) -> None:
        self.registry.put(Member("other", "other:1", "test", ready=True, holds={partition_id: 1}))


@asynccontextmanager
async def running(settings: EngineSettings | None = None) -> AsyncIterator[PostBench]:
    bench = PostBench(settings or EngineSettings())
    await bench.membership.start()
    loop = asyncio.create_task(keep_running("post", bench.post.run_round, bench.clock))
    try:
        async with asyncio.timeout(10):
            yield bench
    finally:
        loop.cancel()
        await asyncio.wait([loop])
        await bench.membership.stop()


def hint(number: int, partition_id: int = 3) -> tuple[TaskRef, DueTask]:
    ref = TaskRef(partition_id, number.to_bytes(16, "big"))
    return ref, DueTask(1, partition_id, ref.task_key, 1, 1, "noop", "{}", 0)


async def until(holds: object) -> None:
    while not holds():  # type: ignore[operator]
        await asyncio.sleep(0.01)


async def test_a_hint_goes_to_the_owner() -> None:
    async with running() as bench:
        bench.other_owns(3)
        ref, due = hint(1)
        bench.post.hint(ref, due)
        await until(lambda: bench.calls.hints == [("other:1", ref)])


async def test_a_hint_waits_until_the_new_owner_has_told() -> None:
    async with running() as bench:
        ref, due = hint(1)
        bench.post.hint(ref, due)
        await asyncio.sleep(0)
        assert bench.calls.hints == []
        bench.other_owns(3)
        await until(lambda: bench.calls.hints == [("other:1", ref)])


async def test_a_hint_that_reached_the_owner_of_yesterday_goes_to_the_present_one() -> None:
    """The old owner still says that it holds it, when it does not any more and the new one has loaded before."""
    async with running() as bench:
        bench.other_owns(3)
        bench.calls.holds_nothing.add("other:1")
        ref, due = hint(1)
        bench.post.hint(ref, due)
        await until(lambda: bench.calls.hints[:1] == [("other:1", ref)])
        bench.registry.put(Member("third", "third:1", "test", ready=True, holds={3: 2}))
        await until(lambda: ("third:1", ref) in bench.calls.hints)


async def test_a_hint_for_a_node_that_died_goes_to_who_takes_over() -> None:
    async with running() as bench:
        bench.other_owns(3)
        bench.calls.is_away.add("other:1")
        ref, due = hint(1)
        bench.post.hint(ref, due)
        await asyncio.sleep(0)
        bench.registry.remove("other")
        bench.registry.put(Member("third", "third:1", "test", ready=True, holds={3: 2}))
        await until(lambda: bench.calls.hints == [("third:1", ref)])


async def test_a_hint_that_nobody_wants_is_given_up() -> None:
    async with running() as bench:
        bench.other_owns(3)
        bench.calls.holds_nothing.add("other:1")
        bench.post.hint(*hint(1))
        await until(lambda: bench.calls.hints)
        await until(lambda: bench.post.is_empty)
        assert len(bench.calls.hints) < 60, "asked without a pause"


async def test_a_hint_of_a_partition_that_came_to_this_node_stays_here() -> None:
    async with running() as bench:
        ref, due = hint(1)
        bench.post.hint(ref, due)
        bench.held.hold(PartitionLease(3, 1))
        await until(lambda: [h.ref for h in bench.own] == [ref])


async def test_hints_that_wait_are_bounded() -> None:
    async with running(replace(EngineSettings(), queued_hints=5)) as bench:
        for number in range(50):
            bench.post.hint(*hint(number))
        bench.other_owns(3)
        await until(lambda: len(bench.calls.hints) == 5)
        bench.post.hint(*hint(99))
        await until(lambda: len(bench.calls.hints) == 6)


async def test_the_latest_progress_of_an_attempt_goes_to_the_owner_and_to_nobody_else() -> None:
    async with running() as bench:
        attempt_id = AttemptId(ExecutionRef(3, 1, bytes(16)), 1)
        nobodys = AttemptId(ExecutionRef(4, 1, bytes(16)), 1)
        bench.other_owns(3)
        bench.calls.is_away = {"other:1"}
        bench.post.forward_progress([ProgressReport(attempt_id, 1, b"lost")])
        ref, due = hint(1)
        bench.post.hint(ref, due)  # waits for the same node, and arrives when that is back
        await asyncio.sleep(0.05)
        bench.calls.is_away = set()
        await until(lambda: bench.calls.hints)
        bench.post.forward_progress(
            [
                ProgressReport(attempt_id, 1, b"10 %"),
                ProgressReport(nobodys, 1, b""),
                ProgressReport(attempt_id, 1, b"20 %"),
            ]
        )
        await until(lambda: bench.calls.progress)
        assert bench.calls.progress == [("other:1", b"20 %")]
