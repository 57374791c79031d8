"""A node of one process under a clock that is moved by hand, over either database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mainspring.dev.process import VIRTUAL_TIME, BuiltInExecutor, DevProcess, node_config
from mainspring.dev.virtual_clock import VirtualClock
from mainspring.executor.mock_handlers import mock_registry
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.persistence.sqlite.store import SQLiteStore

CAPACITY = 10_000


class VirtualMySQLStore(MySQLStore):
    """Tells the virtual time as its own."""

    def __init__(self, url: str, clock: VirtualClock) -> None:
        super().__init__(MySQLSettings.from_url(url))
        self._clock = clock

    async def database_time(self) -> int:
        """The virtual time."""
        return self._clock.now()


@asynccontextmanager
async def virtual_node(start_at: int, url: str = "") -> AsyncIterator[str]:
    """The address of a node with an executor of every mock handler.

    Args:
        start_at: its time, microseconds UTC.
        url: of a migrated MySQL database; empty: SQLite in memory.
    """
    clock = VirtualClock(start_at)
    store = VirtualMySQLStore(url, clock) if url else SQLiteStore(":memory:", now=clock.now)
    await store.start()
    executor = BuiltInExecutor(mock_registry(clock.sleep_in), capacity=CAPACITY, drain_timeout_s=0.5)
    process = DevProcess(node_config("127.0.0.1:0", VIRTUAL_TIME), store, clock, executor)
    address = process.listen()
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(process.run(stop, ready.set))
    try:
        async with asyncio.timeout(30):
            await ready.wait()
        yield address
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await serving
        await store.close()
