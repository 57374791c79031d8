"""Registers plans of work through the client SDK and notes what was acknowledged, and when."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from mainspring.client import (
    At,
    Cron,
    DeadlineExceeded,
    Every,
    MainspringClient,
    MainspringError,
    NewTask,
    Schedule,
    Task,
    Unavailable,
)
from mainspring.testing.errors import TestingError
from mainspring.testing.history import AcknowledgedTask
from mainspring.testing.ledger import moment
from mainspring.testing.workload import PlannedTask

BATCH = 250
"""Tasks in one call: small enough that the instants noted are near each task's own."""
CALL_TIMEOUT_S = 5.0
CANCEL_TIMEOUT_S = 20.0
_CALLS_AT_ONCE = 4
_CANCELS_AT_ONCE = 32
_RETRY_PAUSE_S = 0.1


class LoadGenerator:
    """The client's side of a run: registers, cancels, and remembers the acknowledgements.

    For one event loop. `tasks` holds everything that was sent so far and needs no lock: it grows in one task's turn.
    """

    def __init__(self, client: MainspringClient, *, on_change: Callable[[], None] = lambda: None) -> None:
        """Use `client`; `on_change` is called whenever `tasks` has grown."""
        self._client = client
        self._on_change = on_change
        self.tasks: list[AcknowledgedTask] = []

    async def register(self, plan: Sequence[PlannedTask], *, give_up_s: float = 60.0) -> None:
        """Register a plan in batches, a few calls at once, in the plan's order.

        A call that was not answered, or whose database was away, is repeated until `give_up_s` after its first try; then
        its tasks count as of unknown outcome.

        Raises:
            TestingError: a task was refused.
        """
        gate = asyncio.Semaphore(_CALLS_AT_ONCE)

        async def send(batch: Sequence[PlannedTask]) -> None:
            async with gate:
                await self._register_batch(batch, give_up_s)

        async with asyncio.TaskGroup() as group:
            for first in range(0, len(plan), BATCH):
                group.create_task(send(plan[first : first + BATCH]), name=f"register-{first}")

    async def _register_batch(self, batch: Sequence[PlannedTask], give_up_s: float) -> None:
        sent_at = now_us()
        deadline = time.monotonic() + give_up_s
        waiting = list(batch)
        while waiting:
            answers = await self._client.create_tasks(map(_new_task, waiting), timeout_s=CALL_TIMEOUT_S)
            acknowledged_at = now_us()
            unanswered: list[PlannedTask] = []
            for planned, answer in zip(waiting, answers, strict=True):
                if isinstance(answer, Task):
                    self.tasks.append(planned.acknowledged(sent_at, acknowledged_at))
                elif isinstance(answer, Unavailable | DeadlineExceeded):
                    unanswered.append(planned)
                else:
                    raise TestingError(f"{planned.task_id} was refused: {answer}")
            self._on_change()
            waiting = unanswered
            if waiting and time.monotonic() > deadline:
                self.tasks += [planned.acknowledged(sent_at, None, outcome="unknown") for planned in waiting]
                return
            if waiting:
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def trickle(
        self,
        namespace: str,
        *,
        until_at: int,
        count: int = 5,
        every_s: float = 0.5,
        ahead_s: float = 3.0,
        handler: str = "noop",
    ) -> None:
        """Register a few one-time tasks again and again until `until_at` (microseconds), whatever happens meanwhile.

        Calls that hang do not hold back the next ones. Returns when all have an outcome.

        Raises:
            TestingError: a task was refused.
        """
        async with asyncio.TaskGroup() as group:
            number = 0
            while (now := now_us()) < until_at:
                at = now + int(ahead_s * 1_000_000)
                batch = [
                    PlannedTask(
                        namespace,
                        f"trickle-{number + index:05}",
                        handler,
                        "one-time",
                        "trickle",
                        at=at + index * 1_000,
                    )
                    for index in range(count)
                ]
                number += count
                group.create_task(self._register_batch(batch, 60.0), name=f"trickle-{number}")
                await asyncio.sleep(every_s)

    async def cancel_recurring(self) -> None:
        """Cancel every recurring task that was registered, and note when.

        Raises:
            MainspringError: one could not be cancelled within 20 s.
        """
        gate = asyncio.Semaphore(_CANCELS_AT_ONCE)

        async def cancel(index: int, task: AcknowledgedTask) -> None:
            async with gate:
                cancel_sent_at = now_us()
                cancelled_at: int | None = None
                try:
                    await self._client.cancel_task(
                        task.task_id, namespace=task.namespace, timeout_s=CANCEL_TIMEOUT_S
                    )
                    cancelled_at = now_us()
                finally:
                    self.tasks[index] = replace(
                        task, cancel_sent_at=cancel_sent_at, cancelled_at=cancelled_at
                    )

        try:
            async with asyncio.TaskGroup() as group:
                for index, task in enumerate(self.tasks):
                    if task.kind != "one-time" and task.cancel_sent_at is None:
                        group.create_task(cancel(index, task), name=f"cancel-{task.task_id}")
        except* MainspringError as errors:
            raise errors.exceptions[0] from None


def now_us() -> int:
    """The wall clock, in microseconds."""
    return time.time_ns() // 1_000


def _new_task(planned: PlannedTask) -> NewTask:
    return NewTask(
        planned.handler,
        _schedule(planned),
        planned.payload,
        namespace=planned.namespace,
        task_id=planned.task_id,
    )


def _schedule(planned: PlannedTask) -> Schedule:
    if planned.kind == "cron":
        return Cron(planned.expression or "", planned.time_zone or "UTC")
    if planned.kind == "interval":
        start = None if planned.anchor_at is None else moment(planned.anchor_at)
        return Every(timedelta(microseconds=planned.every_us or 0), start)
    return At(moment(planned.at or 0))
