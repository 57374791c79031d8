"""Nodes of one process under a clock that is moved by hand, over either database: a new one for each example."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final

from mainspring.dev.process import VIRTUAL_TIME, BuiltInExecutor, DevProcess, node_config
from mainspring.dev.virtual_clock import VirtualClock
from mainspring.executor.mock_handlers import mock_registry
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.persistence.sqlite.store import SQLiteStore

CAPACITY: Final = 10_000
SPARE_NODES: Final = 3
"""A start takes a third of a second and hardly any work: it happens while others are called."""
LONGEST_START_S: Final = 60.0
DRAIN_S: Final = 0.05
"""A handler that sleeps under a clock that stands still does not end by itself."""


class VirtualMySQLStore(MySQLStore):
    """Tells the virtual time as its own."""

    def __init__(self, url: str, clock: VirtualClock) -> None:
        super().__init__(MySQLSettings.from_url(url))
        self._clock = clock

    async def database_time(self) -> int:
        """The virtual time."""
        return self._clock.now()


class VirtualNode:
    """A node with an executor of every mock handler. For one event loop.

    Args:
        start_at: its time, microseconds UTC.
        url: of a migrated, empty MySQL database; empty: SQLite in memory.
    """

    def __init__(self, start_at: int, url: str = "") -> None:
        self.address = ""
        self._clock = VirtualClock(start_at)
        self._store = (
            VirtualMySQLStore(url, self._clock) if url else SQLiteStore(":memory:", now=self._clock.now)
        )
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[bool] | None = None

    async def start(self) -> None:
        """Answers once it serves at `address`."""
        await self._store.start()
        await self._serve()

    async def restart(self, down_us: int) -> None:
        """Stops, and starts as another process over the same database after so many microseconds, at another address."""
        await self._leave()
        self._clock.move_to(self._clock.now() + down_us)
        await self._serve()

    async def close(self) -> None:
        """Stops for good."""
        await self._leave()
        await self._store.close()

    async def _serve(self) -> None:
        executor = BuiltInExecutor(
            mock_registry(self._clock.sleep_in), capacity=CAPACITY, drain_timeout_s=DRAIN_S
        )
        config = node_config("127.0.0.1:0", VIRTUAL_TIME)
        process = DevProcess(config, self._store, self._clock, executor)
        self.address = process.listen()
        self._stop, ready = asyncio.Event(), asyncio.Event()
        self._serving = asyncio.create_task(process.run(self._stop, ready.set))
        async with asyncio.timeout(LONGEST_START_S):
            await ready.wait()

    async def _leave(self) -> None:
        if self._serving is not None:
            self._stop.set()
            async with asyncio.timeout(LONGEST_START_S):
                await self._serving
            self._serving = None


class NodePool:
    """Nodes that have just started, each at the same instant; on one thread of their own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start_at: int, new_url: Callable[[], str]) -> None:
        self.start_at = start_at
        """The time of a new node."""
        self._loop = loop
        self._new_url = new_url
        self._waiting: deque[tuple[VirtualNode, Future[None]]] = deque()

    def _run(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @contextmanager
    def node(self) -> Iterator[VirtualNode]:
        """A new node that serves."""
        while len(self._waiting) <= SPARE_NODES:
            starting = VirtualNode(self.start_at, self._new_url())
            self._waiting.append((starting, self._run(starting.start())))
        node, started = self._waiting.popleft()
        started.result(LONGEST_START_S)
        try:
            yield node
        finally:
            self._run(node.close()).result(LONGEST_START_S)

    def restart(self, node: VirtualNode, down_us: int) -> None:
        """See `VirtualNode.restart`."""
        self._run(node.restart(down_us)).result(LONGEST_START_S)

    def close(self) -> None:
        """Stops those that nobody took."""
        while self._waiting:
            node, started = self._waiting.popleft()
            started.result(LONGEST_START_S)
            self._run(node.close()).result(LONGEST_START_S)


@contextmanager
def node_pool(start_at: int, new_url: Callable[[], str] = lambda: "") -> Iterator[NodePool]:
    """Nodes for one example after the other.

    Args:
        start_at: the time of each when it starts, microseconds UTC.
        new_url: makes a migrated, empty MySQL database; empty: SQLite in memory.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="nodes")
    thread.start()
    pool = NodePool(loop, start_at, new_url)
    try:
        yield pool
    finally:
        pool.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
