"""Life of a database file: made by start, one process at a time, errors that say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from contract.store.builders import ALL, T0, claim, create, item, load_due, new_task, own_all
from integration.sqlite.conftest import OpenStore

from mainspring.server.core.model import Delivery, ExecutionState
from mainspring.server.errors import Contention, StoreUnavailable, WrongPartitionCount
from mainspring.server.persistence.sqlite import schema
from mainspring.server.persistence.sqlite.database import CHECKPOINT_BYTES
from mainspring.server.persistence.sqlite.migrations import SQLiteMigration, sqlite_migrations
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.server.persistence.store import SchemaMissing
from mainspring.server.persistence.store.tasks import TasksRefused

HOLD = """
import asyncio, sys
from mainspring.server.persistence.sqlite.store import SQLiteStore
async def main():
    await SQLiteStore(sys.argv[1], 8).start()
    print("held", flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


@contextmanager
def _other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that serves the file; killed at the end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


async def test_what_was_written_is_there_after_a_restart(open_store: OpenStore) -> None:
    store = await open_store()
    await create(store, 20)
    epochs = await own_all(store, "me")
    outcome = await claim(store, "me", epochs, [item(due) for due in (await load_due(store))[:5]])
    await store.close()

    again = await open_store()

    assert len(await load_due(again)) == 15
    rows = await again.load_open_executions(ALL, until_at=None, after=None, limit=100)
    assert {row.ref for row in rows} == {sent.ref for sent in outcome.claimed}
    assert {(row.epoch, row.owner_id) for row in await again.read_partitions()} == {(1, "me")}


async def test_a_second_process_is_refused_until_the_first_is_gone(path: Path, open_store: OpenStore) -> None:
    with _other_process(path) as process:
        with pytest.raises(StoreUnavailable, match=f"in use by process {process.pid}"):
            await open_store()
        process.kill()
        process.wait(10)
        store = await open_store()
    await create(store, 1)
    assert len(await load_due(store)) == 1


async def test_the_file_is_free_when_its_last_store_in_a_process_is_closed(
    path: Path, open_store: OpenStore
) -> None:
    first, second = await open_store(), await open_store()
    await create(first, 3)
    assert len(await load_due(second)) == 3
    await first.close()
    await first.close()
    await create(second, 3, prefix="more")
    await second.close()
    with _other_process(path):
        pass


async def test_the_number_of_partitions_is_fixed_when_the_file_is_made(open_store: OpenStore) -> None:
    store = await open_store(partitions=8)
    await store.close()
    with pytest.raises(WrongPartitionCount) as raised:
        await open_store(partitions=16)
    assert (raised.value.configured, raised.value.stored) == (16, 8)
    assert (await open_store(partitions=None)).partition_count == 8
    assert (await open_store(":memory:", None)).partition_count == schema.DEFAULT_PARTITIONS
    for wrong in (0, schema.MAX_PARTITIONS + 1):
        with pytest.raises(ValueError, match="between 1 and"):
            await open_store(":memory:", wrong)


async def test_files_that_cannot_be_used_are_named(tmp_path: Path, open_store: OpenStore) -> None:
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        await open_store(tmp_path / "missing" / "a.db")
    with pytest.raises(StoreUnavailable, match="is a folder"):
        await open_store(tmp_path)
    text = tmp_path / "text"
    text.write_text("no database, but long enough for the header of one " * 40)
    with pytest.raises(SchemaMissing, match="not a SQLite database"):
        await open_store(text)
    assert text.read_text().startswith("no database")
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = foreign.read_bytes()
    with pytest.raises(SchemaMissing, match="another program"):
        await open_store(foreign)
    assert foreign.read_bytes() == before


async def test_a_file_of_newer_software_is_left_alone(path: Path, open_store: OpenStore) -> None:
    await (await open_store()).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(sqlite_migrations()) + 1}")
    with pytest.raises(SchemaMissing, match="update it"):
        await open_store()


