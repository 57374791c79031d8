"""Partitions that are handed over: nothing is in doubt for the successor, nothing new begins, and a record is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from unit.engine.engine_bench import ME, OTHER, EngineBench
from unit.engine.hand_executor import HandExecutor
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.dispatch.frames import Outcome
from mainspring.server.errors import StoreUnavailable
from mainspring.shard_manager.handover import ChangeReason, Handover, OwnerChange
from mainspring.shard_manager.lease import PartitionLease


@asynccontextmanager
async def work_on_its_way(
    *, is_reading: bool
) -> AsyncIterator[tuple[EngineBench, HandExecutor, PartitionLease]]:
    """Sent and not acknowledged: in the executor's hands, or still in the outbox of a stream that takes nothing."""
    async with EngineBench() as bench:
        executor = bench.executor(credit=3)
        (lease,) = await bench.adopt(0)
        if not is_reading:
            executor.is_reading = False
            await bench.pass_time(2 * bench.settings.heartbeat_interval_s)
        await bench.register(bench.task())
        await bench.until(lambda: bench.sent)
        if is_reading:
            await bench.until(lambda: executor.running)
        yield bench, executor, lease


@in_virtual_time
async def test_a_surrender_waits_for_the_start_of_what_is_on_its_way() -> None:
    async with work_on_its_way(is_reading=True) as (bench, executor, lease):
        surrender = asyncio.create_task(bench.engine.host.surrender([lease]))
        await bench.pass_time(0.05)
        assert not surrender.done()
        executor.start()
        await bench.pass_time(0.01)
        assert surrender.done()
        assert bench.held.held() == []


@in_virtual_time
async def test_work_in_the_outbox_still_leaves_and_is_not_given_twice() -> None:
    """Dropped, it would be in the ledger as sent: the successor could not tell it from lost work."""
    async with work_on_its_way(is_reading=False) as (bench, executor, lease):
        surrender = asyncio.create_task(bench.engine.host.surrender([lease]))
        await bench.pass_time(0.01)
        executor.is_reading = True
        await bench.until(lambda: executor.running, within_s=0.2)
        executor.start()
        await surrender
        await bench.adopt(0)
        await bench.pass_time(10)
        assert len(bench.sent) == 1


@in_virtual_time
async def test_a_partition_that_goes_while_it_still_comes_never_fires() -> None:
    """Its adoption is reading when it is handed over: what it finds is the successor's."""
    async with EngineBench() as bench:
        bench.executor(credit=3, is_automatic=True)
        (ref,) = await bench.store_tasks(bench.task())
        (lease,) = await bench.take(0)
        gate = bench.store.hold("load_due_tasks")
        bench.engine.host.adopt([lease])
        await gate.reached.wait()
        bench.held.stop_firing([0])
        gate.release()
        await bench.until(lambda: not bench.engine.host.is_adopting)
        assert not bench.held.is_firing(0)
        await bench.pass_time(1)
        assert bench.sent_of(ref) == []
        await bench.engine.host.surrender([lease])
        await bench.adopt(0)
        await bench.until_state([ref])


@in_virtual_time
async def test_a_result_is_as_good_as_a_start() -> None:
    async with work_on_its_way(is_reading=True) as (bench, executor, lease):
        executor.end(outcome=Outcome.SUCCEEDED)
        async with asyncio.timeout(0.05):
            await bench.engine.host.surrender([lease])
        (row,) = await bench.ledger()
        assert row.state.name == "SUCCEEDED"


@in_virtual_time
async def test_the_wait_for_a_start_is_short() -> None:
    async with work_on_its_way(is_reading=False) as (bench, executor, lease):
        begun_s = bench.clock.monotonic()
        await bench.engine.host.surrender([lease])
        assert 0.1 <= bench.clock.monotonic() - begun_s < 0.12
        assert any(entry["event"] == "surrender_in_doubt" for entry in bench.log)
        assert executor.live_session.credit == 3


