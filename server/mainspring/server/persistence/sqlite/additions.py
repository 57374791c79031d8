"""What calls have the owner write beside the claims: executions that are added, tasks that are removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from mainspring.server.core.execution_chain import Link, woven
from mainspring.server.core.model import (
    AddedExecution,
    AddOutcome,
    Delivery,
    ExecutionRef,
    ExecutionState,
    OpenExecution,
    RemoveOutcome,
    TaskRef,
    TaskState,
)
from mainspring.server.persistence.sqlite import fence
from mainspring.server.persistence.sqlite.database import Units

REQUEST_KEPT_US = 86_400_000_000

READ_TASK = """SELECT state, version, last_scheduled_at, handler, delivery, policies FROM tasks
WHERE partition_id = ? AND task_key = ?"""

READ_REQUEST = """SELECT scheduled_at FROM trigger_requests
WHERE partition_id = ? AND task_key = ? AND request_key = ?"""
FORGET_REQUESTS = "DELETE FROM trigger_requests WHERE partition_id = ? AND task_key = ? AND scheduled_at < ?"
ADD_REQUEST = (
    """INSERT INTO trigger_requests (partition_id, task_key, request_key, scheduled_at) VALUES (?, ?, ?, ?)"""
)

READ_LINK = """SELECT scheduled_at, previous_scheduled_at, state FROM executions
WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"""
READ_PAYLOAD = "SELECT payload FROM executions WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"

ADD_EXECUTION = """INSERT INTO executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at,
  wake_at, attempt, epoch, task_version, node_id, claimed_at, origin, payload)
