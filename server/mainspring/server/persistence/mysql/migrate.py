"""Brings a database's schema up to date and fixes the number of partitions. Safe to run at any time, by anybody."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass

from mainspring.server.errors import StoreError, StoreUnavailable, WrongPartitionCount
from mainspring.server.persistence.migrations import Migration, migrations
from mainspring.server.persistence.mysql.connection import Connection, Result, StoreStats
from mainspring.server.persistence.mysql.driver_errors import code_of
from mainspring.server.persistence.mysql.literals import text
from mainspring.server.persistence.mysql.settings import MySQLSettings

MAX_PARTITIONS = 4096
LOCK_TIMEOUT_S = 30
STATEMENT_TIMEOUT_S = 3600.0
"""DDL on a large table takes its time. The session's idle time-out does not run while a statement does."""

CREATE_DATABASE = "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

CREATE_MIGRATIONS = """CREATE TABLE IF NOT EXISTS schema_migrations (
  version         INT UNSIGNED NOT NULL,
  name            VARCHAR(200) NOT NULL,
  compatible_from INT UNSIGNED NOT NULL,
  applied_at      BIGINT       NOT NULL,
  PRIMARY KEY (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"""

_NOW = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"

READ_APPLIED = "SELECT version FROM schema_migrations"

RECORD_MIGRATION = f"""INSERT INTO schema_migrations (version, name, compatible_from, applied_at)
VALUES (%(version)s, %(name)s, %(compatible_from)s, {_NOW})"""

FIX_PARTITION_COUNT = f"""INSERT INTO cluster_settings (id, partition_count, created_at)
VALUES (1, %(partition_count)s, {_NOW}) ON DUPLICATE KEY UPDATE cluster_settings.id = cluster_settings.id"""

READ_PARTITION_COUNT = "SELECT partition_count FROM cluster_settings WHERE id = 1"

FIX_CLUSTER_ID = """UPDATE cluster_settings SET cluster_id = %(cluster_id)s
WHERE id = 1 AND cluster_id IS NULL"""

INSERT_PARTITIONS = """INSERT INTO partitions (partition_id) VALUES %(rows)s
ON DUPLICATE KEY UPDATE partitions.partition_id = partitions.partition_id"""

_NO_RIGHT_TO_CREATE = frozenset({1044, 1227})


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a run did."""

    applied: tuple[str, ...]
    """The migrations applied now, as "0001_core_tables"; empty when all were there."""
    version: int
    """The schema's number now."""
    partition_count: int
    """N, fixed for good."""


async def migrate(settings: MySQLSettings, partitions: int | None = 256) -> MigrationReport:
    """Creates the database when it is missing (and the user may), applies what is missing, fixes N on the first run.

    Several at once are safe: one works, the others wait for it (up to 30 s) and find nothing left to do. DDL waits at
    most `lock_wait_timeout_s` for open transactions, since everybody queues behind it meanwhile; repeat it then.

    Args:
        settings: where the database is.
        partitions: N for a new cluster, 1 to 4,096. On an existing one it must be the same, or None.

    Raises:
        WrongPartitionCount: the cluster exists with another N. Nothing was changed.
        ValueError: `partitions` is out of range.
        StoreUnavailable, StoreError: the database is away, the user lacks rights, or a statement failed.
    """
    if partitions is not None and not 1 <= partitions <= MAX_PARTITIONS:
        raise ValueError(f"the number of partitions must lie between 1 and {MAX_PARTITIONS}")
    connection = await Connection.open(settings, StoreStats(), database=None)
    try:
        await _create_database(connection, settings.database)
        await _run(connection, f"USE `{settings.database}`")
        lock = text("mainspring-" + hashlib.sha256(settings.database.encode()).hexdigest()[:32])
        got = await _run(connection, f"SELECT GET_LOCK({lock}, {LOCK_TIMEOUT_S})")
        if got.rows[0][0] != 1:
            raise StoreUnavailable("another migration of this database is running; try again when it is done")
        return await _migrate(connection, partitions)
    finally:
        # Closing the session frees the lock.
        await connection.close()


async def _migrate(connection: Connection, partitions: int | None) -> MigrationReport:
    await _run(connection, CREATE_MIGRATIONS)
    done = {row[0] for row in (await _run(connection, READ_APPLIED)).rows}
    # Before anything is changed: a wrong N must not leave a half-updated schema behind.
    if done:
        await _check_partition_count(connection, partitions)
    applied = []
    for migration in migrations():
        if migration.version not in done:
            await _apply(connection, migration)
            applied.append(f"{migration.version:04d}_{migration.name}")
    if partitions is not None:
        await _run(connection, FIX_PARTITION_COUNT % {"partition_count": partitions})
    stored = await _check_partition_count(connection, partitions)
    if stored is None:
        raise StoreError("a new cluster needs its number of partitions")
    await _run(connection, FIX_CLUSTER_ID % {"cluster_id": text(secrets.token_hex(16))})
    rows = ",".join(f"({partition_id})" for partition_id in range(stored))
    await _run(connection, INSERT_PARTITIONS % {"rows": rows})
    return MigrationReport(tuple(applied), max([*done, *(m.version for m in migrations())]), stored)


async def _check_partition_count(connection: Connection, partitions: int | None) -> int | None:
    rows = (await _run(connection, READ_PARTITION_COUNT)).rows
    stored = int(rows[0][0]) if rows else None
    if stored is not None and partitions is not None and stored != partitions:
        raise WrongPartitionCount(partitions, stored)
    return stored


async def _apply(connection: Connection, migration: Migration) -> None:
    for statement in migration.statements:
        await _run(connection, statement)
    await _run(
        connection,
        RECORD_MIGRATION
        % {
            "version": migration.version,
            "name": text(migration.name),
            "compatible_from": migration.compatible_from,
        },
    )


async def _create_database(connection: Connection, name: str) -> None:
    try:
        await _run(connection, CREATE_DATABASE % name)
    except StoreError as error:
        # Without the right to create databases: fine when somebody has created it; USE tells.
        if error.__cause__ is None or code_of(error.__cause__) not in _NO_RIGHT_TO_CREATE:
            raise


async def _run(connection: Connection, sql: str) -> Result:
    until_s = asyncio.get_running_loop().time() + STATEMENT_TIMEOUT_S
    return (await connection.run(sql, until_s=until_s, may_apply=True))[0]
