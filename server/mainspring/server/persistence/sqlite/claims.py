"""The claim: due tasks become executions and move on, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from mainspring.server.core.adjustments import decode_payloads
from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.claim import ClaimGap, ClaimItem, ClaimOutcome, ClaimRun
from mainspring.server.core.model import Delivery, DueTask, ExecutionRef, ExecutionState
from mainspring.server.errors import StoreError
from mainspring.server.persistence.sqlite import fence
from mainspring.server.persistence.sqlite.additions import join_history
from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.sqlite.driver_errors import REFUSED_VALUES

_log = structlog.get_logger("mainspring.store")

MAX_REFUSED_ROWS = 16
"""More bad rows than this in one claim are no bad rows but a broken statement: give up."""
MAX_REASON_CHARACTERS = 2000
PARK_US = 60_000_000
"""A task whose claim the database refuses is looked at again after this long, not at each sweep."""

# The payload is read only for those that are sent now.
READ_TASK = """SELECT last_scheduled_at, namespace, task_id, handler, CASE WHEN ? THEN payload ELSE x'' END,
  delivery, policies, CASE WHEN ? THEN adjusted_payloads END
FROM tasks
WHERE partition_id = ? AND task_key = ? AND scheduled_at = ? AND version = ? AND execution_count = ?
  AND adjustments_version = ? AND state = 1"""

INSERT_EXECUTION = """INSERT INTO executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at,
  wake_at, attempt, epoch, task_version, executor_id, node_id, claimed_at, origin, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING"""

INSERT_SKIPPED = """INSERT INTO executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at,
  attempt, epoch, task_version, node_id, claimed_at, finished_at, saved_at, gap_last_scheduled_at, gap_count, reason,
  origin, payload)
VALUES (:partition_id, :scheduled_at, :task_key, :previous, :state, :due_at, 0, :epoch, :version, :node_id, :now, :now, :now,
  :gap_last_at, :gap_count, :reason, :origin, :payload)
ON CONFLICT DO NOTHING"""

MOVE_TASK = """UPDATE tasks SET state = ?, scheduled_at = ?, due_at = ?, last_scheduled_at = ?,
  execution_count = execution_count + ?, adjustments = ?,
  adjusted_payloads = CASE WHEN ? THEN adjusted_payloads END
