"""Connections under faults: nobody waits for ever, nothing is borrowed twice, and all is well again soon after."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from integration.mysql.tcp_proxy import CuttingProxy

from mainspring.server.core.claim import ClaimItem, ClaimRun
from mainspring.server.core.model import NewTask, TaskRef
from mainspring.server.errors import StoreError, StoreUnavailable, UnknownOutcome
from mainspring.server.persistence.mysql.database import Database, Transaction
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import LaneSettings, MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.sql_server import connect

PARTITIONS = 8
T0 = 1_800_000_000_000_000
PROMISED_S = 10.0
"""Within this long after the database is back, everything works again."""


def _task(name: str) -> NewTask:
    key = task_key("default", name)
    return NewTask(
        TaskRef(partition_of(key, PARTITIONS), key), "default", name, "noop", b"", "{}", key, T0, T0, T0
    )


@pytest.fixture
async def settings(own_mariadb: MariaDbServer) -> MySQLSettings:
    """A cluster on a server that may be broken, with short deadlines."""
    url = own_mariadb.create_database()
    settings = replace(
        MySQLSettings.from_url(url),
        connect_timeout_s=0.5,
        statement_timeout_s=1.2,
        unit_timeout_s=2.0,
        lock_wait_timeout_s=1,
        session_timeout_s=2,
        ping_interval_s=0.5,
    )
    await migrate(settings, PARTITIONS)
    return settings


@pytest.fixture
async def store(settings: MySQLSettings) -> AsyncIterator[MySQLStore]:
    store = MySQLStore(settings)
    await store.start()
    yield store
    await store.close()


async def _works_again(store: MySQLStore) -> float:
    """Seconds until a read and a write succeed."""
    begun = time.monotonic()
    while True:
        try:
            await store.create_tasks([_task("probe")])
            await store.read_partitions()
        except StoreError:
            assert time.monotonic() - begun < PROMISED_S
            await asyncio.sleep(0.02)
        else:
            return time.monotonic() - begun


async def test_a_frozen_server_is_answered_in_time(own_mariadb: MariaDbServer, store: MySQLStore) -> None:
    await store.create_tasks([_task("a")])
    own_mariadb.pause()
    try:
        begun = time.monotonic()
        reads = [store.get_task(_task("a").ref) for _ in range(20)]
        writes = [store.create_tasks([_task(f"w{n}")]) for n in range(20)]
        answers = await asyncio.gather(*reads, *writes, return_exceptions=True)
        waited_s = time.monotonic() - begun
    finally:
        own_mariadb.resume()
    assert all(isinstance(answer, StoreUnavailable) for answer in answers[:20])
    assert all(isinstance(answer, StoreUnavailable | UnknownOutcome) for answer in answers[20:])
    assert waited_s < PROMISED_S, "side by side: one after the other they would take a minute"
    assert store.stats.timeouts > 0
    await _works_again(store)
    assert set(store.waiting_callers.values()) == {0}


async def test_after_a_crash_and_restart_everything_works_and_nobody_hangs(
    own_mariadb: MariaDbServer, store: MySQLStore
) -> None:
    await _works_again(store)
    stop = asyncio.Event()
    outcomes: list[str] = []

    async def caller(number: int) -> None:
        while not stop.is_set():
            try:
                async with asyncio.timeout(6.0):
                    await store.create_tasks([_task(f"c{number}")])
                outcomes.append("ok")
            except StoreError as error:
                outcomes.append(error.reason)
                await asyncio.sleep(0.01)

    callers = [asyncio.create_task(caller(number)) for number in range(100)]
    while outcomes.count("ok") < 200:
        await asyncio.sleep(0.01)
    own_mariadb.kill()
    while not {"STORE_UNAVAILABLE"} <= set(outcomes):
        await asyncio.sleep(0.01)
    await asyncio.to_thread(own_mariadb.restart)
    await _works_again(store)
    outcomes.clear()
    while outcomes.count("ok") < 200:
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*callers)
    assert store.open_connections["api"] <= 4
    rows = own_mariadb.execute("SHOW STATUS LIKE 'Threads_connected'")
    assert int(rows[0][1]) <= sum(store.open_connections.values()) + 2 <= 16


async def test_an_idle_connection_lost_to_a_restart_costs_a_reader_nothing(
    own_mariadb: MariaDbServer, store: MySQLStore
) -> None:
    await store.read_partitions()
    own_mariadb.kill()
    await asyncio.to_thread(own_mariadb.restart)
    assert len(await store.read_partitions()) == PARTITIONS
    assert store.stats.unknown_outcomes == 0


async def test_idle_connections_live_on(store: MySQLStore, settings: MySQLSettings) -> None:
    await asyncio.gather(*(store.read_partitions() for _ in range(10)))
    before = (store.stats.connects, store.stats.connections_dropped)
    # The subject of the test: longer than the server keeps a session that is silent.
    await asyncio.sleep(settings.session_timeout_s * 1.6)
    await asyncio.gather(*(store.read_partitions() for _ in range(10)))
    assert (store.stats.connects, store.stats.connections_dropped) == before


async def test_a_frozen_owner_loses_its_locks_when_its_session_ends(
    store: MySQLStore, settings: MySQLSettings
) -> None:
    """A node that stops in the middle of a claim must not hold up the one that takes over."""
    frozen = Database(replace(settings, unit_timeout_s=10.0))
    locked = asyncio.Event()
    go_on = asyncio.Event()

    async def body(transaction: Transaction) -> None:
        await transaction.run("SELECT * FROM partitions WHERE partition_id = 0 LOCK IN SHARE MODE")
        locked.set()
        await go_on.wait()

    claim = asyncio.create_task(frozen.transaction(frozen.hot, body))
    await locked.wait()
    begun = time.monotonic()
    owner_id = None
    while owner_id != "you":
        assert time.monotonic() - begun < settings.session_timeout_s + 2.0
        with contextlib.suppress(StoreError):
            await store.take_partitions([(0, 0)], "you")
        owner_id = (await store.read_partitions())[0].owner_id
    assert store.stats.unknown_outcomes == 0
    go_on.set()
    with pytest.raises(StoreUnavailable):
        await claim
    await frozen.close()


async def test_a_server_that_became_read_only_is_left(own_mariadb: MariaDbServer, store: MySQLStore) -> None:
    """After a fail-over the old connections still lead to the demoted server: they must not be kept."""
    await store.create_tasks([_task("before")])
    _administrate(own_mariadb, "SET GLOBAL read_only = ON")
    dropped = store.stats.connections_dropped
    with pytest.raises(StoreUnavailable, match="read-only"):
        await store.create_tasks([_task("during")])
    assert store.stats.connections_dropped == dropped + 1
    _administrate(own_mariadb, "SET GLOBAL read_only = OFF")
    await store.create_tasks([_task("after")])
    assert await store.get_task(_task("during").ref) is None


def _administrate(server: MariaDbServer, statement: str) -> None:
    connection = connect(server.administrator_url)
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


async def test_waiters_are_bounded_and_served_in_turn(settings: MySQLSettings) -> None:
    database = Database(replace(settings, api=LaneSettings(connections=1, max_waiters=2)))
    begun: list[int] = []

    async def slow(number: int) -> None:
        async def body(transaction: Transaction) -> None:
            begun.append(number)
            await transaction.run("SELECT SLEEP(0.1)")

        await database.transaction(database.api, body)

    answers = await asyncio.gather(*(slow(n) for n in range(5)), return_exceptions=True)
    assert [type(a) for a in answers] == [type(None)] * 3 + [StoreUnavailable] * 2
    assert begun == [0, 1, 2]
    assert database.stats.waits_refused == 2
    assert database.api.open_connections == 1
    await database.close()


async def test_waiting_has_a_deadline(settings: MySQLSettings) -> None:
    database = Database(replace(settings, api=LaneSettings(connections=1)))
    release = asyncio.Event()

    async def hold(transaction: Transaction) -> None:
        await transaction.run("SELECT 1")
        await release.wait()

    holder = asyncio.create_task(database.transaction(database.api, hold))
    await asyncio.sleep(0)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="became free"):
        await database.read(database.api, "SELECT 1")
    assert time.monotonic() - begun < PROMISED_S
    release.set()
    await asyncio.gather(holder, return_exceptions=True)
    await database.close()


async def test_cancelled_callers_leave_no_hole(settings: MySQLSettings) -> None:
    database = Database(replace(settings, api=LaneSettings(connections=2)))
    for delay_s in (0.0, 0.001, 0.005, 0.02):
        calls = [asyncio.create_task(database.read(database.api, "SELECT SLEEP(0.01)")) for _ in range(20)]
        await asyncio.sleep(delay_s)
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert all(call.cancelled() for call in calls[::2] if not call.done() or call.cancelled())
        assert [call.exception() for call in calls[1::2]] == [None] * 10
        assert database.api.open_connections <= 2
        assert database.api.waiters == 0
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await database.read(database.api, "SELECT 1")


async def test_a_deadlock_runs_the_unit_again(store: MySQLStore, settings: MySQLSettings) -> None:
    await store.create_tasks([_task("a"), _task("b")])
    database = Database(settings)
    both_hold_one = asyncio.Barrier(2)
    runs = []

    def locking(*names: str):  # type: ignore[no-untyped-def]
        async def body(transaction: Transaction) -> str:
            runs.append(names)
            for name in names:
                await transaction.run(
                    f"UPDATE tasks SET updated_at = updated_at + 1 WHERE task_key = X'{_task(name).ref.task_key.hex()}'"
                    f" AND partition_id = {_task(name).ref.partition_id}"
                )
                if len(runs) <= 2 and name == names[0]:
                    await both_hold_one.wait()
            return names[0]

        return body

    ends = await asyncio.gather(
        database.transaction(database.hot, locking("a", "b")),
        database.transaction(database.hot, locking("b", "a")),
    )

    assert ends == ["a", "b"]
    assert len(runs) == 3
    assert database.stats.deadlock_retries == 1
    for name in "ab":
        task = await store.get_task(_task(name).ref)
        assert task is not None
        assert task.updated_at == T0 + 2
    await database.close()


@pytest.mark.parametrize("is_forwarded", [True, False])
async def test_a_claim_whose_commit_was_cut_off_is_found_out(
    store: MySQLStore, settings: MySQLSettings, is_forwarded: bool
) -> None:
    """The answer to COMMIT is lost: with the commit applied, and with it never having arrived."""
    leases = await store.take_partitions([(p, 0) for p in range(PARTITIONS)], "me")
    epochs = {lease.partition_id: lease.epoch for lease in leases}
    await store.create_tasks([_task(f"t{n}") for n in range(50)])
    due = await store.load_due_tasks(range(PARTITIONS), from_at=0, until_at=T0 + 1, after=None, limit=100)
    items = [ClaimItem(d, (ClaimRun(d.scheduled_at, d.due_at, "x"),), None, None, None) for d in due]
    target = (settings.host, settings.port)

    async with CuttingProxy(target, b"\x03COMMIT", is_forwarded=is_forwarded) as proxy:
        node = MySQLStore(replace(settings, host="127.0.0.1", port=proxy.port))
        await node.start()
        await node.read_partitions()
        # The driver commits once while it opens a session: the lane's connection has to be there before.
        await node.complete("me", [], now=T0)
        await node._db.read(node._db.hot, "SELECT 1")
        proxy.is_armed = True

        with pytest.raises(UnknownOutcome):
            await node.claim("me", epochs, items, now=T0, wake_at=T0 + 9)

        assert proxy.cuts == 1
        found = await node.recover_claim("me", epochs, items, now=T0, wake_at=T0 + 9)
        await node.close()

    if is_forwarded:
        assert {sent.task_id for sent in found.claimed} == {f"t{n}" for n in range(50)}
        assert (len(found.moved), found.dropped) == (50, [])
    else:
        assert (found.claimed, found.moved, len(found.dropped)) == ([], [], 50)
        again = await store.claim("me", epochs, items, now=T0, wake_at=T0 + 9)
        assert len(again.claimed) == 50


async def test_a_server_that_never_was_there_is_unavailable_at_once(settings: MySQLSettings) -> None:
    store = MySQLStore(replace(settings, port=1))
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.start()
    assert time.monotonic() - begun < PROMISED_S
    assert set(store.open_connections.values()) == {0}
    await store.close()
