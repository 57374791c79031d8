"""Overlap policies in the engine: what is open counts, wherever it is, and what is held has its turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.engine.engine_bench import OTHER, EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import Execution, ExecutionState, TaskRef
from mainspring.server.core.policies import Overlap, Policies, encode
from mainspring.server.dispatch.frames import AttemptId, Outcome
from mainspring.server.errors import UnknownOutcome

SKIP, BUFFER_ONE, REPLACE = (Policies(overlap=o) for o in (Overlap.SKIP, Overlap.BUFFER_ONE, Overlap.REPLACE))
DISPATCHED, RUNNING, WAITING = ExecutionState.DISPATCHED, ExecutionState.RUNNING, ExecutionState.WAITING
SUCCEEDED, SKIPPED, CANCELLED = ExecutionState.SUCCEEDED, ExecutionState.SKIPPED, ExecutionState.CANCELLED


async def rows_of(bench: EngineBench, ref: TaskRef) -> list[Execution]:
    return sorted(await bench.ledger(ref), key=lambda row: row.ref.scheduled_at)


async def states(bench: EngineBench, ref: TaskRef) -> list[ExecutionState]:
    return [row.state for row in await rows_of(bench, ref)]


@in_virtual_time
async def test_skip_records_what_comes_while_one_is_open() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=1, policies=SKIP))
        await bench.until(lambda: executor.running)
        await bench.pass_time(2.5)
        first, second, third = await rows_of(bench, ref)
        assert (first.state, second.state, third.state) == (DISPATCHED, SKIPPED, SKIPPED)
        assert second.reason.startswith("overlap: the execution of ")
        assert second.reason.endswith("Z is still open")
        executor.end()
        await bench.pass_time(1)
        assert await states(bench, ref) == [SUCCEEDED, SKIPPED, SKIPPED, DISPATCHED]


@in_virtual_time
async def test_buffer_one_holds_one_and_it_runs_as_soon_as_the_other_has_ended() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=2, policies=BUFFER_ONE))
        await bench.until(lambda: executor.running)
        await bench.pass_time(4.5)
        assert await states(bench, ref) == [DISPATCHED, WAITING, SKIPPED]
        assert len(bench.sent) == 1
        executor.end()
        await bench.until(lambda: len(bench.sent) == 2, within_s=0.5)
        assert await states(bench, ref) == [SUCCEEDED, DISPATCHED, SKIPPED]


@in_virtual_time
async def test_replace_cancels_the_open_one_and_waits_for_its_end() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=2, policies=REPLACE))
        await bench.until(lambda: executor.running)
        executor.start()
        (first,) = executor.running
        await bench.until(lambda: executor.cancels == [first], within_s=3)
        assert await states(bench, ref) == [RUNNING, WAITING]
        await bench.pass_time(
            2
        )  # it does not listen, and another one comes: that replaces the one that waits
        assert await states(bench, ref) == [RUNNING, CANCELLED, WAITING]
        executor.end(first, outcome=Outcome.CANCELLED)
        await bench.until(lambda: len(bench.sent) == 2, within_s=0.5)
        replaced, cancelled, new = await rows_of(bench, ref)
        assert (replaced.state, cancelled.state, new.state) == (CANCELLED, CANCELLED, DISPATCHED)
        assert cancelled.reason == "overlap: replaced by a later execution of its task"


@in_virtual_time
async def test_replace_asks_again_after_a_take_over() -> None:
    """The node that recorded the new execution was gone before it could ask for the end of the old one."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=60, policies=REPLACE))
        await bench.until(lambda: executor.running)
        executor.start()
        gate = bench.store.hold("claim", is_applied=True)
        await bench.pass_time(60)
        await gate.reached.wait()
        await bench.lose(0)
        gate.release()
        assert executor.cancels == []
        await bench.adopt(0)
        await bench.until(lambda: executor.cancels, within_s=5)
        executor.end(outcome=Outcome.CANCELLED)
        await bench.until(lambda: len(bench.sent_of(ref)) == 2, within_s=1)


@pytest.mark.parametrize("policies", [SKIP, BUFFER_ONE, REPLACE], ids=["skip", "buffer_one", "replace"])
@in_virtual_time
async def test_a_new_owner_knows_what_is_open(policies: Policies) -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        await bench.register(bench.task(in_s=0.1, every_s=3, policies=policies))
        await bench.until(lambda: executor.running)
        executor.start()
        await bench.lose(0)
        await bench.pass_time(3.5)  # another time is due
        await bench.adopt(0)
        await bench.pass_time(0.8)
        assert len(bench.sent) == 1
        await bench.lose(0)
        await bench.adopt(0)
        await bench.pass_time(0.1)
        assert len(bench.sent) == 1, "one that is held was sent by a new owner"
        executor.end()
        executor.is_automatic = True
        await bench.pass_time(0.2)
        assert len(bench.sent) == (1 if policies is SKIP else 2)


@in_virtual_time
async def test_what_is_held_is_not_sent_before_all_that_is_open_is_known() -> None:
    """The rows come page by page: the one that waits for the other may come first."""
    async with EngineBench(load_page=2) as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=50, policies=BUFFER_ONE))
        await bench.until(lambda: executor.running)
        executor.start()
        await bench.pass_time(
            45
        )  # the row of the open one says now when it is looked at next: long after the others
        await bench.register(*(bench.task(in_s=5.5) for _ in range(4)))
        await bench.until(lambda: len(executor.running) == 5, within_s=7)
        assert await states(bench, ref) == [RUNNING, WAITING]
        await bench.lose(0)
        bench.store.always("load_open_executions", delay_s=0.2)
        await bench.adopt(0)
        bench.store.heal()
        await bench.pass_time(1)
        assert len(bench.sent_of(ref)) == 1
        executor.end()
        await bench.until(lambda: len(bench.sent_of(ref)) == 2, within_s=0.5)


