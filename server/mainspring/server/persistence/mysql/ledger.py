"""What the API reads of the ledger. Plain reads; every statement carries the partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.server.core.model import Execution, ExecutionOrigin, ExecutionRef, ExecutionState, TaskRef
from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.literals import binary, document, integer, integers, text
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix

CHAIN_STEPS = 500
"""Rows of a task's history followed in one statement; both servers stop a recursion at 1,000."""
PARTITIONS_PER_LIST_STATEMENT = 32
"""A listing by namespace looks at every row of the time span; this keeps one statement short."""

EXECUTION_COLUMNS = """e.partition_id, e.scheduled_at, e.task_key, t.namespace, t.task_id, e.due_at, e.state, e.reason,
  e.attempt, e.epoch, e.task_version, e.executor_id, e.node_id, {result}, e.claimed_at, e.dispatched_at, e.picked_up_at,
  e.finished_at, e.saved_at, e.gap_last_scheduled_at, e.gap_count, e.origin, e.failure_count, e.error_kind, e.progress,
  e.progress_at, IF(e.state = 1 AND e.failure_count > 0, e.wake_at, NULL)"""

READ_EXECUTION = f"""SELECT {EXECUTION_COLUMNS.format(result="e.result")}
FROM tasks t
JOIN executions e ON e.partition_id = t.partition_id AND e.scheduled_at = %(scheduled_at)s AND e.task_key = t.task_key
WHERE t.partition_id = %(partition_id)s AND t.task_key = %(task_key)s"""

LATEST_OF_TASK = "t.last_scheduled_at"

READ_HEAD = """SELECT last_scheduled_at FROM tasks
WHERE partition_id = %(partition_id)s AND task_key = %(task_key)s"""

READ_PREVIOUS = """SELECT previous_scheduled_at FROM executions
WHERE partition_id = %(partition_id)s AND scheduled_at = %(scheduled_at)s AND task_key = %(task_key)s"""

# Only rows below the upper bound are answered, and the last one of the walk, from where the next statement goes on.
FOLLOW_CHAIN = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at) AS (
  SELECT 1, e.scheduled_at, e.previous_scheduled_at FROM executions e
  WHERE e.partition_id = %(partition_id)s AND e.scheduled_at = %(scheduled_at)s AND e.task_key = %(task_key)s
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at
  FROM chain c STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = %(partition_id)s
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = %(task_key)s
  WHERE c.step < %(steps)s)
