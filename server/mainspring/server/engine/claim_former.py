"""Forms the batches of claims: which tasks, in which order, with whose credit, and everything their claims write.

What executors have credit for comes first, and then what is too late to start, which needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from mainspring.server.core.claim import ClaimItem
from mainspring.server.core.expiry import without_executor
from mainspring.server.core.model import DueTask, ExecutionRef
from mainspring.server.core.overlap import OpenOne
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.open_attempts import OpenAttempts
from mainspring.server.engine.planning import claim_item, overlap_of, plan_of, too_late_of
from mainspring.server.engine.sender import Reservations
from mainspring.server.engine.timer_driver import TimerDriver

log = structlog.get_logger(__name__)

LONGEST_PLANNING_S = 0.05
"""So long the plans of one batch hold the event loop at most. Most take some 10 us; after an outage those of schedules that
no other task has take up to a millisecond. What finds no time is claimed in the next batch."""
PLANS_A_LOOK = 32


@dataclass(slots=True)
class ClaimBatch:
    """One claim while it is planned.

    Attributes:
        limit: how many tasks it may hold.
        planned_until_s: when to stop, monotonic seconds.
        reserved: the credit that is reserved for it.
        taken: how many tasks were taken out of the ready queues.
        rows: how many executions it records.
    """

    limit: int
    now: int
    planned_until_s: float
    items: list[ClaimItem] = field(default_factory=list)
    reserved: Reservations = field(default_factory=dict)
    taken: int = 0
    rows: int = 0

    @property
    def room(self) -> int:
        """How many more tasks it may hold."""
        return self.limit - len(self.items)

    def add(self, item: ClaimItem | None) -> None:
        """Takes in what came of a task."""
        self.taken += 1
        if item is not None:
            self.items.append(item)
            self.rows += len(item.runs)


class ClaimFormer:
    """Plans on one turn of the event loop: what it decides about a task counts before anything else of it is decided."""

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        driver: TimerDriver,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
    ) -> None:
        self._context = context
        self._window = window
        self._driver = driver
        self._executors = executors
        self._attempts = attempts
        self._turn = 0

    def form(self, limit: int) -> ClaimBatch:
        """Plans at most `limit` tasks: none when nothing is ready that has credit, or is too late to start."""
        batch = ClaimBatch(
            limit, self._context.clock.now(), self._context.clock.monotonic() + LONGEST_PLANNING_S
        )
        handlers = self._window.ready_handlers()
        self._turn += 1  # another handler comes first each time, so that none lives off the others' leavings
        for i in range(len(handlers)):
            handler = handlers[(i + self._turn) % len(handlers)]
            credit = min(self._executors.free_credit(handler), batch.room)
            if credit > 0 and self._has_time(batch):
                self._take_ready(batch, handler, credit)
                self._relieve(handler)
        self._take_expired(batch)
        return batch

    def _has_time(self, batch: ClaimBatch) -> bool:
        return batch.rows < self._context.settings.claim_rows and (
            self._context.clock.monotonic() < batch.planned_until_s
        )

    def _take_ready(self, batch: ClaimBatch, handler: str, limit: int) -> None:
        """Plans what executors have credit for."""
        while limit > 0 and self._has_time(batch):
            tasks = self._window.begin_claims(handler, min(limit, PLANS_A_LOOK))
            if not tasks:
                return
            limit -= len(tasks)
            self._plan_all(batch, tasks, is_late=False)

    def _take_expired(self, batch: ClaimBatch) -> None:
        """Plans what is too late to start, whoever has credit."""
        handlers: set[str] = set()
        while batch.room > 0 and self._has_time(batch):
            tasks = self._window.begin_expired(min(batch.room, PLANS_A_LOOK))
            if not tasks:
                break
            handlers.update(task.handler for task in tasks)
            self._plan_all(batch, tasks, is_late=True)
        for handler in handlers:
            self._relieve(handler)

    def _plan_all(self, batch: ClaimBatch, tasks: Sequence[DueTask], *, is_late: bool) -> None:
        """Plans tasks in turn; those that the batch has no rows left for are ready again."""
        for number, task in enumerate(tasks):
            if batch.rows >= self._context.settings.claim_rows:
                for returned in reversed(tasks[number:]):
                    self._window.return_claim(returned)
                self._driver.inserted()  # some may be too late to start by now
                return
            batch.add(self._plan(task, batch.now, batch.reserved, is_late=is_late))

    def _relieve(self, handler: str) -> None:
        if self._window.relieve(handler):
            self._context.signals.slipped()

    def _plan(self, task: DueTask, now: int, reserved: Reservations, *, is_late: bool) -> ClaimItem | None:
        """The item of a task; None when there is none.

        Args:
            is_late: it is too late to start, and may be one of many for which there is no credit: only what needs none.
        """
        if not self._context.held.is_firing(task.partition_id):
            # Handed over, or being taken over: who takes it reads everything that is due before it fires.
            self._window.settle_claim(task, None)
            return None
        if not is_late:
            self._context.metrics.stage("due", task.due_at, now)
        try:
            plan = plan_of(task, now, self._context.settings)
            too_late = too_late_of(task, plan, now)
            if is_late:
                part = without_executor(plan, too_late)
                if part is None:
                    # Made up for, or the clock was set back: it is not too late any more.
                    self._window.return_claim(task, may_expire=not plan.catch_up)
                    self._driver.inserted()
                    return None
                plan = part
            beside = overlap_of(
                task, plan, self._attempts.lines.beside(task.ref, task.scheduled_at), too_late
            )
        except Exception:
            # A stored schedule that cannot be evaluated is a bug, and must not hold up the tasks beside it.
            log.exception("plan_failed", partition_id=task.partition_id, task_key=task.task_key.hex())
            self._window.settle_claim(task, None)
            return None
        sessions = self._executors.reserve(task.handler, len(beside.runs))
        for scheduled_at, session in zip(beside.runs, sessions, strict=False):
            reserved[ExecutionRef(task.partition_id, scheduled_at, task.task_key)] = session
        # From here on it counts as open: whatever is decided next about this task has to know of it.
        self._attempts.lines.begin_claim(
            task.ref,
            [
                *(OpenOne(at, is_waiting=False) for at in beside.runs),
                *(OpenOne(at, is_waiting=True) for at in beside.held),
            ],
        )
        executor_ids = [session.executor_id for session in sessions]
        return claim_item(
            task, plan, beside, executor_ids, too_late, now=now, settings=self._context.settings
        )