VALUES (?, ?, ?, ?, 1, ?, ?, 0, ?, ?, ?, ?, ?, ?)"""

RELINK = """UPDATE executions SET previous_scheduled_at = ?
WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"""
SET_HEAD = "UPDATE tasks SET last_scheduled_at = ? WHERE partition_id = ? AND task_key = ?"

REMOVE_EXECUTION = "DELETE FROM executions WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"
REMOVE_REQUESTS = "DELETE FROM trigger_requests WHERE partition_id = ? AND task_key = ?"
REMOVE_TASK = "DELETE FROM tasks WHERE partition_id = ? AND task_key = ?"


class AdditionUnits(Units):
    """Implements `OwnerStore.add_executions` and `remove_task`."""

    async def add_executions(
        self, owner_id: str, epoch: int, ref: TaskRef, items: Sequence[AddedExecution], *, now: int
    ) -> AddOutcome:
        """See `OwnerStore.add_executions`."""

        def body(connection: sqlite3.Connection) -> AddOutcome:
            if fence.lost_terms(connection, owner_id, [(ref.partition_id, epoch)]):
                return AddOutcome(True, None, [], [])
            task = connection.execute(READ_TASK, ref).fetchone()
            if task is None:
                return AddOutcome(False, None, [], [])
            state = TaskState(task[0])
            existing: list[int] = []
            wanted: list[AddedExecution] = []
            for item in items:
                found = connection.execute(READ_REQUEST, (*ref, item.request_key)).fetchone()
                if found is None:
                    wanted.append(item)
                else:
                    existing.append(found[0])
            if state in (TaskState.PAUSED, TaskState.CANCELLED) or not wanted:
                return AddOutcome(False, state, [], existing)
            added, more = _add(connection, owner_id, epoch, ref, task, wanted, now)
            return AddOutcome(False, state, added, [*existing, *more])

        return await self._write(body)

    async def remove_task(self, owner_id: str, epoch: int, ref: TaskRef, *, limit: int) -> RemoveOutcome:
        """See `OwnerStore.remove_task`."""

        def body(connection: sqlite3.Connection) -> RemoveOutcome:
            if fence.lost_terms(connection, owner_id, [(ref.partition_id, epoch)]):
                return RemoveOutcome(True, is_done=False)
            task = connection.execute(READ_TASK, ref).fetchone()
            if task is None:
                return RemoveOutcome(False, is_done=True)
            if task[0] != TaskState.CANCELLED:
                return RemoveOutcome(False, is_done=False)
            rows = _follow(connection, ref, task[2], limit)
            if any(row[2] < ExecutionState.SUCCEEDED for row in rows):
                return RemoveOutcome(False, is_done=False, has_open=True)
            for row in rows:
                connection.execute(REMOVE_EXECUTION, (ref.partition_id, row[0], ref.task_key))
            is_done = len(rows) < limit
            if is_done:
                connection.execute(REMOVE_REQUESTS, ref)
                connection.execute(REMOVE_TASK, ref)
            else:
                connection.execute(SET_HEAD, (rows[-1][1], *ref))
            return RemoveOutcome(False, is_done)

        return await self._write(body)


def _add(
    connection: sqlite3.Connection,
    owner_id: str,
    epoch: int,
    ref: TaskRef,
    task: tuple[Any, ...],
    items: Sequence[AddedExecution],
    now: int,
) -> tuple[list[OpenExecution], list[int]]:
    """Answers what was added, and the scheduled times that were taken."""
    _, version, head_at, handler, delivery, policies = task
    links = _links(connection, ref, head_at, min(item.scheduled_at for item in items))
    taken = {link.scheduled_at for link in links}
    rows: dict[int, tuple[AddedExecution, bytes | None]] = {}
    for item in items:
        at = item.scheduled_at
        while item.is_movable and (at in taken or at in rows or at in item.kept_free):
            at += 1
        payload = item.payload
        if item.payload_of is not None:
            found = connection.execute(
                READ_PAYLOAD, (ref.partition_id, item.payload_of, ref.task_key)
            ).fetchone()
            payload = None if found is None else found[0]
        rows[at] = (item, payload)
    chain = woven(head_at, links, list(rows))
    added: list[OpenExecution] = []
    for link in chain.new:
        at = link.scheduled_at
        item, payload = rows[at]
        name = (ref.partition_id, at, ref.task_key)
        connection.execute(
            ADD_EXECUTION,
            (
                *(*name, link.previous_at, item.due_at, item.wake_at, epoch, version, owner_id, now),
                *(int(item.origin), payload),
            ),
        )
        if item.request_key:
            connection.execute(FORGET_REQUESTS, (*ref, now - REQUEST_KEPT_US))
            connection.execute(ADD_REQUEST, (*ref, item.request_key, at))
        added.append(
            item.recorded(
                ExecutionRef(*name),
                epoch=epoch,
                now=now,
                handler=handler,
                delivery=Delivery(delivery),
                policies=policies,
                task_version=version,
            )
        )
    for link in chain.changed:
        connection.execute(RELINK, (link.previous_at, ref.partition_id, link.scheduled_at, ref.task_key))
    if chain.head_at != head_at:
        connection.execute(SET_HEAD, (chain.head_at, *ref))
    return added, chain.existing


def join_history(connection: sqlite3.Connection, ref: TaskRef, head_at: int, times: Sequence[int]) -> None:
    """Puts executions, inserted in this transaction with whatever links, in their places of a history.

    Args:
        head_at: the newest execution before.
        times: of those that are inserted; none of them is in the history yet.
    """
    chain = woven(head_at, _links(connection, ref, head_at, min(times)), times)
    for link in (*chain.new, *chain.changed):
        connection.execute(RELINK, (link.previous_at, ref.partition_id, link.scheduled_at, ref.task_key))
    connection.execute(SET_HEAD, (chain.head_at, *ref))


def _links(connection: sqlite3.Connection, ref: TaskRef, head_at: int | None, low: int) -> list[Link]:
    """The history from its newest execution down to the first one before `low`; nothing when that is the newest."""
    if head_at is None or head_at < low:
        return []
    return [Link(row[0], row[1]) for row in _follow(connection, ref, head_at, None, low)]


def _follow(
    connection: sqlite3.Connection,
    ref: TaskRef,
    head_at: int | None,
    limit: int | None,
    low: int | None = None,
) -> list[tuple[Any, ...]]:
    """Rows of READ_LINK from the newest execution on, at most `limit`, down to the first one before `low`."""
    rows: list[tuple[Any, ...]] = []
    while head_at is not None and (limit is None or len(rows) < limit):
        row = connection.execute(READ_LINK, (ref.partition_id, head_at, ref.task_key)).fetchone()
        if row is None:
            break
        rows.append(row)
        head_at = None if low is not None and row[0] < low else row[1]
    return rows