WHERE partition_id = ? AND task_key = ?"""

SET_OWED = "UPDATE tasks SET owed = ? WHERE partition_id = ? AND task_key = ?"

PARK_TASK = "UPDATE tasks SET due_at = ? WHERE partition_id = ? AND task_key = ?"


class _RowRefused(Exception):
    """A value does not fit: begin again, item by item."""


@dataclass(frozen=True, slots=True)
class _Call:
    """The arguments of one claim, items in key order."""

    owner_id: str
    epochs: Mapping[int, int]
    items: Sequence[ClaimItem]
    now: int
    wake_at: int


class ClaimUnits(Units):
    """Implements `OwnerStore.claim`."""

    async def claim(
        self, owner_id: str, epochs: Mapping[int, int], items: Sequence[ClaimItem], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """See `OwnerStore.claim`. Never of unknown outcome, and no task is ever skipped because it is locked.

        Why this is right: the transaction begins with the database's only write lock, so the fence and the tasks that it
        reads stay as they are until it ends, and of two claims of one scheduled time the second finds the task moved.
        An execution that exists already was counted when it was inserted, and is not counted again. Whoever planned with
        it has a higher count in memory than the row shows, and its next claim is dropped.

        A row that does not fit its columns is found by a second run with a savepoint an item; its task is parked for a
        minute (`due_at` moves, the scheduled time does not), logged, and answered as dropped.
        """
        if not items:
            return ClaimOutcome([], [], [], frozenset())
        ordered = sorted(items, key=lambda item: (item.due.partition_id, item.due.task_key))
        call = _Call(owner_id, epochs, ordered, now, wake_at)
        try:
            return await self._write(lambda connection: _claim(connection, call))
        except _RowRefused:
            outcome, parked = await self._write(lambda connection: _claim_with_care(connection, call))
        self._db.stats.rows_parked += len(parked)
        for item, error in parked:
            _log.error(
                "store.task_parked",
                partition_id=item.due.partition_id,
                task_key=item.due.task_key.hex(),
                scheduled_at=item.due.scheduled_at,
                error=error,
            )
        return outcome


def _claim(connection: sqlite3.Connection, call: _Call) -> ClaimOutcome:
    outcome = _begin(connection, call)
    for item in call.items:
        if item.due.partition_id not in outcome.refused:
            try:
                _claim_item(connection, call, item, outcome)
            except REFUSED_VALUES as error:
                raise _RowRefused from error
    return outcome


def _claim_with_care(
    connection: sqlite3.Connection, call: _Call
) -> tuple[ClaimOutcome, list[tuple[ClaimItem, str]]]:
    """The same, but an item that is refused leaves no trace; answers those, with the reason, too."""
    outcome = _begin(connection, call)
    parked: list[tuple[ClaimItem, str]] = []
    for item in call.items:
        if item.due.partition_id in outcome.refused:
            continue
        sent = len(outcome.claimed)
        connection.execute("SAVEPOINT item")
        try:
            _claim_item(connection, call, item, outcome)
        except REFUSED_VALUES as error:
            connection.execute("ROLLBACK TO item")
            del outcome.claimed[sent:]
            outcome.dropped.append(item)
            outcome.parked.append(item)
            parked.append((item, str(error)))
            if len(parked) > MAX_REFUSED_ROWS:
                raise StoreError(f"the database refuses too many rows of one claim: {error}") from error
            connection.execute(PARK_TASK, (call.now + PARK_US, item.due.partition_id, item.due.task_key))
        connection.execute("RELEASE item")
    return outcome, parked


def _begin(connection: sqlite3.Connection, call: _Call) -> ClaimOutcome:
    """Reads the fence."""
    terms = {(item.due.partition_id, call.epochs.get(item.due.partition_id, -1)) for item in call.items}
    lost = fence.lost_terms(connection, call.owner_id, terms)
    return ClaimOutcome([], [], [], frozenset(partition_id for partition_id, _ in lost))


def _claim_item(connection: sqlite3.Connection, call: _Call, item: ClaimItem, outcome: ClaimOutcome) -> None:
    """Moves one task on. Each new row points at the task's latest one before it, so the chain holds every row once."""
    due = item.due
    partition_id, task_key, version = due.partition_id, due.task_key, due.version
    is_sent = any(run.executor_id is not None for run in item.runs)
    has_payloads = any(run.has_payload for run in item.runs)
    known = (due.scheduled_at, version, due.execution_count, due.adjustments_version)
    row: tuple[Any, ...] | None = connection.execute(
        READ_TASK, (is_sent, has_payloads, partition_id, task_key, *known)
    ).fetchone()
    if row is None:
        outcome.dropped.append(item)
        return
    last, namespace, task_id, handler, payload, delivery, policies, adjusted_payloads = row
    own_payloads = decode_payloads(adjusted_payloads)
    epoch, now = call.epochs[partition_id], call.now
    newest_at, new = last, []
    counted = 0
    gap = item.gap
    if gap is not None and _insert_skipped(
        connection, call, due, ClaimRun(gap.from_at, gap.from_at, None, skip_reason=gap.reason), last, gap
    ):
        last = gap.from_at
        new.append(last)
        counted += gap.count
    for run in item.runs:
        own = own_payloads.get(run.scheduled_at) if run.has_payload else None
        if run.skip_reason:
            if _insert_skipped(connection, call, due, run, last, own=own):
                last = run.scheduled_at
                new.append(last)
                counted += 1
            continue
        executor_id = run.executor_id
        state, attempt = (1, 0) if executor_id is None else (2, 1)
        values = (
            *(
                partition_id,
                run.scheduled_at,
                task_key,
                last,
                state,
                run.due_at,
                call.wake_at if run.wake_at is None else run.wake_at,
                attempt,
                epoch,
            ),
            *(version, executor_id, call.owner_id, now, int(run.origin), own),
        )
        if connection.execute(INSERT_EXECUTION, values).rowcount == 0:
            continue
        last = run.scheduled_at
        new.append(last)
        counted += 1
        outcome.claimed.append(
            Dispatchable(
                ref=ExecutionRef(partition_id, run.scheduled_at, task_key),
                epoch=epoch,
                attempt=attempt,
                executor_id=executor_id,
                namespace=namespace,
                task_id=task_id,
                handler=handler,
                payload=b"" if executor_id is None else payload if own is None else own,
                due_at=run.due_at,
                task_version=version,
                claimed_at=now,
                delivery=Delivery(delivery),
                policies=policies,
                origin=run.origin,
                wake_at=run.wake_at,
            )
        )
    next_state = 3 if item.next_scheduled_at is None else 1
    moved = (next_state, item.next_scheduled_at, item.next_due_at, last, counted)
    adjusted = (item.next_adjustments, item.next_adjustments is not None)
    connection.execute(MOVE_TASK, (*moved, *adjusted, partition_id, task_key))
    if due.owed is not None:
        connection.execute(SET_OWED, (item.next_owed, partition_id, task_key))
    if new and newest_at is not None and newest_at > new[0]:
        # A call has added an execution later than these times.
        join_history(connection, due.ref, newest_at, new)
    outcome.moved.append(item)


def _insert_skipped(
    connection: sqlite3.Connection,
    call: _Call,
    due: DueTask,
    run: ClaimRun,
    previous: int | None,
    gap: ClaimGap | None = None,
    *,
    own: bytes | None = None,
) -> bool:
    """Records what never runs, alone or as the first of a gap; False when there is a row at its time already.

    Args:
        own: its own payload, for who runs it again.
    """
    values = {
        "partition_id": due.partition_id,
        "scheduled_at": run.scheduled_at,
        "task_key": due.task_key,
        "previous": previous,
        "due_at": run.due_at,
        "epoch": call.epochs[due.partition_id],
        "version": due.version,
        "node_id": call.owner_id,
        "now": call.now,
        "gap_last_at": None if gap is None else gap.to_at,
        "gap_count": None if gap is None else gap.count,
        "reason": run.skip_reason[:MAX_REASON_CHARACTERS],
        "origin": int(run.origin),
        "state": int(ExecutionState.EXPIRED if run.is_expired else ExecutionState.SKIPPED),
        "payload": own,
    }
    return connection.execute(INSERT_SKIPPED, values).rowcount > 0
