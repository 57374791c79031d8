"""One lane: a bounded pool of connections with a bounded, first-come-first-served queue.

The driver's pool is not used: its waiters are not woken when a connection comes back broken, so that after a restart
of the server they wait for ever. Here a connection, or the right to open one, is handed to the first waiter directly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from mainspring.server.errors import StoreError, StoreUnavailable
from mainspring.server.persistence.mysql.connection import Connection, StoreStats
from mainspring.server.persistence.mysql.settings import LaneSettings, MySQLSettings

_log = structlog.get_logger("mainspring.store")


class Pool:
    """Lends connections. `start` and `close` by its owner; `borrow` from any task of the same loop, safe to cancel."""

    def __init__(self, name: str, lane: LaneSettings, settings: MySQLSettings, stats: StoreStats) -> None:
        self.name = name
        self._lane = lane
        self._settings = settings
        self._stats = stats
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._slots_used = 0
        """Connections that exist, are being opened, or may be opened by a waiter that was just woken."""
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._pinger: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def open_connections(self) -> int:
        """Connections open or being opened."""
        return self._slots_used

    @property
    def waiters(self) -> int:
        """Callers waiting for a connection."""
        return len(self._waiters)

    def start(self) -> None:
        """Begins to keep idle connections alive."""
        self._pinger = asyncio.create_task(self._keep_alive(), name=f"store-ping-{self.name}")

    async def close(self) -> None:
        """Closes every connection, lent ones too; waiters and later callers get `StoreUnavailable`."""
        self._is_closed = True
        if self._pinger is not None:
            self._pinger.cancel()
            await asyncio.gather(self._pinger, return_exceptions=True)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(StoreUnavailable("the store is closed"))
        for connection in list(self._busy):
            connection.abort()
        while self._idle:
            await self._idle.popleft().close()

    @asynccontextmanager
    async def borrow(self, until_s: float) -> AsyncIterator[Connection]:
        """Lends a connection for the block; a broken one is thrown away afterwards.

        Args:
            until_s: event loop time by which a connection must have been found.

        Raises:
            StoreUnavailable: none in time, too many wait already, or the server cannot be reached.
        """
        try:
            async with asyncio.timeout_at(until_s):
                connection = await self._acquire()
        except TimeoutError as error:
            self._stats.timeouts += 1
            raise StoreUnavailable(f"no connection of lane {self.name!r} became free in time") from error
        self._busy.add(connection)
        try:
            yield connection
        finally:
            self._busy.discard(connection)
            self._give_back(connection)

    async def _acquire(self) -> Connection:
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        connection: Connection | None = None
        while connection is None and self._idle:
            # The latest one first: the others go on idling and the pinger looks after them.
            candidate = self._idle.pop()
            if candidate.is_usable:
                connection = candidate
            else:
                candidate.abort()
                self._slots_used -= 1
        if connection is not None:
            return connection
        if self._slots_used < self._lane.connections:
            self._slots_used += 1
            return await self._open()
        if len(self._waiters) >= self._lane.max_waiters:
            self._stats.waits_refused += 1
            raise StoreUnavailable(f"too many callers wait for the database in lane {self.name!r}")
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            handed_over = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # Cancelled in the moment of the hand-over: pass it on.
                self._hand_over(waiter.result())
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise
        if handed_over is not None and handed_over.is_usable:
            return handed_over
        if handed_over is not None:
            handed_over.abort()
        return await self._open()

    async def _open(self) -> Connection:
        """Opens a connection in a slot that is counted already."""
        try:
            connection = await Connection.open(self._settings, self._stats, database=self._settings.database)
        except BaseException:
            self._hand_over(None)
            raise
        if self._is_closed:
            await connection.close()
            raise StoreUnavailable("the store is closed")
        return connection

    def _give_back(self, connection: Connection) -> None:
        if self._is_closed or not connection.is_usable:
            connection.abort()
            self._hand_over(None)
        else:
            self._hand_over(connection)

    def _hand_over(self, connection: Connection | None) -> None:
        """Gives a connection, or with None the right to open one, to the first waiter; else idles or frees it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._slots_used -= 1
        elif self._is_closed:
            connection.abort()
            self._slots_used -= 1
        else:
            self._idle.append(connection)

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        interval_s = self._settings.ping_interval_s
        while True:
            await asyncio.sleep(interval_s / 2)
            stale = [c for c in self._idle if loop.time() - c.last_used_at_s >= interval_s / 2]
            for connection in stale:
                if connection not in self._idle:
                    continue
                self._idle.remove(connection)
                try:
                    await connection.run("DO 0", until_s=loop.time() + interval_s, may_apply=False)
                except StoreError as error:
                    _log.warning("store.idle_connection_lost", lane=self.name, error=error.message)
                finally:
                    self._give_back(connection)
