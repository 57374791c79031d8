"""What an owner loads: tasks due soon and executions that are open. Plain reads on the two time indexes.

One statement a partition, 3 us each: within a partition the index has the order of the answer, across partitions SQLite
would collect everything that is due and sort it before it cuts the page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from mainspring.server.core.model import (
    Delivery,
    DueCursor,
    DueTask,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    OpenExecution,
)
from mainspring.server.persistence.sqlite.database import Units

LOAD_DUE_TASKS = """SELECT due_at, partition_id, task_key, scheduled_at, version, handler, schedule, execution_count,
  policies, adjustments_version, adjustments, owed
FROM tasks INDEXED BY due
WHERE partition_id = ? AND (due_at, task_key) > (?, ?) AND due_at < ? AND state = 1
ORDER BY due_at, task_key LIMIT ?"""

LOAD_OPEN_EXECUTIONS = """SELECT e.partition_id, e.scheduled_at, e.task_key, e.state, e.attempt, e.epoch, e.executor_id,
  t.handler, e.due_at, e.wake_at, e.claimed_at, e.dispatched_at, e.picked_up_at, t.delivery,
  t.policies, e.origin, e.failure_count, CASE WHEN e.state = 1 THEN '' ELSE e.reason END,
  e.task_version
FROM executions e INDEXED BY wake
CROSS JOIN tasks t ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE e.partition_id = ? AND (e.wake_at, e.task_key) >= (?, ?) AND e.wake_at < ?
ORDER BY e.wake_at, e.task_key, e.scheduled_at LIMIT ?"""

_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_BEFORE_ALL_KEYS = b""


class WindowUnits(Units):
    """Implements the loads of `OwnerStore`."""

    async def load_due_tasks(
        self,
        partition_ids: Sequence[int],
        *,
        from_at: int,
        until_at: int,
        after: DueCursor | None,
        limit: int,
    ) -> list[DueTask]:
        """See `OwnerStore.load_due_tasks`."""
        begins = list(_begins(partition_ids, from_at, after))

        def body(connection: sqlite3.Connection) -> list[DueTask]:
            found: list[DueTask] = []
            for partition_id, at, key in begins:
                if len(found) >= limit:
                    break
                values = (partition_id, at, key, until_at, limit - len(found))
                found += map(DueTask._make, connection.execute(LOAD_DUE_TASKS, values))
            return found

        return await self._read(body) if begins else []

    async def load_open_executions(
        self, partition_ids: Sequence[int], *, until_at: int | None, after: DueCursor | None, limit: int
    ) -> list[OpenExecution]:
        """See `OwnerStore.load_open_executions`. Final rows have no wake_at, so the index holds open ones alone."""
        begins = list(_begins(partition_ids, _EARLIEST, after))
        end = _LATEST if until_at is None else until_at

        def body(connection: sqlite3.Connection) -> list[OpenExecution]:
            found: list[OpenExecution] = []
            for partition_id, at, key in begins:
                if len(found) >= limit:
                    break
                values = (partition_id, at, key, end, limit - len(found))
                for row in connection.execute(LOAD_OPEN_EXECUTIONS, values):
                    ref, state = ExecutionRef._make(row[:3]), ExecutionState(row[3])
                    fields: list[Any] = [
                        *row[4:13],
                        Delivery(row[13]),
                        row[14],
                        ExecutionOrigin(row[15]),
                        *row[16:19],
                    ]
                    found.append(OpenExecution(ref, state, *fields))
            return found

        return await self._read(body) if begins else []


def _begins(
    partition_ids: Sequence[int], from_at: int, after: DueCursor | None
) -> Iterator[tuple[int, int, bytes]]:
    """Where to begin in each partition that is left, in order: (partition, instant, key)."""
    for partition_id in sorted(set(partition_ids)):
        if after is None or partition_id > after.partition_id:
            yield partition_id, from_at, _BEFORE_ALL_KEYS
        elif partition_id == after.partition_id:
            at, key = max((from_at, _BEFORE_ALL_KEYS), (after.due_at, after.task_key))
            yield partition_id, at, key
