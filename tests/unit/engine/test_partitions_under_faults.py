"""Partitions that come and go while calls are under way: what belongs to another holding changes nothing."""

import asyncio

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import ExecutionState
from mainspring.server.core.policies import Overlap, Policies
from mainspring.server.errors import StoreUnavailable, UnknownOutcome

AWAY = StoreUnavailable("away")
LOST = UnknownOutcome("the answer was lost")
BUG = KeyError("a bug")


@in_virtual_time
async def test_an_error_in_an_adoption_delays_it_and_no_more() -> None:
    async with EngineBench() as bench:
        bench.executor()
        (ref,) = await bench.store_tasks(bench.task(0))
        for unit, error in [
            ("load_due_tasks", BUG),
            ("load_open_executions", BUG),
            ("load_due_tasks", AWAY),
            ("load_open_executions", LOST),
        ]:
            bench.store.once(unit, error, when=lambda partitions, **_: list(partitions) == [0])
        bench.engine.host.adopt(await bench.take(0))
        await bench.until_sent([ref], within_s=2)


@in_virtual_time
async def test_an_adoption_that_hangs_is_left_when_the_partition_comes_back_under_a_higher_epoch() -> None:
    async with EngineBench() as bench:
        bench.executor()
        (ref,) = await bench.store_tasks(bench.task(0))
        gate = bench.store.hold("load_open_executions", when=lambda partitions, **_: list(partitions) == [0])
        bench.engine.host.adopt(await bench.take(0))
        await reached(gate.reached)
        await bench.lose(0)
        await bench.adopt(0)
        await bench.until_sent([ref], within_s=1)
        gate.release()
        await bench.pass_time(5)
        assert bench.lease(0).epoch == 3
        assert len(bench.sent) == 1


@in_virtual_time
async def test_what_the_shard_manager_holds_and_the_engine_does_not_is_adopted_again() -> None:
    async with EngineBench() as bench:
        bench.executor()
        (kept,) = await bench.adopt(1)
        (missing,) = await bench.take(0)
        (ref,) = await bench.store_tasks(bench.task(0))
        bench.engine.host.adopt_missing({0: missing.epoch, 1: kept.epoch})
        await bench.until_sent([ref], within_s=1)
        assert bench.held.firing() == [0, 1]


@in_virtual_time
async def test_the_refusal_of_an_old_epoch_does_not_drop_the_new_lease() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(credit=3)
        await bench.adopt(0)
        gate = bench.store.hold("claim")
        (ref,) = await bench.register(bench.task())
        await reached(gate.reached)
        await bench.lose(0)
        await bench.adopt(0)
        await bench.until_sent([ref], within_s=1)
        gate.release()
        await bench.pass_time(1)
        assert bench.lease(0).epoch == 3
        assert bench.held.is_firing(0)
        assert [s.item.epoch for s in bench.sent] == [3]
        assert executor.live_session.credit == executor.held == 2


@pytest.mark.parametrize("is_applied", [False, True], ids=["refused", "committed"])
@in_virtual_time
async def test_a_claim_of_an_earlier_holding_settles_nothing(is_applied: bool) -> None:
    """Its task is claimed again, in the new holding, while it comes to its end."""
    async with EngineBench() as bench:
        executor = bench.executor(credit=5)
        await bench.adopt(0)
        old = bench.store.hold("claim", is_applied=is_applied)
        (ref,) = await bench.register(bench.task(every_s=2, policies=Policies(overlap=Overlap.ALLOW)))
        await reached(old.reached)
        await bench.lose(0)
        new = bench.store.hold("claim")
        await bench.adopt(0)
        await bench.pass_time(2.5)  # so that, if the old one is committed, the next time is due as well
        await reached(new.reached)
        assert ref in bench.engine.window
        old.release()
        await bench.pass_time(3)
        assert ref in bench.engine.window
        assert len(bench.store.calls["claim"]) == 2, "the task is under claim already"
        assert not bench.sent_of(ref) or is_applied
        new.release()
        executor.is_automatic = True
        executor.end()
        await bench.pass_time(6)
        rows = await bench.ledger(ref)
        times = [row.ref.scheduled_at for row in rows]
        assert len(times) >= 5
        assert times == list(range(times[0], times[0] + 2_000_000 * len(times), 2_000_000))
        assert all(row.state is ExecutionState.SUCCEEDED for row in rows)


async def reached(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()
