"""What executors report: answered only when it is in the ledger, and refusals do not spin."""

import asyncio
from itertools import pairwise

import pytest
from unit.engine.engine_bench import OTHER, EngineBench
from unit.engine.hand_executor import HandExecutor
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import ExecutionState
from mainspring.server.core.policies import Overlap, Policies
from mainspring.server.dispatch.frames import Outcome
from mainspring.server.errors import StoreUnavailable, UnknownOutcome


async def answered_is_final(bench: EngineBench, *executors: HandExecutor) -> None:
    """No answer before the row shows it (I4), and the row of each ended attempt does not change any more."""
    rows = {row.ref: row for row in await bench.ledger()}
    for executor in executors:
        for attempt_id in executor.saved:
            row = rows[attempt_id.ref]
            assert row.state.is_final or row.attempt > attempt_id.attempt


@in_virtual_time
async def test_a_result_whose_partition_went_and_came_back_is_not_answered_unwritten() -> None:
    """A batch waits for the database; one of its partitions goes during the first try and is back at the second."""
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0, 1)
        refs = await bench.register(bench.task(0), bench.task(1))
        await bench.until(lambda: len(executor.running) == 2)
        first = bench.store.hold("complete", error=StoreUnavailable())
        second = bench.store.hold("complete")
        executor.end()
        async with asyncio.timeout(5):
            await first.reached.wait()
        await bench.lose(1)
        first.release()
        async with asyncio.timeout(5):
            await second.reached.wait()
        await bench.adopt(1)
        second.release()
        await bench.until(lambda: executor.saved)
        await answered_is_final(bench, executor)
        await bench.until_state(refs, within_s=5)
        await bench.until(lambda: len(set(executor.saved)) == 2)
        await answered_is_final(bench, executor)
        assert len(bench.sent) == 2


@in_virtual_time
async def test_a_result_that_is_refused_by_the_fence_is_not_answered() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        await bench.take(0, owner=OTHER)
        executor.end()
        await bench.until(lambda: bench.fenced)
        await bench.pass_time(3)
        assert executor.saved == []
        await bench.adopt(0)
        await bench.until_state([ref], within_s=3)
        await bench.until(lambda: executor.saved)
        assert len(bench.sent) == 1


@pytest.mark.parametrize("error", [StoreUnavailable(), UnknownOutcome()], ids=["away", "unknown"])
@pytest.mark.parametrize("is_applied", [False, True], ids=["lost", "applied"])
@in_virtual_time
async def test_a_result_whose_write_fails_is_written_again_and_answered(
    error: Exception, is_applied: bool
) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        bench.store.once("complete", error, is_applied=is_applied)
        executor.end()
        await bench.until(lambda: executor.saved, within_s=3)
        assert (await bench.row(ref)).state is ExecutionState.SUCCEEDED


@in_virtual_time
async def test_a_result_whose_write_crashes_is_taken_when_it_is_repeated() -> None:
    async with EngineBench() as bench:
        bench.may_crash = True
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        bench.store.once("complete", KeyError("a bug"))
        executor.end()
        await bench.until_state([ref], within_s=4)
        await bench.until(lambda: executor.saved)


@in_virtual_time
async def test_the_result_of_an_attempt_that_was_given_up_changes_nothing_and_is_answered() -> None:
    async with EngineBench() as bench:
        first = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: first.running)
        first.drop()
        second = bench.executor("e2", credit=1)
        await bench.until(lambda: second.running, within_s=5)
        first.connect()
        first.end(outcome=Outcome.FAILED)
        await bench.until(lambda: first.saved)
        assert (await bench.row(ref)).state is ExecutionState.DISPATCHED
        second.end()
        await bench.until_state([ref])
        assert (await bench.row(ref)).attempt == 2


@in_virtual_time
async def test_refusals_are_free_at_first_and_then_pause() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=3)
        await bench.adopt(0)
        (refused,) = await bench.register(bench.task())
        for attempt in range(1, 7):
            await bench.until_sent([refused], within_s=2, attempts=attempt)
            await bench.until(lambda: executor.running)
            executor.end(outcome=Outcome.REFUSED)
        gaps_s = [(b.at - a.at) / 1e6 for a, b in pairwise(bench.sent_of(refused))]
        assert max(gaps_s[:2]) < 0.1
        assert min(gaps_s[2:]) >= 1
        # While it pauses others go on, and nothing of it is lost.
        (other,) = await bench.register(bench.task())
        await bench.until_sent([other], within_s=0.5)
        assert len(bench.sent_of(refused)) == 6
        assert executor.live_session.credit == executor.held == 2
        executor.is_automatic = True
        executor.end()
        await bench.until_state([refused, other])
        assert (await bench.row(refused)).attempt == 7


@in_virtual_time
async def test_a_refusal_told_twice_counts_once() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        executor.regrants = False
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        executor.end(outcome=Outcome.REFUSED)
        executor.book.make_due_for("node")
        await bench.until(lambda: executor.saved)
        executor.grant(1)
        await bench.until_sent([ref], attempts=2)
        await bench.pass_time(3)
        assert [s.item.attempt_id.attempt for s in bench.sent_of(ref)] == [1, 2]


@in_virtual_time
async def test_what_waits_when_its_task_is_cancelled_ends_as_cancelled_and_is_not_sent() -> None:
    """Three passed times with credit for one: two executions wait without an attempt."""
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(
            bench.task(every_s=5, in_s=-12, policies=Policies(overlap=Overlap.ALLOW))
        )
        await bench.until(lambda: executor.running)
        states = [row.state for row in await bench.ledger(ref)]
        assert sorted(states) == [ExecutionState.WAITING] * 2 + [ExecutionState.DISPATCHED]
        await bench.cancel(ref)
        executor.grant(3)
        await bench.until(lambda: executor.live_session.credit == 3)
        await bench.pass_time(0.5)
        states = [row.state for row in await bench.ledger(ref)]
        assert sorted(states) == [ExecutionState.DISPATCHED] + [ExecutionState.CANCELLED] * 2
        assert executor.live_session.credit == executor.held == 3
        executor.end()
        await bench.pass_time(6)
        states = [row.state for row in await bench.ledger(ref)]
        assert sorted(states) == [ExecutionState.SUCCEEDED] + [ExecutionState.CANCELLED] * 2
        assert len(bench.sent) == 1


@in_virtual_time
async def test_a_cancel_while_an_execution_pauses_ends_it_as_cancelled() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(every_s=60))
        for attempt in (1, 2, 3):
            await bench.until_sent([ref], attempts=attempt)
            await bench.until(lambda: executor.running)
            executor.end(outcome=Outcome.REFUSED)
        await bench.cancel(ref)
        await bench.until_state([ref], ExecutionState.CANCELLED, within_s=2)
        assert len(bench.sent) == 3
        assert executor.live_session.credit == executor.held == 1


@in_virtual_time
async def test_a_cancelled_task_that_is_ready_leaves_nothing() -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.pass_time(0.1)
        await bench.cancel(ref)
        executor = bench.executor(credit=1)
        await bench.pass_time(5)
        assert await bench.ledger() == []
        assert executor.live_session.credit == 1
