"""Time that is moved by hand stands still until what is due is known, however little fits in memory."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from unit.engine.engine_bench import PARTITIONS, EngineBench
from unit.engine.faulty_store import FaultyStore
from unit.engine.virtual_time import EPOCH_AT

from mainspring.dev.process import VIRTUAL_TIME
from mainspring.dev.virtual_clock import VirtualClock
from mainspring.dev.virtual_clock_mover import TimeMover
from mainspring.server.core.model import NewTask
from mainspring.server.persistence.sqlite.store import SQLiteStore

MINUTE_US = 60_000_000


class Hurried(VirtualClock):
    """Pauses of the engine's loops are so short that they meet whatever goes on beside them."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.0003))


class VirtualBench(EngineBench):
    """A bench whose clock is moved."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.clock: Any = Hurried(EPOCH_AT)
        self.settings = replace(VIRTUAL_TIME, **settings)
        self.store = FaultyStore(SQLiteStore(":memory:", PARTITIONS, now=self.clock.now))

    def at_minute(self, minute: int, partition_id: int = 0, handler: str = "noop") -> NewTask:
        return self.task(partition_id, handler=handler, in_s=60.0 * minute)


async def check(bench: VirtualBench, tasks: list[NewTask], idle: list[NewTask], minutes: int) -> None:
    """Moves time, and sees each of `tasks` claimed at the instant at which it was due, and none of `idle`."""
    bench.executor(credit=100, is_automatic=True)
    await bench.adopt(0, 1, 2, 3)
    await bench.register(*idle, *tasks)
    mover = TimeMover(bench.clock, bench.engine.stillness, bench.store)
    async with asyncio.timeout(60):
        await mover.advance(EPOCH_AT + minutes * MINUTE_US)
    rows = await bench.ledger()
    assert len(rows) == len(tasks)
    assert [row for row in rows if row.claimed_at != row.due_at] == []


@pytest.mark.parametrize("herd", [100, 0])
def test_more_than_fits_in_memory_is_claimed_in_time(herd: int) -> None:
    async def run() -> None:
        async with VirtualBench(window_capacity=60, load_page=20) as bench:
            tasks = [bench.at_minute(1 + (7 * n) % 300, n % 4) for n in range(400)]
            await check(bench, tasks + [bench.at_minute(77, n % 4) for n in range(herd)], [], 360)

    for _ in range(3):
        asyncio.run(run())


@pytest.mark.parametrize("dead", [10, 50, 200, 1_000])
def test_what_nobody_runs_hides_nothing(dead: int) -> None:
    async def run() -> None:
        async with VirtualBench(window_capacity=60, load_page=20) as bench:
            tasks = [bench.at_minute(77 + n, 3) for n in range(20)]
            await check(bench, tasks, [bench.at_minute(77, 0, "nobody") for _ in range(dead)], 200)

    asyncio.run(run())
