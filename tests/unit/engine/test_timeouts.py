"""Executions that start too late, and attempts that take too long or fall silent; and progress, which puts that off."""

from dataclasses import replace

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.hand_executor import HandExecutor
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import Delivery, ExecutionState, Task, TaskRef
from mainspring.server.core.policies import Misfire, MisfireMode, Overlap, Policies, Retry, Timeouts
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.dispatch.frames import AttemptId, Cancellation, Outcome
from mainspring.server.errors import StoreUnavailable, UnknownOutcome

LATE_S = 0.9
"""The wheel's tick, a round of the reaper, a question to the executor, and another round."""
RETRY = Retry(max_attempts=2, initial_us=SECOND_US)


def limits(start: int = 0, finish: int = 0, heartbeat: int = 0, retry: Retry | None = None) -> Policies:
    """Timeouts in whole seconds."""
    timeouts = Timeouts(start * SECOND_US, finish * SECOND_US, heartbeat * SECOND_US)
    return Policies(overlap=Overlap.ALLOW, timeouts=timeouts, retry=retry or Retry())


async def running(executor: HandExecutor, bench: EngineBench) -> AttemptId:
    """Waits for an attempt and acknowledges its start."""
    await bench.until(lambda: executor.running)
    (attempt_id,) = executor.running
    executor.start(attempt_id)
    return attempt_id


@in_virtual_time
async def test_what_an_earlier_owner_stopped_for_its_slowness_has_failed_whoever_hears_of_its_end() -> None:
    """That owner died before it could write so; the executor repeats what the cancel said."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        await bench.register(*(bench.task(policies=limits(finish=60, retry=RETRY)) for _ in range(2)))
        await bench.until(lambda: len(executor.running) == 2)
        slow, stopped = executor.running
        executor.start(slow, stopped)
        executor.end(slow, outcome=Outcome.CANCELLED, kind="Timeout", error="it ran for 60 s")
        executor.end(stopped, outcome=Outcome.CANCELLED, kind="Cancelled")
        tasks = [TaskRef(each.ref.partition_id, each.ref.task_key) for each in (slow, stopped)]
        await bench.until_state(tasks[1:], ExecutionState.CANCELLED)
        await bench.until_state(tasks[:1], ExecutionState.WAITING)
        row = await bench.row(tasks[0])
        assert (row.failure_count, row.error_kind, row.reason) == (1, "Timeout", "Timeout: it ran for 60 s")
        await bench.until_sent(tasks[:1], attempts=2)


@in_virtual_time
async def test_a_slow_attempt_is_stopped_and_counts_as_failed() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(finish=7, retry=RETRY)))
        attempt_id = await running(executor, bench)
        await bench.pass_time(6.9)
        assert executor.cancels == []
        await bench.until(lambda: executor.cancels == [attempt_id], within_s=LATE_S)
        assert executor.cancellations == [Cancellation(attempt_id, "it ran for 7 s", "Timeout")]
        await bench.until_state([ref], ExecutionState.WAITING)
        row = await bench.row(ref)
        assert (row.failure_count, row.error_kind) == (1, "Timeout")
        assert row.reason == "Timeout: it ran for 7 s"
        await bench.until_sent([ref], attempts=2)
        executor.end(attempt_id, outcome=Outcome.CANCELLED)  # its handler has ended by now
        await bench.until(lambda: attempt_id in executor.saved)
        await running(executor, bench)
        await bench.until_state([ref], ExecutionState.FAILED, within_s=9)
        assert (await bench.row(ref)).failure_count == 2
        assert len(bench.sent) == 2


@in_virtual_time
async def test_the_time_of_an_attempt_begins_with_its_start_and_a_result_in_time_ends_it() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(finish=7)))
        await bench.until(lambda: executor.running)
        await bench.pass_time(2.5)
        await running(executor, bench)
        await bench.pass_time(6.5)
        executor.end()
        await bench.until_state([ref])
        assert executor.cancels == []


@in_virtual_time
async def test_a_silent_handler_fails_and_one_that_reports_goes_on() -> None:
    async with EngineBench(progress_s=10, claim_wake_s=10) as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(heartbeat=3)))
        attempt_id = await running(executor, bench)
        for number in range(6):
            await bench.pass_time(2.5)
            executor.report(attempt_id, b"%d of 6" % number)
        row = await bench.row(ref)
        assert (row.state, row.progress) == (ExecutionState.RUNNING, b"3 of 6"), (
            "written after 10 s, the latest then"
        )
        assert row.progress_at is not None
        await bench.pass_time(2.9)
        assert executor.cancels == []
        await bench.until(lambda: executor.cancels == [attempt_id], within_s=LATE_S)
        await bench.until_state([ref], ExecutionState.FAILED)
        row = await bench.row(ref)
        assert (row.error_kind, row.reason) == (
            "HeartbeatTimeout",
            "HeartbeatTimeout: no progress was reported for 3 s",
        )


@in_virtual_time
async def test_progress_is_written_by_and_by_and_costs_a_silent_one_nothing() -> None:
    async with EngineBench(progress_s=10, extension_s=60) as bench:
        executor = bench.executor()
        await bench.adopt(0)
        await bench.register(bench.task(), bench.task())
        await bench.until(lambda: len(executor.running) == 2)
        talks, silent = executor.running
        executor.start()
        for second in range(100):
            executor.report(talks, b"%d" % second)
            await bench.pass_time(1)
        written = [(item.ref, item.progress) for args in bench.store.calls["extend"] for item in args[1]]
        assert 9 <= sum(ref == talks.ref for ref, _ in written) <= 11
        assert sum(ref == silent.ref for ref, _ in written) == 2
        assert all(bool(progress) == (ref == talks.ref) for ref, progress in written)
        executor.end()


@in_virtual_time
async def test_what_could_not_report_is_not_silent() -> None:
    """The stream broke, or the owner changed: the limit runs anew from when it can be heard."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(heartbeat=3)))
        attempt_id = await running(executor, bench)
        await bench.pass_time(2)
        executor.drop()
        await bench.pass_time(2)
        executor.connect()
        await bench.pass_time(2)
        await bench.lose(0)
        await bench.adopt(0)
        await bench.pass_time(2.8)
        assert executor.cancels == []
        assert (await bench.row(ref)).state is not ExecutionState.FAILED
        await bench.until(lambda: executor.cancels == [attempt_id], within_s=LATE_S)


