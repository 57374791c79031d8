"""A claim that fails, is slow, or whose answer is lost: every task runs once, in time, and no credit is lost."""

import asyncio
from collections.abc import Callable

import pytest
from unit.engine.engine_bench import OTHER, EngineBench, attempt_ids
from unit.engine.faulty_store import FaultyStore
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import Delivery
from mainspring.server.dispatch.frames import Outcome
from mainspring.server.errors import Contention, StoreUnavailable, UnknownOutcome

AWAY = StoreUnavailable("away")
LOST = UnknownOutcome("the answer was lost")
BUG = KeyError("a bug")


@pytest.mark.parametrize(
    ("error", "is_applied"),
    [
        (AWAY, False),
        (Contention("in the way"), False),
        (LOST, False),
        (LOST, True),
        (BUG, False),
        (BUG, True),
    ],
    ids=["away", "contention", "unknown", "unknown-applied", "bug", "bug-behind-the-commit"],
)
@in_virtual_time
async def test_one_failed_claim(error: Exception, is_applied: bool) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=5)
        await bench.adopt(0)
        bench.store.once("claim", error, is_applied=is_applied)
        refs = await bench.register(*(bench.task() for _ in range(3)))
        await bench.until_sent(refs, within_s=5)
        assert len(bench.sent) == 3
        await bench.until(lambda: executor.live_session.credit == executor.held == 2)
        executor.end()
        await bench.until_state(refs)


@pytest.mark.parametrize("is_applied", [False, True], ids=["lost", "applied"])
@in_virtual_time
async def test_an_unknown_claim_is_asked_about_until_the_database_answers(is_applied: bool) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        bench.store.once("claim", LOST, is_applied=is_applied)
        for error in (AWAY, LOST, BUG, AWAY):
            bench.store.once("recover_claim", error)
        (ref,) = await bench.register(bench.task())
        await bench.until_sent([ref], within_s=8)
        assert len(bench.store.calls["recover_claim"]) == 5
        assert executor.live_session.credit == 1


@in_virtual_time
async def test_a_claim_that_failed_leaves_what_the_next_one_notes_of_its_tasks() -> None:
    """It pauses while another lane claims the same time, and is over before that: the time counts as open all along."""
    async with EngineBench() as bench:
        bench.executor(credit=2)
        await bench.adopt(0)
        bench.store.once("claim", Contention("in the way"))
        gate = bench.store.hold("claim")
        task = bench.task()
        (ref,) = await bench.register(task)
        await gate.reached.wait()
        lines, later = bench.engine.attempts.lines, bench.clock.now() + 60_000_000
        assert len(lines.beside(ref, later)) == 1
        await bench.pass_time(2.5)
        assert len(lines.beside(ref, later)) == 1
        gate.release()
        await bench.until_sent([ref])


@in_virtual_time
async def test_what_a_claim_dropped_is_looked_for_before_the_next_sweep() -> None:
    async with EngineBench(sweep_interval_s=600) as bench:
        bench.executor(credit=1)
        await bench.adopt(0)
        bench.store.once("claim", LOST, delay_s=0.05)
        (ref,) = await bench.register(bench.task())
        await bench.until_sent([ref], within_s=3)


@pytest.mark.parametrize("locked_s", [0.01, 0.3])
@in_virtual_time
async def test_what_a_claim_found_locked_is_claimed_again_before_any_sweep(locked_s: float) -> None:
    """A call holds the task's row at the instant of its fire: once that is done nothing is left to wait for."""
    async with EngineBench(sweep_interval_s=600, sweep_grace_s=1.0) as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.5))
        bench.store.locked.add(ref)
        await bench.pass_time(0.5 + locked_s)
        assert bench.sent == []
        bench.store.locked.remove(ref)
        await bench.until_sent([ref], within_s=0.025 + 2 * locked_s)
        await bench.pass_time(2)
        assert len(bench.sent) == 1
        assert executor.live_session.credit == executor.held == 0