@in_virtual_time
async def test_what_is_recorded_and_not_sent_yet_is_open() -> None:
    """Its commit took so long that the rows are read again before it is sent; meanwhile the next time is due."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        claim, fence = bench.store.hold("claim", is_applied=True), bench.store.hold("read_partitions")
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=3, policies=SKIP))
        await claim.reached.wait()
        await bench.pass_time(2.5)
        claim.release()
        await fence.reached.wait()
        await bench.pass_time(1.5)
        assert len(bench.store.calls["claim"]) == 2, (
            "the next time was not decided on while the first was on its way"
        )
        fence.release()
        await bench.until(lambda: executor.running)
        assert await states(bench, ref) == [DISPATCHED, SKIPPED]


@in_virtual_time
async def test_a_result_on_its_way_to_the_ledger_counts_as_open() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=2, policies=SKIP))
        await bench.until(lambda: executor.running)
        gate = bench.store.hold("complete")
        executor.end()
        await gate.reached.wait()
        await bench.pass_time(2)
        gate.release()
        await bench.pass_time(0.2)
        assert await states(bench, ref) == [SUCCEEDED, SKIPPED]


@pytest.mark.parametrize("is_applied", [False, True], ids=["lost before", "lost after"])
@in_virtual_time
async def test_a_claim_of_unknown_outcome_is_known_before_the_next_is_decided(is_applied: bool) -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        bench.store.once("claim", UnknownOutcome("lost"), is_applied=is_applied)
        bench.store.once("recover_claim", UnknownOutcome("away"))
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=1, policies=SKIP))
        await bench.until(lambda: executor.running, within_s=8)
        await bench.pass_time(1.5)
        rows = await rows_of(bench, ref)
        assert [row.state for row in rows].count(DISPATCHED) == 1
        assert {row.state for row in rows} == {DISPATCHED, SKIPPED}
        assert len(bench.sent) == 1


@in_virtual_time
async def test_an_execution_whose_executor_died_keeps_the_next_one_waiting_until_it_has_run() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1")
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=1, policies=BUFFER_ONE))
        await bench.until(lambda: executor.running)
        await bench.pass_time(1.5)
        executor.drop()
        other = bench.executor("e2")
        await bench.until(lambda: other.running, within_s=10)
        sent = [s.item.attempt_id for s in bench.sent_of(ref)]
        assert sent == [AttemptId(sent[0].ref, 1), AttemptId(sent[0].ref, 2)]
        other.end()
        await bench.until(lambda: len(bench.sent_of(ref)) == 3, within_s=0.5)


@in_virtual_time
async def test_allow_runs_beside_each_other_and_tasks_do_not_hold_each_other() -> None:
    async with EngineBench() as bench:
        bench.executor(credit=20)
        await bench.adopt(0)
        beside = Policies(overlap=Overlap.ALLOW)
        refs = await bench.register(
            bench.task(in_s=0.1, every_s=1, policies=beside), *(bench.task(in_s=0.1) for _ in range(3))
        )
        await bench.pass_time(2.5)
        assert [len(bench.sent_of(ref)) for ref in refs] == [3, 1, 1, 1]


@pytest.mark.parametrize("before", [SKIP, BUFFER_ONE, REPLACE])
@in_virtual_time
async def test_a_task_that_is_updated_to_allow_runs_beside_itself_from_then_on(before: Policies) -> None:
    """What was held under the older policy was never sent: it ends, and the times that follow wait for nothing."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=2, policies=before))
        await bench.until(lambda: executor.running)
        await bench.pass_time(2.5)
        allow = encode(Policies(overlap=Overlap.ALLOW))
        (updated,) = await bench.store.inner.change_tasks(
            [ref], lambda task: replace(task, version=task.version + 1, policies=allow)
        )
        assert updated is not None
        await bench.engine.announce([updated.task])
        bench.allow_overlap(ref)
        await bench.pass_time(4)
        first, second, *others = await states(bench, ref)
        assert (first, second) == (DISPATCHED, SKIPPED if before is SKIP else CANCELLED)
        assert others == [DISPATCHED, DISPATCHED]
        assert len(bench.sent) == 3


@in_virtual_time
async def test_what_is_held_when_its_task_is_cancelled_is_not_sent() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=1, policies=BUFFER_ONE))
        await bench.until(lambda: executor.running)
        await bench.pass_time(1.5)
        await bench.cancel(ref)
        executor.end()
        await bench.pass_time(0.5)
        assert await states(bench, ref) == [SUCCEEDED, CANCELLED]
        assert len(bench.sent) == 1


@in_virtual_time
async def test_what_waits_for_an_executor_under_another_owner_is_still_one_at_a_time() -> None:
    """A row that waits is found by whoever owns the partition; nothing of its task runs beside it."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1, every_s=1, policies=BUFFER_ONE))
        await bench.until(lambda: executor.running)
        await bench.pass_time(1.5)
        leases = [bench.lease(0)]
        await bench.engine.host.surrender(leases)
        await bench.take(0, owner=OTHER)
        executor.end()
        await bench.pass_time(1)
        await bench.adopt(0)
        executor.is_automatic = True
        await bench.pass_time(3)
        started = [s.item.attempt_id.ref.scheduled_at for s in bench.sent_of(ref)]
        assert started == sorted(started)
        assert len(started) == len(set(started))