@in_virtual_time
async def test_a_node_that_may_be_deaf_takes_nobody_for_silent() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        await bench.register(bench.task(policies=limits(heartbeat=3)))
        attempt_id = await running(executor, bench)
        bench.engine.reaper.is_deaf = lambda: True
        await bench.pass_time(8)
        bench.engine.reaper.is_deaf = lambda: False
        await bench.pass_time(2.5)
        assert executor.cancels == []
        await bench.until(lambda: executor.cancels == [attempt_id], within_s=0.5 + LATE_S)


@in_virtual_time
async def test_the_time_of_an_attempt_goes_on_under_a_new_owner() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(finish=20)))
        attempt_id = await running(executor, bench)
        await bench.pass_time(15)  # long enough for the pick-up to be recorded
        await bench.lose(0)
        await bench.adopt(0)
        await bench.until(lambda: executor.cancels == [attempt_id], within_s=5 + LATE_S)
        await bench.until_state([ref], ExecutionState.FAILED)


@in_virtual_time
async def test_too_slow_at_an_executor_that_is_away_is_decided_when_it_is_back() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(finish=5)))
        attempt_id = await running(executor, bench)
        await bench.pass_time(4)
        executor.drop()
        await bench.pass_time(2.5)
        assert (await bench.row(ref)).state is not ExecutionState.FAILED
        assert not bench.engine.reaper.is_due(), "or a clock that is moved by hand would stand still"
        executor.connect()
        await bench.until(lambda: executor.cancels == [attempt_id], within_s=LATE_S)
        await bench.until_state([ref], ExecutionState.FAILED)


@in_virtual_time
async def test_without_an_executor_an_execution_expires_instead_of_running_late() -> None:
    """Claimed only once there is credit, and by then too late; another waited in the ledger and expires by itself."""
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(start=5)))
        await bench.pass_time(6)
        executor = bench.executor()
        await bench.until_state([ref], ExecutionState.EXPIRED)
        row = await bench.row(ref)
        assert row.reason == "it could not start within 5 s of its due time"
        assert row.picked_up_at is None
        assert executor.work == []
        assert executor.live_session.credit == 10, "the credit that was reserved for it came back"


