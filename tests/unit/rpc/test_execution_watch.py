"""What a look at a task's history finds, on a database in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from contract.store.builders import SECOND, T0, claim, completion, create, item, load_due, own_all

from mainspring.server.core.model import Dispatchable, ExecutionState, TaskRef
from mainspring.server.errors import InvalidField
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.server.rpc import execution_watch
from mainspring.server.rpc.execution_watch import Seen, look
from mainspring.shard_manager.lease import PartitionLease

PARTITIONS = 8


@pytest.fixture
async def store() -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(":memory:", PARTITIONS)
    await made.start()
    yield made
    await made.close()


class History:
    """One task, claimed step by step."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self.epochs: dict[int, int] = {}
        self.sent: dict[int, Dispatchable] = {}
        self.ref = TaskRef(0, b"")
        self._now = 0

    async def begin(self) -> History:
        self.epochs = await own_all(self.store, "me")
        ((task,),) = [await create(self.store, 1)]
        self.ref = task.ref
        return self

    async def run(self, *seconds: int) -> None:
        """Records these scheduled times in one claim."""
        (due,) = await load_due(self.store, until_at=T0 + 10_000 * SECOND)
        self._now = max(self._now, *seconds)
        times = [T0 + at * SECOND for at in seconds]
        next_at = T0 + (self._now + 1) * SECOND
        now = T0 + self._now * SECOND
        outcome = await claim(
            self.store, "me", self.epochs, [item(due, runs=times, next_at=next_at)], now=now
        )
        self.sent |= {(s.ref.scheduled_at - T0) // SECOND: s for s in outcome.claimed}

    async def end(self, second: int) -> None:
        await self.store.complete("me", [completion(self.sent[second])], now=T0)

    async def look(self, seen: Seen) -> list[tuple[int, ExecutionState]]:
        changed = await look(self.store, self.ref, seen)
        return [((row.ref.scheduled_at - T0) // SECOND, row.state) for row in changed]


D, S = ExecutionState.DISPATCHED, ExecutionState.SUCCEEDED


async def test_new_rows_and_changes_of_open_ones_are_told_once(store: SQLiteStore) -> None:
    history, seen = await History(store).begin(), Seen()
    assert await history.look(seen) == []
    await history.run(1, 2)
    assert await history.look(seen) == [(1, D), (2, D)]
    assert await history.look(seen) == []
    await history.end(1)
    await history.run(3)
    await history.end(3)
    assert await history.look(seen) == [(1, S), (3, S)]
    await history.end(2)
    assert await history.look(seen) == [(2, S)]
    assert await history.look(seen) == []
    assert not seen.open


async def test_old_times_that_are_recorded_late_are_new(store: SQLiteStore) -> None:
    history, seen = await History(store).begin(), Seen()
    await history.run(100)
    assert await history.look(seen) == [(100, D)]
    await history.run(5, 7)
    assert await history.look(seen) == [(5, D), (7, D)]


async def test_a_head_that_is_gone_does_not_bring_everything_again(store: SQLiteStore) -> None:
    history, seen = await History(store).begin(), Seen()
    for at in range(0, 600, 60):
        await history.run(at)
        await history.end(at)
    assert len(await history.look(seen)) == 10
    await history.run(600)
    await history.end(600)
    await history.run(660)
    await history.end(660)
    lease = PartitionLease(history.ref.partition_id, history.epochs[history.ref.partition_id])
    await store.trim_histories("me", lease, {history.ref.task_key: 1}, limit=99)
    assert await history.look(seen) == [(660, S)]


async def test_a_token_of_long_ago_is_refused(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_watch, "MOST_NEW", 5)
    history, seen = await History(store).begin(), Seen()
    for at in range(7):
        await history.run(at)
    with pytest.raises(InvalidField, match="too old"):
        await history.look(seen)