async def test_a_migration_is_applied_whole_or_not_at_all(
    path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store()
    await create(store, 3)
    await store.close()
    number = len(sqlite_migrations()) + 1
    broken = SQLiteMigration(number, "CREATE TABLE extra (x);\nCREATE TABLE extra (x);")
    monkeypatch.setattr(schema, "sqlite_migrations", lambda: (*sqlite_migrations(), broken))
    with pytest.raises(Exception, match="already exists"):
        await open_store()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(sqlite_migrations()),)
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'extra'").fetchall() == []

    mended = SQLiteMigration(number, "CREATE TABLE extra (x);")
    monkeypatch.setattr(schema, "sqlite_migrations", lambda: (*sqlite_migrations(), mended))
    store = await open_store()
    assert store.partition_count == 8
    assert len(await load_due(store)) == 3


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_rows_of_older_files_are_kept_and_count_from_now_on(
    version: int, path: Path, open_store: OpenStore
) -> None:
    old = [new_task(f"old-{n}", at=T0 + n, payload=str(n).encode()) for n in range(20)]
    with closing(sqlite3.connect(path)) as connection:
        for migration in sqlite_migrations()[:version]:
            connection.executescript(migration.script)
        connection.execute("INSERT INTO cluster_settings (id, partition_count, created_at) VALUES (1, 8, 0)")
        connection.executemany("INSERT INTO partitions (partition_id) VALUES (?)", [(n,) for n in ALL])
        connection.executemany(
            "INSERT INTO tasks (partition_id, task_key, state, version, scheduled_at, due_at, created_at, updated_at,"
            " definition_hash, namespace, task_id, handler, schedule, payload)"
            " VALUES (?, ?, 1, 1, ?, ?, ?, ?, ?, 'default', ?, 'noop', ?, ?)",
            [
                (
                    *(*task.ref, task.scheduled_at, task.due_at, task.created_at, task.created_at),
                    *(task.definition_hash, task.task_id, task.schedule, task.payload),
                )
                for task in old
            ],
        )
        connection.execute(
            "INSERT INTO executions (partition_id, scheduled_at, task_key, state, due_at, wake_at, attempt, epoch,"
            " task_version, executor_id, node_id, claimed_at, saved_at, reason, result)"
            " VALUES (?, 7, ?, 5, 7, NULL, 1, 3, 1, 'e', 'n', 8, 9, 'it failed', x'01')",
            old[0].ref,
        )
        if version >= 2:
            connection.execute("UPDATE tasks SET delivery = 2")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.commit()

    store = await open_store()

    delivery = Delivery.AT_LEAST_ONCE if version == 1 else Delivery.AT_MOST_ONCE
    for task, created in zip(old, await store.create_tasks(old), strict=True):
        assert created.is_conflict is False
        stored = created.task
        assert (stored.payload, stored.schedule, stored.handler) == (task.payload, task.schedule, "noop")
        assert (stored.scheduled_at, stored.due_at) == (task.scheduled_at, task.due_at)
        assert (stored.delivery, stored.execution_count) == (delivery, 0)
    assert len(await load_due(store, until_at=T0 + 20)) == 20
    execution = await store.get_execution(old[0].ref, 7)
    assert execution is not None
    assert (execution.state, execution.attempt, execution.saved_at) == (ExecutionState.FAILED, 1, 9)
    assert (execution.reason, execution.result) == ("it failed", b"\x01")


async def test_a_foreign_lock_is_waited_for_without_holding_up_the_loop(
    path: Path, open_store: OpenStore
) -> None:
    """Somebody has the file open in a tool and a transaction in hand."""
    store = await open_store()
    epochs = await own_all(store, "me")
    await create(store, 5)
    items = [item(due) for due in await load_due(store)]
    ticks = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        claiming = asyncio.create_task(claim(store, "me", epochs, items))
        while not claiming.done():
            assert len(await load_due(store)) == 5, "readers do not wait"
            ticks += 1
            await asyncio.sleep(0.01)
        with pytest.raises(Contention):
            await claiming
        assert ticks > 10
        waiting = asyncio.create_task(claim(store, "me", epochs, items))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        tool.execute("ROLLBACK")
    assert len((await waiting).claimed) == 5


async def test_a_full_disk_is_unavailable_and_leaves_nothing_behind(open_store: OpenStore) -> None:
    store = await open_store()
    await create(store, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = [new_task(f"large-{n}", payload=bytes(200_000)) for n in range(20)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StoreUnavailable):
            await store.create_tasks(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(await load_due(store)) == 1
    await store.create_tasks(large)
    assert len(await load_due(store, until_at=T0 + 1)) == 21


async def test_values_that_no_column_holds_are_refused_alone(open_store: OpenStore) -> None:
    """Besides what is too long: beyond 64 bits, and text that is no Unicode."""
    store = await open_store()
    batch = [new_task("good"), new_task("late", at=2**63), new_task("odd", handler="\ud800")]
    with pytest.raises(TasksRefused) as raised:
        await store.create_tasks(batch)
    assert (set(raised.value.created), set(raised.value.refused)) == ({0}, {1, 2})
    assert [due.task_key for due in await load_due(store)] == [batch[0].ref.task_key]


async def test_the_log_is_emptied_while_work_goes_on(path: Path, open_store: OpenStore) -> None:
    """And what a checkpoint moved is as readable as what it did not."""
    store = await open_store()
    log = path.with_name(f"{path.name}-wal")
    written, largest = 0, 0
    async with asyncio.timeout(60):
        while (size := log.stat().st_size) >= largest or largest <= CHECKPOINT_BYTES:
            largest = size
            with contextlib.suppress(Contention):  # the log is being emptied: whoever writes tries again
                await store.create_tasks(
                    [new_task(f"t{written + n}", payload=bytes(50_000)) for n in range(10)]
                )
                written += 10
    assert len(await load_due(store, limit=written + 1)) == written


async def test_a_store_that_is_not_open_is_unavailable(path: Path) -> None:
    store = SQLiteStore(path, 8)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.read_partitions()
    await store.start()
    await store.start()
    await store.read_partitions()
    await store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.database_time()
