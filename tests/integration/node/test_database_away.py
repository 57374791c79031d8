"""The database goes away: calls end in time with UNAVAILABLE, nothing is half-written, and all goes on when it is back."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainspring.client import Delay, Every, ExecutionState, MainspringClient, Task, Unavailable
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.testing.mariadb import MariaDbServer


@pytest.fixture
async def own_bench(own_mariadb: MariaDbServer, tmp_path: Path, bench_type: Any) -> AsyncIterator[Any]:
    url = own_mariadb.create_database()
    await migrate(MySQLSettings.from_url(url), partitions=16)
    made = bench_type(url, tmp_path)
    yield made
    await made.clear()


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_calls_end_in_time_and_all_goes_on(
    own_bench: Any, own_mariadb: MariaDbServer, fault: str
) -> None:
    node = await own_bench.start_node()
    own_bench.start_executor(node.address)
    async with MainspringClient(node.address) as client:
        await client.create_task("noop", Every(timedelta(seconds=1)), task_id="every")
        if fault == "frozen":
            own_mariadb.pause()
        else:
            own_mariadb.kill()
        begun_s = time.monotonic()
        with pytest.raises(Unavailable):
            await client.create_task("noop", Delay(timedelta(seconds=1)), task_id="away", timeout_s=4)
        assert time.monotonic() - begun_s < 10
        if fault == "frozen":
            own_mariadb.resume()
        else:
            own_mariadb.start()
        back_at = None
        async with asyncio.timeout(20):
            while back_at is None:
                try:
                    task = await client.create_task(
                        "noop", Delay(timedelta(seconds=0)), task_id="back", timeout_s=5
                    )
                    back_at = task.create_time
                except Unavailable:
                    await asyncio.sleep(0.1)
        # What was not acknowledged is there whole or not at all, and calling again settles it.
        again = await client.create_task("noop", Delay(timedelta(seconds=1)), task_id="away")
        assert isinstance(again, Task)
        async with asyncio.timeout(20):
            while True:
                names = {e.task_id for e in [e async for e in client.list_executions()] if e.state.is_final}
                fresh = [
                    e
                    async for e in client.list_executions(task_id="every", start=back_at)
                    if e.state is ExecutionState.SUCCEEDED
                ]
                if {"away", "back"} <= names and fresh:
                    break
                await asyncio.sleep(0.1)
        worst = max(
            (e.pick_up_time - max(e.due_time, back_at)).total_seconds() for e in fresh if e.pick_up_time
        )
        assert worst <= 10
