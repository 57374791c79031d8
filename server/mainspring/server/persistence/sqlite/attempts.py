"""What an owner writes about attempts: who runs them, that they live, how they ended. Each unit is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeVar

import structlog

from mainspring.server.core.attempt import (
    Assignment,
    AssignOutcome,
    Completion,
    Dispatchable,
    Extension,
    FailedAttempt,
)
from mainspring.server.core.model import Delivery, ExecutionRef, ExecutionState
from mainspring.server.persistence.sqlite import fence
from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.sqlite.driver_errors import REFUSED_VALUES

_log = structlog.get_logger("mainspring.store")

MAX_REASON_CHARACTERS = 2000
MAX_KIND_CHARACTERS = 200
_UNWRITABLE = "the database refused the reason or the result"

_LATEST_ATTEMPT = """WHERE partition_id = :partition_id AND scheduled_at = :scheduled_at AND task_key = :task_key
  AND state < 4 AND attempt = :attempt"""

_WHY_STOPPED = {2: "the task was paused", 4: "the task was cancelled"}

READ_TASK = "SELECT state, version FROM tasks WHERE partition_id = ? AND task_key = ?"

ASSIGN = f"""UPDATE executions
SET state = 2, attempt = :attempt + 1, executor_id = :executor_id, node_id = :owner_id, epoch = :epoch,
  task_version = :version, wake_at = :wake_at, reason = '', dispatched_at = NULL, picked_up_at = NULL
{_LATEST_ATTEMPT}"""

CANCEL = f"""UPDATE executions
SET state = 6, wake_at = NULL, reason = :reason, finished_at = :now, saved_at = :now
{_LATEST_ATTEMPT}"""

# What this owner recorded now or, when it asks again, before. A cancelled one goes on telling of its last attempt.
READ_ASSIGNED = """SELECT e.state, e.epoch, e.attempt, e.executor_id, t.namespace, t.task_id, t.handler,
  CASE WHEN e.state = 2 THEN coalesce(e.payload, t.payload) ELSE x'' END, e.due_at, e.task_version, e.claimed_at,
  t.delivery, t.policies
