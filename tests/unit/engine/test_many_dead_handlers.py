"""More dead handlers than a window has shares."""

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time


@pytest.mark.parametrize("dead", [7, 8, 9, 10, 12])
@in_virtual_time
async def test_a_window_full_of_many_dead_handlers_does_not_stop_the_others(dead: int) -> None:
    async with EngineBench(window_capacity=100, load_page=50) as bench:
        bench.executor(credit=10)
        for n in range(dead):
            await bench.store_tasks(*(bench.task(handler=f"nobody-{n}", in_s=-1) for _ in range(20)))
        await bench.adopt(0, 1, 2, 3)
        await bench.pass_time(5)
        task = bench.task(in_s=15)
        (ref,) = await bench.store_tasks(task)
        await bench.until_sent([ref], within_s=15 + 10)
        late_s = (bench.sent_of(ref)[0].at - task.due_at) / 1e6
        print(dead, "late", late_s, "room", bench.engine.window.room)


@pytest.mark.parametrize("dead", [7, 10])
@in_virtual_time
async def test_with_a_hint(dead: int) -> None:
    async with EngineBench(window_capacity=100, load_page=50) as bench:
        bench.executor(credit=10)
        for n in range(dead):
            await bench.store_tasks(*(bench.task(handler=f"nobody-{n}", in_s=-1) for _ in range(20)))
        await bench.adopt(0, 1, 2, 3)
        await bench.pass_time(5)
        task = bench.task(in_s=0)
        (ref,) = await bench.register(task)
        await bench.until_sent([ref], within_s=10)
        late_s = (bench.sent_of(ref)[0].at - task.due_at) / 1e6
        print(dead, "late", late_s, "room", bench.engine.window.room)
