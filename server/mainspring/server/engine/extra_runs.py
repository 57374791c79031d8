"""What calls have the owner of a task do beside its schedule: trigger it, run executions again, backfill, remove it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mainspring.server.core.backfill import backfilled_at, to_backfill
from mainspring.server.core.execution_filter import ExecutionFilter
from mainspring.server.core.life_cycle import with_removal_begun
from mainspring.server.core.model import (
    AddedExecution,
    AddOutcome,
    Execution,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    Task,
    TaskRef,
    TaskState,
)
from mainspring.server.core.next_fire import fires_between
from mainspring.server.core.schedule_text import decode
from mainspring.server.engine.announcer import Announcer
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.open_attempts import OpenAttempts, Place
from mainspring.server.engine.reaper import Reaper
from mainspring.server.errors import (
    FailedPrecondition,
    NotFound,
    StaleEpoch,
    Unavailable,
    UnknownOutcome,
)

BACKFILLS_A_CALL = 1_000
LEDGER_PAGE = 1_000
KEPT_FREE_US = 1_000_000
MOST_KEPT_FREE = 1_000
"""A trigger gets no scheduled time that its task's schedule has within the next second: that time's execution is another."""
REMOVED_A_STEP = 500
TRIES = 3
POLL_S = 0.01
ENDS_S = 3.0
"""How long a removal waits for the ends of what waits: they are on their way to the ledger."""


class Backfilled(NamedTuple):
    """How far a backfill has come."""

    added_count: int
    next_start_at: int | None
    """Where the next call goes on; None: the range is done."""


class ExtraRuns:
    """For tasks of partitions that this node holds: else StaleEpoch, and the caller looks for the owner."""

    def __init__(
        self, context: OwnerContext, attempts: OpenAttempts, reaper: Reaper, announcer: Announcer
    ) -> None:
        self._context = context
        self._attempts = attempts
        self._reaper = reaper
        self._announcer = announcer

    async def trigger(
        self, ref: TaskRef, name: str, *, payload: bytes | None, payload_of: int | None, request_key: bytes
    ) -> int:
        """Adds an execution that is due now; answers its scheduled time: now, or the first one behind that is free.

        Args:
            name: the task's, for complaints.
            payload: its own; None: the task's.
            payload_of: the scheduled time of an execution whose own payload it gets instead, if that has one.
            request_key: 16 bytes; the same again, within a day, answers the same execution.

        Raises:
            StaleEpoch, NotFound: as they say.
            FailedPrecondition: the task is paused or cancelled.
            StoreError: it could not be written, or that is not known. Safe to call again.
        """
        task = await self._read(ref, name)
        now = self._context.clock.now()
        wanted = AddedExecution(
            now,
            now,
            now,
            ExecutionOrigin.TRIGGER,
            payload,
            payload_of,
            is_movable=True,
            kept_free=frozenset(
                fires_between(decode(task.schedule), now - 1, now + KEPT_FREE_US, MOST_KEPT_FREE)
            ),
            request_key=request_key,
        )
        outcome = await self._add(ref, name, [wanted], now)
        return outcome.added[0].ref.scheduled_at if outcome.added else outcome.existing[0]

    async def backfill(self, ref: TaskRef, name: str, start_at: int, end_at: int) -> Backfilled:
        """Adds executions for the scheduled times in [start, end) that did not run, at most 1,000. Not for those that have
        passed and still wait to be claimed: the task's next scheduled time and what comes after it.

        Raises:
            As `trigger`.
        """
        task = await self._read(ref, name)
        if task.scheduled_at is not None:
            # What has passed and is not claimed yet will be, by itself: the task is read before its ledger.
            end_at = min(end_at, task.scheduled_at)
        times = list(fires_between(decode(task.schedule), start_at - 1, end_at - 1, BACKFILLS_A_CALL + 1))
        next_start_at = times[BACKFILLS_A_CALL] if len(times) > BACKFILLS_A_CALL else None
        times = times[:BACKFILLS_A_CALL]
        ledger = await self._ledger(ref, times[0], times[-1] + 2) if times else []
        now = self._context.clock.now()
        spacing_us = int(self._context.settings.catch_up_spacing_s * 1_000_000)
        wanted = [
            AddedExecution(
                backfilled_at(at), now + n * spacing_us, now + n * spacing_us, ExecutionOrigin.BACKFILL
            )
            for n, at in enumerate(to_backfill(times, ledger))
        ]
        outcome = await self._add(ref, name, wanted, now) if wanted else None
        return Backfilled(0 if outcome is None else len(outcome.added), next_start_at)

    async def _ledger(self, ref: TaskRef, start_at: int, end_at: int) -> list[Execution]:
        rows: list[Execution] = []
        only = ExecutionFilter(start_at=start_at, end_at=end_at)
        from_at: int | None = None
        while True:
            page = await self._context.store.list_task_executions(
                ref, only=only, from_at=from_at, limit=LEDGER_PAGE
            )
            rows += page.executions
            if page.next is None:
                return rows
            from_at = page.next.scheduled_at

    async def retry(self, execution: ExecutionRef, name: str, task_name: str, request_key: bytes) -> int:
        """Adds an execution that is due now, with the payload of one that ended badly; answers its scheduled time.

        Raises:
            NotFound: there is no such execution.
            FailedPrecondition: it has not ended as FAILED, EXPIRED or LOST.
            And as `trigger`.
        """
        ref = TaskRef(execution.partition_id, execution.task_key)
        row = await self._context.store.get_execution(ref, execution.scheduled_at)
        if row is None:
            raise NotFound("execution", name)
        if row.state not in (ExecutionState.FAILED, ExecutionState.EXPIRED, ExecutionState.LOST):
            raise FailedPrecondition(
                f"execution {name!r} is {row.state.name}: only one that is FAILED, EXPIRED or LOST is run again"
            )
        return await self.trigger(
            ref, task_name, payload=None, payload_of=execution.scheduled_at, request_key=request_key
        )

    async def remove(self, ref: TaskRef, name: str, check: Callable[[Task], None]) -> None:
        """Cancels a task and removes it with its ledger.

        Args:
            check: raises what speaks against it, of the task as it is.

        Raises:
            FailedPrecondition: an execution is at an executor. One that gets there in the very moment leaves the task
                cancelled.
            Unavailable: it takes longer. What is left is removed by the next call.
            And as `trigger`.
        """
        self._epoch(ref)
        now = self._context.clock.now()

        def cancel(task: Task) -> Task | None:
            check(task)
            self._refuse_while_running(ref, name)
            return with_removal_begun(task, now=now)

        (cancelled,) = await self._context.store.change_tasks([ref], cancel, with_payload=False)
        if cancelled is None:
            raise NotFound("task", name)
        await self._announcer.announce([cancelled.task])
        await self._until_ended(ref, name)
        while True:
            outcome = await self._context.store.remove_task(
                self._context.node_id, self._epoch(ref), ref, limit=REMOVED_A_STEP
            )
            if outcome.is_refused:
                self._refused(ref)
            if outcome.is_done:
                self._context.notes.forget(ref)
                return
            if outcome.has_open:
                await self._until_ended(ref, name)
                await self._context.clock.sleep(POLL_S)

    def _refuse_while_running(self, ref: TaskRef, name: str) -> None:
        if any(
            attempt.place in (Place.ASSIGNING, Place.AT_EXECUTOR) for attempt in self._attempts.of_task(ref)
        ):
            raise FailedPrecondition(
                f"an execution of task {name!r} is running: cancel it, or wait until it has ended"
            )

    async def _until_ended(self, ref: TaskRef, name: str) -> None:
        until_s = self._context.clock.monotonic() + ENDS_S
        while self._attempts.of_task(ref):
            if self._context.clock.monotonic() >= until_s:
                self._refuse_while_running(ref, name)
                raise Unavailable(f"executions of task {name!r} are still ending: call again")
            await self._context.clock.sleep(POLL_S)

    async def _read(self, ref: TaskRef, name: str) -> Task:
        self._epoch(ref)
        task = await self._context.store.get_task(ref)
        if task is None:
            raise NotFound("task", name)
        return task

    async def _add(self, ref: TaskRef, name: str, items: Sequence[AddedExecution], now: int) -> AddOutcome:
        held = self._context.held
        tries = 0
        while True:
            epoch = self._epoch(ref)
            held.begin_work([ref.partition_id])
            try:
                outcome = await self._context.store.add_executions(
                    self._context.node_id, epoch, ref, items, now=now
                )
                self._reaper.absorb(outcome.added)
                if tries:
                    self._context.signals.slipped()  # what is there already was added by a try before, unknown to memory
                break
            except UnknownOutcome:
                tries += 1
                if tries == TRIES:
                    raise
            finally:
                held.end_work([ref.partition_id])
        if outcome.is_refused:
            self._refused(ref)
        if outcome.state is None:
            raise NotFound("task", name)
        if outcome.state in (TaskState.PAUSED, TaskState.CANCELLED) and not outcome.existing:
            raise FailedPrecondition(
                f"task {name!r} is paused: resume it first"
                if outcome.state is TaskState.PAUSED
                else f"task {name!r} was cancelled: nothing of it runs any more"
            )
        return outcome

    def _epoch(self, ref: TaskRef) -> int:
        """The epoch under which the task's partition is held and fires."""
        epoch = self._context.held.epoch_of(ref.partition_id)
        if epoch is None or not self._context.held.is_firing(ref.partition_id):
            raise StaleEpoch(ref.partition_id, epoch or 0)
        return epoch

    def _refused(self, ref: TaskRef) -> None:
        epoch = self._context.held.epoch_of(ref.partition_id) or 0
        self._context.refused([ref.partition_id], {ref.partition_id: epoch})
        raise StaleEpoch(ref.partition_id, epoch)
