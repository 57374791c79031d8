"""The databases that the store's contract is checked on.

The suite knows a database as a `Backend`: something that opens stores, any number of them, each like a node of its own.
Another database joins by a factory of its own in `BACKENDS`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

import aiomysql
import pytest
from contract.store.builders import PARTITIONS

from mainspring.server.core.model import TaskRef
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.server.persistence.store import Store

EMPTY = (
    "DELETE FROM executions",
    "DELETE FROM tasks",
    "DELETE FROM handovers",
    "DELETE FROM namespaces",
    "DELETE FROM trigger_requests",
    "UPDATE partitions SET epoch = 0, owner_id = NULL, released_at = NULL, released_by = NULL",
)


class Backend(Protocol):
    """One empty database with its schema and PARTITIONS partitions."""

    has_row_locks: bool
    """Whether somebody's open transaction locks rows; else it locks everything, or there can be none."""

    async def open(self) -> Store:
        """Opens a store of its own, as another node would. Closed after the test."""
        ...

    def hold_task(self, ref: TaskRef) -> AbstractAsyncContextManager[None]:
        """Keeps the task's row locked for the block, as a transaction of somebody else would."""
        ...


class OwnedBackend(Backend, Protocol):
    """A backend as the fixture sees it."""

    async def prepare(self) -> None:
        """Makes or empties the database."""
        ...

    async def close(self) -> None:
        """Closes all stores."""
        ...


class MySQLBackend:
    """A database on MariaDB or MySQL."""

    has_row_locks = True

    def __init__(self, url: str) -> None:
        self._settings = MySQLSettings.from_url(url)
        self._stores: list[MySQLStore] = []

    async def prepare(self) -> None:
        """Makes the schema, or empties it: a third of what a new database costs."""
        await migrate(self._settings, PARTITIONS)
        async with self._connection() as connection:
            for statement in EMPTY:
                await connection.query(statement)
            await connection.commit()

    async def open(self) -> Store:
        store = MySQLStore(self._settings)
        self._stores.append(store)
        await store.start()
        return store

    @asynccontextmanager
    async def hold_task(self, ref: TaskRef) -> AsyncIterator[None]:
        async with self._connection() as connection:
            await connection.begin()
            await connection.query(
                f"SELECT 1 FROM tasks WHERE partition_id = {ref.partition_id}"
                f" AND task_key = X'{ref.task_key.hex()}' FOR UPDATE"
            )
            yield
            await connection.rollback()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiomysql.Connection]:
        settings = self._settings
        connection = await aiomysql.connect(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=settings.password,
            db=settings.database,
        )
        try:
            yield connection
        finally:
            connection.close()

    async def close(self) -> None:
        await asyncio.gather(*(store.close() for store in self._stores))


class SQLiteMemoryBackend:
    """A database in memory: the stores are handles on one connection."""

    has_row_locks = False

    def __init__(self) -> None:
        self._first = SQLiteStore(":memory:", PARTITIONS)
        self._stores = [self._first]

    async def prepare(self) -> None:
        await self._first.start()

    async def open(self) -> Store:
        store = self._first.sibling()
        self._stores.append(store)
        await store.start()
        return store

    @asynccontextmanager
    async def hold_task(self, ref: TaskRef) -> AsyncIterator[None]:
        pytest.skip("one connection whose units run one after the other: nobody can hold a row between them")
        yield

    async def close(self) -> None:
        await asyncio.gather(*(store.close() for store in self._stores))


class SQLiteFileBackend:
    """A database in a file: each store has a connection of its own."""

    has_row_locks = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stores: list[SQLiteStore] = []

    async def prepare(self) -> None:
        """Nothing: the first store makes the schema."""

    async def open(self) -> Store:
        store = SQLiteStore(self._path, PARTITIONS)
        self._stores.append(store)
        await store.start()
        return store

    @asynccontextmanager
    async def hold_task(self, ref: TaskRef) -> AsyncIterator[None]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    async def close(self) -> None:
        await asyncio.gather(*(store.close() for store in self._stores))


BACKENDS = ("sqlite-memory", "sqlite-file", "mariadb", "mysql")


@pytest.fixture(scope="session", params=BACKENDS)
def make_backend(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], OwnedBackend]]:
    """Makes a backend of the kind for a test, which gives a folder; servers are started once and emptied each time."""
    if request.param == "sqlite-memory":
        yield lambda folder: SQLiteMemoryBackend()
    elif request.param == "sqlite-file":
        yield lambda folder: SQLiteFileBackend(folder / "mainspring.db")
    else:
        with request.getfixturevalue(request.param).fresh_database() as url:
            yield lambda folder: MySQLBackend(url)


@pytest.fixture
async def backend(
    make_backend: Callable[[Path], OwnedBackend], tmp_path: Path
) -> AsyncIterator[OwnedBackend]:
    database = make_backend(tmp_path)
    await database.prepare()
    yield database
    await database.close()


@pytest.fixture
async def store(backend: Backend) -> Store:
    """A store as one node has it."""
    return await backend.open()


@pytest.fixture
async def other_store(backend: Backend) -> Store:
    """The store of a second node on the same database."""
    return await backend.open()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many tests of the contract each database has passed."""
    for name in BACKENDS:
        counts = Counter(
            outcome
            for outcome in ("passed", "failed", "error", "skipped")
            for report in terminalreporter.stats.get(outcome, ())
            if "tests/contract/store/" in report.nodeid and f"[{name}" in report.nodeid
        )
        if counts:
            found = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
            terminalreporter.write_line(f"store contract on {name}: {found}")
