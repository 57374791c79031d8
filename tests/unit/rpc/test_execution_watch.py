"""What a look at a task's history finds, on a database in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from contract.store.builders import SECOND, T0, claim, completion, create, item, load_due, own_all

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.model import ExecutionState, TaskRef
from mainspring.server.errors import InvalidField
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.server.rpc import execution_watch
from mainspring.server.rpc.execution_watch import Seen, look

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

    def now_is(self, second: int) -> None:
        self._now = second

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

    async def look(self, seen: Seen | None = None) -> tuple[list[tuple[int, ExecutionState]], Seen]:
        """At the instant of the latest claim."""
        changed, seen = await look(self.store, self.ref, seen, T0 + self._now * SECOND)
        assert seen is not None
        return [((row.ref.scheduled_at - T0) // SECOND, row.state) for row in changed], seen


D, S = ExecutionState.DISPATCHED, ExecutionState.SUCCEEDED


async def test_new_rows_and_changes_of_open_ones_are_told_once(store: SQLiteStore) -> None:
    history = await History(store).begin()
    await history.run(-1)
    told, seen = await history.look()
    assert told == []
    await history.run(1, 2)
    told, seen = await history.look(seen)
    assert told == [(1, D), (2, D)]
    told, seen = await history.look(seen)
    assert told == []
    await history.end(1)
    await history.run(3)
    await history.end(3)
    told, seen = await history.look(seen)
    assert told == [(1, S), (3, S)]
    await history.end(2)
    await history.end(-1)
    told, seen = await history.look(seen)
    assert told == [(-1, S), (2, S)]
    told, seen = await history.look(seen)
    assert told == []
    assert not seen.open_at


async def test_what_is_open_is_followed_however_old_it_gets(store: SQLiteStore) -> None:
    history = await History(store).begin()
    await history.run(0)
    _, seen = await history.look()
    for at in range(60, 600, 60):
        await history.run(at)
        await history.end(at)
        told, seen = await history.look(seen)
        assert told == [(at, S)]
    assert len(seen.told) <= 3, "what is told and final is forgotten"
    await history.end(0)
    told, _ = await history.look(seen)
    assert told == [(0, S)]


async def test_times_that_were_missed_are_told_when_they_are_recorded_at_last(store: SQLiteStore) -> None:
    """As after an outage: what is claimed lies far behind the instant of the look before."""
    history = await History(store).begin()
    await history.run(0)
    await history.end(0)
    _, seen = await history.look()
    history.now_is(1000)
    told, seen = await history.look(seen)
    assert told == []
    await history.run(1, 2, 1001)
    told, _ = await history.look(seen)
    assert told == [(1, D), (2, D), (1001, D)]


async def test_a_stream_that_is_taken_up_again_leaves_nothing_out(store: SQLiteStore) -> None:
    history = await History(store).begin()
    await history.run(0)
    _, seen = await history.look()
    resumed = Seen(seen.floor_at, seen.open_at)
    for at in range(100, 1000, 100):
        await history.run(at)
        await history.end(at)
    await history.end(0)
    told, _ = await history.look(resumed)
    assert told == [(at, S) for at in range(0, 1000, 100)]


async def test_a_task_that_is_gone_has_no_history(store: SQLiteStore) -> None:
    assert await look(store, TaskRef(0, bytes(16)), None, T0) == ([], None)


async def test_a_token_of_long_ago_is_refused(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_watch, "MOST_NEW", 5)
    history = await History(store).begin()
    _, seen = await history.look()
    for at in range(7):
        await history.run(at)
    with pytest.raises(InvalidField, match="too old"):
        await history.look(seen)