@in_virtual_time
async def test_what_stays_locked_is_left_to_the_sweep() -> None:
    async with EngineBench(sweep_interval_s=600, sweep_grace_s=1.0) as bench:
        bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        bench.store.locked.add(ref)
        await bench.pass_time(1)
        assert ref not in bench.engine.window
        assert len(bench.store.calls["claim"]) <= 8
        bench.store.locked.remove(ref)
        await bench.until_sent([ref], within_s=2.5)


@pytest.mark.parametrize("delivery", Delivery)
@in_virtual_time
async def test_the_sweep_leaves_what_a_slow_recovery_is_about_to_send(delivery: Delivery) -> None:
    """Asked about an attempt that was not sent yet, the executor would disown it: lost, or an attempt in vain."""
    async with EngineBench(claim_wake_s=1.0, sweep_interval_s=0.5, sweep_grace_s=0.5) as bench:
        executor = bench.executor(credit=4)
        await bench.adopt(0)
        bench.store.once("claim", LOST, is_applied=True)
        gate = bench.store.hold("recover_claim", is_applied=True)
        (ref,) = await bench.register(bench.task(delivery=delivery))
        await reached(gate.reached)
        await bench.pass_time(5)
        assert bench.sent == []
        gate.release()
        await bench.until_sent([ref])
        await bench.pass_time(5)
        assert [s.item.attempt_id.attempt for s in bench.sent] == [1]
        executor.end()
        await bench.until_state([ref])


@in_virtual_time
async def test_a_claim_that_crashes_again_and_again_holds_nothing_and_nobody_up() -> None:
    async with EngineBench(sweep_interval_s=0.5, sweep_grace_s=0.3) as bench:
        executor = bench.executor(credit=3)
        await bench.adopt(0, 1)
        bench.store.always("claim", BUG, when=concerns(0))
        bench.store.always("recover_claim", BUG)
        (bad,) = await bench.register(bench.task(0))
        await bench.until(lambda: bench.store.calls["recover_claim"])
        (good,) = await bench.register(bench.task(1))
        await bench.until_sent([good], within_s=0.5)
        executor.end()
        await bench.until(lambda: executor.live_session.credit == executor.held == 3)
        bench.store.heal()
        await bench.until_sent([bad])


@in_virtual_time
async def test_the_recovery_of_a_claim_ends_when_the_partition_goes() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        bench.store.once("claim", LOST, is_applied=True)
        bench.store.always("recover_claim", AWAY)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: len(bench.store.calls["recover_claim"]) >= 2)
        assert executor.live_session.credit == 1
        await bench.lose(0)
        await bench.until(lambda: executor.live_session.credit == 2)
        assert not bench.sent_of(ref)
        assert not bench.held.has_work([0])


@pytest.mark.parametrize("unit", ["claim", "assign"])
@in_virtual_time
async def test_after_a_slow_commit_one_failed_read_of_the_fence_is_repeated(unit: str) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=3)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1))
        if unit == "assign":
            await bench.until_sent([ref])
            bench.store.once("assign", delay_s=2.1)
            bench.store.once("read_partitions", AWAY)
            refuse(bench)
        else:
            bench.store.once("claim", delay_s=2.1, is_applied=True)
            bench.store.once("read_partitions", AWAY)
        await bench.until_sent([ref], within_s=3, attempts=1 if unit == "claim" else 2)
        assert len(bench.store.calls["read_partitions"]) == 2
        assert executor.live_session.credit == executor.capacity - 1


@pytest.mark.parametrize("unit", ["claim", "assign"])
@in_virtual_time
async def test_after_a_slow_commit_a_lost_partition_is_noticed_before_anything_is_sent(unit: str) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=3)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=0.1))
        attempts = 0
        if unit == "assign":
            await bench.until_sent([ref])
            attempts = 1
            gate = bench.store.hold("assign", is_applied=True)
            refuse(bench)
        else:
            gate = bench.store.hold("claim", is_applied=True)
        await reached(gate.reached)
        await bench.take(0, owner=OTHER)  # and nobody tells the engine
        await bench.pass_time(2.1)
        gate.release()
        await bench.until(lambda: bench.held.epoch_of(0) is None)
        await bench.until(lambda: executor.live_session.credit == executor.held == 3)
        assert bench.fenced == 1
        assert len(bench.sent_of(ref)) == attempts


