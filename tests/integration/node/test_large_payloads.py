"""Payloads near the limit run in time, and do not hold up the small ones beside them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.client import At, Execution, ExecutionState, MainspringClient, NewTask, Task

LARGE, SMALL = 300, 100
PAYLOAD = b"x" * 250_000


async def test_a_herd_of_large_payloads_beside_small_ones(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    """All are due at one instant, 75 MB in all: more than one statement, frame or batch of anything may hold."""
    bench.start_executor(node.address, capacity=1_000)
    at = datetime.now(UTC) + timedelta(seconds=10)
    tasks = [NewTask("noop", At(at), payload=PAYLOAD, task_id=f"large-{n}") for n in range(LARGE)]
    tasks += [NewTask("noop", At(at), task_id=f"small-{n}") for n in range(SMALL)]
    assert all(isinstance(answer, Task) for answer in await client.create_tasks(tasks))
    assert datetime.now(UTC) < at, "registered too slowly for all to be due at once"

    rows: list[Execution] = []
    async with asyncio.timeout(40):
        while sum(row.state is ExecutionState.SUCCEEDED for row in rows) < LARGE + SMALL:
            await asyncio.sleep(0.5)
            rows = [row async for row in client.list_executions(page_size=1_000)]
    assert len(rows) == LARGE + SMALL
    assert all(row.attempt == 1 for row in rows)
    late_s = sorted((row.pick_up_time - row.due_time).total_seconds() for row in rows if row.pick_up_time)
    assert len(late_s) == LARGE + SMALL
    assert late_s[-1] <= 10