FROM executions e CROSS JOIN tasks t ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE e.partition_id = :partition_id AND e.scheduled_at = :scheduled_at AND e.task_key = :task_key
  AND ((e.state = 2 AND e.attempt = :attempt + 1 AND e.executor_id = :executor_id
      AND e.node_id = :owner_id AND e.epoch = :epoch)
    OR (e.state = 6 AND e.attempt = :attempt AND e.saved_at = :now))"""

COMPLETE = f"""UPDATE executions
SET state = :state, wake_at = NULL, reason = :reason, result = :result, failure_count = failure_count + (:state = 5),
  error_kind = CASE WHEN :state = 5 THEN :error_kind ELSE error_kind END, finished_at = :finished_at, saved_at = :now,
  dispatched_at = coalesce(:dispatched_at, dispatched_at), picked_up_at = coalesce(:picked_up_at, picked_up_at)
{_LATEST_ATTEMPT} AND (state = 1) = :is_waiting"""

RETRY = f"""UPDATE executions
SET state = 1, wake_at = :retry_at, failure_count = failure_count + 1, error_kind = :error_kind, reason = :reason,
  dispatched_at = coalesce(:dispatched_at, dispatched_at), picked_up_at = coalesce(:picked_up_at, picked_up_at)
{_LATEST_ATTEMPT} AND state > 1"""

EXTEND = f"""UPDATE executions
SET state = :state, wake_at = :wake_at, dispatched_at = coalesce(:dispatched_at, dispatched_at),
  picked_up_at = coalesce(:picked_up_at, picked_up_at),
  progress = CASE WHEN :progress_at IS NULL THEN progress ELSE :progress END,
  progress_at = coalesce(:progress_at, progress_at),
  reason = CASE WHEN :stop_reason = '' THEN reason ELSE :stop_reason END
{_LATEST_ATTEMPT} AND (state = 1) = (:state = 1)"""

_I = TypeVar("_I", Assignment, Completion, Extension, FailedAttempt)


class AttemptUnits(Units):
    """Implements `OwnerStore.assign`, `complete`, `retry` and `extend`."""

    async def assign(
        self, owner_id: str, items: Sequence[Assignment], *, now: int, wake_at: int
    ) -> AssignOutcome:
        """See `OwnerStore.assign`. A row that does not fit its columns is logged and left as it is."""
        if not items:
            return AssignOutcome([], [], frozenset())
        context = {"owner_id": owner_id, "now": now, "wake_at": wake_at}

        def body(connection: sqlite3.Connection) -> AssignOutcome:
            held, refused = _fenced(connection, owner_id, items)
            outcome = AssignOutcome([], [], refused)
            for item in held:
                values = {
                    **context,
                    **item.ref._asdict(),
                    "epoch": item.epoch,
                    "attempt": item.expected_attempt,
                    "executor_id": item.executor_id,
                }
                try:
                    _assign(connection, item.ref, item.task_version, values, outcome)
                except REFUSED_VALUES as error:
                    _log.error("store.row_refused", ref=str(item.ref), error=str(error))
            return outcome

        return await self._write(body)

    async def complete(self, owner_id: str, items: Sequence[Completion], *, now: int) -> frozenset[int]:
        """See `OwnerStore.complete`.

        A reason or result that cannot be written is replaced by a note: the end itself must not be lost.
        """
        if not items:
            return frozenset()

        def body(connection: sqlite3.Connection) -> frozenset[int]:
            held, refused = _fenced(connection, owner_id, items)
            for item in held:
                values: dict[str, object] = {
                    **item.ref._asdict(),
                    "attempt": item.attempt,
                    "state": int(item.state),
                    "reason": item.reason[:MAX_REASON_CHARACTERS],
                    "result": item.result or None,
                    "error_kind": item.error_kind[:MAX_KIND_CHARACTERS],
                    "dispatched_at": item.dispatched_at,
                    "picked_up_at": item.picked_up_at,
                    "finished_at": item.finished_at,
                    "is_waiting": int(item.is_waiting),
                    "now": now,
                }
                try:
                    connection.execute(COMPLETE, values)
                except REFUSED_VALUES:
                    connection.execute(
                        COMPLETE, {**values, "reason": _UNWRITABLE, "result": None, "error_kind": ""}
                    )
            return refused

        return await self._write(body)

    async def retry(self, owner_id: str, items: Sequence[FailedAttempt]) -> frozenset[int]:
        """See `OwnerStore.retry`. A reason that cannot be written is replaced by a note."""
        if not items:
            return frozenset()

        def body(connection: sqlite3.Connection) -> frozenset[int]:
            held, refused = _fenced(connection, owner_id, items)
            for item in held:
                values: dict[str, object] = {
                    **item.ref._asdict(),
                    "attempt": item.attempt,
                    "retry_at": item.retry_at,
                    "reason": item.reason[:MAX_REASON_CHARACTERS],
                    "error_kind": item.error_kind[:MAX_KIND_CHARACTERS],
                    "dispatched_at": item.dispatched_at,
                    "picked_up_at": item.picked_up_at,
                }
                try:
                    connection.execute(RETRY, values)
                except REFUSED_VALUES:
                    connection.execute(RETRY, {**values, "reason": _UNWRITABLE, "error_kind": ""})
            return refused

        return await self._write(body)

    async def extend(self, owner_id: str, items: Sequence[Extension]) -> frozenset[int]:
        """See `OwnerStore.extend`."""
        if not items:
            return frozenset()

        def body(connection: sqlite3.Connection) -> frozenset[int]:
            held, refused = _fenced(connection, owner_id, items)
            connection.executemany(
                EXTEND,
                [
                    {
                        **item.ref._asdict(),
                        "attempt": item.attempt,
                        "state": int(item.state),
                        "wake_at": item.wake_at,
                        "dispatched_at": item.dispatched_at,
                        "picked_up_at": item.picked_up_at,
                        "progress": item.progress,
                        "progress_at": item.progress_at,
                        "stop_reason": item.stop_reason[:MAX_REASON_CHARACTERS],
                    }
                    for item in held
                ],
            )
            return refused

        return await self._write(body)


def _fenced(
    connection: sqlite3.Connection, owner_id: str, items: Sequence[_I]
) -> tuple[list[_I], frozenset[int]]:
    """The items that this owner may write, in key order, and the partitions of the others."""
    lost = fence.lost_terms(connection, owner_id, {(item.ref.partition_id, item.epoch) for item in items})
    held = [item for item in items if (item.ref.partition_id, item.epoch) not in lost] if lost else items
    return sorted(held, key=lambda item: item.ref), frozenset(partition_id for partition_id, _ in lost)


def _assign(
    connection: sqlite3.Connection,
    ref: ExecutionRef,
    task_version: int,
    values: dict[str, object],
    outcome: AssignOutcome,
) -> None:
    task = connection.execute(READ_TASK, (ref.partition_id, ref.task_key)).fetchone()
    if task is None:
        return
    state, version = task
    why_over = _WHY_STOPPED.get(state)
    if why_over is None and values["attempt"] == 0 and task_version < version:
        why_over = "the task was changed before this was sent"
    statement = ASSIGN if why_over is None else CANCEL
    connection.execute(statement, {**values, "version": version, "reason": why_over})
    row = connection.execute(READ_ASSIGNED, values).fetchone()
    if row is None:
        return
    if row[0] == ExecutionState.CANCELLED:
        outcome.cancelled.append(ref)
    else:
        fields: list[Any] = [*row[1:11], Delivery(row[11]), row[12]]
        outcome.dispatchable.append(Dispatchable(ref, *fields))