SELECT step, scheduled_at, previous_scheduled_at FROM chain
WHERE scheduled_at < %(before_at)s OR step = %(steps)s ORDER BY step"""

READ_EXECUTIONS = f"""SELECT {EXECUTION_COLUMNS.format(result="NULL")}
FROM (SELECT j.partition_id, j.scheduled_at, UNHEX(j.task_key) AS task_key FROM JSON_TABLE(%(keys)s, '$[*]' COLUMNS (
  partition_id SMALLINT UNSIGNED PATH '$[0]', scheduled_at BIGINT PATH '$[1]', task_key CHAR(32) PATH '$[2]')) j) k
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY)
  ON e.partition_id = k.partition_id AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = e.partition_id AND t.task_key = e.task_key"""

LIST_EXECUTIONS = f"""SELECT {EXECUTION_COLUMNS.format(result="NULL")}
FROM executions e FORCE INDEX (PRIMARY)
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE (%(ranges)s) AND e.task_key BETWEEN %(low)s AND %(high)s AND t.namespace = %(namespace)s
ORDER BY e.partition_id, e.scheduled_at, e.task_key LIMIT %(limit)s"""

_EARLIEST, _LATEST = -(2**63) + 1, 2**63 - 1


class LedgerUnits(Units):
    """Implements `LedgerStore`."""

    async def get_execution(self, ref: TaskRef, scheduled_at: int | None) -> Execution | None:
        """See `LedgerStore.get_execution`."""
        values = {
            **_name(ref),
            "scheduled_at": LATEST_OF_TASK if scheduled_at is None else integer(scheduled_at),
        }
        rows = await self._db.read(self._db.query, READ_EXECUTION % values)
        return _execution(rows[0]) if rows else None

    async def list_task_executions(
        self, ref: TaskRef, *, start_at: int | None, end_at: int | None, before_at: int | None, limit: int
    ) -> list[Execution]:
        """See `LedgerStore.list_task_executions`.

        A page that continues another (`before_at` is a row of the task) begins there; one with an upper bound in the
        middle of a history walks down to it from the newest row, 500 rows a statement. The walk ends at the first row
        before `start_at`: scheduled times of one task rise in the order in which they were recorded.
        """
        lower = _EARLIEST if start_at is None else start_at
        upper = min(bound for bound in (end_at, before_at, _LATEST) if bound is not None)
        head = await self._begin(ref, before_at)
        times: list[int] = []
        while head is not None and head >= lower and len(times) < limit:
            steps = min(CHAIN_STEPS, limit - len(times)) if head < upper else CHAIN_STEPS
            values = {**_name(ref), "scheduled_at": head, "steps": steps, "before_at": upper}
            head = None
            for step, scheduled_at, previous in await self._db.read(self._db.query, FOLLOW_CHAIN % values):
                if step == steps:
                    head = previous
                if scheduled_at < lower:
                    head = None
                    break
                if scheduled_at < upper:
                    times.append(scheduled_at)
        found = await self._read([ExecutionRef(ref.partition_id, at, ref.task_key) for at in times[:limit]])
        return sorted(found, key=lambda execution: execution.ref.scheduled_at, reverse=True)

    async def _begin(self, ref: TaskRef, before_at: int | None) -> int | None:
        """The scheduled time of the newest row that may be on the page."""
        if before_at is not None:
            values = {**_name(ref), "scheduled_at": int(before_at)}
            rows = await self._db.read(self._db.query, READ_PREVIOUS % values)
            if rows:
                previous: int | None = rows[0][0]
                return previous
        rows = await self._db.read(self._db.query, READ_HEAD % _name(ref))
        latest: int | None = rows[0][0] if rows else None
        return latest

    async def _read(self, refs: Sequence[ExecutionRef]) -> list[Execution]:
        if not refs:
            return []
        keys = document([[ref.partition_id, ref.scheduled_at, ref.task_key.hex()] for ref in refs])
        return [
            _execution(row) for row in await self._db.read(self._db.query, READ_EXECUTIONS % {"keys": keys})
        ]

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

        Reads the time span of every partition until the page is full: a small namespace beside a large ledger costs a
        walk over the span, so callers do well to give one.
        """
        prefix = namespace_prefix(namespace)
        lower = _EARLIEST if start_at is None else int(start_at)
        upper = _LATEST if end_at is None else int(end_at)
        values = {
            "low": binary(prefix + b"\x00" * (KEY_BYTES - PREFIX_BYTES)),
            "high": binary(prefix + b"\xff" * (KEY_BYTES - PREFIX_BYTES)),
            "namespace": text(namespace),
        }
        span = f"e.scheduled_at >= {lower} AND e.scheduled_at < {upper}"
        begin = 0 if after is None else after.partition_id
        found: list[Execution] = []
        while begin < self._db.partition_count and len(found) < limit:
            end = min(begin + PARTITIONS_PER_LIST_STATEMENT, self._db.partition_count)
            whole = range(begin, end)
            ranges = []
            if after is not None and after.partition_id == begin:
                whole = range(begin + 1, end)
                at = f"e.partition_id = {begin} AND {span}"
                ranges.append(
                    f"{at} AND e.scheduled_at = {after.scheduled_at:d} AND e.task_key > {binary(after.task_key)}"
                )
                ranges.append(f"{at} AND e.scheduled_at > {after.scheduled_at:d}")
            if whole:
                ranges.append(f"e.partition_id IN ({integers(whole)}) AND {span}")
            statement = LIST_EXECUTIONS % {
                **values,
                "ranges": " OR ".join(ranges),
                "limit": limit - len(found),
            }
            found.extend(_execution(row) for row in await self._db.read(self._db.query, statement))
            begin = end
        return found


def _name(ref: TaskRef) -> dict[str, object]:
    return {"partition_id": int(ref.partition_id), "task_key": binary(ref.task_key)}


def _execution(row: tuple[Any, ...]) -> Execution:
    """Maps a row of EXECUTION_COLUMNS."""
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
