"""The owner's side of calls that change tasks: nothing older is sent, what was not sent ends as CANCELLED (I5)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.life_cycle import StateChange, with_state_changed
from mainspring.server.core.model import Delivery, ExecutionRef, ExecutionState, Task, TaskRef
from mainspring.server.core.policies import Policies, Retry
from mainspring.server.dispatch.frames import Outcome
from mainspring.server.engine.change_notes import ChangeNotes, TaskNote
from mainspring.server.errors import UnknownOutcome
from mainspring.shard_manager.handover import ChangeReason, OwnerChange

RETRY = Policies(retry=Retry(max_attempts=5, initial_us=30 * SECOND_US))
KEY = b"0123456789abcdef"
Change = Callable[[Task], Task | None]


def _update(task: Task) -> Task:
    return replace(task, version=task.version + 1, payload=b"new")


def _pause(task: Task) -> Task | None:
    return with_state_changed(task, StateChange.PAUSE, now=task.updated_at)


CHANGES = pytest.mark.parametrize("change", [_update, _pause], ids=["update", "pause"])


async def _commit(bench: EngineBench, ref: TaskRef, change: Change) -> Task:
    (changed,) = await bench.store.inner.change_tasks([ref], change)
    assert changed is not None
    return changed.task


async def _adopt_settled(bench: EngineBench) -> None:
    """Partition 0, from an owner that has let go of it."""
    leases = await bench.take(0)
    changes = [OwnerChange(lease, None, ChangeReason.FREE, None, None) for lease in leases]
    bench.engine.host.adopt(leases, changes)
    await bench.until(lambda: bench.held.is_firing(0))


@CHANGES
@in_virtual_time
async def test_what_was_claimed_before_a_change_and_is_told_after_it_is_not_sent(change: Change) -> None:
    async with EngineBench() as bench:
        bench.executor()
        await _adopt_settled(bench)
        gate = bench.store.hold("claim", is_applied=True)
        (ref,) = await bench.register(bench.task(every_s=3_600, payload=b"old"))
        await gate.reached.wait()
        task = await _commit(bench, ref, change)
        announcing = asyncio.create_task(bench.engine.announce([task]))
        await bench.pass_time(0.5)
        assert not announcing.done()
        gate.release()
        await announcing
        await bench.until_state([ref], ExecutionState.CANCELLED)
        await bench.pass_time(30)
        assert bench.sent == []
        assert "changed" in (await bench.row(ref)).reason


@CHANGES
@in_virtual_time
async def test_a_claim_that_takes_long_finds_a_change_that_its_owner_was_not_told_of(change: Change) -> None:
    async with EngineBench() as bench:
        bench.executor()
        await bench.adopt(0)
        gate = bench.store.hold("claim", is_applied=True)
        (ref,) = await bench.register(bench.task(every_s=3_600))
        await gate.reached.wait()
        await _commit(bench, ref, change)
        await bench.pass_time(2.5)
        gate.release()
        await bench.until_state([ref], ExecutionState.CANCELLED)
        assert bench.sent == []


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
@pytest.mark.parametrize("delivery", Delivery)
@CHANGES
@in_virtual_time
async def test_a_claim_whose_answer_was_lost_ends_what_was_changed_meanwhile(
    change: Change, delivery: Delivery, is_told: bool
) -> None:
    """Nobody else knows of its rows: left to the sweep they would begin anew seconds later, or count as lost."""
    async with EngineBench(claim_wake_s=30.0) as bench:
        executor = bench.executor(credit=2)
        await _adopt_settled(bench)
        bench.store.once("claim", UnknownOutcome("the answer was lost"), is_applied=True)
        gate = bench.store.hold("recover_claim")
        (ref,) = await bench.register(bench.task(every_s=3_600, payload=b"old", delivery=delivery))
        await gate.reached.wait()
        task = await _commit(bench, ref, change)
        announcing = asyncio.create_task(bench.engine.announce([task] if is_told else []))
        gate.release()
        await announcing
        await bench.until_state([ref], ExecutionState.CANCELLED, within_s=1)
        assert "changed" in (await bench.row(ref)).reason
        await bench.pass_time(40)
        assert bench.sent == []
        assert executor.live_session.credit == 2


@CHANGES
@in_virtual_time
async def test_what_waits_for_an_executor_ends(change: Change) -> None:
    async with EngineBench() as bench:
        await _adopt_settled(bench)
        (ref,) = await bench.register(bench.task(every_s=3_600, in_s=600))
        await bench.engine.extra_runs.trigger(ref, "t", payload=None, payload_of=None, request_key=KEY)
        await bench.engine.announce([await _commit(bench, ref, change)])
        await bench.until_state([ref], ExecutionState.CANCELLED)
        bench.executor()
        await bench.pass_time(30)
        assert bench.sent == []


@in_virtual_time
async def test_a_retry_runs_the_new_definition() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await _adopt_settled(bench)
        (ref,) = await bench.register(bench.task(every_s=3_600, payload=b"old", policies=RETRY))
        await bench.until_sent([ref])
        executor.end(outcome=Outcome.FAILED, kind="ValueError")
        await bench.until(lambda: executor.saved)
        await bench.engine.announce([await _commit(bench, ref, _update)])
        await bench.until_sent([ref], within_s=60, attempts=2)
        assert [(s.item.payload, s.item.task_version) for s in bench.sent_of(ref)] == [
            (b"old", 1),
            (b"new", 2),
        ]


@in_virtual_time
async def test_a_retry_of_a_paused_task_ends() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await _adopt_settled(bench)
        (ref,) = await bench.register(bench.task(every_s=3_600, policies=RETRY))
        await bench.until_sent([ref])
        executor.end(outcome=Outcome.FAILED, kind="ValueError")
        await bench.until(lambda: executor.saved)
        await bench.engine.announce([await _commit(bench, ref, _pause)])
        await bench.until_state([ref], ExecutionState.CANCELLED)
        await bench.pass_time(60)
        assert len(bench.sent) == 1


@CHANGES
@in_virtual_time
async def test_what_runs_goes_on_and_its_start_comes_before_the_acknowledgement(change: Change) -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await _adopt_settled(bench)
        (ref,) = await bench.register(bench.task(every_s=3_600))
        await bench.until_sent([ref])
        announcing = asyncio.create_task(bench.engine.announce([await _commit(bench, ref, change)]))
        await bench.pass_time(0.1)
        assert not announcing.done()  # it is on its way, for all that is known
        (attempt_id,) = executor.running
        executor.start(attempt_id)
        begun_s = bench.clock.monotonic()
        await announcing
        assert bench.clock.monotonic() - begun_s < 0.1
        executor.end()
        await bench.until_state([ref], ExecutionState.SUCCEEDED)


@in_virtual_time
async def test_the_window_goes_by_the_new_definition() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(is_automatic=True)
        await _adopt_settled(bench)
        (ref,) = await bench.register(bench.task(every_s=3_600, in_s=5))
        soon = bench.clock.now() + SECOND_US

        def hurry(task: Task) -> Task:
            return replace(task, version=2, scheduled_at=soon, due_at=soon)

        await bench.engine.announce([await _commit(bench, ref, hurry)])
        await bench.until_state([ref], within_s=1.5)
        assert (await bench.row(ref)).ref.scheduled_at == soon
        assert executor.saved


@in_virtual_time
async def test_an_owner_that_took_by_force_does_not_speak_for_the_one_before() -> None:
    async with EngineBench() as bench:
        leases = await bench.take(0)
        bench.engine.host.adopt(
            leases, [OwnerChange(lease, "other", ChangeReason.FORCED, None, 1) for lease in leases]
        )
        note = TaskNote(bench.task().ref, 2, True, None)
        assert await bench.engine.take_notes([note]) == [0]
        await bench.pass_time(2.1)
        assert await bench.engine.take_notes([note]) == []


@in_virtual_time
async def test_an_owner_that_is_not_known_is_waited_out() -> None:
    async with EngineBench() as bench:
        (ref,) = await bench.store_tasks(bench.task(every_s=3_600, in_s=600))
        task = await _commit(bench, ref, _pause)
        begun_s = bench.clock.monotonic()
        await bench.engine.announce([task])
        assert 2.2 < bench.clock.monotonic() - begun_s < 2.3


def test_notes_are_kept_for_a_while_the_newest_of_each_task() -> None:
    notes = ChangeNotes(keep_s=10)
    refs = [TaskRef(0, bytes([n]) * 16) for n in range(3)]
    execution = ExecutionRef(0, 5, refs[0].task_key)
    assert not notes.is_outdated(execution, 1)
    notes.add(refs[0], 3, is_stopped=True, now_s=0)
    notes.add(refs[0], 2, is_stopped=False, now_s=1)  # came late
    assert notes.is_outdated(execution, 2)
    assert not notes.is_outdated(execution, 3)
    assert notes.is_stopped(execution)
    notes.add(refs[1], 9, is_stopped=False, now_s=9)
    assert len(notes) == 2
    notes.add(refs[2], 2, is_stopped=False, now_s=10.1)
    assert len(notes) == 2
    assert not notes.is_outdated(execution, 1)
    notes.forget(refs[1])
    notes.forget_partitions({0})
    assert len(notes) == 0
