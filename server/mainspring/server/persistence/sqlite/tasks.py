"""Registrations, and what the API reads and changes of tasks."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mainspring.server.core.model import Delivery, NewTask, Task, TaskRef, TaskState
from mainspring.server.core.task_filter import NO_FILTER, TaskFilter
from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.sqlite.driver_errors import REFUSED_VALUES
from mainspring.server.persistence.sqlite.task_filters import condition_of
from mainspring.server.persistence.store.tasks import Created, TasksRefused
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix

PARTITIONS_PER_READ = 16
"""After this many partitions a listing lets the loop go on."""

_COLUMNS = """partition_id, task_key, namespace, task_id, handler, {payload}, schedule, definition_hash, state, version,
  scheduled_at, due_at, last_scheduled_at, execution_count, created_at, updated_at, delivery, policies, labels, note,
  changed_by, adjustments_version, adjustments, {payloads}, owed"""
_WITH_PAYLOAD = _COLUMNS.format(payload="payload", payloads="NULL")
_WITHOUT_PAYLOAD = _COLUMNS.format(payload="x''", payloads="NULL")
_WHOLE = _COLUMNS.format(payload="payload", payloads="adjusted_payloads")

INSERT_TASK = """INSERT INTO tasks (partition_id, task_key, state, version, scheduled_at, due_at, created_at, updated_at,
  definition_hash, namespace, task_id, handler, schedule, payload, delivery, policies, labels)
VALUES (?, ?, 1, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING"""

READ_TASK = f"SELECT {_WITH_PAYLOAD} FROM tasks WHERE partition_id = ? AND task_key = ?"
READ_TASK_WITHOUT_PAYLOAD = f"SELECT {_WITHOUT_PAYLOAD} FROM tasks WHERE partition_id = ? AND task_key = ?"
READ_WHOLE_TASK = f"SELECT {_WHOLE} FROM tasks WHERE partition_id = ? AND task_key = ?"

_LIST_TASKS = """SELECT {columns} FROM tasks
WHERE partition_id = ? AND task_key > ? AND task_key <= ? AND namespace = ?{condition}
ORDER BY task_key LIMIT ?"""
LIST_TASKS = _LIST_TASKS.format(columns=_WITH_PAYLOAD, condition="")

_COUNT_TASKS = """SELECT state, COUNT(*) FROM tasks
WHERE partition_id = ? AND task_key > ? AND task_key <= ? AND namespace = ?{condition}
GROUP BY state"""
COUNT_TASKS = _COUNT_TASKS.format(condition="")


class TaskUnits(Units):
    """Implements `TaskStore` but for its changes, which are in `life_cycle`."""

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
                    _as_stored(task)
                    if is_new
                    else task_from_row(connection.execute(READ_TASK, task.ref).fetchone())
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
        return None if row is None else task_from_row(row)

    async def list_tasks(
        self,
        namespace: str,
        after: TaskRef | None,
        limit: int,
        *,
        with_payload: bool,
        only: TaskFilter = NO_FILTER,
    ) -> list[Task]:
        """See `TaskStore.list_tasks`: reads one key range a partition, until the page is full."""
        condition, wanted = condition_of(only)
        columns = _WITH_PAYLOAD if with_payload else _WITHOUT_PAYLOAD
        sql = _LIST_TASKS.format(columns=columns, condition=condition)
        low, high = _key_range(namespace)
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
                values = (partition_id, lower, high, namespace, *wanted, room)
                part += map(task_from_row, connection.execute(sql, values))
            return part

        while begin < self._db.partition_count and len(found) < limit:
            found += await self._read(body)
            begin += PARTITIONS_PER_READ
        return found

    async def count_tasks(self, namespace: str, only: TaskFilter = NO_FILTER) -> dict[TaskState, int]:
        """See `TaskStore.count_tasks`: one partition a step."""
        condition, wanted = condition_of(only)
        sql = _COUNT_TASKS.format(condition=condition)
        low, high = _key_range(namespace)
        counts: Counter[TaskState] = Counter()
        for partition_id in range(self._db.partition_count):
            values = (partition_id, low, high, namespace, *wanted)

            def body(
                connection: sqlite3.Connection, values: tuple[object, ...] = values
            ) -> list[tuple[int, int]]:
                return connection.execute(sql, values).fetchall()

            for state, count in await self._read(body):
                counts[TaskState(state)] += count
        return dict(counts)


def task_from_row(row: tuple[Any, ...]) -> Task:
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
        adjustments_version=row[21],
        adjustments=row[22],
        adjusted_payloads=row[23],
        owed=row[24],
    )


def _key_range(namespace: str) -> tuple[bytes, bytes]:
    """What every key of the namespace lies behind, and the largest: a key is longer than its prefix."""
    prefix = namespace_prefix(namespace)
    return prefix, prefix + b"\xff" * (KEY_BYTES - PREFIX_BYTES)


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
