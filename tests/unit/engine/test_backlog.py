"""After an outage: what is due now runs at once beside a backlog of any length, and the backlog goes on."""

from __future__ import annotations

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.engine.settings import EngineSettings

HOUR_S = 3_600.0
BACKLOG = 600
"""Six times what memory takes of it."""


@pytest.mark.parametrize("is_hinted", [True, False], ids=["with a hint", "found in the database"])
@in_virtual_time
async def test_fresh_tasks_of_the_same_handler_do_not_wait_for_the_backlog(is_hinted: bool) -> None:
    async with EngineBench(window_capacity=1_000, load_page=50) as bench:
        old = await bench.store_tasks(*(bench.task(n % 4, in_s=-HOUR_S) for n in range(BACKLOG)))
        await bench.adopt(0, 1, 2, 3)
        await bench.until(lambda: bench.engine.window.ready_count("noop") == 100)
        fresh = [bench.task(n % 4, in_s=0.5) for n in range(60)]
        refs = await (bench.register(*fresh) if is_hinted else bench.store_tasks(*fresh))
        await bench.pass_time(4)
        assert not bench.sent
        bench.executor(credit=80)
        await bench.until_sent(refs, within_s=5)
        assert len(bench.sent) == 80, "the others are of the backlog"
        bench.executor("e2", credit=50, is_automatic=True)
        await bench.until_sent(old, within_s=60)


@in_virtual_time
async def test_a_backlog_that_nobody_runs_hides_none_that_somebody_does() -> None:
    async with EngineBench(window_capacity=100, load_page=10) as bench:
        bench.executor(credit=5, is_automatic=True)
        await bench.store_tasks(*(bench.task(0, handler="nobody", in_s=-HOUR_S) for _ in range(300)))
        behind = await bench.store_tasks(*(bench.task(1, in_s=-HOUR_S) for _ in range(30)))
        await bench.adopt(0, 1)
        await bench.until_sent(behind, within_s=30)


@in_virtual_time
async def test_what_slipped_long_ago_is_found_without_being_asked_for() -> None:
    """The whole index is read now and then: an index entry of an hour ago is looked for less often than a fresh one."""
    async with EngineBench() as bench:
        bench.executor(is_automatic=True)
        await bench.adopt(0)
        await bench.pass_time(10)
        slipped = await bench.store_tasks(bench.task(in_s=-HOUR_S))
        settings = EngineSettings()
        await bench.until_sent(slipped, within_s=settings.sweep_interval_s * (settings.full_sweep_every + 2))
