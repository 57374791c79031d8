"""CancelExecution at the owner: at once what was not sent, through its handler what runs, and for good either way."""

import asyncio

import pytest
from unit.engine.engine_bench import OTHER, EngineBench
from unit.engine.hand_executor import HandExecutor
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import Delivery, ExecutionState
from mainspring.server.core.policies import Policies, Retry
from mainspring.server.dispatch.frames import AttemptId, Outcome
from mainspring.server.errors import StoreUnavailable

RETRY = Policies(retry=Retry(max_attempts=5, initial_us=30 * SECOND_US))
ASKED = "a call asked to stop it (no more)"


async def running(executor: HandExecutor, bench: EngineBench) -> AttemptId:
    await bench.until(lambda: executor.running)
    (attempt_id,) = executor.running
    executor.start(attempt_id)
    return attempt_id


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Outcome.CANCELLED, ExecutionState.CANCELLED, ASKED),
        (Outcome.SUCCEEDED, ExecutionState.SUCCEEDED, ASKED),
        (Outcome.FAILED, ExecutionState.FAILED, "ValueError: no"),
    ],
)
@in_virtual_time
async def test_what_runs_is_told_and_ends_as_its_handler_does_without_a_retry(
    outcome: Outcome, state: ExecutionState, reason: str
) -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=RETRY))
        attempt_id = await running(executor, bench)
        assert await bench.engine.cancel_execution(attempt_id.ref, "no more")
        row = await bench.row(ref)
        assert (row.state, row.reason) == (ExecutionState.RUNNING, ASKED), (
            "recorded before it is acknowledged (I4)"
        )
        await bench.until(lambda: executor.cancels)
        assert executor.cancels == [attempt_id]
        if outcome is Outcome.FAILED:
            executor.end(outcome=outcome, kind="ValueError", error="no")
        else:
            executor.end(outcome=outcome)
        await bench.until_state([ref], state)
        assert (await bench.row(ref)).reason == reason
        await bench.pass_time(60)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_what_waits_for_a_retry_ends_at_once() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=RETRY))
        attempt_id = await running(executor, bench)
        executor.end(outcome=Outcome.FAILED, kind="ValueError")
        await bench.until(lambda: executor.saved)
        assert await bench.engine.cancel_execution(attempt_id.ref)
        row = await bench.row(ref)
        assert (row.state, row.reason) == (ExecutionState.CANCELLED, "a call asked to stop it")
        assert (row.attempt, row.failure_count) == (1, 1)
        assert executor.cancels == []
        await bench.pass_time(60)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_what_is_queued_ends_at_once_and_keeps_no_executor_busy() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        attempt_id = await running(executor, bench)
        executor.regrants = False
        executor.restart()  # its work is queued for another
        executor.live_session.give_back_credit(1)
        await bench.until(lambda: bench.engine.attempts.queued_count("noop"))
        assert await bench.engine.cancel_execution(attempt_id.ref)
        assert (await bench.row(ref)).state is ExecutionState.CANCELLED
        executor.grant(1)
        await bench.pass_time(3)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_what_is_being_assigned_is_not_sent() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        attempt_id = await running(executor, bench)
        assigning = bench.store.hold("assign")
        executor.restart()
        await assigning.reached.wait()
        cancelling = asyncio.create_task(bench.engine.cancel_execution(attempt_id.ref))
        await bench.pass_time(0.1)
        assert not cancelling.done()
        assigning.release()
        assert await cancelling
        row = await bench.row(ref)
        assert (row.state, row.attempt) == (ExecutionState.CANCELLED, 2)
        await bench.pass_time(3)
        assert len(bench.sent) == 1
        assert executor.live_session.credit == 1


@in_virtual_time
async def test_a_failure_on_its_way_to_the_ledger_is_not_retried() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=RETRY))
        attempt_id = await running(executor, bench)
        writing = bench.store.hold("retry")
        executor.end(outcome=Outcome.FAILED, kind="ValueError")
        await writing.reached.wait()
        assert await bench.engine.cancel_execution(
            attempt_id.ref
        )  # at an executor still, for all that is known
        writing.release()
        await bench.until_state([ref], ExecutionState.CANCELLED, within_s=1)
        await bench.pass_time(60)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_a_new_owner_goes_on_stopping_it() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        attempt_id = await running(executor, bench)
        executor.is_reading = False  # the first word never arrives
        assert await bench.engine.cancel_execution(attempt_id.ref, "no more")
        executor.drop()
        await bench.lose(0)
        executor.is_reading = True
        await bench.adopt(0)
        executor.connect()
        await bench.until(lambda: executor.cancels, within_s=1)
        assert set(executor.cancels) == {attempt_id}
        executor.end(outcome=Outcome.CANCELLED)
        await bench.until_state([ref], ExecutionState.CANCELLED)
        assert (await bench.row(ref)).reason == ASKED


@pytest.mark.parametrize(
    ("delivery", "state"),
    [
        (Delivery.AT_LEAST_ONCE, ExecutionState.CANCELLED),
        (Delivery.AT_MOST_ONCE, ExecutionState.LOST),
    ],
)
@in_virtual_time
async def test_an_executor_that_dies_before_it_has_stopped_ends_it(
    delivery: Delivery, state: ExecutionState
) -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=delivery))
        attempt_id = await running(executor, bench)
        assert await bench.engine.cancel_execution(attempt_id.ref)
        executor.drop()
        await bench.until_state([ref], state)
        other = bench.executor("e2")
        await bench.pass_time(5)
        assert other.work == []


@in_virtual_time
async def test_what_is_final_unknown_or_anothers_is_not_cancelled() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        ended, lost = await bench.register(bench.task(), bench.task())
        await bench.until(lambda: len(executor.running) == 2)
        by_key = {a.ref.task_key: a for a in executor.running}
        executor.end(by_key[ended.task_key])
        await bench.until_state([ended])
        assert not await bench.engine.cancel_execution(by_key[ended.task_key].ref)
        assert not await bench.engine.cancel_execution(by_key[ended.task_key].ref._replace(partition_id=3))
        bench.store.once("extend", StoreUnavailable())
        with pytest.raises(StoreUnavailable):
            await bench.engine.cancel_execution(by_key[lost.task_key].ref)
        await bench.take(0, owner=OTHER)  # and nobody has told
        assert not await bench.engine.cancel_execution(by_key[lost.task_key].ref)
        assert bench.fenced
        assert (await bench.row(lost)).state is ExecutionState.DISPATCHED