@in_virtual_time
async def test_an_execution_that_lost_its_executor_before_it_began_expires() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        never, maybe = await bench.register(
            bench.task(policies=limits(start=5)), bench.task(policies=limits(start=5))
        )
        await bench.until(lambda: len(executor.running) == 2)
        first = next(a for a in executor.running if a.ref.task_key == never.task_key)
        executor.regrants = False
        executor.live_session.give_back_credit(10)
        executor.end(first, outcome=Outcome.REFUSED)
        await bench.until_state([never], ExecutionState.EXPIRED, within_s=6)
        executor.drop()  # whether the other has begun nobody knows: it runs again, late or not
        await bench.pass_time(10)
        other = bench.executor("e2")
        await bench.until(lambda: other.running)
        other.end()
        await bench.until_state([maybe])


@in_virtual_time
async def test_waiting_rows_expire_also_under_a_new_owner() -> None:
    async with EngineBench(max_runs_per_claim=10) as bench:
        executor = bench.executor(credit=1)
        executor.regrants = False
        await bench.adopt(0)
        # Two of its times are due at once, and one has an executor: the other waits in the ledger.
        (ref,) = await bench.store_tasks(bench.task(in_s=-3, every_s=2, policies=limits(start=8)))
        await bench.until(lambda: executor.running, within_s=10)
        waiting = [row for row in await bench.ledger(ref) if row.state is ExecutionState.WAITING]
        assert waiting
        await bench.lose(0)
        await bench.adopt(0)
        assert (await bench.ledger(ref))[1].state is ExecutionState.WAITING
        await bench.until(lambda: len(bench.engine.attempts) == 1, within_s=8)
        expired = [row for row in await bench.ledger(ref) if row.ref == waiting[0].ref]
        assert [(row.state, row.attempt) for row in expired] == [(ExecutionState.EXPIRED, 0)]
        executor.end()


@in_virtual_time
async def test_a_slow_attempt_of_an_at_most_once_task_fails_and_is_not_sent_again() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(
            bench.task(policies=limits(finish=5, retry=RETRY), delivery=Delivery.AT_MOST_ONCE)
        )
        await running(executor, bench)
        await bench.until_state([ref], ExecutionState.FAILED, within_s=6)
        await bench.pass_time(5)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_a_result_that_comes_while_the_timeout_is_being_written_changes_nothing() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(finish=5)))
        attempt_id = await running(executor, bench)
        writing = bench.store.hold("complete")
        await writing.reached.wait()
        executor.end()
        await bench.pass_time(0.1)
        assert executor.saved == []
        writing.release()
        await bench.until(lambda: executor.saved == [attempt_id])
        assert (await bench.row(ref)).error_kind == "Timeout"


# --- too late to start, and nobody there to start it ------------------------------------------------------------------


def start_limit(seconds: int, mode: MisfireMode = MisfireMode.LATEST) -> Policies:
    """As most tasks have it: overlaps are skipped."""
    return Policies(misfire=Misfire(mode), timeouts=Timeouts(seconds * SECOND_US))


@pytest.mark.parametrize("seconds", [2, 45])
@in_virtual_time
async def test_what_nobody_can_run_expires_at_its_deadline(seconds: int) -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=1, policies=start_limit(seconds)))
        await bench.pass_time(seconds + 0.9)
        assert await bench.ledger(ref) == []
        await bench.until_state([ref], ExecutionState.EXPIRED, within_s=0.3)
        row = await bench.row(ref)
        assert row.reason == f"it could not start within {seconds} s of its due time"
        assert (row.attempt, row.executor_id) == (0, None)
        assert len(bench.engine.attempts) == 0
        executor = bench.executor()
        await bench.pass_time(5)
        assert executor.live_session.credit == executor.held == 10
        assert bench.sent == []


