"""At-most-once tasks: what was sent once ends as LOST rather than being sent again (I7); the bench counts the sends."""

import asyncio

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.test_take_over import left_open
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import Delivery, ExecutionState, NewTask
from mainspring.server.dispatch.frames import Outcome
from mainspring.server.errors import StoreUnavailable, UnknownOutcome

ONCE = Delivery.AT_MOST_ONCE
LOST = ExecutionState.LOST


def pair(bench: EngineBench) -> tuple[NewTask, NewTask]:
    """A task of each delivery."""
    return bench.task(delivery=ONCE), bench.task()


@in_virtual_time
async def test_what_nothing_befalls_succeeds_at_the_first_attempt() -> None:
    async with EngineBench() as bench:
        bench.executor(credit=1, is_automatic=True)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until_state([ref])
        assert (await bench.row(ref)).attempt == 1


@in_virtual_time
async def test_what_waited_for_its_turn_on_a_stream_that_another_one_replaced_was_never_sent() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        executor.is_reading = False
        await bench.pass_time(1.2)
        refs = await bench.register(*pair(bench))
        await bench.until(lambda: all(bench.engine.attempts.lines.open_of(ref) for ref in refs))
        await bench.pass_time(0.2)
        executor.is_reading = executor.is_automatic = True
        executor.connect()  # as when it has reached the node under another name
        await bench.until_state(refs)
        assert [(await bench.row(ref)).attempt for ref in refs] == [2, 2]


@pytest.mark.parametrize(
    ("is_orderly", "words"),
    [(False, "was not heard of for its lease"), (True, "left without a result of it")],
    ids=["silent", "left"],
)
@in_virtual_time
async def test_what_was_at_an_executor_that_is_gone_is_lost_beside_what_runs_again(
    is_orderly: bool, words: str
) -> None:
    async with EngineBench() as bench:
        gone = bench.executor("e1", credit=2)
        await bench.adopt(0)
        once, again = await bench.register(*pair(bench))
        await bench.until(lambda: len(gone.running) == 2)
        gone.drop(orderly=is_orderly)
        bench.executor("e2", credit=5, is_automatic=True)
        await bench.until_state([once], LOST)
        await bench.until_state([again])
        row = await bench.row(once)
        assert (row.attempt, row.executor_id) == (1, "e1")
        assert row.reason == (
            f"lost: executor e1 {words}; attempt 1 was sent, and the task is delivered at most once"
        )
        await bench.pass_time(20)
        assert len(bench.sent_of(once)) == 1
        assert bench.engine.attempts.get(row.ref) is None


@in_virtual_time
async def test_what_a_new_process_does_not_have_is_lost() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        once, again = await bench.register(*pair(bench))
        await bench.until(lambda: len(executor.running) == 2)
        executor.restart()
        executor.is_automatic = True
        await bench.until_state([once], LOST, within_s=1)
        await bench.until_state([again], within_s=1)
        assert "executor e1 does not have it" in (await bench.row(once)).reason


@in_virtual_time
async def test_what_is_refused_is_lost_with_the_executors_words() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        once, again = await bench.register(*pair(bench))
        await bench.until(lambda: len(executor.running) == 2)
        executor.is_automatic = True
        executor.end(outcome=Outcome.REFUSED)
        await bench.until_state([once], LOST, within_s=1)
        await bench.until_state([again], within_s=1)
        assert "executor e1 refused it" in (await bench.row(once)).reason
        assert (await bench.row(again)).attempt == 2


@in_virtual_time
async def test_a_late_result_of_a_lost_one_changes_nothing_and_is_answered() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until(lambda: executor.running)
        executor.drop()
        await bench.until_state([ref], LOST)
        lost = await bench.row(ref)
        executor.connect()
        executor.end()
        await bench.until(lambda: executor.saved)
        assert await bench.row(ref) == lost
        assert executor.live_session.credit == executor.held == 1


