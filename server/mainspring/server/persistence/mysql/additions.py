"""What calls have the owner write beside the claims: executions that are added, tasks that are removed."""

from __future__ import annotations

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
from mainspring.server.persistence.mysql import fence
from mainspring.server.persistence.mysql.database import Transaction, Units
from mainspring.server.persistence.mysql.literals import binary, integer, text

CHAIN_STEPS = 500
"""Executions of a task's history followed in one statement; both servers stop a recursion at 1,000."""
REQUEST_KEPT_US = 86_400_000_000

_TASK = "partition_id = %(partition_id)s AND task_key = %(task_key)s"

# No SKIP LOCKED: a claim that holds the row comes first, and what it has written is part of the history.
LOCK_TASK = f"""SELECT state, version, last_scheduled_at, handler, delivery, policies FROM tasks
WHERE {_TASK} FOR UPDATE"""

READ_REQUEST = f"SELECT scheduled_at FROM trigger_requests WHERE {_TASK} AND request_key = %(request_key)s"

ADD_REQUEST = f"""DELETE FROM trigger_requests WHERE {_TASK} AND scheduled_at < %(forget_before)s;
INSERT INTO trigger_requests (partition_id, task_key, request_key, scheduled_at)
VALUES (%(partition_id)s, %(task_key)s, %(request_key)s, %(scheduled_at)s)"""

# From the newest execution down to the first one before `low`, or as far as the steps go.
FOLLOW_CHAIN = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at, state) AS (
  SELECT 1, e.scheduled_at, e.previous_scheduled_at, e.state FROM executions e
  WHERE e.partition_id = %(partition_id)s AND e.scheduled_at = %(head_at)s AND e.task_key = %(task_key)s
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at, e.state
  FROM chain c STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = %(partition_id)s
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = %(task_key)s
  WHERE c.step < %(steps)s AND c.scheduled_at >= %(low)s)
SELECT scheduled_at, previous_scheduled_at, state FROM chain ORDER BY step"""

READ_PAYLOAD = f"SELECT payload FROM executions WHERE {_TASK} AND scheduled_at = %(scheduled_at)s"

ADD_EXECUTIONS = """INSERT INTO executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at,
  wake_at, attempt, epoch, task_version, node_id, claimed_at, origin, payload)
VALUES %(rows)s"""

RELINK = f"UPDATE executions SET previous_scheduled_at = %(previous_at)s WHERE {_TASK} AND scheduled_at = %(scheduled_at)s"

SET_HEAD = f"UPDATE tasks SET last_scheduled_at = %(head_at)s WHERE {_TASK}"

REMOVE_EXECUTIONS = f"DELETE FROM executions WHERE {_TASK} AND scheduled_at IN (%(times)s)"

REMOVE_TASK = f"DELETE FROM trigger_requests WHERE {_TASK}; DELETE FROM tasks WHERE {_TASK}"


class AdditionUnits(Units):
    """Implements `OwnerStore.add_executions` and `remove_task`."""

    async def add_executions(
        self, owner_id: str, epoch: int, ref: TaskRef, items: Sequence[AddedExecution], *, now: int
    ) -> AddOutcome:
        """See `OwnerStore.add_executions`. The lock of the task's row is what makes its history stand still."""

        async def body(transaction: Transaction) -> AddOutcome:
            task = await _lock(transaction, owner_id, epoch, ref)
            if task is None:
                return AddOutcome(True, None, [], [])
            if not task:
                return AddOutcome(False, None, [], [])
            state = TaskState(task[0])
            existing: list[int] = []
            wanted: list[AddedExecution] = []
            for item in items:
                found = await _of_request(transaction, ref, item.request_key)
                if found is None:
                    wanted.append(item)
                else:
                    existing.append(found)
            if state in (TaskState.PAUSED, TaskState.CANCELLED) or not wanted:
                return AddOutcome(False, state, [], existing)
            added, more = await _add(transaction, owner_id, epoch, ref, task, wanted, now)
            return AddOutcome(False, state, added, [*existing, *more])

        return await self._db.transaction(self._db.hot, body)

    async def remove_task(self, owner_id: str, epoch: int, ref: TaskRef, *, limit: int) -> RemoveOutcome:
        """See `OwnerStore.remove_task`."""

        async def body(transaction: Transaction) -> RemoveOutcome:
            task = await _lock(transaction, owner_id, epoch, ref)
            if task is None:
                return RemoveOutcome(True, is_done=False)
            if not task:
                return RemoveOutcome(False, is_done=True)
            if task[0] != TaskState.CANCELLED:
                return RemoveOutcome(False, is_done=False)
            steps = min(limit, CHAIN_STEPS)
            values = {**_name(ref), "head_at": integer(task[2]), "low": -(2**63) + 1, "steps": steps}
            (read,) = await transaction.run(FOLLOW_CHAIN % values)
            final = []
            for row in read.rows:
                if row[2] < ExecutionState.SUCCEEDED:
                    return RemoveOutcome(False, is_done=False, has_open=True)
                final.append(row)
            statements = []
            if final:
                times = ",".join(str(row[0]) for row in final)
                statements.append(REMOVE_EXECUTIONS % {**_name(ref), "times": times})
            is_done = len(final) < steps
            if is_done:
                statements.append(REMOVE_TASK % _name(ref))
            else:
                statements.append(SET_HEAD % {**_name(ref), "head_at": integer(final[-1][1])})
            await transaction.run("; ".join(statements))
            return RemoveOutcome(False, is_done)

        return await self._db.transaction(self._db.hot, body)


