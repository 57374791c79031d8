"""A few batches at a time: while one is on its way to the database, the next one grows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Lanes:
    """Runs up to `width` batches at once and owns their tasks. Belongs to one loop task that forms the batches."""

    def __init__(self, name: str, width: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(width)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether any batch is under way."""
        return bool(self._tasks)

    async def wait_free(self) -> None:
        """Waits until a batch may be run."""
        async with self._free:
            pass

    async def run(self, batch: Coroutine[Any, Any, None]) -> None:
        """Starts a batch in a lane, waiting for a free one first. What it raises is logged: a batch handles its errors."""
        try:
            await self._free.acquire()
        except BaseException:
            batch.close()
            raise
        task = asyncio.create_task(batch, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("batch_failed", lane=self._name, exc_info=error)

    async def drain(self) -> None:
        """Waits for every batch under way to end."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def cancel(self) -> None:
        """Cancels every batch under way and waits for their ends."""
        for task in list(self._tasks):
            task.cancel()
        await self.drain()
