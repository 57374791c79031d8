"""One session with the server: the only place that calls the driver.

The driver's cursor is not used: it asks for warnings after each statement that has any and formats arguments in
Python. What is kept of it is the protocol.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiomysql

from mainspring.server.errors import StoreUnavailable
from mainspring.server.persistence.mysql.driver_errors import (
    RowRefused,
    is_connection_lost,
    is_wrong_server,
    translate,
)
from mainspring.server.persistence.mysql.settings import MySQLSettings


@dataclass(slots=True)
class StoreStats:
    """Counters since the start of the process, shared by all lanes; read them, never write them."""

    statements: int = 0
    """Round trips (a packet may hold several statements)."""
    transactions: int = 0
    deadlock_retries: int = 0
    lock_wait_retries: int = 0
    timeouts: int = 0
    unknown_outcomes: int = 0
    connects: int = 0
    connect_failures: int = 0
    connections_dropped: int = 0
    """Connections thrown away because they broke, timed out or were cancelled."""
    waits_refused: int = 0
    """Callers turned away because a lane's queue was full."""
    rows_parked: int = 0


class Result(NamedTuple):
    """What one statement of a packet answered."""

    rows: tuple[tuple[Any, ...], ...]
    affected: int
    """Rows changed (not merely matched), for statements that write."""


class Connection:
    """A session in autocommit mode. One caller at a time; any failure or cancellation in the middle breaks it for good."""

    def __init__(self, raw: Any, stats: StoreStats) -> None:
        self._raw = raw
        self._stats = stats
        self._is_broken = False
        self.last_used_at_s = asyncio.get_running_loop().time()

    @classmethod
    async def open(cls, settings: MySQLSettings, stats: StoreStats, *, database: str | None) -> Connection:
        """Connects, logs in and sets the session up, all within `connect_timeout_s`.

        Raises:
            StoreUnavailable: it did not work in time.
        """
        try:
            # The driver's own connect time-out covers only TCP: greeting and login of a frozen server hang.
            async with asyncio.timeout(settings.connect_timeout_s):
                raw = await aiomysql.connect(
                    host=settings.host,
                    port=settings.port,
                    user=settings.user,
                    password=settings.password,
                    db=database,
                    charset="utf8mb4",
                    autocommit=True,
                    init_command=_session_setup(settings),
                )
        except Exception as error:
            stats.connect_failures += 1
            raise translate(error, may_have_applied=False) from error
        stats.connects += 1
        return cls(raw, stats)

    @property
    def is_usable(self) -> bool:
        """Whether it may be lent out, as far as one can see without asking the server."""
        reader = self._raw._reader
        return not (
            self._is_broken or reader is None or reader.eof_received or reader.exception() is not None
        )

    async def run(self, sql: str, *, until_s: float, may_apply: bool) -> list[Result]:
        """Sends one packet of one or more statements and reads all answers.

        Args:
            sql: complete text; statements separated by semicolons. An error in one leaves out the rest.
            until_s: event loop time by which the last answer must be there.
            may_apply: a write that commits by itself, or a COMMIT: its loss is an unknown outcome.

        Raises:
            StoreError: see `driver_errors`. Cancelling breaks the connection; the server may still finish.
        """
        if not self.is_usable:
            self.abort()
            raise StoreUnavailable("the connection to the database is gone")
        try:
            packet = sql.encode()
        except UnicodeEncodeError as error:
            raise RowRefused(f"a value cannot be written in UTF-8 ({error.reason})") from error
        raw, stats = self._raw, self._stats
        stats.statements += 1
        try:
            async with asyncio.timeout_at(until_s):
                await raw.query(packet)
                results = [Result(raw._result.rows or (), raw._result.affected_rows)]
                while raw._result.has_next:
                    await raw.next_result()
                    results.append(Result(raw._result.rows or (), raw._result.affected_rows))
        except Exception as error:
            if isinstance(error, TimeoutError):
                stats.timeouts += 1
            if is_connection_lost(error):
                self.abort()
                stats.unknown_outcomes += may_apply
            elif is_wrong_server(error):
                self.abort()
            raise translate(error, may_have_applied=may_apply) from error
        except BaseException:
            self.abort()
            raise
        self.last_used_at_s = asyncio.get_running_loop().time()
        return results

    def abort(self) -> None:
        """Cuts the connection without a word; an open transaction is rolled back when the server notices."""
        if self._is_broken:
            return
        self._is_broken = True
        self._stats.connections_dropped += 1
        if self._raw._writer is not None:
            self._raw._writer.transport.abort()
        self._raw.close()

    async def close(self) -> None:
        """Says goodbye and closes."""
        if self.is_usable:
            self._is_broken = True
            try:
                async with asyncio.timeout(1.0):
                    await self._raw.ensure_closed()
            except (OSError, TimeoutError):
                pass
        self._is_broken = True
        self._raw.close()


def _session_setup(settings: MySQLSettings) -> str:
    session_timeout_s = settings.session_timeout_s
    # The isolation level has its own statement: the variable's name differs between MySQL and MariaDB.
    return (
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; "
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', "
        f"innodb_lock_wait_timeout = {settings.lock_wait_timeout_s}, "
        f"lock_wait_timeout = {settings.lock_wait_timeout_s}, wait_timeout = {session_timeout_s}, "
        f"net_read_timeout = {session_timeout_s}, net_write_timeout = {session_timeout_s}"
    )
