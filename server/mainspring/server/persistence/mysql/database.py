"""The lanes of one database, and how a unit of work runs: deadline, retries, commit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mainspring.server.errors import Contention, StoreError, StoreUnavailable
from mainspring.server.persistence.mysql.connection import Connection, Result, StoreStats
from mainspring.server.persistence.mysql.driver_errors import LOCK_WAIT, LOST, code_of
from mainspring.server.persistence.mysql.pool import Pool
from mainspring.server.persistence.mysql.settings import MySQLSettings

T = TypeVar("T")
Rows = tuple[tuple[Any, ...], ...]

_FIRST_BACKOFF_S = 0.004
_MAX_BACKOFF_S = 0.2


class Transaction:
    """An open transaction, for the body of `Database.transaction`."""

    def __init__(self, connection: Connection, statement_timeout_s: float, until_s: float) -> None:
        self._connection = connection
        self._statement_timeout_s = statement_timeout_s
        self._until_s = until_s
        self._is_begun = False

    async def run(self, sql: str) -> list[Result]:
        """Runs one packet; the first one carries the BEGIN, so a transaction costs no round trip for it."""
        loop_time_s = asyncio.get_running_loop().time()
        until_s = min(self._until_s, loop_time_s + self._statement_timeout_s)
        if self._is_begun:
            return await self._connection.run(sql, until_s=until_s, may_apply=False)
        self._is_begun = True
        results = await self._connection.run("START TRANSACTION; " + sql, until_s=until_s, may_apply=False)
        return results[1:]

    async def commit(self) -> None:
        """Commits. Its loss is the one unknown outcome of a transaction."""
        until_s = asyncio.get_running_loop().time() + self._statement_timeout_s
        await self._connection.run("COMMIT", until_s=until_s, may_apply=True)

    async def rollback(self) -> None:
        """Rolls back, or cuts the connection, which makes the server do it."""
        if not self._is_begun or not self._connection.is_usable:
            return
        try:
            until_s = asyncio.get_running_loop().time() + self._statement_timeout_s
            await self._connection.run("ROLLBACK", until_s=until_s, may_apply=False)
        except BaseException:
            self._connection.abort()
            raise


class Database:
    """Runs units of work. Any task of the loop may call, and may be cancelled.

    A unit begins its last statement within `unit_timeout_s`; a write or a COMMIT then has `statement_timeout_s`.
    """

    def __init__(self, settings: MySQLSettings) -> None:
        self.settings = settings
        self.stats = StoreStats()
        self.partition_count = 0
        """N, from the schema; 0 before the store has started."""
        self.hot = Pool("hot", settings.hot, settings, self.stats)
        self.load = Pool("load", settings.load, settings, self.stats)
        self.api = Pool("api", settings.api, settings, self.stats)
        self.query = Pool("query", settings.query, settings, self.stats)
        self.ownership = Pool("ownership", settings.ownership, settings, self.stats)
        self._random = random.Random()

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All lanes."""
        return (self.hot, self.load, self.api, self.query, self.ownership)

    def start(self) -> None:
        """Starts the lanes' keep-alive; connections open when first needed."""
        for pool in self.pools:
            pool.start()

    async def close(self) -> None:
        """Closes all lanes."""
        for pool in self.pools:
            await pool.close()

    async def read(self, pool: Pool, sql: str) -> Rows:
        """Runs one plain read.

        Repeated once when the connection turns out to be dead: after a restart of the server every idle connection
        is, and a read loses nothing by it.
        """
        until_s = self._until_s()
        try:
            return await self._read_once(pool, sql, until_s)
        except StoreUnavailable as error:
            # Not after a time-out (a frozen server is not asked twice), nor when no connection could be had at all.
            if error.__cause__ is None or code_of(error.__cause__) not in LOST:
                raise
        return await self._read_once(pool, sql, until_s)

    async def _read_once(self, pool: Pool, sql: str, until_s: float) -> Rows:
        async with pool.borrow(until_s) as connection:
            results = await connection.run(sql, until_s=self._statement_until_s(until_s), may_apply=False)
            return results[0].rows

    async def write(self, pool: Pool, sql: str) -> int:
        """Runs one autocommit statement that writes; answers the number of changed rows."""

        async def attempt(until_s: float) -> int:
            async with pool.borrow(until_s) as connection:
                # Once sent it gets its full time, whatever is left of the unit's: giving up early would only turn an
                # answer into an unknown outcome.
                sent_until_s = asyncio.get_running_loop().time() + self.settings.statement_timeout_s
                results = await connection.run(sql, until_s=sent_until_s, may_apply=True)
                return results[0].affected

        return await self._retrying(attempt)

    async def transaction(
        self, pool: Pool, body: Callable[[Transaction], Awaitable[T]], *, is_read_only: bool = False
    ) -> T:
        """Runs `body` in a transaction and commits; rolls back and lets out whatever it raises.

        After a deadlock or a lock wait the whole body runs again, on a fresh transaction, so it must not have effects
        outside.

        Args:
            is_read_only: it wrote nothing, only locked: it ends in a ROLLBACK and cannot have an unknown outcome.

        Raises:
            UnknownOutcome: the answer to COMMIT was lost.
            StoreUnavailable, Contention: nothing was applied.
        """

        async def attempt(until_s: float) -> T:
            self.stats.transactions += 1
            async with pool.borrow(until_s) as connection:
                transaction = Transaction(connection, self.settings.statement_timeout_s, until_s)
                try:
                    outcome = await body(transaction)
                    if not is_read_only:
                        await transaction.commit()
                        return outcome
                except BaseException:
                    await _quietly(transaction.rollback())
                    raise
                await transaction.rollback()
                return outcome

        return await self._retrying(attempt)

    async def _retrying(self, attempt: Callable[[float], Awaitable[T]]) -> T:
        until_s = self._until_s()
        tries = 0
        while True:
            try:
                return await attempt(until_s)
            except Contention as error:
                tries += 1
                is_lock_wait = error.__cause__ is not None and code_of(error.__cause__) in LOCK_WAIT
                delay_s = self._random.uniform(0.5, 1.0) * min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2**tries)
                # A lock wait has cost seconds already and whoever holds the lock is not quick: one more try, if
                # there is time for it.
                max_tries = 1 if is_lock_wait else self.settings.max_retries
                needed_s = delay_s + (self.settings.lock_wait_timeout_s if is_lock_wait else 0)
                if tries > max_tries or asyncio.get_running_loop().time() + needed_s >= until_s:
                    raise
                if is_lock_wait:
                    self.stats.lock_wait_retries += 1
                else:
                    self.stats.deadlock_retries += 1
            await asyncio.sleep(delay_s)

    def _until_s(self) -> float:
        return asyncio.get_running_loop().time() + self.settings.unit_timeout_s

    def _statement_until_s(self, until_s: float) -> float:
        return min(until_s, asyncio.get_running_loop().time() + self.settings.statement_timeout_s)


async def _quietly(rollback: Awaitable[None]) -> None:
    """Lets the error that made the rollback necessary come through instead of the rollback's own."""
    try:
        await rollback
    except StoreError:
        return


class Units:
    """What each group of units is built on."""

    _db: Database

    def __init__(self, database: Database) -> None:
        self._db = database
