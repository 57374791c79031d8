"""The databases that the store's contract is checked on.

The suite knows a database as a `Backend`: something that opens stores, any number of them, each like a node of its own.
Another database joins by a factory of its own in `BACKENDS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import aiomysql
import pytest
from contract.store.builders import PARTITIONS

from mainspring.server.core.model import TaskRef
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.persistence.store import Store

EMPTY = ("DELETE FROM executions", "DELETE FROM tasks", "UPDATE partitions SET epoch = 0, owner_id = NULL")


class Backend(Protocol):
    """One empty database with its schema and PARTITIONS partitions."""

    async def open(self) -> Store:
        """Opens a store of its own, as another node would. Closed after the test."""
        ...

    def hold_task(self, ref: TaskRef) -> AbstractAsyncContextManager[None]:
        """Keeps the task's row locked for the block, as a transaction of somebody else would."""
        ...


class MySQLBackend:
    """A database on MariaDB or MySQL."""

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


@pytest.fixture(scope="session", params=["mariadb", "mysql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the session on each server."""
    server = request.getfixturevalue(request.param)
    with server.fresh_database() as url:
        yield url


@pytest.fixture
async def backend(database_url: str) -> AsyncIterator[MySQLBackend]:
    database = MySQLBackend(database_url)
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
