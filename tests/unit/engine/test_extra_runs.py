"""What the owner does for calls beside the schedule, when something goes wrong."""

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import ExecutionOrigin, ExecutionState, Task, TaskRef
from mainspring.server.errors import FailedPrecondition, NotFound, StaleEpoch, UnknownOutcome

KEY = b"0123456789abcdef"


async def _trigger(bench: EngineBench, ref: TaskRef) -> int:
    return await bench.engine.extra_runs.trigger(ref, "t", payload=None, payload_of=None, request_key=KEY)


def _anyone(task: Task) -> None:
    """Nothing speaks against it."""


@in_virtual_time
async def test_a_trigger_whose_answer_was_lost_runs_once() -> None:
    async with EngineBench() as bench:
        bench.executor(is_automatic=True)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(in_s=600))
        bench.store.once("add_executions", UnknownOutcome(), is_applied=True)
        scheduled_at = await _trigger(bench, ref)
        assert await _trigger(bench, ref) == scheduled_at
        await bench.until_state([ref])
        row = await bench.row(ref)
        assert (row.ref.scheduled_at, row.origin) == (scheduled_at, ExecutionOrigin.TRIGGER)


@in_virtual_time
async def test_who_does_not_own_the_task_says_so() -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        (elsewhere,) = await bench.store_tasks(bench.task(1))
        with pytest.raises(StaleEpoch):
            await _trigger(bench, elsewhere)
        (ref,) = await bench.register(bench.task(in_s=600))
        await bench.take(0, owner="other")  # and nobody has told
        with pytest.raises(StaleEpoch):
            await _trigger(bench, ref)
        assert bench.fenced
        assert await bench.ledger() == []
        with pytest.raises(StaleEpoch):
            await bench.engine.extra_runs.remove(ref, "t", _anyone)


@in_virtual_time
async def test_a_removal_waits_for_what_waits_and_refuses_what_runs() -> None:
    async with EngineBench() as bench:
        executor = bench.executor()
        await bench.adopt(0)
        ref, lonely = await bench.register(
            bench.task(every_s=600), bench.task(in_s=600, handler="nobody-has-it")
        )
        await bench.until_sent([ref])
        with pytest.raises(FailedPrecondition):
            await bench.engine.extra_runs.remove(ref, "t", _anyone)
        executor.end()
        await bench.until_state([ref])
        await _trigger(bench, lonely)
        assert (await bench.row(lonely)).state is ExecutionState.WAITING
        for task in (ref, lonely):
            await bench.engine.extra_runs.remove(task, "t", _anyone)
            assert await bench.store.inner.get_task(task) is None
            with pytest.raises(NotFound):
                await bench.engine.extra_runs.remove(task, "t", _anyone)
        bench.sent.clear()  # nothing of it is in the ledger any more


@in_virtual_time
async def test_a_backfill_leaves_alone_what_still_waits_to_be_claimed() -> None:
    async with EngineBench() as bench:
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task(every_s=10, in_s=5))
        begin = bench.clock.now() + 5_000_000
        await bench.pass_time(17)  # nobody could run the two times that have passed
        done = await bench.engine.extra_runs.backfill(ref, "t", begin, bench.clock.now())
        assert done == (0, None)
        bench.executor(is_automatic=True)
        await bench.pass_time(5)
        assert [row.ref.scheduled_at for row in await bench.ledger(ref)] == [begin, begin + 10_000_000]


@in_virtual_time
async def test_a_backfill_begins_one_after_the_other() -> None:
    async with EngineBench() as bench:
        executor = bench.executor(is_automatic=True)
        await bench.adopt(0)
        await bench.pass_time(100)
        (ref,) = await bench.register(bench.task(every_s=10, in_s=5))
        begin = bench.clock.now() + 5_000_000
        await bench.pass_time(60)
        ran = {row.ref.scheduled_at for row in await bench.ledger(ref)}
        assert begin in ran
        done = await bench.engine.extra_runs.backfill(ref, "t", begin, begin + 50_000_000)
        assert done == (0, None)
        assert {row.state for row in await bench.ledger(ref)} == {ExecutionState.SUCCEEDED}
        assert executor.saved
