"""The connection, and how a unit of work runs: one transaction on the event loop, tried again while it is locked."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mainspring.server.errors import Contention, StoreUnavailable
from mainspring.server.persistence.sqlite.checkpoints import Checkpointer
from mainspring.server.persistence.sqlite.driver_errors import is_busy, store_error
from mainspring.server.persistence.sqlite.file_lock import FileLock
from mainspring.server.persistence.sqlite.schema import cluster_id, configure, prepare

T = TypeVar("T")

MEMORY = ":memory:"
BUSY_TIMEOUT_S = 2.0
"""How long a unit waits for a lock of somebody else (a checkpoint, another store of this process, a tool)."""
CHECKPOINT_BYTES = 4 * 1024 * 1024
"""A log of this size is copied into the database. Larger ones make reads and the next start slower."""
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.02
_STATEMENT_CACHE = 256


@dataclass(slots=True)
class SQLiteStats:
    """Counters since the database was opened; read them, never write them."""

    reads: int = 0
    writes: int = 0
    """Transactions that were committed."""
    busy_pauses: int = 0
    """Waits for a lock of somebody else."""
    rows_parked: int = 0


class Database:
    """One SQLite database, for any number of stores of one event loop.

    A unit first yields to the loop once, so that callers in a row do not starve the others and a cancelled caller has
    changed nothing; from then on it runs to its end without a pause, which is what makes it atomic among the tasks
    of this loop. In memory that makes every run deterministic.
    """

    def __init__(
        self, path: str | os.PathLike[str], partition_count: int | None, now: Callable[[], int]
    ) -> None:
        self.name = str(path)
        """The path as given, for messages."""
        self.now = now
        self.stats = SQLiteStats()
        self.partition_count = 0
        """N, from the schema; 0 before the database was opened."""
        self.cluster_id = ""
        self._is_memory = self.name == MEMORY
        self._configured = partition_count
        self._users = 0
        self._connection: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        self._checkpointer: Checkpointer | None = None
        # SQLite puts its log beside the real file; and a process may change its folder.
        self._path = self.name if self._is_memory else os.path.realpath(self.name)

    def open(self) -> None:
        """Adds a user, connects for the first one, and makes the schema.

        Raises: see `Store.start`; `ValueError` for a number of partitions out of range.
        """
        if self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.Error as error:
                self._let_go()
                if is_busy(error):
                    raise StoreUnavailable(
                        f"the database {self.name} is locked by another program"
                    ) from error
                raise store_error(error, self.name) from error
            except BaseException:
                self._let_go()
                raise
        self._users += 1

    def close(self) -> None:
        """Removes a user; the last one closes everything, and a database in memory is gone."""
        self._users -= 1
        if self._users == 0:
            self._let_go()

    async def read(self, body: Callable[[sqlite3.Connection], T]) -> T:
        """Runs statements that only read. `body` may run several times and has no effect outside.

        Raises:
            StoreUnavailable: the store is not open, or the file cannot be read.
            Contention: it was locked for 2 s.
        """
        return await self._patiently(self._read, body)

    async def write(self, body: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `body` in one transaction that nobody else writes beside, and commits; rolls back whatever it raises.

        The commit is known: when this raises, nothing was applied. `body` may run several times.

        Raises:
            StoreUnavailable: the store is not open, or the file cannot be written (the disk is full).
            Contention: it was locked for 2 s.
        """
        return await self._patiently(self._write, body)

    async def _patiently(
        self,
        unit: Callable[[sqlite3.Connection, Callable[[sqlite3.Connection], T]], T],
        body: Callable[[sqlite3.Connection], T],
    ) -> T:
        await asyncio.sleep(0)
        until_s: float | None = None
        pause_s = _FIRST_PAUSE_S
        while True:
            connection = self._connection
            if connection is None:
                raise StoreUnavailable(f"the database {self.name} is not open")
            try:
                return unit(connection, body)
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise store_error(error, self.name) from error
                # Real time, whatever the loop's clock: who holds the lock may be another process.
                if until_s is None:
                    until_s = time.monotonic() + BUSY_TIMEOUT_S
                elif time.monotonic() >= until_s:
                    raise Contention(f"the database {self.name} is locked by somebody else") from error
            self.stats.busy_pauses += 1
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _read(self, connection: sqlite3.Connection, body: Callable[[sqlite3.Connection], T]) -> T:
        answer = body(connection)
        self.stats.reads += 1
        return answer

    def _write(self, connection: sqlite3.Connection, body: Callable[[sqlite3.Connection], T]) -> T:
        connection.execute("BEGIN IMMEDIATE")
        try:
            answer = body(connection)
            connection.execute("COMMIT")
        except BaseException:
            # Some errors (a full disk) have rolled back by themselves.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.stats.writes += 1
        if self._checkpointer is not None:
            self._look_at_log(self._checkpointer)
        return answer

    def _look_at_log(self, checkpointer: Checkpointer) -> None:
        try:
            size = os.stat(f"{self._path}-wal").st_size
        except OSError:
            return
        if size >= CHECKPOINT_BYTES:
            checkpointer.wake()

    def _connect(self) -> sqlite3.Connection:
        if not self._is_memory:
            if os.path.isdir(self._path):
                raise StoreUnavailable(f"cannot open the database {self.name}: it is a folder")
            self._lock = FileLock(self._path)
            self._lock.acquire()
        # Given to the object before anything can fail, so that `_let_go` closes it.
        connection = self._connection = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, cached_statements=_STATEMENT_CACHE
        )
        configure(connection, busy_timeout_ms=int(BUSY_TIMEOUT_S * 1000))
        self.partition_count = prepare(connection, self.name, self._configured, self.now())
        self.cluster_id = cluster_id(connection)
        # From here on a lock is waited for without holding up the loop.
        connection.execute("PRAGMA busy_timeout = 0")
        if not self._is_memory:
            self._checkpointer = Checkpointer(self._path)
            self._checkpointer.start()
        return connection

    def _let_go(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.stop()
            self._checkpointer = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class Units:
    """What each group of units is built on: a handle on a database that others may share."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._is_open = False

    async def _read(self, body: Callable[[sqlite3.Connection], T]) -> T:
        self._require_open()
        return await self._db.read(body)

    async def _write(self, body: Callable[[sqlite3.Connection], T]) -> T:
        self._require_open()
        return await self._db.write(body)

    def _require_open(self) -> None:
        """A closed handle does nothing, even while the database is open for others."""
        if not self._is_open:
            raise StoreUnavailable(f"the database {self._db.name} is not open")
