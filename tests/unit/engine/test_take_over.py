"""Partitions whose last owner left work open: what lives is not started twice, what is lost starts again soon."""

import asyncio

import pytest
from unit.engine.engine_bench import OTHER, EngineBench
from unit.engine.faulty_store import Gate
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.claim import ClaimItem, ClaimRun
from mainspring.server.core.model import Delivery, ExecutionState, TaskRef
from mainspring.server.dispatch.frames import Outcome


async def left_open(
    bench: EngineBench,
    executor_id: str | None,
    partition_id: int = 0,
    delivery: Delivery = Delivery.AT_LEAST_ONCE,
) -> TaskRef:
    """An execution that another node claimed for an executor (None: it waits), and left."""
    task = bench.task(partition_id, in_s=-0.5, delivery=delivery)
    await bench.store_tasks(task)
    (lease,) = await bench.take(partition_id, owner=OTHER)
    now = bench.clock.now()
    (due,) = await bench.store.inner.load_due_tasks(
        [partition_id], from_at=0, until_at=now, after=None, limit=1
    )
    item = ClaimItem(due, (ClaimRun(due.scheduled_at, due.due_at, executor_id),), None, None, None)
    outcome = await bench.store.inner.claim(
        OTHER, {partition_id: lease.epoch}, [item], now=now, wake_at=now + 10_000_000
    )
    assert len(outcome.claimed) == 1
    return task.ref


async def reached(gate: Gate) -> None:
    async with asyncio.timeout(5):
        await gate.reached.wait()


@in_virtual_time
async def test_what_runs_goes_on_and_is_not_started_twice() -> None:
    async with EngineBench(claim_wake_s=2.0) as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        await bench.lose(0)
        await bench.pass_time(1)
        await bench.adopt(0)
        await bench.pass_time(20)
        assert len(bench.sent) == 1
        executor.end()
        await bench.until_state([ref])
        row = await bench.row(ref)
        assert (row.attempt, row.executor_id) == (1, "e1")


@in_virtual_time
async def test_what_the_executor_never_had_starts_at_once() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=3, is_automatic=True)
        ref = await left_open(bench, "e1")
        await bench.adopt(0)
        await bench.until_state([ref], within_s=0.5)
        row = await bench.row(ref)
        assert (row.attempt, row.executor_id) == (2, "e1")
        assert executor.live_session.credit == executor.held == 3


@in_virtual_time
async def test_what_waits_starts_at_once() -> None:
    async with EngineBench() as bench:
        bench.executor(credit=1, is_automatic=True)
        ref = await left_open(bench, None)
        await bench.adopt(0)
        await bench.until_state([ref], within_s=0.5)
        assert (await bench.row(ref)).attempt == 1


@in_virtual_time
async def test_a_silent_executor_is_waited_for_as_long_as_its_lease() -> None:
    async with EngineBench() as bench:
        bench.executor("e2", credit=1, is_automatic=True)
        ref = await left_open(bench, "e1")
        await bench.adopt(0)
        taken_at = bench.clock.now()
        await bench.until_state([ref], within_s=4.5)
        (sent,) = bench.sent_of(ref)
        assert (sent.executor_id, sent.item.attempt_id.attempt) == ("e2", 2)
        assert 3.0 <= (sent.at - taken_at) / 1e6 <= 3.5


@in_virtual_time
async def test_an_executor_that_connects_within_its_lease_keeps_what_it_runs() -> None:
    async with EngineBench(claim_wake_s=2.0) as bench:
        runs = bench.executor("e1", credit=1)
        bench.executor("e2", credit=1)
        await bench.adopt(0)
        bench.executors[1].drop()
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: runs.running)
        bench.executors[1].connect()
        runs.drop(orderly=True)
        await bench.lose(0)
        await bench.adopt(0)
        await bench.pass_time(2.5)
        assert len(bench.sent) == 1
        runs.connect()
        await bench.pass_time(10)
        assert len(bench.sent) == 1
        runs.end()
        await bench.until_state([ref])


@pytest.mark.parametrize("is_orderly", [False, True], ids=["broken", "orderly"])
@in_virtual_time
async def test_what_was_at_an_executor_that_is_gone_goes_to_another(is_orderly: bool) -> None:
    async with EngineBench() as bench:
        gone = bench.executor("e1", credit=2)
        await bench.adopt(0)
        refs = await bench.register(bench.task(), bench.task())
        await bench.until(lambda: len(gone.running) == 2)
        other = bench.executor("e2", credit=2, is_automatic=True)
        gone.drop(orderly=is_orderly)
        dropped_at = bench.clock.now()
        await bench.until_state(refs, within_s=5)
        waited_s = [(s.at - dropped_at) / 1e6 for s in bench.sent[2:]]
        assert all(wait_s <= 0.5 if is_orderly else 1.9 <= wait_s <= 3.5 for wait_s in waited_s)
        assert [row.attempt for row in await bench.ledger()] == [2, 2]
        assert other.live_session.credit == other.held == 2


