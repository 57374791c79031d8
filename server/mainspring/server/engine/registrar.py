"""Registers tasks: concurrent calls share a write, each with an outcome of its own (group commit)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from mainspring.server.clock import Clock
from mainspring.server.core.model import NewTask
from mainspring.server.engine.lanes import Lanes
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.errors import (
    Contention,
    InvalidField,
    ResourceExhausted,
    StoreError,
    StoreUnavailable,
    UnknownOutcome,
)
from mainspring.server.observability.metrics import Metrics
from mainspring.server.persistence.store.tasks import Created, TasksRefused, TaskStore

BACKLOG_BATCHES = 40
DEADLINE_S = 8.0
"""How long a registration is tried: below the 10 s that clients usually give it, so that they hear why."""


class Registrar:
    """Gathers registrations while earlier ones are being written.

    Args:
        on_created: told of every task that is stored now, new or not.
    """

    def __init__(
        self,
        clock: Clock,
        store: TaskStore,
        settings: EngineSettings,
        metrics: Metrics,
        on_created: Callable[[Sequence[Created]], None],
    ) -> None:
        self._clock = clock
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._on_created = on_created
        self._queue: deque[tuple[NewTask, asyncio.Future[Created]]] = deque()
        self._wake = asyncio.Event()
        self._lanes = Lanes("register", settings.register_lanes)

    @property
    def is_busy(self) -> bool:
        """Whether any registration waits or is being written."""
        return bool(self._queue) or self._lanes.is_busy

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Writes the tasks, durably, and answers for each in order.

        Raises:
            ResourceExhausted: too many registrations wait already.
            StoreUnavailable: the database did not answer in time. Tasks may have been written; the call can be repeated.
        """
        if len(self._queue) > BACKLOG_BATCHES * self._settings.register_batch:
            raise ResourceExhausted("too many registrations wait at this node: try another one, or later")
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Created]] = [loop.create_future() for _ in tasks]
        self._queue.extend(zip(tasks, futures, strict=True))
        self._wake.set()
        received_at = self._clock.now()
        try:
            async with self._clock.timeout(DEADLINE_S + 2):
                created = list(await asyncio.gather(*futures))
        except TimeoutError:
            raise StoreUnavailable("the database did not answer in time: call again") from None
        self._metrics.stage("registered", received_at, self._clock.now())
        return created

    async def run_round(self) -> None:
        """Takes a batch of what waits and writes it in a lane."""
        await self._wake.wait()
        await self._lanes.wait_free()
        self._wake.clear()
        batch: list[tuple[NewTask, asyncio.Future[Created]]] = []
        while self._queue and len(batch) < self._settings.register_batch:
            task, future = self._queue.popleft()
            if not future.done():
                batch.append((task, future))
        if batch:
            if self._queue:
                self._wake.set()
            await self._lanes.run(self._write(batch))

    async def stop(self) -> None:
        """Finishes what is under way."""
        await self._lanes.drain()

    async def _write(self, batch: list[tuple[NewTask, asyncio.Future[Created]]]) -> None:
        try:
            created = await self._create_until_known([task for task, _ in batch])
        except TasksRefused as error:
            for index, reason in error.refused.items():
                if not batch[index][1].done():
                    batch[index][1].set_exception(
                        InvalidField("task", f"was refused by the database: {reason}")
                    )
            batch = [batch[index] for index in error.created]
            created = list(error.created.values())
        except BaseException as error:
            failure = (
                error
                if isinstance(error, StoreError)
                else StoreUnavailable("the registration was interrupted")
            )
            for _, future in batch:
                if not future.done():
                    future.set_exception(failure)
            if isinstance(error, StoreError):
                return
            raise
        self._metrics.batch("register", len(batch))
        self._on_created(created)
        for (_, future), outcome in zip(batch, created, strict=True):
            if not future.done():
                future.set_result(outcome)

    async def _create_until_known(self, tasks: list[NewTask]) -> list[Created]:
        """Repeats a write of unknown outcome, which changes nothing the second time, until the deadline."""
        deadline_s = self._clock.monotonic() + DEADLINE_S
        pause_s = 0.05
        while True:
            try:
                return await self._store.create_tasks(tasks)
            except (UnknownOutcome, Contention, StoreUnavailable) as error:
                if self._clock.monotonic() + pause_s >= deadline_s:
                    raise StoreUnavailable("the database did not answer in time: call again") from error
                await self._clock.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
