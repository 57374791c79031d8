"""Time, as everything above the pure core sees it: one Protocol and the clock of a cluster's node."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mainspring.server.core.clock_offset import ClockReading, OffsetEstimator, OffsetSample

LONGEST_WAIT_S = 0.5
"""Cluster time is re-read at least this often: it may be slewed while somebody waits for an instant of it."""


class Clock(Protocol):
    """Now, and waiting. A virtual clock implements the same.

    There are two times. What somebody outside may see happen at an instant runs on `now`, `wait_until` and
    `lease_time`: a virtual clock moves these by hand. Everything that merely keeps the process going (rounds, pauses
    between retries, deadlines of calls) runs on `monotonic`, `sleep` and `timeout`, which are always the machine's.
    """

    def now(self) -> int:
        """Cluster time, microseconds since 1970 UTC. Never runs backwards but by a followed step."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; for time-outs."""
        ...

    def lease_time(self) -> float:
        """Seconds on the clock by which executors' leases run: monotonic, but it stands still while virtual time does."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Raises TimeoutError in the block when it takes longer."""
        ...

    async def wait_until(self, event: asyncio.Event, at: int | None) -> None:
        """Waits for the event or an instant of `now`, whichever comes first; may return early, so look again.

        An instant is not passed: a virtual clock goes on from it only when what it wakes has finished.
        """
        ...


class DatabaseClock(Clock, Protocol):
    """A node's clock, which is the database's as far as it can be had."""

    async def measure(self, database_time: Callable[[], Awaitable[int]]) -> ClockReading | None:
        """Reads the database's clock once; answers what that showed, None when this clock is not the database's.

        Raises what `database_time` raises.
        """
        ...


class ClusterClock:
    """The database's clock, carried by this process's monotonic clock: a wrong wall clock is harmless."""

    def __init__(self) -> None:
        self._estimator = OffsetEstimator(self._wall_offset_us())

    @staticmethod
    def _wall_offset_us() -> float:
        return (time.time_ns() - time.monotonic_ns()) / 1000

    def now(self) -> int:
        """See `Clock.now`."""
        monotonic_ns = time.monotonic_ns()
        return int(monotonic_ns / 1000 + self._estimator.offset_us(monotonic_ns / 1e9))

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def lease_time(self) -> float:
        """See `Clock.lease_time`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """See `Clock.timeout`."""
        return asyncio.timeout(seconds)

    async def wait_until(self, event: asyncio.Event, at: int | None) -> None:
        """See `Clock.wait_until`. Returns after half a second at the latest."""
        delay_s = LONGEST_WAIT_S if at is None else min(LONGEST_WAIT_S, (at - self.now()) / 1_000_000)
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await event.wait()

    async def measure(self, database_time: Callable[[], Awaitable[int]]) -> ClockReading:
        """See `DatabaseClock.measure`."""
        before_ns = time.monotonic_ns()
        database_at = await database_time()
        after_ns = time.monotonic_ns()
        middle_us = (before_ns + after_ns) / 2000
        return self._estimator.add(
            OffsetSample(after_ns / 1e9, database_at - middle_us, (after_ns - before_ns) / 1e9),
            self._wall_offset_us(),
        )
