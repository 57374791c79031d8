"""Looking ahead in the due index: what is due first is in memory whole, however little fits."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.dev.virtual_clock import VirtualClock
from mainspring.server.core.model import DueCursor, DueTask
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.engine.timer_driver import TimerDriver
from mainspring.server.engine.window_loader import WindowLoader
from mainspring.server.observability.metrics import Metrics
from mainspring.shard_manager.lease import PartitionLease

START = 1_800_000_000_000_000
DAY = 86_400_000_000


class DueIndex:
    """As much of a store as the loader reads."""

    def __init__(self, due_ats: Sequence[int]) -> None:
        self.tasks = sorted(
            DueTask(at, n % 2, n.to_bytes(16, "big"), at, 1, f"h{n % 3}", encode(Schedule(OneTime(at))), 0)
            for n, at in enumerate(due_ats)
        )
        self.reads = 0

    async def load_due_tasks(
        self,
        partition_ids: Sequence[int],
        *,
        from_at: int,
        until_at: int,
        after: DueCursor | None,
        limit: int,
    ) -> list[DueTask]:
        await asyncio.sleep(0)
        self.reads += 1
        keys = sorted(
            (t.partition_id, t.due_at, t.task_key, t)
            for t in self.tasks
            if t.partition_id in partition_ids and from_at <= t.due_at < until_at
        )
        return [t for *key, t in keys if after is None or tuple(key) > tuple(after)][:limit]


def loader_over(index: DueIndex, capacity: int, page: int = 3) -> tuple[WindowLoader, DueWindow]:
    clock = VirtualClock(START)
    held = HeldPartitions()
    for partition in (0, 1):
        lease = PartitionLease(partition, 1)
        held.hold(lease)
        held.fire(lease)
    engine = EngineSettings(window_s=86_400.0, window_capacity=capacity, load_page=page)
    store: Any = index
    context = OwnerContext("node", clock, store, held, engine, Metrics())
    window = DueWindow(START, capacity)
    driver = TimerDriver(clock, window, lambda: None)
    return WindowLoader(context, window, driver, lambda rows: None), window


def in_memory(window: DueWindow, index: DueIndex) -> set[bytes]:
    return {task.task_key for task in index.tasks if task.ref in window}


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 400 * DAY) | st.sampled_from([DAY, 5 * DAY]), max_size=40),
    st.integers(1, 12),
    st.integers(0, 500 * DAY),
)
def test_what_is_due_before_the_frontier_is_in_memory(
    due_in: list[int], capacity: int, until_in: int
) -> None:
    async def run() -> None:
        index = DueIndex([START + due for due in due_in])
        loader, window = loader_over(index, capacity)
        await loader.look_ahead(START + until_in)
        known = in_memory(window, index)
        assert {t.task_key for t in index.tasks if t.due_at < window.frontier} <= known
        assert len(known) <= capacity
        before = [t.due_at for t in index.tasks if t.due_at <= START + until_in]
        if before and window.frontier <= before[0]:
            # Not even the first instant fits: then memory is full of it, and of nothing later.
            assert len(known) == capacity
            assert {t.due_at for t in index.tasks if t.task_key in known} == {before[0]}
        elif not before:
            assert window.frontier > START + until_in

    asyncio.run(run())


async def test_what_was_taken_in_early_makes_room_for_what_is_due_first() -> None:
    index = DueIndex([START + DAY, *(START + 300 * DAY + n for n in range(4))])
    loader, window = loader_over(index, capacity=4)
    window.frontier = START + 400 * DAY
    loader.accept(index.tasks[1:])
    assert window.room == 0
    loader.accept(index.tasks[:1])
    assert window.frontier == START + DAY, "it did not fit, so it is to be loaded"
    assert await loader.look_ahead(START + 2 * DAY)
    assert in_memory(window, index) == {index.tasks[0].task_key}


async def test_ten_empty_years_take_a_few_reads() -> None:
    index = DueIndex([START + 3_600 * DAY])
    loader, window = loader_over(index, capacity=10)
    assert await loader.look_ahead(START + 3_650 * DAY)
    assert len(window) == 1
    assert index.reads <= 13
    assert not await loader.look_ahead(START + 3_650 * DAY)
