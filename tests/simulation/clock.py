"""The loop's virtual time, as every part of the product wants it: node, shard manager, executor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mainspring.testing.virtual_time import START_S

EPOCH_AT = 1_800_000_000_000_000
"""Cluster time, microseconds UTC, at the start of the loop's time."""


def at_of(loop_s: float) -> int:
    """Cluster time at an instant of the loop."""
    return EPOCH_AT + round((loop_s - START_S) * 1_000_000)


class SimClock:
    """Implements the node's `DatabaseClock`, the executor's `Clock` and the shard manager's `Timer`.

    Args:
        wrong_by_us: how far the process's wall clock is ahead. Nodes follow the database: theirs is right.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wrong_by_us: int = 0) -> None:
        self.monotonic = loop.time
        self.lease_time = loop.time
        self._wrong_by_us = wrong_by_us

    def now(self) -> int:
        return at_of(self.monotonic()) + self._wrong_by_us

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds)

    async def wait_until(self, event: asyncio.Event, at: int | None) -> None:
        if at is None:
            await event.wait()
            return
        delay_s = (at - self.now()) / 1_000_000
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await event.wait()

    async def measure(self, database_time: Callable[[], Awaitable[int]]) -> None:
        await database_time()
