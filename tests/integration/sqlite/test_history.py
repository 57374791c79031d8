"""A history longer than one step of the walk along it."""

from __future__ import annotations

import pytest
from contract.store.builders import SECOND, T0, claim, create, item, load_due, own_all
from integration.sqlite.conftest import OpenStore

from mainspring.server.core.execution_filter import ExecutionFilter
from mainspring.server.persistence.sqlite import ledger

LENGTH = 50


@pytest.mark.parametrize("steps", [1, 7, 50])
async def test_a_history_is_walked_in_steps(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(ledger, "CHAIN_STEPS", steps)
    monkeypatch.setattr(ledger, "CHAIN_STATEMENTS", 3)
    store = await open_store(":memory:")
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1)
    for begin in range(0, LENGTH, 5):
        (due,) = await load_due(store, until_at=T0 + LENGTH * SECOND)
        runs = [T0 + n * SECOND for n in range(begin, begin + 5)]
        await claim(store, "me", epochs, [item(due, runs=runs, next_at=runs[-1] + SECOND)], now=runs[-1])

    async def listed(start: int | None, end: int | None, limit: int) -> list[int]:
        start_at, end_at = (None if n is None else T0 + n * SECOND for n in (start, end))
        only = ExecutionFilter(start_at=start_at, end_at=end_at)
        found: list[int] = []
        page = await store.list_task_executions(task.ref, only=only, limit=limit)
        while True:
            assert len(page.executions) <= min(limit, 3 * steps)
            found += [(row.ref.scheduled_at - T0) // SECOND for row in page.executions]
            if page.next is None:
                return found
            from_at = page.next.scheduled_at
            page = await store.list_task_executions(task.ref, only=only, from_at=from_at, limit=limit)

    everything = list(range(LENGTH - 1, -1, -1))
    assert await listed(None, None, 1000) == everything
    assert await listed(None, None, 8) == everything
    assert await listed(3, 9, 1000) == [8, 7, 6, 5, 4, 3]
    assert await listed(3, 9, 2) == [8, 7, 6, 5, 4, 3]
    assert await listed(None, 1, 1000) == [0]
    assert await listed(LENGTH, None, 1000) == []
