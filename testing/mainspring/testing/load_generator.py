"""Registers plans of work through the client SDK and notes what was acknowledged, and when."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from mainspring.client import (
    At,
    Cron,
    DeadlineExceeded,
    Delivery,
    Every,
    MainspringClient,
    MainspringError,
    MisfireMode,
    MisfirePolicy,
    NewTask,
    OverlapPolicy,
    RetryPolicy,
    Schedule,
    Task,
    Timeouts,
    Unavailable,
)
from mainspring.testing.errors import TestingError
from mainspring.testing.history import AcknowledgedTask, CallKind, Overlap, TaskCall, TaskKey
from mainspring.testing.ledger import moment
from mainspring.testing.workload import PlannedTask

BATCH = 250
"""Tasks in one call: small enough that the instants noted are near each task's own."""
CALL_TIMEOUT_S = 5.0
CANCEL_TIMEOUT_S = 20.0
_CALLS_AT_ONCE = 4
_CANCELS_AT_ONCE = 32
_RETRY_PAUSE_S = 0.1
_DELIVERIES = {
    "at-least-once": Delivery.AT_LEAST_ONCE,
    "at-most-once": Delivery.AT_MOST_ONCE,
}
_OVERLAPS: dict[Overlap, OverlapPolicy] = {
    "allow": OverlapPolicy.ALLOW,
    "skip": OverlapPolicy.SKIP,
    "buffer-one": OverlapPolicy.BUFFER_ONE,
    "replace": OverlapPolicy.REPLACE,
}
_MISFIRES: dict[Literal["none", "latest", "all"], MisfireMode] = {
    "none": MisfireMode.NONE,
    "latest": MisfireMode.LATEST,
    "all": MisfireMode.ALL,
}


class LoadGenerator:
    """The client's side of a run: registers, cancels, and remembers the acknowledgements.

    For one event loop. `tasks` holds everything that was sent so far and needs no lock: it grows in one task's turn.
    """

    def __init__(self, client: MainspringClient, *, on_change: Callable[[], None] = lambda: None) -> None:
        """Use `client`; `on_change` is called whenever `tasks` has grown."""
        self._client = client
        self._on_change = on_change
        self.tasks: list[AcknowledgedTask] = []
        self.calls: list[TaskCall] = []
        """What was done to them by others, see `LifeCalls`."""
        self._index: dict[TaskKey, int] = {}

    def note(self, task: AcknowledgedTask) -> None:
        """Note a definition: the latest one of its task."""
        self._index[task.key] = len(self.tasks)
        self.tasks.append(task)

    def task(self, key: TaskKey) -> AcknowledgedTask:
        """The latest definition of a task."""
        return self.tasks[self._index[key]]

    def end(self, key: TaskKey, sent_at: int, acknowledged_at: int | None, by: CallKind) -> None:
        """Note that the latest definition of a task was ended by a call."""
        index = self._index[key]
        self.tasks[index] = replace(
            self.tasks[index], cancel_sent_at=sent_at, cancelled_at=acknowledged_at, ended_by=by
        )

    async def register(
        self,
        plan: Sequence[PlannedTask],
        *,
        give_up_s: float = 60.0,
        calls_at_once: int | None = _CALLS_AT_ONCE,
    ) -> None:
        """Register a plan in batches, `calls_at_once` (None: all), in the plan's order.

        A call that was not answered, or whose database was away, is repeated until `give_up_s` after its first try; then
        its tasks count as of unknown outcome.

        Raises:
            TestingError: a task was refused.
        """
        gate = asyncio.Semaphore(calls_at_once or max(1, len(plan)))

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
                    self.note(planned.acknowledged(sent_at, acknowledged_at))
                elif isinstance(answer, Unavailable | DeadlineExceeded):
                    unanswered.append(planned)
                else:
                    raise TestingError(f"{planned.task_id} was refused: {answer}")
            self._on_change()
            waiting = unanswered
            if waiting and time.monotonic() > deadline:
                for planned in waiting:
                    self.note(planned.acknowledged(sent_at, None, outcome="unknown"))
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

        async def cancel(task: AcknowledgedTask) -> None:
            async with gate:
                await self.cancel(task.namespace, task.task_id)

        try:
            async with asyncio.TaskGroup() as group:
                for task in self.tasks:
                    if (
                        task.kind != "one-time"
                        and task.cancelled_at is None
                        and task.ended_by == "cancel"  # else it is gone, or another definition took its place
                    ):
                        group.create_task(cancel(task), name=f"cancel-{task.task_id}")
        except* MainspringError as errors:
            raise errors.exceptions[0] from None

    async def cancel(self, namespace: str, task_id: str) -> None:
        """Cancel a task that was registered, and note when; when it fails nobody knows whether it took effect.

        May be repeated: what counts is when it was first sent and when it was first acknowledged.

        Raises:
            MainspringError: it was not acknowledged within 20 s.
        """
        index = self._index[namespace, task_id]
        if self.tasks[index].cancel_sent_at is None:
            self.tasks[index] = replace(self.tasks[index], cancel_sent_at=now_us())
        await self._client.cancel_task(task_id, namespace=namespace, timeout_s=CANCEL_TIMEOUT_S)
        if self.tasks[index].cancelled_at is None:
            self.tasks[index] = replace(self.tasks[index], cancelled_at=now_us())


def now_us() -> int:
    """The wall clock, in microseconds."""
    return time.time_ns() // 1_000


def _new_task(planned: PlannedTask) -> NewTask:
    return NewTask(
        planned.handler,
        schedule_of(planned),
        planned.payload,
        namespace=planned.namespace,
        task_id=planned.task_id,
        delivery=_DELIVERIES[planned.delivery],
        labels=dict([planned.label.split("=", 1)]) if planned.label else {},
        misfire=None if planned.misfire is None else MisfirePolicy(_MISFIRES[planned.misfire]),
        overlap=None if planned.overlap is None else _OVERLAPS[planned.overlap],
        retry=None
        if planned.max_attempts == 1
        else RetryPolicy(planned.max_attempts, timedelta(seconds=0.5), timedelta(seconds=1)),
        timeouts=None
        if planned.start_within_us is None and planned.finish_within_us is None
        else Timeouts(_duration(planned.start_within_us), _duration(planned.finish_within_us)),
        keep_executions=planned.keep_executions,
    )


def _duration(duration_us: int | None) -> timedelta | None:
    return None if duration_us is None else timedelta(microseconds=duration_us)


def schedule_of(planned: PlannedTask) -> Schedule:
    """The schedule of a plan, as the client SDK wants it."""
    if planned.kind == "cron":
        return Cron(planned.expression or "", planned.time_zone or "UTC")
    if planned.kind == "interval":
        start = None if planned.anchor_at is None else moment(planned.anchor_at)
        return Every(timedelta(microseconds=planned.every_us or 0), start=start)
    return At(moment(planned.at or 0))
