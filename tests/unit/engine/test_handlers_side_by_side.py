"""A handler that nobody runs, or partitions that do not fire, take nothing from the others."""

import asyncio

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.errors import StoreUnavailable


@in_virtual_time
async def test_a_window_full_of_a_dead_handler_does_not_stop_the_others() -> None:
    async with EngineBench(window_capacity=100, load_page=50) as bench:
        bench.executor(credit=10)
        await bench.store_tasks(*(bench.task(handler="nobody", in_s=-1) for _ in range(300)))
        tasks = [bench.task(in_s=0.5), bench.task(in_s=25)]
        near, far = await bench.store_tasks(*tasks)
        await bench.adopt(0, 1, 2, 3)
        await bench.until_sent([near], within_s=5)
        await bench.until_sent([far], within_s=35)
        (sent,) = bench.sent_of(far)
        assert 0 <= sent.at - tasks[1].due_at < 1_000_000, "loaded ahead although much waits that cannot run"


@in_virtual_time
async def test_a_dead_handler_takes_half_of_the_window_and_no_more() -> None:
    async with EngineBench(window_capacity=100, load_page=10) as bench:
        await bench.adopt(0, 1)
        await bench.store_tasks(*(bench.task(n % 2, handler="nobody", in_s=-1) for n in range(95)))
        for _ in range(100):
            await bench.pass_time(0.1)
            assert bench.engine.window.room > 0
        assert len(bench.engine.window) == 50


@in_virtual_time
async def test_what_a_saturated_handler_left_in_the_database_runs_when_an_executor_comes() -> None:
    async with EngineBench(window_capacity=100, load_page=50) as bench:
        refs = await bench.store_tasks(*(bench.task(handler="slow", in_s=-1) for _ in range(80)))
        await bench.adopt(0)
        await bench.until(lambda: bench.engine.window.ready_count("slow") == 50)
        await bench.pass_time(10)
        bench.executor("e1", "slow", credit=5, is_automatic=True)
        await bench.until_state(refs, within_s=30)
        assert len(bench.sent) == 80


@in_virtual_time
async def test_relief_asks_for_the_sweep_before_its_time() -> None:
    async with EngineBench(window_capacity=100, sweep_interval_s=600, sweep_grace_s=0.2) as bench:
        refs = await bench.store_tasks(*(bench.task(handler="slow", in_s=-1) for _ in range(80)))
        await bench.adopt(0)
        await bench.until(lambda: bench.engine.window.ready_count("slow") == 50)
        bench.executor("e1", "slow", credit=80, is_automatic=True)
        await bench.until_state(refs, within_s=5)


@in_virtual_time
async def test_the_sweep_goes_on_where_it_stopped() -> None:
    """One sweep reads 10 pages; more than that is overdue of a dead handler, in front of what it has to find."""
    async with EngineBench(load_page=10) as bench:
        bench.executor()
        await bench.adopt(0, 1)
        await bench.store_tasks(*(bench.task(0, handler="nobody", in_s=-5) for _ in range(250)))
        (behind,) = await bench.store_tasks(bench.task(1, in_s=-5))
        await bench.until_sent([behind], within_s=8)


@in_virtual_time
async def test_hints_do_not_overfill_the_window() -> None:
    async with EngineBench(window_capacity=100) as bench:
        await bench.adopt(0)
        refs = await bench.register(*(bench.task(in_s=1) for _ in range(160)))
        assert len(bench.engine.window) == 100
        bench.executor(credit=50, is_automatic=True)
        await bench.until_state(refs, within_s=30)


@in_virtual_time
async def test_of_two_handlers_on_one_executor_none_lives_off_the_others_leavings() -> None:
    async with EngineBench(claim_batch=4, claim_lanes=1) as bench:
        await bench.adopt(0)
        await bench.register(*(bench.task(handler="many", in_s=-1) for _ in range(40)))
        (one,) = await bench.register(bench.task(handler="one", in_s=-1))
        await bench.until(lambda: bench.engine.window.ready_count("many") == 40)
        bench.executor("e1", "many", "one", credit=12)
        await bench.until(lambda: len(bench.sent) == 12)
        assert bench.sent_of(one)