@in_virtual_time
async def test_each_time_of_a_task_expires_by_itself_and_the_first_that_finds_an_executor_runs() -> None:
    """The timeout reaches over the next times, which wait for their own deadlines and do not count as overlapping."""
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(every_s=2, policies=start_limit(5)))
        await bench.pass_time(20.5)
        assert (
            bench.metrics.registry.get_sample_value("mainspring_executions_total", {"state": "EXPIRED"}) == 8
        )
        rows = await bench.ledger(ref)
        assert [row.state for row in rows] == [ExecutionState.EXPIRED] * 8
        for row in rows:
            assert row.saved_at is not None
            assert 5 * SECOND_US < row.saved_at - row.due_at < 5.2 * SECOND_US
        executor = bench.executor()
        await bench.until_sent([ref])
        (sent,) = bench.sent_of(ref)
        assert bench.clock.now() - sent.item.due_at < 5 * SECOND_US
        executor.end()
        await bench.until_ended(ref, 11)
        assert {row.state for row in await bench.ledger(ref)} >= {ExecutionState.SUCCEEDED}


@in_virtual_time
async def test_what_waits_for_an_executor_that_is_busy_expires_in_time() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (long,) = await bench.register(bench.task())
        await bench.until_sent([long])
        refs = await bench.register(*(bench.task(policies=start_limit(3)) for _ in range(5)))
        await bench.until_state(refs, ExecutionState.EXPIRED, within_s=3.3)
        executor.end()
        await bench.until_state([long])
        assert len(bench.sent) == 1


@in_virtual_time
async def test_what_is_made_up_for_does_not_expire_before_it_was_claimed() -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=start_limit(2, MisfireMode.ALL)))
        await bench.pass_time(40)
        assert await bench.ledger(ref) == []
        bench.executor(is_automatic=True)
        await bench.until_state([ref])


@in_virtual_time
async def test_what_is_passed_over_is_recorded_and_the_latest_time_waits_for_its_own_deadline() -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(every_s=20, policies=start_limit(90)))
        await bench.pass_time(91)
        rows = await bench.ledger(ref)
        assert [(row.state, row.gap_count) for row in rows] == [(ExecutionState.SKIPPED, 4)]
        await bench.pass_time(10)
        executor = bench.executor()
        await bench.until_sent([ref])
        assert bench.sent_of(ref)[0].item.due_at > bench.clock.now() - 30 * SECOND_US
        executor.end()


@in_virtual_time
async def test_an_expiry_that_could_not_be_written_is_tried_again() -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        for _ in range(3):
            bench.store.once("claim", StoreUnavailable("away"))
        bench.store.once("claim", UnknownOutcome("lost"), is_applied=True)
        refs = await bench.register(*(bench.task(policies=start_limit(2)) for _ in range(3)))
        await bench.until_state(refs, ExecutionState.EXPIRED, within_s=8)
        assert len(await bench.ledger()) == 3


@in_virtual_time
async def test_a_task_that_is_changed_while_it_waits_has_the_deadline_of_its_new_time() -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=start_limit(3)))
        await bench.pass_time(2)
        later = bench.clock.now() + 2 * SECOND_US

        def put_off(task: Task) -> Task:
            return replace(
                task, version=2, scheduled_at=later, due_at=later, schedule=encode(Schedule(OneTime(later)))
            )

        (changed,) = await bench.store.inner.change_tasks([ref], put_off)
        assert changed is not None
        await bench.engine.announce([changed.task])
        await bench.pass_time(4.8)
        assert await bench.ledger(ref) == []
        await bench.until_state([ref], ExecutionState.EXPIRED, within_s=0.5)


@in_virtual_time
async def test_more_than_memory_holds_expires_too() -> None:
    """What gave way to others comes in as soon as those have expired, without any executor."""
    async with EngineBench(window_capacity=200) as bench:
        await bench.adopt(0)
        await bench.register(*(bench.task(in_s=1, handler="of nobody") for _ in range(60)))
        refs = await bench.register(*(bench.task(in_s=1, policies=start_limit(5)) for _ in range(1_000)))
        await bench.until_state(refs, ExecutionState.EXPIRED, within_s=60)


@in_virtual_time
async def test_an_attempt_whose_executor_cannot_be_heard_is_not_too_slow_yet() -> None:
    """It may have ended in time, and its result be on a way that is cut: who is silent is asked first."""
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(policies=limits(finish=2, retry=RETRY)))
        await running(executor, bench)
        await bench.pass_time(1.2)
        executor.is_beating = executor.is_reading = False
        await bench.pass_time(2.0)
        assert (await bench.row(ref)).failure_count == 0
        executor.is_beating = executor.is_reading = True
        executor.end()
        await bench.until_state([ref])
        assert executor.cancels == []
        assert len(bench.sent) == 1