@in_virtual_time
async def test_an_executor_that_is_gone_is_not_waited_for() -> None:
    async with work_on_its_way(is_reading=True) as (bench, executor, lease):
        executor.drop()
        async with asyncio.timeout(0.02):
            await bench.engine.host.surrender([lease])


@in_virtual_time
async def test_nothing_waiting_is_sent_while_a_surrender_waits() -> None:
    """What waits for an executor is left to the successor, also when credit arrives now."""
    async with EngineBench() as bench:
        executor = bench.executor(credit=2)
        executor.regrants = False
        (lease,) = await bench.adopt(0)
        (ref, _) = await bench.register(bench.task(), bench.task())
        await bench.until(lambda: len(executor.running) == 2)
        (first, second) = list(executor.running)
        executor.end(first, outcome=Outcome.REFUSED)
        await bench.pass_time(0.02)
        surrender = asyncio.create_task(bench.engine.host.surrender([lease]))
        await bench.pass_time(0.02)
        executor.grant(2)
        await bench.pass_time(0.02)
        executor.start(second)
        await surrender
        assert len(bench.sent) == 2
        await bench.adopt(0)
        await bench.until_sent([ref], within_s=0.5, attempts=2)


@in_virtual_time
async def test_an_adoption_catches_up_with_a_frontier_that_moves_while_it_reads() -> None:
    """The loader reads a slice for the partitions that fire, and this one does not yet."""
    async with EngineBench(window_s=1.0, sweep_interval_s=60.0) as bench:
        bench.executor(is_automatic=True)
        (ref,) = await bench.store_tasks(bench.task(0, in_s=2.5))
        await bench.adopt(1)
        gate = bench.store.hold("load_open_executions", when=lambda partitions, **_: list(partitions) == [0])
        bench.engine.host.adopt(await bench.take(0))
        await bench.pass_time(2.0)
        assert bench.engine.window.frontier > bench.clock.now() + 500_000
        gate.release()
        await bench.until_sent([ref], within_s=1.0)
        assert bench.sent[0].at - bench.sent[0].item.due_at < 20_000


def change(lease: PartitionLease, released_at: int | None) -> OwnerChange:
    return OwnerChange(lease, OTHER, ChangeReason.REBALANCED, released_at, None)


async def records(bench: EngineBench) -> list[Handover]:
    return await bench.store.inner.list_handovers(node_id=None, since_at=None, before=None, limit=100)


@in_virtual_time
async def test_a_record_is_kept_of_what_fell_due_between_two_owners() -> None:
    async with EngineBench() as bench:
        bench.executor(is_automatic=True)
        await bench.store_tasks(
            *(bench.task(0, in_s=in_s) for in_s in (-9, -0.3, -0.2, 5)), bench.task(1, in_s=-0.3)
        )
        leases = await bench.take(0, 1)
        released_at = bench.clock.now() - 250_000
        bench.engine.host.adopt(leases, [change(leases[0], released_at), change(leases[1], None)])
        await bench.pass_time(1)
        first, second = sorted(await records(bench))
        assert (first.from_node, first.to_node, first.reason) == (OTHER, ME, ChangeReason.REBALANCED)
        assert (first.late_count, second.late_count) == (1, 1)
        assert first.released_at == released_at
        assert 250_000 <= (first.gap_us or 0) < 300_000
        assert 200_000 <= first.max_lateness_us < 250_000
        assert second.gap_us is None


@in_virtual_time
async def test_records_are_written_later_and_together_and_again_when_that_fails() -> None:
    async with EngineBench() as bench:
        bench.store.once("record_handovers", StoreUnavailable("away"))
        for partition_id in range(4):
            (lease,) = await bench.take(partition_id)
            bench.engine.host.adopt([lease], [change(lease, bench.clock.now())])
        await bench.pass_time(0.4)
        assert len(bench.held.firing()) == 4
        assert not bench.store.calls["record_handovers"]
        await bench.pass_time(3)
        assert [len(call[0]) for call in bench.store.calls["record_handovers"]] == [4, 4]
        assert len(await records(bench)) == 4
