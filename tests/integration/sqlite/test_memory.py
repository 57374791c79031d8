"""What simulations build on: handles on one database in memory, a clock of their own, units that are never cut."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from contract.store.builders import T0, claim, completion, create, item, load_due, own_all

from mainspring.server.errors import StoreUnavailable
from mainspring.server.persistence.sqlite.store import SQLiteStore


@dataclass
class VirtualClock:
    """Stands still until it is moved."""

    now_at: int = T0

    def now(self) -> int:
        return self.now_at


async def test_the_databases_clock_is_the_one_given() -> None:
    clock = VirtualClock()
    store = SQLiteStore(now=clock.now)
    await store.start()
    other = store.sibling()
    await other.start()
    assert await store.database_time() == T0
    clock.now_at += 30 * 86_400 * 1_000_000
    assert await other.database_time() == clock.now_at
    await store.close()
    await other.close()


async def test_handles_share_the_database_and_end_one_by_one() -> None:
    store = SQLiteStore(":memory:", 8)
    await store.start()
    other = store.sibling()
    with pytest.raises(StoreUnavailable):
        await other.read_partitions()
    await other.start()
    await create(store, 4)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await create(store, 1, prefix="late")
    assert other.partition_count == 8
    assert len(await load_due(other)) == 4
    await other.close()
    fresh = SQLiteStore(":memory:", 8)
    await fresh.start()
    assert await load_due(fresh) == []
    await fresh.close()


async def test_a_caller_cancelled_before_its_unit_began_changed_nothing() -> None:
    store = SQLiteStore(":memory:", 8)
    await store.start()
    creating = asyncio.create_task(create(store, 5))
    await asyncio.sleep(0)
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    assert creating.cancelled()
    assert await load_due(store) == []
    await store.close()


async def test_units_in_a_row_let_others_run() -> None:
    """A loop of store calls is no way to keep the event loop for oneself."""
    store = SQLiteStore(":memory:", 8)
    await store.start()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(20):
        await store.read_partitions()
    assert turns >= 20
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.close()


async def test_the_same_calls_give_the_same_answers_in_the_same_order() -> None:
    async def run() -> list[object]:
        store = SQLiteStore(":memory:", 8, now=VirtualClock().now)
        await store.start()
        other = store.sibling()
        await other.start()
        said: list[object] = []

        async def lane(part: int) -> None:
            mine = (store, other)[part % 2]
            await create(mine, 20, prefix=f"lane-{part}")
            outcome = await claim(mine, "me", epochs, [item(due) for due in await load_due(mine)])
            said.append((part, outcome))
            said.append(await mine.complete("me", [completion(sent) for sent in outcome.claimed], now=T0))

        epochs = await own_all(store, "me")
        await asyncio.gather(*(lane(part) for part in range(6)))
        said.append(await store.list_executions("default", limit=999))
        await store.close()
        await other.close()
        return said

    assert await run() == await run()