@in_virtual_time
async def test_an_executor_process_that_was_replaced_is_given_its_work_again_at_once() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        executor.restart()
        await bench.until_sent([ref], within_s=0.5, attempts=2)
        await bench.until(lambda: executor.running)
        assert executor.live_session.credit == executor.held == 1


@in_virtual_time
async def test_work_that_was_in_the_outbox_of_a_broken_stream_is_sent_again_as_the_next_attempt() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        executor.is_reading = False
        await bench.pass_time(2 * bench.settings.heartbeat_interval_s)
        (ref,) = await bench.register(bench.task())
        await bench.until_sent([ref])
        assert executor.work == []
        executor.is_reading = True
        executor.connect()
        await bench.until(lambda: executor.running)
        assert [item.attempt_id.attempt for item in executor.work] == [2]


@in_virtual_time
async def test_a_question_does_not_overtake_work_that_the_network_holds_up() -> None:
    """For as long as the lease: the answer would be "not mine", and the work would be refused when it arrives."""
    async with EngineBench(claim_wake_s=0.1) as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        executor.is_reading = False
        await bench.pass_time(2 * bench.settings.heartbeat_interval_s)
        await bench.register(bench.task())
        await bench.until(lambda: bench.sent)
        await bench.pass_time(2.5)
        executor.is_reading = True
        await bench.until(lambda: executor.running)
        executor.start()
        await bench.pass_time(10)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_a_start_that_is_not_acknowledged_is_asked_about_and_not_repeated() -> None:
    async with EngineBench(claim_wake_s=1.0, extension_s=2.0) as bench:
        executor = bench.executor("e1", credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        await bench.until_state([ref], ExecutionState.RUNNING, within_s=8)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_a_process_that_stood_still_takes_nobody_for_dead() -> None:
    async with EngineBench() as bench:
        executor = bench.executor("e1", credit=1)
        other = bench.executor("e2", credit=0)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        other.grant(5)
        asyncio.get_running_loop()._now_s += 30  # type: ignore[attr-defined]
        await bench.pass_time(5)
        assert len(bench.sent) == 1
        executor.end()
        await bench.until_state([ref])


@in_virtual_time
async def test_a_slow_write_of_signs_of_life_is_not_taken_for_standing_still() -> None:
    """The round of the reaper lasts 2.5 s each time; an executor that is gone is noticed all the same."""
    async with EngineBench(claim_wake_s=0.5, extension_s=0.5) as bench:
        gone, stays = bench.executor("e1", credit=1), bench.executor("e2", credit=1)
        await bench.adopt(0, 1)
        refs = await bench.register(bench.task(0), bench.task(1))
        await bench.until(lambda: gone.running and stays.running)
        gone.start()
        bench.store.always("extend", delay_s=2.5)
        (lost,) = [ref for ref in refs if bench.sent_of(ref)[0].executor_id == "e1"]
        await bench.pass_time(4)
        stays.grant(1)
        gone.drop()
        await bench.until_sent([lost], within_s=8, attempts=2)


@in_virtual_time
async def test_an_open_execution_that_nobody_knows_of_is_found_by_the_sweep() -> None:
    """Claimed and committed, but the sender crashed: the sweep asks, and the next attempt starts."""
    async with EngineBench(claim_wake_s=2.0, sweep_grace_s=0.5, sweep_interval_s=0.5) as bench:
        executor = bench.executor("e1", credit=2)
        await bench.adopt(0)
        bench.store.once("claim", KeyError("a bug"), is_applied=True)
        bench.store.always("recover_claim", KeyError("a bug"))
        (ref,) = await bench.register(bench.task())
        await bench.until_sent([ref], within_s=6)
        assert [s.item.attempt_id.attempt for s in bench.sent] == [2]
        await bench.until(lambda: executor.live_session.credit == executor.held == 1)
        executor.end(outcome=Outcome.FAILED)
        await bench.until_state([ref], ExecutionState.FAILED)


@in_virtual_time
async def test_an_executor_that_says_goodbye_with_nothing_in_hand_is_no_warning() -> None:
    async with EngineBench() as bench:
        bench.executor("first").drop(orderly=True)
        bench.executor("second").drop()
        await bench.pass_time(10)
        said = [(entry["event"], entry["log_level"]) for entry in bench.log]
        assert [entry for entry in said if entry[0].startswith("executor_")] == [
            ("executor_left", "info"),
            ("executor_lost", "warning"),
        ]
