"""The fence as a lock: while an owner's write is under way, its partition cannot be taken. Deterministic, unit by unit.

Each unit is stopped in the middle by a lock on the execution that it writes; meanwhile a take must wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiomysql
import pytest

from mainspring.server.core.attempt import Assignment, Completion, Dispatchable, Extension
from mainspring.server.core.claim import ClaimItem, ClaimRun
from mainspring.server.core.model import ExecutionState, NewTask, TaskRef
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.shard_manager.hashing import partition_of, task_key

PARTITIONS = 4
T0 = 1_800_000_000_000_000
KEY = task_key("default", "subject")
PARTITION = partition_of(KEY, PARTITIONS)
BLOCK_NEW = (
    "INSERT INTO executions (partition_id, scheduled_at, task_key, state, due_at, attempt, epoch, task_version, claimed_at)"
    f" VALUES ({PARTITION}, {T0}, X'{KEY.hex()}', 1, 0, 0, 0, 0, 0)"
)
BLOCK_EXISTING = (
    f"SELECT 1 FROM executions WHERE partition_id = {PARTITION} AND scheduled_at = {T0} AND task_key = X'{KEY.hex()}'"
    " FOR UPDATE"
)
PROBE_PARTITION = f"SELECT 1 FROM partitions WHERE partition_id = {PARTITION} FOR UPDATE SKIP LOCKED"


@asynccontextmanager
async def _connection(settings: MySQLSettings) -> AsyncIterator[aiomysql.Connection]:
    connection = await aiomysql.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password,
        db=settings.database,
        autocommit=True,
    )
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture
async def settings(database_url: str) -> MySQLSettings:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, PARTITIONS)
    return settings


@pytest.fixture
async def stores(settings: MySQLSettings) -> AsyncIterator[tuple[MySQLStore, MySQLStore]]:
    mine, yours = MySQLStore(settings), MySQLStore(settings)
    await mine.start()
    await yours.start()
    await mine.create_tasks(
        [NewTask(TaskRef(PARTITION, KEY), "default", "subject", "noop", b"", "{}", KEY, T0, T0, T0)]
    )
    await mine.take_partitions([(PARTITION, 0)], "me")
    yield mine, yours
    await mine.close()
    await yours.close()


async def _claim(store: MySQLStore) -> list[Dispatchable]:
    due = await store.load_due_tasks([PARTITION], from_at=0, until_at=T0 + 1, after=None, limit=1)
    items = [ClaimItem(d, (ClaimRun(d.scheduled_at, d.due_at, "x"),), None, None, None) for d in due]
    return (await store.claim("me", {PARTITION: 1}, items, now=T0, wake_at=T0 + 9)).claimed


async def _assign(store: MySQLStore, sent: Dispatchable) -> bool:
    outcome = await store.assign("me", [Assignment(sent.ref, 1, 1, "y", 1)], now=T0, wake_at=T0 + 9)
    return len(outcome.dispatchable) == 1


async def _extend(store: MySQLStore, sent: Dispatchable) -> bool:
    return not await store.extend(
        "me", [Extension(sent.ref, 1, 1, ExecutionState.RUNNING, T0 + 99, None, None)]
    )


async def _complete(store: MySQLStore, sent: Dispatchable) -> bool:
    end = Completion(sent.ref, 1, 1, ExecutionState.SUCCEEDED, "", b"", None, None, T0)
    return not await store.complete("me", [end], now=T0)


async def _complete_with_result(store: MySQLStore, sent: Dispatchable) -> bool:
    end = Completion(sent.ref, 1, 1, ExecutionState.SUCCEEDED, "", b"result", None, None, T0)
    return not await store.complete("me", [end], now=T0)


async def _take_waits_for(
    settings: MySQLSettings, other: MySQLStore, block: str, write: Callable[[], Awaitable[object]]
) -> object:
    """Starts the write behind a lock, then a take; checks that the take ends after it, and answers the write's answer."""
    async with _connection(settings) as blocker, _connection(settings) as probe:
        await blocker.begin()
        await blocker.query(block)
        writing = asyncio.ensure_future(write())
        async with asyncio.timeout(1.5):
            while await probe.query(PROBE_PARTITION):
                assert not writing.done()
                await asyncio.sleep(0.005)
        taking = asyncio.create_task(other.take_partitions([(PARTITION, 1)], "you"))
        done, _ = await asyncio.wait([writing, taking], timeout=0.3)
        assert not done
        await blocker.rollback()
        answer = await writing
        assert [lease.epoch for lease in await taking] == [2]
        return answer


async def test_a_take_waits_for_a_claim(
    settings: MySQLSettings, stores: tuple[MySQLStore, MySQLStore]
) -> None:
    mine, yours = stores
    claimed = await _take_waits_for(settings, yours, BLOCK_NEW, lambda: _claim(mine))
    assert len(claimed) == 1  # type: ignore[arg-type]
    assert len(await yours.load_open_executions([PARTITION], until_at=None, after=None, limit=9)) == 1


@pytest.mark.parametrize("unit", [_assign, _extend, _complete, _complete_with_result])
async def test_a_take_waits_for_writes_about_attempts(
    settings: MySQLSettings,
    stores: tuple[MySQLStore, MySQLStore],
    unit: Callable[[MySQLStore, Dispatchable], Awaitable[bool]],
) -> None:
    mine, yours = stores
    (sent,) = await _claim(mine)
    assert await _take_waits_for(settings, yours, BLOCK_EXISTING, lambda: unit(mine, sent)) is True


async def test_a_claim_waits_for_a_take_and_is_refused(
    settings: MySQLSettings, stores: tuple[MySQLStore, MySQLStore]
) -> None:
    mine, _ = stores
    async with _connection(settings) as taker:
        await taker.begin()
        await taker.query(
            f"UPDATE partitions SET epoch = epoch + 1, owner_id = 'you' WHERE partition_id = {PARTITION}"
        )
        claiming = asyncio.create_task(_claim(mine))
        done, _ = await asyncio.wait([claiming], timeout=0.3)
        assert not done
        await taker.commit()
        assert await claiming == []
    assert len(await mine.load_due_tasks([PARTITION], from_at=0, until_at=T0 + 1, after=None, limit=1)) == 1