@in_virtual_time
async def test_of_a_quick_commit_the_fence_is_not_read_again() -> None:
    async with EngineBench() as bench:
        bench.executor()
        await bench.adopt(0)
        bench.store.once("claim", delay_s=1.9)
        (ref,) = await bench.register(bench.task())
        await bench.until_sent([ref])
        assert bench.store.calls["read_partitions"] == []


@in_virtual_time
async def test_work_for_an_executor_that_left_during_the_claim_goes_to_another_at_once() -> None:
    async with EngineBench() as bench:
        leaving, staying = bench.executor("e1", credit=5), bench.executor("e2", credit=1)
        await bench.adopt(0)
        gate = bench.store.hold("claim", is_applied=True)
        (ref,) = await bench.register(bench.task())
        await reached(gate.reached)
        leaving.drop()
        gate.release()
        await bench.until_sent([ref], within_s=0.5)
        (sent,) = bench.sent_of(ref)
        assert (sent.executor_id, sent.item.attempt_id.attempt) == ("e2", 2)
        await bench.until(lambda: attempt_ids([sent])[0] in staying.running)
        assert staying.live_session.credit == 0


@in_virtual_time
async def test_work_for_an_executor_that_left_during_the_assignment_goes_to_another_at_once() -> None:
    async with EngineBench() as bench:
        first = bench.executor("e1", credit=1)
        first.regrants = False
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until_sent([ref])
        second = bench.executor("e2", credit=5)
        gate = bench.store.hold("assign", is_applied=True)
        refuse(bench)
        await reached(gate.reached)
        second.drop()
        bench.executor("e3", credit=1)
        gate.release()
        await bench.until_sent([ref], within_s=0.5, attempts=2)
        assert [(s.executor_id, s.item.attempt_id.attempt) for s in bench.sent_of(ref)] == [
            ("e1", 1),
            ("e3", 3),
        ]


@in_virtual_time
async def test_a_batch_that_fails_shrinks_and_grows_again() -> None:
    async with EngineBench(claim_batch=32, claim_lanes=1) as bench:
        bench.executor(credit=200)
        await bench.adopt(0)
        for error in (AWAY, AWAY, AWAY):
            bench.store.once("claim", error)
        refs = await bench.register(*(bench.task(in_s=0.5) for _ in range(120)))
        await bench.until_sent(refs, within_s=5)
        assert batch_sizes(bench.store) == [32, 4, 1, 1, 2, 4, 8, 16, 16, 16, 16, 16, 16, 9]


@in_virtual_time
async def test_a_batch_too_large_for_the_database_is_cut_until_it_fits() -> None:
    async with EngineBench(claim_batch=64, claim_lanes=1) as bench:
        executor = bench.executor(credit=100)
        await bench.adopt(0)
        bench.store.always("claim", AWAY, when=lambda owner, epochs, items, **_: len(items) > 3)
        refs = await bench.register(*(bench.task(in_s=0.5) for _ in range(40)))
        await bench.until_sent(refs, within_s=10)
        assert executor.live_session.credit == 60


@in_virtual_time
async def test_a_database_that_is_away_is_not_asked_without_end_and_forgets_nothing() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=4)
        await bench.adopt(0)
        bench.store.always("claim", AWAY)
        refs = await bench.register(*(bench.task() for _ in range(10)))
        await bench.pass_time(5)
        asked = len(bench.store.calls["claim"])
        assert 5 <= asked <= 5 / 0.2 * bench.settings.claim_lanes + 1
        bench.store.heal()
        await bench.until(lambda: len(bench.sent) == 4, within_s=1)
        executor.is_automatic = True
        executor.end()
        await bench.until_state(refs, within_s=2)


def refuse(bench: EngineBench) -> None:
    """Makes the execution that was sent last wait for its next attempt."""
    (executor,) = [e for e in bench.executors if e.running]
    executor.end(outcome=Outcome.REFUSED)


def concerns(partition_id: int) -> Callable[..., bool]:
    return lambda owner, epochs, items, **_: any(item.due.partition_id == partition_id for item in items)


def batch_sizes(store: FaultyStore) -> list[int]:
    return [len(items) for _, _, items in store.calls["claim"]]


async def reached(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()
