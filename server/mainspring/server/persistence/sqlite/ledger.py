"""What the API reads of the ledger. Plain reads; a long one is cut into steps that let the loop go on in between."""

from __future__ import annotations

import sqlite3
from typing import Any

from mainspring.server.core.execution_filter import EVERYTHING, ExecutionFilter
from mainspring.server.core.model import Execution, ExecutionOrigin, ExecutionRef, ExecutionState, TaskRef
from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.sqlite.task_filters import condition_of
from mainspring.server.persistence.store.ledger import ExecutionPage
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix

CHAIN_STEPS = 1000
"""Rows of a task's history followed in one statement, 2 to 3 ms."""
CHAIN_STATEMENTS = 5
"""Statements for one page of a history, at most."""
GAP_STATEMENTS = 50
"""Statements at most for finding a gap row in a history."""
SCANNED_ROWS = 2_000
"""Rows that one statement of a listing by namespace looks at: some 2 ms."""
SCANNED_ROWS_PER_PAGE = 20_000

_COLUMNS = """e.partition_id, e.scheduled_at, e.task_key, t.namespace, t.task_id, e.due_at, e.state, e.reason, e.attempt,
  e.epoch, e.task_version, e.executor_id, e.node_id, {result}, e.claimed_at, e.dispatched_at, e.picked_up_at,
  e.finished_at, e.saved_at, e.gap_last_scheduled_at, e.gap_count, e.origin, e.failure_count, e.error_kind, e.progress,
  e.progress_at, CASE WHEN e.state = 1 AND e.failure_count > 0 THEN e.wake_at END, t.handler, t.policies"""

READ_EXECUTION = f"""SELECT {_COLUMNS.format(result="e.result")}
FROM tasks t CROSS JOIN executions e
  ON e.partition_id = t.partition_id AND e.scheduled_at = coalesce(:scheduled_at, t.last_scheduled_at)
    AND e.task_key = t.task_key
WHERE t.partition_id = :partition_id AND t.task_key = :task_key"""

READ_HEAD = "SELECT last_scheduled_at FROM tasks WHERE partition_id = ? AND task_key = ?{condition}"

FOLLOW_CHAIN = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at, state) AS (
  SELECT 1, scheduled_at, previous_scheduled_at, state FROM executions
  WHERE partition_id = :partition_id AND scheduled_at = :scheduled_at AND task_key = :task_key
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at, e.state
  FROM chain c CROSS JOIN executions e ON e.partition_id = :partition_id
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = :task_key
  WHERE c.step < :steps AND c.scheduled_at >= :start_at)
SELECT step, scheduled_at, previous_scheduled_at, state FROM chain ORDER BY step"""

# As FOLLOW_CHAIN. A gap has no scheduled time of its own task within it, but what calls have added may lie there.
FIND_GAP = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at, origin, last_at) AS (
  SELECT 1, scheduled_at, previous_scheduled_at, origin, gap_last_scheduled_at FROM executions
  WHERE partition_id = :partition_id AND scheduled_at = :scheduled_at AND task_key = :task_key
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at, e.origin, e.gap_last_scheduled_at
  FROM chain c CROSS JOIN executions e ON e.partition_id = :partition_id
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = :task_key
  WHERE c.step < :steps AND (c.scheduled_at > :at OR c.origin > 2))
SELECT step, scheduled_at, previous_scheduled_at, last_at FROM chain
WHERE (scheduled_at <= :at AND last_at >= :at) OR step = :steps ORDER BY step"""

READ_LISTED = f"""SELECT {_COLUMNS.format(result="x''")}
FROM tasks t CROSS JOIN executions e
  ON e.partition_id = t.partition_id AND e.scheduled_at = ? AND e.task_key = t.task_key
WHERE t.partition_id = ? AND t.task_key = ?"""

# The last row that a listing looks at, when there are as many.
FIND_EDGE = """SELECT scheduled_at, task_key FROM executions
WHERE partition_id = ? AND (scheduled_at, task_key) > (?, ?) AND scheduled_at < ?
ORDER BY scheduled_at, task_key LIMIT 1 OFFSET ?"""

LIST_EXECUTIONS = f"""SELECT {_COLUMNS.format(result="x''")}
FROM executions e CROSS JOIN tasks t ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE e.partition_id = ? AND (e.scheduled_at, e.task_key) > (?, ?) AND (e.scheduled_at, e.task_key) <= (?, ?)
  AND e.scheduled_at < ? AND e.task_key BETWEEN ? AND ?{{states}}
  AND t.namespace = ?{{condition}}
ORDER BY e.scheduled_at, e.task_key LIMIT ?"""

_EARLIEST, _LATEST = -(2**63), 2**63 - 1