async def _lock(transaction: Transaction, owner_id: str, epoch: int, ref: TaskRef) -> tuple[Any, ...] | None:
    """The row of LOCK_TASK, empty when there is none; None when the partition is not the owner's under this epoch."""
    fence_read, task_read = await transaction.run(
        fence.LOCK_FENCE % {"ids": ref.partition_id} + "; " + LOCK_TASK % _name(ref)
    )
    if fence.refused(fence_read.rows, owner_id, {ref.partition_id: epoch}):
        return None
    return task_read.rows[0] if task_read.rows else ()


async def _of_request(transaction: Transaction, ref: TaskRef, request_key: bytes) -> int | None:
    """The scheduled time that a call with this key got, if there was one."""
    if not request_key:
        return None
    (read,) = await transaction.run(READ_REQUEST % {**_name(ref), "request_key": binary(request_key)})
    return read.rows[0][0] if read.rows else None


async def _add(
    transaction: Transaction,
    owner_id: str,
    epoch: int,
    ref: TaskRef,
    task: tuple[Any, ...],
    items: Sequence[AddedExecution],
    now: int,
) -> tuple[list[OpenExecution], list[int]]:
    """Answers what was added, and the scheduled times that were taken."""
    _, version, head_at, handler, delivery, policies = task
    links = await _links(transaction, ref, head_at, min(item.scheduled_at for item in items))
    taken = {link.scheduled_at for link in links}
    rows: dict[int, tuple[AddedExecution, bytes | None]] = {}
    for item in items:
        at = item.scheduled_at
        while item.is_movable and (at in taken or at in rows or at in item.kept_free):
            at += 1
        payload = item.payload
        if item.payload_of is not None:
            (read,) = await transaction.run(
                READ_PAYLOAD % {**_name(ref), "scheduled_at": int(item.payload_of)}
            )
            payload = read.rows[0][0] if read.rows else None
        rows[at] = (item, payload)
    chain = woven(head_at, links, list(rows))
    if not chain.new:
        return [], chain.existing
    inserted: list[str] = []
    statements: list[str] = []
    added: list[OpenExecution] = []
    for link in chain.new:
        at = link.scheduled_at
        item, payload = rows[at]
        inserted.append(
            f"({ref.partition_id},{at},{binary(ref.task_key)},{integer(link.previous_at)},1,{item.due_at:d},"
            f"{item.wake_at:d},0,{epoch},{version},{text(owner_id)},{now:d},{int(item.origin)},"
            f"{'NULL' if payload is None else binary(payload)})"
        )
        if item.request_key:
            statements.append(
                ADD_REQUEST
                % {
                    **_name(ref),
                    "request_key": binary(item.request_key),
                    "scheduled_at": at,
                    "forget_before": now - REQUEST_KEPT_US,
                }
            )
        added.append(
            item.recorded(
                ExecutionRef(ref.partition_id, at, ref.task_key),
                epoch=epoch,
                now=now,
                handler=handler,
                delivery=Delivery(delivery),
                policies=policies,
                task_version=version,
            )
        )
    statements.append(ADD_EXECUTIONS % {"rows": ",\n".join(inserted)})
    statements += [
        RELINK % {**_name(ref), "scheduled_at": link.scheduled_at, "previous_at": integer(link.previous_at)}
        for link in chain.changed
    ]
    if chain.head_at != head_at:
        statements.append(SET_HEAD % {**_name(ref), "head_at": chain.head_at})
    await transaction.run("; ".join(statements))
    return added, chain.existing


async def join_history(
    transaction: Transaction, ref: TaskRef, head_at: int, times: Sequence[int]
) -> list[str]:
    """Statements that put executions, inserted in this transaction with whatever links, in their places of a history.

    Args:
        head_at: the newest execution before.
        times: of those that are inserted; none of them is in the history yet.
    """
    chain = woven(head_at, await _links(transaction, ref, head_at, min(times)), times)
    return [
        *(
            RELINK
            % {**_name(ref), "scheduled_at": link.scheduled_at, "previous_at": integer(link.previous_at)}
            for link in (*chain.new, *chain.changed)
        ),
        SET_HEAD % {**_name(ref), "head_at": chain.head_at},
    ]


async def _links(transaction: Transaction, ref: TaskRef, head_at: int | None, low: int) -> list[Link]:
    """The history from its newest execution down to the first one before `low`; nothing when that is the newest."""
    links: list[Link] = []
    if head_at is None or head_at < low:
        return links
    begin_at: int | None = head_at
    while begin_at is not None:
        values = {**_name(ref), "head_at": begin_at, "low": low, "steps": CHAIN_STEPS}
        (read,) = await transaction.run(FOLLOW_CHAIN % values)
        links += [Link(row[0], row[1]) for row in read.rows]
        is_cut = len(read.rows) == CHAIN_STEPS and read.rows[-1][0] >= low
        begin_at = read.rows[-1][1] if is_cut else None
    return links


def _name(ref: TaskRef) -> dict[str, object]:
    return {"partition_id": int(ref.partition_id), "task_key": binary(ref.task_key)}
