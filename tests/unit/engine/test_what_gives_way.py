"""What the window leaves in the database for want of room comes back, and keeps nobody else out."""

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time


@pytest.mark.parametrize("in_s", [1.0, -3_600.0], ids=["fresh", "backlog"])
@in_virtual_time
async def test_handlers_whose_whole_line_gave_way_get_it_back(in_s: float) -> None:
    """More handlers than there is room for ready tasks, one task each; then executors come for all of them."""
    async with EngineBench(window_capacity=100, load_page=50) as bench:
        names = [f"handler-{n}" for n in range(60)]
        await bench.store_tasks(*(bench.task(n % 4, handler=h, in_s=in_s) for n, h in enumerate(names)))
        await bench.adopt(0, 1, 2, 3)
        await bench.pass_time(5)
        bench.executor("e", *names, credit=100, is_automatic=True)
        await bench.until(lambda: len(bench.sent) == 60, within_s=10)


@pytest.mark.parametrize("wait_s", [0.0, 0.7, 2.1, 3.5])
@in_virtual_time
async def test_a_backlog_that_comes_in_the_middle_of_a_walk_is_read_in_the_next_one(wait_s: float) -> None:
    async with EngineBench(window_capacity=100, load_page=10) as bench:
        bench.executor(credit=5, is_automatic=True)
        await bench.store_tasks(*(bench.task(3, handler="nobody", in_s=-3_600 - n) for n in range(300)))
        await bench.adopt(3)
        await bench.pass_time(20 + wait_s)
        old = await bench.store_tasks(bench.task(0, in_s=-3_600))
        await bench.adopt(0)
        await bench.until_sent(old, within_s=10)


@pytest.mark.parametrize("is_hinted", [True, False], ids=["with a hint", "found in the database"])
@in_virtual_time
async def test_a_herd_that_is_loaded_ahead_leaves_room_for_what_is_due_before_it(is_hinted: bool) -> None:
    """Two windows full of a herd of nobody's are due in a while; what is due meanwhile is another handler's."""
    async with EngineBench(window_capacity=1_000, load_page=50) as bench:
        bench.executor(credit=50, is_automatic=True)
        await bench.store_tasks(*(bench.task(n % 4, handler="herd", in_s=20) for n in range(2_000)))
        await bench.adopt(0, 1, 2, 3)
        await bench.until(lambda: len(bench.engine.window) >= 700, within_s=20)
        await bench.pass_time(1)
        tasks = [bench.task(n % 4, in_s=0.5) for n in range(8)]
        refs = await (bench.register(*tasks) if is_hinted else bench.store_tasks(*tasks))
        await bench.until_sent(refs, within_s=5)
