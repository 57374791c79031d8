"""What has ended and is old is removed by its owner, a slice at a time. Each unit is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeVar

from mainspring.server.core.history import Row, Surplus
from mainspring.server.core.model import ExecutionRef, ExecutionState, TaskRef
from mainspring.server.core.namespaces import Cutoffs, Span
from mainspring.server.persistence.sqlite import fence
from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.store.retention import Slice
from mainspring.shard_manager.hashing import PREFIX_BYTES, namespace_prefix
from mainspring.shard_manager.lease import PartitionLease

T = TypeVar("T")

READ_OLD_EXECUTIONS = """SELECT scheduled_at, task_key, state, coalesce(saved_at, claimed_at) FROM executions
WHERE partition_id = ? AND (scheduled_at, task_key) > (?, ?) AND scheduled_at < ?
ORDER BY scheduled_at, task_key LIMIT ?"""

DELETE_EXECUTION = "DELETE FROM executions WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"

RELINK_EXECUTION = """UPDATE executions SET previous_scheduled_at = ?
WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"""

READ_ENDED_TASKS = """SELECT t.task_key, t.state, t.updated_at, t.namespace, e.state, coalesce(e.saved_at, e.claimed_at)
FROM tasks t LEFT JOIN executions e
  ON e.partition_id = t.partition_id AND e.scheduled_at = t.last_scheduled_at AND e.task_key = t.task_key
WHERE t.partition_id = ? AND t.task_key > ?
ORDER BY t.task_key LIMIT ?"""

READ_OPEN_TASKS = """SELECT task_key FROM executions INDEXED BY wake
WHERE partition_id = ? AND wake_at IS NOT NULL"""

DELETE_TASK = "DELETE FROM tasks WHERE partition_id = ? AND task_key = ?"

DELETE_REQUESTS = "DELETE FROM trigger_requests WHERE partition_id = ? AND task_key = ?"

READ_HEAD = "SELECT last_scheduled_at FROM tasks WHERE partition_id = ? AND task_key = ?"

READ_LINK = """SELECT scheduled_at, previous_scheduled_at, state FROM executions
WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"""


class RetentionUnits(Units):
    """Implements `RetentionStore`."""

    async def remove_executions(
        self,
        owner_id: str,
        lease: PartitionLease,
        cutoffs: Cutoffs,
        span: Span,
        *,
        after: ExecutionRef | None,
        limit: int,
    ) -> Slice:
        """See `RetentionStore.remove_executions`."""
        begin = (span.from_at, b"") if after is None else (after.scheduled_at, after.task_key)
        by_beginning = cutoffs.by_beginning(namespace_prefix)

        def body(connection: sqlite3.Connection) -> Slice:
            values = (lease.partition_id, *begin, span.until_at, limit)
            rows = connection.execute(READ_OLD_EXECUTIONS, values).fetchall()
            old = [
                (lease.partition_id, scheduled_at, key)
                for scheduled_at, key, state, ended_at in rows
                if ExecutionState(state).is_final
                and max(scheduled_at, ended_at) < by_beginning.get(key[:PREFIX_BYTES], cutoffs.default_at)
            ]
            connection.executemany(DELETE_EXECUTION, old)
            full = len(rows) == limit
            return Slice(len(old), ExecutionRef(lease.partition_id, *rows[-1][:2]) if full else None)

        return await self._write_held(owner_id, lease, body, Slice(0, None, is_refused=True))

    async def remove_tasks(
        self,
        owner_id: str,
        lease: PartitionLease,
        cutoffs: Cutoffs,
        *,
        after: ExecutionRef | None,
        limit: int,
    ) -> Slice:
        """See `RetentionStore.remove_tasks`. Looks at every task, due or not."""

        def body(connection: sqlite3.Connection) -> Slice:
            values = (lease.partition_id, b"" if after is None else after.task_key, limit)
            rows = connection.execute(READ_ENDED_TASKS, values).fetchall()
            opened = {row[0] for row in connection.execute(READ_OPEN_TASKS, (lease.partition_id,))}
            ended = []
            for key, state, updated_at, namespace, last_state, last_ended_at in rows:
                cutoff_at = cutoffs.of(namespace)
                is_old = last_state is None or (last_state >= 4 and last_ended_at < cutoff_at)
                if state in (3, 4) and updated_at < cutoff_at and is_old and key not in opened:
                    ended.append((lease.partition_id, key))
            connection.executemany(DELETE_REQUESTS, ended)
            connection.executemany(DELETE_TASK, ended)
            full = len(rows) == limit
            return Slice(len(ended), ExecutionRef(lease.partition_id, 0, rows[-1][0]) if full else None)

        return await self._write_held(owner_id, lease, body, Slice(0, None, is_refused=True))

    async def trim_histories(
        self, owner_id: str, lease: PartitionLease, keeps: Mapping[bytes, int], *, limit: int
    ) -> dict[bytes, bool]:
        """See `RetentionStore.trim_histories`."""

        def body(connection: sqlite3.Connection) -> dict[bytes, bool]:
            return {
                key: _trim(connection, TaskRef(lease.partition_id, key), Surplus(keep, limit))
                for key, keep in sorted(keeps.items())
            }

        return await self._write_held(owner_id, lease, body, {})

    async def _write_held(
        self, owner_id: str, lease: PartitionLease, body: Callable[[sqlite3.Connection], T], refused: T
    ) -> T:
        def fenced(connection: sqlite3.Connection) -> T:
            if fence.lost_terms(connection, owner_id, [(lease.partition_id, lease.epoch)]):
                return refused
            return body(connection)

        return await self._write(fenced)


def _trim(connection: sqlite3.Connection, ref: TaskRef, surplus: Surplus) -> bool:
    row = connection.execute(READ_HEAD, ref).fetchone()
    head: int | None = None if row is None else row[0]
    while head is not None:
        row = connection.execute(READ_LINK, (ref.partition_id, head, ref.task_key)).fetchone()
        if row is None:
            break
        head = surplus.walk([Row(row[0], row[1], ExecutionState(row[2]))])
    surplus.end()
    connection.executemany(
        RELINK_EXECUTION,
        [(link.previous_at, ref.partition_id, link.scheduled_at, ref.task_key) for link in surplus.relinks],
    )
    gone = [(ref.partition_id, row.scheduled_at, ref.task_key) for row in surplus.remove]
    connection.executemany(DELETE_EXECUTION, gone)
    return surplus.is_cut
