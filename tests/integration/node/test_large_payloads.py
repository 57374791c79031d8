"""Payloads near the limit run in time, and do not hold up the small ones beside them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.client import At, Execution, ExecutionState, MainspringClient, NewTask, Task
from mainspring.server.errors import StoreUnavailable

LARGE, SMALL = 300, 100
PAYLOAD = b"x" * 250_000
MOST_IN_A_CLAIM = 40
"""10 MB."""


async def test_a_herd_of_large_payloads_beside_small_ones(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    """All are due at one instant, 75 MB in all."""
    await run_herd(bench, node, client)


async def test_the_same_on_a_database_that_cannot_read_so_much_in_one_claim(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    """The claim has to be cut until it fits, instead of being tried again as it was."""
    claim: Any = node.store.claim
    refused: list[int] = []

    async def claim_of_bounded_size(owner_id: str, epochs: Any, items: Any, **instants: int) -> Any:
        if len(items) > MOST_IN_A_CLAIM:
            refused.append(len(items))
            raise StoreUnavailable("no answer in time")
        return await claim(owner_id, epochs, items, **instants)

    node.store.claim = claim_of_bounded_size
    await run_herd(bench, node, client)
    assert refused


async def run_herd(bench: Any, node: Any, client: MainspringClient) -> None:
    """Registers the herd and sees each of it picked up once, within the 10 s that are promised."""
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
