"""Migrations: once each, by one at a time, with N fixed for good."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mainspring.server.core.model import Delivery, NewTask, TaskRef
from mainspring.server.core.namespaces import Namespace
from mainspring.server.errors import StoreError, StoreUnavailable, WrongPartitionCount
from mainspring.server.persistence.migrations import migrations, schema_version
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.persistence.store import SchemaMissing
from mainspring.shard_manager.hashing import task_key
from mainspring.testing.ports import free_port
from mainspring.testing.sql_server import connect


def _execute(url: str, *statements: str) -> None:
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


async def _started_count(settings: MySQLSettings) -> int:
    store = MySQLStore(settings)
    try:
        await store.start()
        return store.partition_count
    finally:
        await store.close()


async def test_the_first_run_makes_the_schema_and_the_second_finds_nothing_to_do(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    first = await migrate(settings, 16)
    second = await migrate(settings, 16)
    third = await migrate(settings, None)
    assert len(first.applied) == len(migrations()) == schema_version()
    assert (second.applied, third.applied) == ((), ())
    assert {first.partition_count, second.partition_count, third.partition_count} == {16}
    assert await _started_count(settings) == 16
    assert await _started_count(replace(settings, partition_count=16)) == 16


async def test_another_number_of_partitions_is_refused_in_a_clear_sentence(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, 16)
    with pytest.raises(WrongPartitionCount, match=r"configured for 32 partitions.*created with 16"):
        await migrate(settings, 32)
    with pytest.raises(WrongPartitionCount, match=r"configured for 8 partitions.*created with 16"):
        await _started_count(replace(settings, partition_count=8))
    assert await _started_count(settings) == 16


@pytest.mark.parametrize("partitions", [0, -1, 4097])
async def test_impossible_numbers_of_partitions(database_url: str, partitions: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 4096"):
        await migrate(MySQLSettings.from_url(database_url), partitions)


async def test_runners_at_once_do_the_work_once(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    reports = await asyncio.gather(*(migrate(settings, 16) for _ in range(4)))
    assert sorted(len(report.applied) for report in reports) == [0, 0, 0, schema_version()]


async def test_a_run_that_was_cut_off_is_finished_by_the_next(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, 16)
    _execute(database_url, "DELETE FROM schema_migrations", "DELETE FROM partitions WHERE partition_id > 9")
    report = await migrate(settings, 16)
    assert len(report.applied) == schema_version()
    store = MySQLStore(settings)
    await store.start()
    assert len(await store.read_partitions()) == 16
    await store.close()


async def test_rows_from_older_schemas_have_the_defaults_and_count_from_now_on(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, 8)
    _execute(
        database_url,
        "ALTER TABLE tasks DROP COLUMN delivery, DROP COLUMN execution_count, DROP COLUMN policies, DROP COLUMN labels,"
        " DROP COLUMN note, DROP COLUMN changed_by, DROP COLUMN adjustments_version, DROP COLUMN adjustments,"
        " DROP COLUMN adjusted_payloads, DROP COLUMN owed, MODIFY COLUMN schedule VARCHAR(2000) NOT NULL",
        "ALTER TABLE executions DROP COLUMN origin, DROP COLUMN failure_count, DROP COLUMN error_kind, DROP COLUMN payload,"
        " DROP COLUMN progress, DROP COLUMN progress_at",
        "ALTER TABLE namespaces DROP COLUMN version, DROP COLUMN delivery, DROP COLUMN policies",
        "INSERT INTO namespaces VALUES ('old', 5, 6, 7)",
        "DELETE FROM schema_migrations WHERE version >= 2",
        "INSERT INTO tasks VALUES (1, X'00112233445566778899aabbccddeeff', 1, 1, 5, 5, 4, 1, 1,"
        " X'00112233445566778899aabbccddeeff', 'default', 'old', 'noop', '{}', '')",
        "INSERT INTO executions VALUES (1, 4, X'00112233445566778899aabbccddeeff', NULL, 5, 4, NULL, 1, 3, 1, 'e', 'n', 4,"
        " 4, 4, 6, 7, NULL, NULL, 'it failed', 'result')",
    )
    assert (await migrate(settings, None)).applied == (
        "0002_ownership_and_delivery",
        "0003_counts_and_long_schedules",
        "0004_policies_and_origins",
        "0005_namespaces",
        "0006_triggers",
        "0007_adjustments",
        "0008_task_defaults",
    )
    store = MySQLStore(settings)
    await store.start()
    try:
        task = await store.get_task(TaskRef(1, bytes.fromhex("00112233445566778899aabbccddeeff")))
        assert await store.get_namespace("old") == Namespace("old", 5, 6, 7, 1)
        key = task_key("default", "new")
        await store.create_tasks(
            [NewTask(TaskRef(1, key), "default", "new", "noop", b"", "x" * 8_000, key, 5, 5, 5)]
        )
    finally:
        await store.close()
    assert task is not None
    assert (task.delivery, task.execution_count) == (Delivery.AT_LEAST_ONCE, 0)
    assert (task.adjustments_version, task.adjustments) == (0, None)


async def test_an_existing_cluster_is_given_an_id_once(database_url: str) -> None:
    """As after an update from a schema without one, or when a run was cut off before it drew the id."""
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, 16)
    _execute(
        database_url,
        "ALTER TABLE cluster_settings DROP COLUMN cluster_id",
        "DELETE FROM schema_migrations WHERE version > 1",
    )
    with pytest.raises(SchemaMissing, match="run `mainspring migrate`"):
        await _started_count(settings)
    ids = []
    for _ in range(2):
        await migrate(settings, None)
        store = MySQLStore(settings)
        await store.start()
        ids.append(store.cluster_id)
        await store.close()
    assert len(ids[0]) == 32
    assert ids[0] == ids[1]
    _execute(database_url, "UPDATE cluster_settings SET cluster_id = NULL")
    with pytest.raises(SchemaMissing, match="run `mainspring migrate`"):
        await _started_count(settings)


async def test_without_a_schema_the_store_says_what_to_run(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    with pytest.raises(SchemaMissing, match="run `mainspring migrate`"):
        await _started_count(settings)


async def test_an_older_schema_is_refused_until_migrated(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, 16)
    _execute(database_url, "DELETE FROM schema_migrations")
    with pytest.raises(SchemaMissing, match=r"number 0.*run `mainspring migrate`"):
        await _started_count(settings)


async def test_a_newer_schema_is_accepted_only_when_it_says_so(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, 16)
    _execute(database_url, "INSERT INTO schema_migrations VALUES (98, 'compatible', 1, 0)")
    assert await _started_count(settings) == 16
    _execute(database_url, "INSERT INTO schema_migrations VALUES (99, 'incompatible', 99, 0)")
    with pytest.raises(SchemaMissing, match="needs software that knows schema 99"):
        await _started_count(settings)
    assert (await migrate(settings, 16)).version == 99


async def test_a_missing_database_is_created_when_the_user_may(database_url: str) -> None:
    name = f"{MySQLSettings.from_url(database_url).database}_new"
    settings = replace(MySQLSettings.from_url(database_url), database=name)
    with pytest.raises(SchemaMissing, match="has no schema yet"):
        await _started_count(settings)
    try:
        await migrate(settings, 4)
        assert await _started_count(settings) == 4
    finally:
        _execute(database_url, f"DROP DATABASE IF EXISTS `{name}`")


async def test_a_server_that_is_away_is_unavailable() -> None:
    settings = MySQLSettings.from_url(f"mysql://root:secret@127.0.0.1:{free_port()}/mainspring")
    with pytest.raises(StoreUnavailable) as raised:
        await migrate(settings, 16)
    assert "secret" not in str(raised.value)
    with pytest.raises(StoreUnavailable):
        await _started_count(settings)


async def test_a_wrong_password_is_told_and_not_repeated(database_url: str) -> None:
    settings = replace(MySQLSettings.from_url(database_url), password="not-the-password")
    with pytest.raises(StoreError) as raised:
        await migrate(settings, 16)
    assert "Access denied" in str(raised.value)
    assert "not-the-password" not in str(raised.value)
