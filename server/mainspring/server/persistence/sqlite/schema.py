"""What start does to a file: makes or updates the schema, fixes or checks N."""

from __future__ import annotations

import secrets
import sqlite3

from mainspring.server.errors import StoreUnavailable, WrongPartitionCount
from mainspring.server.persistence.sqlite.driver_errors import is_foreign_file
from mainspring.server.persistence.sqlite.migrations import sqlite_migrations
from mainspring.server.persistence.store import SchemaMissing

APPLICATION_ID = 0x4D535052
"""Marks a file as ours ("MSPR"), in the field of its header that SQLite keeps for this."""
DEFAULT_PARTITIONS = 16
"""N of a new database when nobody says another: enough for several nodes of a simulation, cheap to sweep."""
MAX_PARTITIONS = 4096
_OLDEST_SQLITE = (3, 37, 0)


def configure(connection: sqlite3.Connection, *, busy_timeout_ms: int) -> None:
    """Sets up a fresh connection, without a look at the database.

    Raises:
        StoreUnavailable: SQLite is too old.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        wanted = ".".join(map(str, _OLDEST_SQLITE))
        raise StoreUnavailable(f"SQLite {wanted} or newer is needed, this is {sqlite3.sqlite_version}")
    connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    connection.execute("PRAGMA temp_store = MEMORY")


def prepare(connection: sqlite3.Connection, name: str, configured: int | None, now: int) -> int:
    """Applies what is missing of the schema, each migration in one transaction; fixes N and the id once; answers N.

    Args:
        name: what to call the database in messages.
        configured: N of a new database, 1 to 4,096; on an existing one it must be the same, or None.
        now: for the record, microseconds UTC.

    Raises:
        SchemaMissing: the file is not Mainspring's, or was written by newer software. It was not changed.
        WrongPartitionCount: the file was created with another N. It was not changed.
        StoreUnavailable: the file lies where a write-ahead log cannot work (a network drive).
        ValueError: `configured` is out of range.
    """
    if configured is not None and not 1 <= configured <= MAX_PARTITIONS:
        raise ValueError(f"the number of partitions must lie between 1 and {MAX_PARTITIONS}")
    try:
        version = _version(connection, name)
    except sqlite3.Error as error:
        if is_foreign_file(error):
            raise SchemaMissing(f"{name} is not a SQLite database") from error
        raise
    stored = _partition_count(connection) if version else None
    if configured is not None and stored is not None and configured != stored:
        raise WrongPartitionCount(configured, stored)
    _set_up_log(connection, name)
    for migration in sqlite_migrations()[version:]:
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{migration.script}\nPRAGMA user_version = {migration.version};"
                f"\nPRAGMA application_id = {APPLICATION_ID};"
            )
            if stored is None:
                stored = DEFAULT_PARTITIONS if configured is None else configured
                connection.execute(
                    "INSERT INTO cluster_settings (id, partition_count, created_at) VALUES (1, ?, ?)",
                    (stored, now),
                )
                connection.executemany(
                    "INSERT INTO partitions (partition_id) VALUES (?)", [(n,) for n in range(stored)]
                )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    connection.execute(
        "UPDATE cluster_settings SET cluster_id = ? WHERE cluster_id IS NULL", (secrets.token_hex(16),)
    )
    return _partition_count(connection)


def cluster_id(connection: sqlite3.Connection) -> str:
    """The id of a database that `prepare` has been called for."""
    (found,) = connection.execute("SELECT cluster_id FROM cluster_settings WHERE id = 1").fetchone()
    return str(found)


def _set_up_log(connection: sqlite3.Connection, name: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode not in ("wal", "memory"):
        raise StoreUnavailable(
            f"the file system of {name} does not support SQLite's write-ahead log: use a local disk"
        )
    connection.execute("PRAGMA synchronous = NORMAL")
    # Checkpoints have a thread of their own.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA cache_size = -32768")


def _version(connection: sqlite3.Connection, name: str) -> int:
    """The schema's number; 0 for an empty file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise SchemaMissing(f"{name} is a SQLite database of another program")
    if version > len(sqlite_migrations()):
        raise SchemaMissing(
            f"{name} has schema {version}; this software is older and knows {len(sqlite_migrations())}: update it"
        )
    return int(version)


def _partition_count(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT partition_count FROM cluster_settings WHERE id = 1").fetchone()
    return int(count)