class LedgerUnits(Units):
    """Implements `LedgerStore`."""

    async def get_execution(self, ref: TaskRef, scheduled_at: int | None) -> Execution | None:
        """See `LedgerStore.get_execution`."""
        values = {**ref._asdict(), "scheduled_at": scheduled_at}
        row = await self._read(lambda connection: connection.execute(READ_EXECUTION, values).fetchone())
        return None if row is None else _execution(row)

    async def get_gap(self, ref: TaskRef, at: int) -> Execution | None:
        """See `LedgerStore.get_gap`: 1,000 rows of the history a statement."""
        rows = await self._rows(READ_HEAD.format(condition=""), ref)
        head: int | None = rows[0][0] if rows else None
        for _ in range(GAP_STATEMENTS):
            if head is None:
                break
            values = {
                **ref._asdict(),
                "scheduled_at": head,
                "steps": CHAIN_STEPS,
                "at": at,
            }
            head = None
            for _, scheduled_at, previous, last_at in await self._rows(FIND_GAP, values):
                if last_at is not None and scheduled_at <= at <= last_at:
                    return await self.get_execution(ref, scheduled_at)
                head = previous
        return None

    async def list_task_executions(
        self, ref: TaskRef, *, only: ExecutionFilter = EVERYTHING, from_at: int | None = None, limit: int
    ) -> ExecutionPage:
        """See `LedgerStore.list_task_executions`: 1,000 rows of the history a statement, at most five statements.

        A page with an upper bound in the middle of a history walks down to it from the newest row.
        """
        condition, wanted = condition_of(only.task)
        rows = await self._rows(READ_HEAD.format(condition=condition), (*ref, *wanted))
        if not rows:
            return ExecutionPage([], None)
        head: int | None = rows[0][0] if from_at is None else from_at
        lower = _EARLIEST if only.start_at is None else only.start_at
        upper = _LATEST if only.end_at is None else only.end_at
        is_filtered = bool(only.states) or (lower, upper) != (_EARLIEST, _LATEST)
        times: list[int] = []
        for _ in range(CHAIN_STATEMENTS):
            if head is None or len(times) == limit:
                break
            steps = CHAIN_STEPS if is_filtered else min(CHAIN_STEPS, limit - len(times))
            values = {
                **ref._asdict(),
                "scheduled_at": head,
                "steps": steps,
                "start_at": lower,
            }
            head = None
            for step, scheduled_at, previous, state in await self._rows(FOLLOW_CHAIN, values):
                if lower <= scheduled_at < upper and (not only.states or state in only.states):
                    times.append(scheduled_at)
                if step == steps or len(times) == limit:
                    head = previous
                    break

        def body(connection: sqlite3.Connection) -> list[Execution]:
            found = (connection.execute(READ_LISTED, (at, *ref)).fetchone() for at in times)
            return [_execution(row) for row in found if row is not None]

        return ExecutionPage(
            await self._read(body) if times else [],
            None if head is None else ExecutionRef(ref.partition_id, head, ref.task_key),
        )

    async def _rows(self, sql: str, values: tuple[object, ...] | dict[str, Any]) -> list[tuple[Any, ...]]:
        return await self._read(lambda connection: connection.execute(sql, values).fetchall())

    async def list_executions(
        self,
        namespace: str,
        *,
        only: ExecutionFilter = EVERYTHING,
        after: ExecutionRef | None = None,
        limit: int,
    ) -> ExecutionPage:
        """See `LedgerStore.list_executions`.

        Reads the time span of every partition until the page is full or enough was looked at, one partition a step: a
        small namespace beside a large ledger costs a walk over the span, so callers do well to give one.
        """
        prefix = namespace_prefix(namespace)
        low, high = prefix, prefix + b"\xff" * (KEY_BYTES - PREFIX_BYTES)
        lower = (_EARLIEST if only.start_at is None else only.start_at, b"")
        upper = _LATEST if only.end_at is None else only.end_at
        condition, wanted = condition_of(only.task)
        states = (
            f" AND e.state IN ({','.join(str(int(state)) for state in only.states)})" if only.states else ""
        )
        statement = LIST_EXECUTIONS.format(states=states, condition=condition)
        found: list[Execution] = []
        scanned = 0
        partition_id = 0 if after is None else after.partition_id
        begin = lower if after is None else max(lower, (after.scheduled_at, after.task_key))
        while partition_id < self._db.partition_count:
            edges = await self._rows(FIND_EDGE, (partition_id, *begin, upper, SCANNED_ROWS - 1))
            edge = edges[0] if edges else (_LATEST, b"")
            values = (partition_id, *begin, *edge, upper, low, high, namespace, *wanted, limit - len(found))
            found += map(_execution, await self._rows(statement, values))
            if len(found) == limit:
                return ExecutionPage(found, found[-1].ref)
            if not edges:
                partition_id, begin = partition_id + 1, lower
                continue
            begin = edge
            scanned += SCANNED_ROWS
            if scanned >= SCANNED_ROWS_PER_PAGE:
                return ExecutionPage(found, ExecutionRef(partition_id, *edge))
        return ExecutionPage(found, None)


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
        handler=row[27],
        policies=row[28],
    )