@pytest.mark.parametrize("error", [StoreUnavailable(), UnknownOutcome()], ids=["away", "unknown"])
@pytest.mark.parametrize("is_applied", [False, True], ids=["not-applied", "applied"])
@in_virtual_time
async def test_a_loss_is_written_again_until_it_is_known_to_be_written(
    error: Exception, is_applied: bool
) -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=3)
        await bench.adopt(0)
        refs = await bench.register(*(bench.task(delivery=ONCE) for _ in range(3)))
        await bench.until(lambda: len(executor.running) == 3)
        for _ in range(3):
            bench.store.once("complete", error, is_applied=is_applied)
        executor.restart()
        await bench.until_state(refs, LOST, within_s=5)
        await bench.until(lambda: not bench.engine.attempts)
        # In batches: one call each time, the failed ones included.
        assert [len(items) for _, items in bench.store.calls["complete"]] == [3, 3, 3, 3]


@in_virtual_time
async def test_a_loss_whose_write_crashes_is_told_of_again() -> None:
    """No executor repeats a loss: it has a deadline of its own (I9)."""
    async with EngineBench() as bench:
        bench.may_crash = True
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until(lambda: executor.running)
        bench.store.once("complete", KeyError("a bug"))
        executor.restart()
        await bench.until_state([ref], LOST, within_s=4)


@in_virtual_time
async def test_a_result_that_came_before_its_executor_was_lost_is_the_end() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until(lambda: executor.running)
        gate = bench.store.hold("complete")
        executor.end()
        async with asyncio.timeout(5):
            await gate.reached.wait()
        executor.drop()
        await bench.pass_time(5)
        gate.release()
        await bench.until_state([ref])


@in_virtual_time
async def test_a_loss_whose_partition_went_is_left_to_the_next_owner() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until(lambda: executor.running)
        bench.store.always("complete", StoreUnavailable())
        executor.drop()
        await bench.until(lambda: bench.store.calls["complete"])
        await bench.lose(0)
        bench.store.heal()
        await bench.pass_time(2)
        assert (await bench.row(ref)).state is ExecutionState.DISPATCHED
        # It lived all the time, and this is its lease with the next owner: what it ends counts.
        executor.connect()
        await bench.adopt(0)
        executor.end()
        await bench.until_state([ref])


@in_virtual_time
async def test_a_loss_that_waits_to_be_written_while_its_partition_comes_back_is_asked_about_anew() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until(lambda: executor.running)
        gate = bench.store.hold("complete", error=StoreUnavailable())
        executor.drop()
        async with asyncio.timeout(5):
            await gate.reached.wait()
        await bench.lose(0)
        await bench.adopt(0)
        executor.connect()
        gate.release()
        await bench.pass_time(5)
        assert (await bench.row(ref)).state is not LOST
        executor.end()
        await bench.until_state([ref])


@pytest.mark.parametrize("is_connected", [True, False], ids=["disowned", "silent"])
@in_virtual_time
async def test_after_a_take_over_what_is_recorded_for_an_executor_is_asked_about_and_lost(
    is_connected: bool,
) -> None:
    async with EngineBench() as bench:
        if is_connected:
            bench.executor("e1", credit=1, is_automatic=True)
        bench.executor("e2", credit=1, is_automatic=True)
        ref = await left_open(bench, "e1", delivery=ONCE)
        await bench.adopt(0)
        taken_at = bench.clock.now()
        await bench.until_state([ref], LOST, within_s=4.5)
        waited_s = ((await bench.row(ref)).saved_at or 0) - taken_at
        assert waited_s < 500_000 if is_connected else 3_000_000 <= waited_s <= 3_500_000
        assert bench.sent == []


@in_virtual_time
async def test_after_a_take_over_what_runs_goes_on() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until(lambda: executor.running)
        await bench.lose(0)
        await bench.adopt(0)
        await bench.pass_time(20)
        executor.end()
        await bench.until_state([ref])


@in_virtual_time
async def test_after_a_take_over_what_was_never_recorded_for_an_executor_is_sent_at_once() -> None:
    async with EngineBench() as bench:
        bench.executor(credit=1, is_automatic=True)
        ref = await left_open(bench, None, delivery=ONCE)
        await bench.adopt(0)
        await bench.until_state([ref], within_s=0.5)
        assert (await bench.row(ref)).attempt == 1


