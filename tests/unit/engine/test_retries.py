"""Failed attempts that another follows: after their wait, as often as allowed, also when the owner changes meanwhile."""

from itertools import pairwise

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.hand_executor import HandExecutor
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import Delivery, ExecutionState, TaskRef
from mainspring.server.core.policies import Policies, Retry
from mainspring.server.dispatch.frames import AttemptId, AttemptResult, Outcome
from mainspring.server.errors import UnknownOutcome

THRICE = Policies(retry=Retry(max_attempts=3, initial_us=4 * SECOND_US, max_us=60 * SECOND_US))
LATE_S = 0.6
"""The wheel's tick, the reaper's round, and the way to the executor."""


async def fail(executor: HandExecutor, bench: EngineBench, kind: str = "ValueError") -> AttemptId:
    """Waits for an attempt and fails it; returns once that is saved."""
    await bench.until(lambda: executor.running, within_s=60)
    (attempt_id,) = executor.running
    executor.start()
    executor.end(outcome=Outcome.FAILED, kind=kind, error="no")
    await bench.until(lambda: attempt_id in executor.saved)
    return attempt_id


def waits_s(bench: EngineBench, ref: TaskRef) -> list[float]:
    """Between the attempts that were sent of a task."""
    return [(after.at - before.at) / SECOND_US for before, after in pairwise(bench.sent_of(ref))]


@in_virtual_time
async def test_a_failure_waits_twice_as_long_each_time_and_then_succeeds() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=THRICE))
        await fail(executor, bench)
        row = await bench.row(ref)
        assert (row.state, row.attempt, row.failure_count) == (ExecutionState.WAITING, 1, 1)
        assert (row.reason, row.error_kind) == ("ValueError: no", "ValueError")
        assert row.retry_at is not None
        assert 3.9 * SECOND_US < row.retry_at - bench.clock.now() <= 4 * SECOND_US
        await fail(executor, bench)
        await bench.until(lambda: executor.running, within_s=60)
        executor.end()
        await bench.until_state([ref])
        row = await bench.row(ref)
        assert (row.attempt, row.failure_count, row.error_kind, row.reason) == (3, 2, "ValueError", "")
        first, second = waits_s(bench, ref)
        assert 4 <= first < 4 + LATE_S
        assert 8 <= second < 8 + LATE_S


@in_virtual_time
async def test_the_last_failure_ends_the_execution() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=THRICE))
        for _ in range(3):
            await fail(executor, bench)
        row = await bench.row(ref)
        assert (row.state, row.attempt, row.failure_count) == (ExecutionState.FAILED, 3, 3)
        assert bench.engine.stillness.open_count == 0
        await bench.pass_time(100)
        assert len(bench.sent) == 3


@pytest.mark.parametrize(
    ("kind", "delivery"), [("KeyError", Delivery.AT_LEAST_ONCE), ("ValueError", Delivery.AT_MOST_ONCE)]
)
@in_virtual_time
async def test_what_is_not_to_be_retried_fails_at_once(kind: str, delivery: Delivery) -> None:
    """At most once is refused with retries when it is registered; were it stored all the same, I7 comes first."""
    retry = Retry(max_attempts=9, initial_us=SECOND_US, non_retryable=("KeyError",))
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=Policies(retry=retry), delivery=delivery))
        await fail(executor, bench, kind)
        row = await bench.row(ref)
        assert (row.state, row.failure_count, row.error_kind) == (ExecutionState.FAILED, 1, kind)
        await bench.pass_time(10)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_a_wait_of_nothing_goes_on_at_once_and_jitter_spreads_a_herd() -> None:
    at_once = Policies(retry=Retry(max_attempts=2, initial_us=0))
    spread = Policies(retry=Retry(max_attempts=2, initial_us=40 * SECOND_US, jitter=1.0))
    async with EngineBench() as bench:
        executor = bench.executor(credit=41)
        await bench.adopt(0)
        (soon,) = await bench.register(bench.task(policies=at_once))
        await fail(executor, bench)
        await bench.until(lambda: len(bench.sent_of(soon)) == 2, within_s=LATE_S)
        executor.end()
        herd = await bench.register(*(bench.task(policies=spread) for _ in range(40)))
        await bench.until(lambda: len(executor.running) == 40)
        executor.end(outcome=Outcome.FAILED)
        await bench.until_sent(herd, attempts=2, within_s=50)
        waits = sorted(waits_s(bench, ref)[0] for ref in herd)
        assert waits[0] < 10
        assert waits[-1] > 30
        executor.end()


@in_virtual_time
async def test_an_executor_that_dies_is_no_failure() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=THRICE))
        await bench.until(lambda: executor.running)
        executor.restart()
        await bench.until_sent([ref], attempts=2)
        for _ in range(3):
            await fail(executor, bench)
        row = await bench.row(ref)
        assert (row.state, row.attempt, row.failure_count) == (ExecutionState.FAILED, 4, 3)


@in_virtual_time
async def test_a_new_owner_honours_the_wait_and_counts_on() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=THRICE))
        await fail(executor, bench)
        await bench.pass_time(1)
        await bench.lose(0)
        await bench.adopt(0)
        await fail(executor, bench)
        await bench.lose(0)
        await bench.pass_time(20)  # the wait passes while nobody owns it
        await bench.adopt(0)
        first, _ = waits_s(bench, ref)[0], await fail(executor, bench)
        assert 4 <= first < 4 + LATE_S
        assert (await bench.row(ref)).state is ExecutionState.FAILED
        assert len(bench.sent) == 3


@in_virtual_time
async def test_a_late_result_of_a_failed_attempt_changes_nothing_before_or_after_a_take_over() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=THRICE))
        attempt_id = await fail(executor, bench)
        for _ in range(2):
            before = await bench.row(ref)
            for outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED):
                answered: list[AttemptId] = []
                late = AttemptResult(attempt_id, 1, outcome, b"", "", "")
                bench.engine.accept_results("e1", [late], answered.extend)
                assert answered == [attempt_id]
            await bench.pass_time(0.5)
            assert await bench.row(ref) == before
            await bench.lose(0)
            await bench.adopt(0)
        await bench.until_sent([ref], attempts=2, within_s=10)
        executor.end()
        await bench.until_state([ref])


@in_virtual_time
async def test_a_failure_whose_answer_was_lost_counts_once() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=THRICE))
        bench.store.once("retry", UnknownOutcome("lost"), is_applied=True)
        await fail(executor, bench)
        assert (await bench.row(ref)).failure_count == 1
        assert len(bench.store.calls["retry"]) == 2


@in_virtual_time
async def test_a_failure_that_is_told_while_the_open_executions_are_being_read_waits_for_them() -> None:
    """Nobody knows yet whether it is retried: it must not end the execution."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=THRICE))
        await bench.until(lambda: executor.running)
        (attempt_id,) = executor.running
        await bench.lose(0)
        reading = bench.store.hold("load_open_executions")
        bench.engine.host.adopt(await bench.take(0))
        await reading.reached.wait()
        executor.end(outcome=Outcome.FAILED, kind="ValueError")
        await bench.pass_time(1)
        assert executor.saved == []
        reading.release()
        await bench.until(lambda: attempt_id in executor.saved)
        assert (await bench.row(ref)).state is ExecutionState.WAITING
