"""Credit that was reserved and not used is free again, on every way on which that happens."""

import asyncio

import pytest
from unit.engine.engine_bench import OTHER, EngineBench
from unit.engine.faulty_store import Gate
from unit.engine.hand_executor import HandExecutor
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import ExecutionState
from mainspring.server.dispatch.frames import Outcome
from mainspring.server.errors import StoreUnavailable, UnknownOutcome


async def reached(gate: Gate) -> None:
    async with asyncio.timeout(5):
        await gate.reached.wait()


async def all_back(bench: EngineBench, executor: HandExecutor, credit: int) -> None:
    """The node has exactly what the executor granted, and it stays so."""
    await bench.until(lambda: executor.live_session.credit == executor.held == credit, within_s=2)
    await bench.pass_time(1)
    assert executor.live_session.credit == executor.held == credit


@in_virtual_time
async def test_of_a_claim_that_was_dropped() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        gate = bench.store.hold("claim")
        (ref,) = await bench.register(bench.task())
        await reached(gate)
        assert executor.live_session.credit == 1
        await bench.cancel(ref)
        gate.release()
        await all_back(bench, executor, 2)
        assert await bench.ledger() == []


@in_virtual_time
async def test_of_a_claim_that_was_refused() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        await bench.take(0, owner=OTHER)  # nobody tells the engine
        await bench.register(bench.task())
        await bench.until(lambda: bench.fenced == 1)
        assert bench.held.epoch_of(0) is None
        await all_back(bench, executor, 2)
        assert bench.sent == []


@pytest.mark.parametrize("is_applied", [False, True], ids=["lost", "applied"])
@in_virtual_time
async def test_of_a_claim_of_unknown_outcome_whose_partition_is_refused(is_applied: bool) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        gate = bench.store.hold("claim", error=UnknownOutcome(), is_applied=is_applied)
        await bench.register(bench.task())
        await reached(gate)
        await bench.take(0, owner=OTHER)
        gate.release()
        await bench.until(lambda: bench.fenced == 1)
        await all_back(bench, executor, 2)
        assert bench.sent == []


@in_virtual_time
async def test_of_a_claim_that_failed_while_its_partition_went() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        gate = bench.store.hold("claim", error=StoreUnavailable())
        await bench.register(bench.task())
        await reached(gate)
        await bench.lose(0)
        gate.release()
        await all_back(bench, executor, 2)


@pytest.mark.parametrize("unit", ["claim", "assign"])
@in_virtual_time
async def test_of_work_whose_partition_went_between_commit_and_send(unit: str) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        if unit == "assign":
            await bench.register(bench.task())
            await bench.until(lambda: executor.running)
        gate = bench.store.hold(unit, is_applied=True)
        if unit == "assign":
            executor.end(outcome=Outcome.REFUSED)
        else:
            await bench.register(bench.task())
        await reached(gate)
        await bench.lose(0)
        gate.release()
        await all_back(bench, executor, 2)
        assert len(bench.sent) == (unit == "assign")


@in_virtual_time
async def test_of_work_that_is_still_in_the_outbox_when_its_partition_goes() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=5)
        await bench.adopt(0, 1)
        executor.is_reading = False
        await bench.pass_time(2 * bench.settings.heartbeat_interval_s)
        going, staying = await bench.register(bench.task(0), bench.task(1))
        await bench.until_sent([going, staying])
        assert executor.live_session.credit == 3
        await bench.lose(0)
        assert executor.live_session.credit == 4
        executor.is_reading = True
        await all_back(bench, executor, 4)
        assert [item.attempt_id.ref.partition_id for item in executor.work] == [1]


@pytest.mark.parametrize("error", [None, StoreUnavailable()], ids=["committed", "failed"])
@in_virtual_time
async def test_a_reservation_on_a_session_that_was_replaced_is_gone_with_it(
    error: StoreUnavailable | None,
) -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        gate = bench.store.hold("claim", error=error, is_applied=error is None)
        (ref,) = await bench.register(bench.task())
        await reached(gate)
        older = executor.live_session
        executor.connect(credit=1)
        assert older.is_closed
        gate.release()
        await bench.until_sent([ref], within_s=1)
        await all_back(bench, executor, 0)
        assert older.credit == 0
        assert len(executor.work) == 1


@in_virtual_time
async def test_a_reservation_on_a_replaced_session_does_not_swell_the_new_one() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=3)
        await bench.adopt(0)
        gate = bench.store.hold("claim", error=StoreUnavailable())
        await bench.register(bench.task())
        await reached(gate)
        executor.connect(credit=3)
        await bench.lose(0)
        gate.release()
        await all_back(bench, executor, 3)


@in_virtual_time
async def test_of_an_assignment_that_was_refused() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        await bench.take(0, owner=OTHER)
        executor.end(outcome=Outcome.REFUSED)
        await bench.until(lambda: bench.fenced == 1)
        await all_back(bench, executor, 2)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_of_an_assignment_that_failed_while_its_partition_went() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        bench.store.always("assign", StoreUnavailable())
        executor.end(outcome=Outcome.REFUSED)
        await bench.until(lambda: len(bench.store.calls["assign"]) == 3)
        assert executor.live_session.credit == 1
        await bench.lose(0)
        await all_back(bench, executor, 2)


@pytest.mark.parametrize("error", [StoreUnavailable(), UnknownOutcome(), KeyError("a bug")])
@pytest.mark.parametrize("is_applied", [False, True])
@in_virtual_time
async def test_of_an_assignment_that_failed_once(error: Exception, is_applied: bool) -> None:
    """And the execution goes on: it does not stay on its way."""
    async with EngineBench(claim_wake_s=3.0, sweep_interval_s=1.0) as bench:
        bench.may_crash = isinstance(error, KeyError)
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        bench.store.once("assign", error, is_applied=is_applied)
        executor.end(outcome=Outcome.REFUSED)
        await bench.until_sent([ref], within_s=10, attempts=2)
        await all_back(bench, executor, 1)
        executor.end()
        await bench.until_state([ref])


@in_virtual_time
async def test_of_an_assignment_whose_task_was_cancelled() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(every_s=60))
        await bench.until(lambda: executor.running)
        gate = bench.store.hold("assign")
        executor.end(outcome=Outcome.REFUSED)
        await reached(gate)
        await bench.cancel(ref)
        gate.release()
        await bench.until_state([ref], ExecutionState.CANCELLED)
        await all_back(bench, executor, 2)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_what_the_executor_asks_back_is_given_once() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=4)
        await bench.adopt(0)
        gate = bench.store.hold("claim")
        (ref,) = await bench.register(bench.task())
        await reached(gate)
        executor.live_session.give_back_credit(10)
        await bench.until(lambda: executor.held == 1)
        gate.release()
        await bench.until_sent([ref])
        await all_back(bench, executor, 0)
