"""What the API reads of the ledger. Plain reads; a long one is cut into steps that let the loop go on in between."""

from __future__ import annotations

import sqlite3
from typing import Any

from mainspring.server.core.model import Execution, ExecutionOrigin, ExecutionRef, ExecutionState, TaskRef
from mainspring.server.persistence.sqlite.database import Units
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix

CHAIN_STEPS = 1000
"""Rows of a task's history followed in one statement, 2 to 3 ms."""

_COLUMNS = """e.partition_id, e.scheduled_at, e.task_key, t.namespace, t.task_id, e.due_at, e.state, e.reason, e.attempt,
  e.epoch, e.task_version, e.executor_id, e.node_id, {result}, e.claimed_at, e.dispatched_at, e.picked_up_at,
  e.finished_at, e.saved_at, e.gap_last_scheduled_at, e.gap_count, e.origin, e.failure_count, e.error_kind, e.progress,
  e.progress_at, CASE WHEN e.state = 1 AND e.failure_count > 0 THEN e.wake_at END"""

READ_EXECUTION = f"""SELECT {_COLUMNS.format(result="e.result")}
FROM tasks t CROSS JOIN executions e
  ON e.partition_id = t.partition_id AND e.scheduled_at = coalesce(:scheduled_at, t.last_scheduled_at)
    AND e.task_key = t.task_key
WHERE t.partition_id = :partition_id AND t.task_key = :task_key"""

READ_HEAD = "SELECT last_scheduled_at FROM tasks WHERE partition_id = ? AND task_key = ?"

READ_PREVIOUS = """SELECT previous_scheduled_at FROM executions
WHERE partition_id = ? AND scheduled_at = ? AND task_key = ?"""

FOLLOW_CHAIN = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at) AS (
  SELECT 1, scheduled_at, previous_scheduled_at FROM executions
  WHERE partition_id = :partition_id AND scheduled_at = :scheduled_at AND task_key = :task_key
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at
  FROM chain c CROSS JOIN executions e ON e.partition_id = :partition_id
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = :task_key
  WHERE c.step < :steps AND c.scheduled_at >= :lower)
SELECT step, scheduled_at, previous_scheduled_at FROM chain ORDER BY step"""

READ_LISTED = f"""SELECT {_COLUMNS.format(result="x''")}
FROM tasks t CROSS JOIN executions e
  ON e.partition_id = t.partition_id AND e.scheduled_at = ? AND e.task_key = t.task_key
WHERE t.partition_id = ? AND t.task_key = ?"""

LIST_EXECUTIONS = f"""SELECT {_COLUMNS.format(result="x''")}
FROM executions e CROSS JOIN tasks t ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE e.partition_id = ? AND (e.scheduled_at, e.task_key) > (?, ?) AND e.scheduled_at < ?
  AND e.task_key BETWEEN ? AND ? AND t.namespace = ?
ORDER BY e.scheduled_at, e.task_key LIMIT ?"""

_EARLIEST, _LATEST = -(2**63), 2**63 - 1


class LedgerUnits(Units):
    """Implements `LedgerStore`."""

    async def get_execution(self, ref: TaskRef, scheduled_at: int | None) -> Execution | None:
        """See `LedgerStore.get_execution`."""
        values = {**ref._asdict(), "scheduled_at": scheduled_at}
        row = await self._read(lambda connection: connection.execute(READ_EXECUTION, values).fetchone())
        return None if row is None else _execution(row)

    async def list_task_executions(
        self, ref: TaskRef, *, start_at: int | None, end_at: int | None, before_at: int | None, limit: int
    ) -> list[Execution]:
        """See `LedgerStore.list_task_executions`.

        A page that continues another (`before_at` is a row of the task) begins there; one with an upper bound in the
        middle of a history walks down to it from the newest row. The walk ends at the first row before `start_at`:
        scheduled times of one task rise in the order in which they were recorded.
        """
        lower = _EARLIEST if start_at is None else start_at
        upper = min(bound for bound in (end_at, before_at, _LATEST) if bound is not None)
        head = await self._begin(ref, before_at)
        times: list[int] = []
        while head is not None and head >= lower and len(times) < limit:
            steps = min(CHAIN_STEPS, limit - len(times)) if head < upper else CHAIN_STEPS
            values = {**ref._asdict(), "scheduled_at": head, "steps": steps, "lower": lower}
            head = None
            for step, scheduled_at, previous in await self._rows(FOLLOW_CHAIN, values):
                head = previous if step == steps else None
                if lower <= scheduled_at < upper:
                    times.append(scheduled_at)
        times = sorted(times[:limit], reverse=True)

        def body(connection: sqlite3.Connection) -> list[Execution]:
            found = (connection.execute(READ_LISTED, (at, *ref)).fetchone() for at in times)
            return [_execution(row) for row in found if row is not None]

        return await self._read(body) if times else []

    async def _begin(self, ref: TaskRef, before_at: int | None) -> int | None:
        """The scheduled time of the newest row that may be on the page."""
        if before_at is not None:
            rows = await self._rows(READ_PREVIOUS, (ref.partition_id, before_at, ref.task_key))
            if rows:
                previous: int | None = rows[0][0]
                return previous
        rows = await self._rows(READ_HEAD, ref)
        latest: int | None = rows[0][0] if rows else None
        return latest

    async def _rows(self, sql: str, values: tuple[object, ...] | dict[str, Any]) -> list[tuple[Any, ...]]:
        return await self._read(lambda connection: connection.execute(sql, values).fetchall())

    async def list_executions(
        self,
        namespace: str,
        *,
        start_at: int | None,
        end_at: int | None,
        after: ExecutionRef | None,
        limit: int,
    ) -> list[Execution]:
        """See `LedgerStore.list_executions`.

        Reads the time span of every partition until the page is full, one partition a step: a small namespace beside a
        large ledger costs a walk over the span, so callers do well to give one.
        """
        prefix = namespace_prefix(namespace)
        low, high = prefix, prefix + b"\xff" * (KEY_BYTES - PREFIX_BYTES)
        lower = (_EARLIEST if start_at is None else start_at, b"")
        upper = _LATEST if end_at is None else end_at
        found: list[Execution] = []
        for partition_id in range(0 if after is None else after.partition_id, self._db.partition_count):
            if len(found) >= limit:
                break
            begin = lower
            if after is not None and after.partition_id == partition_id:
                begin = max(lower, (after.scheduled_at, after.task_key))
            values = (partition_id, *begin, upper, low, high, namespace, limit - len(found))
            found += map(_execution, await self._rows(LIST_EXECUTIONS, values))
        return found


def _execution(row: tuple[Any, ...]) -> Execution:
    """Maps a row of _COLUMNS."""
    return Execution(
        ref=ExecutionRef(row[0], row[1], row[2]),
        namespace=row[3],
        task_id=row[4],
        due_at=row[5],
        state=ExecutionState(row[6]),
        reason=row[7],
        attempt=row[8],
        epoch=row[9],
        task_version=row[10],
        executor_id=row[11],
        node_id=row[12],
        result=row[13] or b"",
        claimed_at=row[14],
        dispatched_at=row[15],
        picked_up_at=row[16],
        finished_at=row[17],
        saved_at=row[18],
        gap_last_scheduled_at=row[19],
        gap_count=row[20],
        origin=ExecutionOrigin(row[21]),
        failure_count=row[22],
        error_kind=row[23],
        progress=row[24] or b"",
        progress_at=row[25],
        retry_at=row[26],
    )