@in_virtual_time
async def test_partitions_that_do_not_fire_yet_block_no_handler() -> None:
    async with EngineBench() as bench:
        bench.executor(credit=2)
        await bench.adopt(1)
        gate = bench.store.hold("load_open_executions", when=lambda partitions, **_: list(partitions) == [0])
        bench.engine.host.adopt(await bench.take(0))
        async with asyncio.timeout(1):
            await gate.reached.wait()
        in_front = await bench.register(*(bench.task(0) for _ in range(3)))
        await bench.pass_time(0.1)
        (behind,) = await bench.register(bench.task(1))
        await bench.until_sent([behind], within_s=0.5)
        assert not any(bench.sent_of(ref) for ref in in_front), "nothing of a partition before it fires"
        bench.executors[0].end()
        bench.executors[0].is_automatic = True
        gate.release()
        await bench.until_state(in_front)


@in_virtual_time
async def test_a_surrender_under_way_and_its_end_leave_the_claimer_awake() -> None:
    async with EngineBench(claim_lanes=2) as bench:
        executor = bench.executor(credit=4)
        await bench.adopt(0, 1)
        gate = bench.store.hold("claim")
        (under_way,) = await bench.register(bench.task(0))
        async with asyncio.timeout(1):
            await gate.reached.wait()
        surrender = asyncio.create_task(bench.engine.host.surrender([bench.lease(0)]))
        await asyncio.sleep(0)
        in_front = await bench.register(*(bench.task(0) for _ in range(5)))
        await bench.pass_time(0.1)
        (behind,) = await bench.register(bench.task(1))
        await bench.until_sent([behind], within_s=0.5)
        assert not surrender.done()
        gate.release()
        async with asyncio.timeout(1):
            await surrender
        assert bench.sent_of(under_way), "what was under way is finished"
        assert not any(bench.sent_of(ref) for ref in in_front)
        assert len(bench.held) == 1
        await bench.until(lambda: executor.live_session.credit == executor.held == 2)
        (later,) = await bench.register(bench.task(1))
        await bench.until_sent([later], within_s=0.5)


@pytest.mark.parametrize("state", ["being taken", "being handed over"])
@in_virtual_time
async def test_tasks_that_may_not_fire_do_not_leave_those_behind_them_waiting(state: str) -> None:
    """All become ready at one instant, more of them than there is credit: nothing else wakes the claimer."""
    async with EngineBench() as bench:
        bench.executor(credit=2)
        if state == "being taken":
            await bench.adopt(1)
            bench.store.always("load_open_executions", StoreUnavailable(), when=lambda p, **_: list(p) == [0])
            bench.engine.host.adopt(await bench.take(0))
        else:
            await bench.adopt(0, 1)
            bench.held.stop_firing([0])
        tasks = [bench.task(0, in_s=0.5) for _ in range(7)] + [bench.task(1, in_s=0.5)]
        *in_front, behind = await bench.register(*tasks)
        await bench.until_sent([behind], within_s=0.6)
        assert not any(bench.sent_of(ref) for ref in in_front)


@in_virtual_time
async def test_what_is_due_after_a_herd_does_not_wait_for_its_end() -> None:
    """The executor runs 200 a second; 1,500 are due at once, and then 10 a second of the same handler, for 5 s."""
    async with EngineBench() as bench:
        executor = bench.executor(capacity=20, credit=20)
        await bench.adopt(0, 1)
        herd = await bench.store_tasks(*(bench.task(n % 2, in_s=2) for n in range(1_500)))
        later = [bench.task(n % 2, in_s=3 + n / 10) for n in range(50)]
        refs = await bench.register(*later)

        async def work() -> None:
            while True:
                await asyncio.sleep(0.1)
                executor.end()

        working = asyncio.create_task(work())
        await bench.until_state([*herd, *refs], within_s=15)
        working.cancel()
        late_s = sorted((bench.sent_of(r)[0].at - t.due_at) / 1e6 for r, t in zip(refs, later, strict=True))
        assert late_s[-1] <= 1
        herd_at = [bench.sent_of(ref)[0].at for ref in herd]
        assert max(herd_at) - min(herd_at) <= 10e6