@in_virtual_time
async def test_what_was_recorded_for_a_session_that_had_ended_goes_to_another_executor() -> None:
    """The claim is committed, and its executor's stream broke meanwhile: provably never sent."""
    async with EngineBench() as bench:
        gone = bench.executor("e1", credit=1)
        await bench.adopt(0)
        gate = bench.store.hold("claim", is_applied=True)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        async with asyncio.timeout(5):
            await gate.reached.wait()
        gone.drop()
        bench.executor("e2", credit=1, is_automatic=True)
        gate.release()
        await bench.until_state([ref], within_s=1)
        row = await bench.row(ref)
        assert (row.attempt, row.executor_id) == (2, "e2")
        assert [sent.executor_id for sent in bench.sent] == ["e2"]


@pytest.mark.parametrize("unit", ["claim", "assign"])
@in_virtual_time
async def test_what_of_unknown_outcome_was_recorded_is_sent_once(unit: str) -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        bench.store.once(unit, UnknownOutcome(), is_applied=True)
        if unit == "claim":
            (ref,) = await bench.register(bench.task(delivery=ONCE))
        else:
            ref = await left_open(bench, None, delivery=ONCE)
            await bench.adopt(0)
        bench.executor(credit=1, is_automatic=True)
        await bench.until_state([ref])
        assert [sent.item.attempt_id.attempt for sent in bench.sent] == [1]


@in_virtual_time
async def test_a_cancel_does_not_change_how_a_sent_one_ends() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(delivery=ONCE, every_s=60))
        await bench.until(lambda: executor.running)
        await bench.cancel(ref)
        executor.drop()
        await bench.until_state([ref], LOST)


@in_virtual_time
async def test_a_hand_over_waits_for_the_start_of_what_was_just_sent() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        executor.is_reading = False
        await bench.pass_time(2 * bench.settings.heartbeat_interval_s)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.until_sent([ref])
        handing_over = asyncio.create_task(bench.engine.host.surrender([bench.lease(0)]))
        await bench.pass_time(0.1)
        assert not handing_over.done()
        executor.is_reading = True
        await bench.until(lambda: executor.running)
        executor.start()
        await bench.pass_time(0.05)
        assert handing_over.done()
        await bench.adopt(0)
        executor.end()
        await bench.until_state([ref])


@in_virtual_time
async def test_a_hand_over_does_not_wait_for_long() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        refs = await bench.register(*pair(bench))
        await bench.until_sent(refs)
        handing_over = asyncio.create_task(bench.engine.host.surrender([bench.lease(0)]))
        await bench.pass_time(0.6)
        assert handing_over.done()
        assert executor.running


@in_virtual_time
async def test_a_hand_over_waits_less_for_work_that_may_run_again() -> None:
    async with EngineBench() as bench:
        bench.executor("e1", credit=1)
        await bench.adopt(0)
        refs = await bench.register(bench.task())
        await bench.until_sent(refs)
        handing_over = asyncio.create_task(bench.engine.host.surrender([bench.lease(0)]))
        await bench.pass_time(0.08)
        assert not handing_over.done()
        await bench.pass_time(0.04)
        assert handing_over.done()


@in_virtual_time
async def test_nothing_is_sent_into_the_silence_of_an_executor() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=5, is_automatic=True)
        await bench.adopt(0)
        executor.is_beating = executor.is_reading = False
        await bench.pass_time(bench.settings.lease_s * 0.6)
        (ref,) = await bench.register(bench.task(delivery=ONCE))
        await bench.pass_time(0.5)
        assert bench.sent_of(ref) == []
        executor.is_beating = executor.is_reading = True
        await bench.until_state([ref])


@in_virtual_time
async def test_a_node_that_may_be_deaf_itself_gives_nobody_up() -> None:
    """Others hear the executor: it is this node that is cut off, and its work may well go on."""
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        once, again = await bench.register(*pair(bench))
        await bench.until(lambda: len(executor.running) == 2)
        is_deaf = True
        bench.engine.reaper.is_deaf = lambda: is_deaf
        executor.drop()
        await bench.pass_time(10)
        assert (await bench.row(once)).state is not LOST
        is_deaf = False  # nobody hears it: it is gone
        await bench.until_state([once], LOST, within_s=bench.settings.lease_s + 1.0)
        bench.executor("e2", credit=2, is_automatic=True)
        await bench.until_state([again])
