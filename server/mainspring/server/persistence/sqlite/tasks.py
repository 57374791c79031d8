"""Registrations, and what the API reads and changes of tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from mainspring.server.core.model import Delivery, NewTask, Task, TaskRef, TaskState
from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.sqlite.driver_errors import REFUSED_VALUES
from mainspring.server.persistence.store import Cancelled, Created, TasksRefused
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix

PARTITIONS_PER_READ = 16
"""After this many partitions a listing lets the loop go on."""

_COLUMNS = """partition_id, task_key, namespace, task_id, handler, {payload}, schedule, definition_hash, state, version,
  scheduled_at, due_at, last_scheduled_at, execution_count, created_at, updated_at, delivery, policies, labels, note,
  changed_by"""

INSERT_TASK = """INSERT INTO tasks (partition_id, task_key, state, version, scheduled_at, due_at, created_at, updated_at,
  definition_hash, namespace, task_id, handler, schedule, payload, delivery, policies, labels)
VALUES (?, ?, 1, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING"""

READ_TASK = f"SELECT {_COLUMNS.format(payload='payload')} FROM tasks WHERE partition_id = ? AND task_key = ?"

_LIST_TASKS = f"""SELECT {_COLUMNS} FROM tasks
WHERE partition_id = ? AND task_key > ? AND task_key <= ? AND namespace = ?
ORDER BY task_key LIMIT ?"""
LIST_TASKS = _LIST_TASKS.format(payload="payload")
LIST_TASKS_WITHOUT_PAYLOAD = _LIST_TASKS.format(payload="x''")

CANCEL_TASK = """UPDATE tasks
SET state = 4, version = version + 1, scheduled_at = NULL, due_at = NULL, updated_at = ?
WHERE partition_id = ? AND task_key = ? AND state IN (1, 2)"""


class TaskUnits(Units):
    """Implements `TaskStore`."""

    async def create_tasks(self, tasks: Sequence[NewTask]) -> list[Created]:
        """See `TaskStore.create_tasks`: one transaction, whatever the number of tasks."""
        if not tasks:
            return []
        first_of: dict[TaskRef, NewTask] = {}
        for task in tasks:
            first_of.setdefault(task.ref, task)
        fresh = [first_of[ref] for ref in sorted(first_of)]

        def body(connection: sqlite3.Connection) -> tuple[dict[TaskRef, Task], dict[TaskRef, str]]:
            stored: dict[TaskRef, Task] = {}
            refused: dict[TaskRef, str] = {}
            for task in fresh:
                try:
                    is_new = connection.execute(INSERT_TASK, _insert_values(task)).rowcount > 0
                except REFUSED_VALUES as error:
                    refused[task.ref] = str(error)
                    continue
                stored[task.ref] = (
                    _as_stored(task) if is_new else _task(connection.execute(READ_TASK, task.ref).fetchone())
                )
            return stored, refused

        stored, refused = await self._write(body)
        created = {
            index: Created(stored[task.ref], is_conflict=not _is_same_call(stored[task.ref], task))
            for index, task in enumerate(tasks)
            if task.ref in stored
        }
        if refused:
            raise TasksRefused(
                created, {index: refused[task.ref] for index, task in enumerate(tasks) if task.ref in refused}
            )
        return list(created.values())

    async def get_task(self, ref: TaskRef) -> Task | None:
        """See `TaskStore.get_task`."""
        row = await self._read(lambda connection: connection.execute(READ_TASK, ref).fetchone())
        return None if row is None else _task(row)

    async def list_tasks(
        self, namespace: str, after: TaskRef | None, limit: int, *, with_payload: bool
    ) -> list[Task]:
        """See `TaskStore.list_tasks`: reads one key range a partition, until the page is full."""
        sql = LIST_TASKS if with_payload else LIST_TASKS_WITHOUT_PAYLOAD
        prefix = namespace_prefix(namespace)
        # A key is longer than its prefix, so every key of the namespace is behind the bare prefix.
        low, high = prefix, prefix + b"\xff" * (KEY_BYTES - PREFIX_BYTES)
        begin = after.partition_id if after is not None else 0
        found: list[Task] = []

        def body(connection: sqlite3.Connection) -> list[Task]:
            part: list[Task] = []
            for partition_id in range(begin, min(begin + PARTITIONS_PER_READ, self._db.partition_count)):
                room = limit - len(found) - len(part)
                if room <= 0:
                    break
                lower = low
                if after is not None and after.partition_id == partition_id:
                    lower = max(low, after.task_key)
                part += map(_task, connection.execute(sql, (partition_id, lower, high, namespace, room)))
            return part

        while begin < self._db.partition_count and len(found) < limit:
            found += await self._read(body)
            begin += PARTITIONS_PER_READ
        return found

    async def cancel_task(self, ref: TaskRef, now: int) -> Cancelled | None:
        """See `TaskStore.cancel_task`."""

        def body(connection: sqlite3.Connection) -> tuple[int, tuple[Any, ...] | None]:
            changed = connection.execute(CANCEL_TASK, (now, *ref)).rowcount
            return changed, connection.execute(READ_TASK, ref).fetchone()

        changed, row = await self._write(body)
        return None if row is None else Cancelled(_task(row), is_changed=changed > 0)


def _task(row: tuple[Any, ...]) -> Task:
    """Maps a row of _COLUMNS."""
    return Task(
        ref=TaskRef(row[0], row[1]),
        namespace=row[2],
        task_id=row[3],
        handler=row[4],
        payload=row[5],
        schedule=row[6],
        definition_hash=row[7],
        state=TaskState(row[8]),
        version=row[9],
        scheduled_at=row[10],
        due_at=row[11],
        last_scheduled_at=row[12],
        execution_count=row[13],
        created_at=row[14],
        updated_at=row[15],
        delivery=Delivery(row[16]),
        policies=row[17],
        labels=row[18],
        note=row[19],
        changed_by=row[20],
    )


def _insert_values(task: NewTask) -> tuple[object, ...]:
    return (
        *task.ref,
        task.scheduled_at,
        task.due_at,
        task.created_at,
        task.created_at,
        task.definition_hash,
        task.namespace,
        task.task_id,
        task.handler,
        task.schedule,
        task.payload,
        int(task.delivery),
        task.policies,
        task.labels,
    )


def _as_stored(task: NewTask) -> Task:
    return Task(
        ref=task.ref,
        namespace=task.namespace,
        task_id=task.task_id,
        handler=task.handler,
        payload=task.payload,
        schedule=task.schedule,
        definition_hash=task.definition_hash,
        state=TaskState.ACTIVE,
        version=1,
        scheduled_at=task.scheduled_at,
        due_at=task.due_at,
        last_scheduled_at=None,
        execution_count=0,
        created_at=task.created_at,
        updated_at=task.created_at,
        delivery=task.delivery,
        policies=task.policies,
        labels=task.labels,
    )


def _is_same_call(stored: Task, task: NewTask) -> bool:
    return (
        stored.definition_hash == task.definition_hash
        and stored.namespace == task.namespace
        and stored.task_id == task.task_id
    )
