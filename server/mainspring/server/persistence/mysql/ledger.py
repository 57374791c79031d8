"""What the API reads of the ledger. Plain reads; every statement carries the partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.server.core.execution_filter import EVERYTHING, ExecutionFilter
from mainspring.server.core.model import Execution, ExecutionOrigin, ExecutionRef, ExecutionState, TaskRef
from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.literals import binary, document, integer, integers, text
from mainspring.server.persistence.mysql.task_filters import condition_of
from mainspring.server.persistence.store.ledger import ExecutionPage
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix

CHAIN_STEPS = 500
"""Rows of a task's history followed in one statement; both servers stop a recursion at 1,000."""
CHAIN_STATEMENTS = 10
"""Statements for one page of a history, at most."""
GAP_STATEMENTS = 100
"""Statements at most for finding a gap row in a history."""
PARTITIONS_PER_LIST_STATEMENT = 32
SCANNED_ROWS = 5_000
"""Rows that one statement of a listing by namespace looks at, at most: some 10 ms."""
SCANNED_ROWS_PER_PAGE = 20_000

EXECUTION_COLUMNS = """e.partition_id, e.scheduled_at, e.task_key, t.namespace, t.task_id, e.due_at, e.state, e.reason,
  e.attempt, e.epoch, e.task_version, e.executor_id, e.node_id, {result}, e.claimed_at, e.dispatched_at, e.picked_up_at,
  e.finished_at, e.saved_at, e.gap_last_scheduled_at, e.gap_count, e.origin, e.failure_count, e.error_kind, e.progress,
  e.progress_at, IF(e.state = 1 AND e.failure_count > 0, e.wake_at, NULL), t.handler, t.policies"""

READ_EXECUTION = f"""SELECT {EXECUTION_COLUMNS.format(result="e.result")}
FROM tasks t
JOIN executions e ON e.partition_id = t.partition_id AND e.scheduled_at = %(scheduled_at)s AND e.task_key = t.task_key
WHERE t.partition_id = %(partition_id)s AND t.task_key = %(task_key)s"""

LATEST_OF_TASK = "t.last_scheduled_at"

READ_HEAD = """SELECT t.last_scheduled_at FROM tasks t
WHERE t.partition_id = %(partition_id)s AND t.task_key = %(task_key)s%(condition)s"""

# Answered are the rows that fit, and the last one of the walk, from where the next statement goes on.
FOLLOW_CHAIN = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at, state) AS (
  SELECT 1, e.scheduled_at, e.previous_scheduled_at, e.state FROM executions e
  WHERE e.partition_id = %(partition_id)s AND e.scheduled_at = %(scheduled_at)s AND e.task_key = %(task_key)s
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at, e.state
  FROM chain c STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = %(partition_id)s
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = %(task_key)s
  WHERE c.step < %(steps)s AND c.scheduled_at >= %(start_at)s)
SELECT step, scheduled_at, previous_scheduled_at, %(fits)s FROM chain
WHERE %(fits)s OR step = %(steps)s ORDER BY step"""

# As FOLLOW_CHAIN. A gap has no scheduled time of its own task within it, but what calls have added may lie there.
FIND_GAP = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at, origin, last_at) AS (
  SELECT 1, e.scheduled_at, e.previous_scheduled_at, e.origin, e.gap_last_scheduled_at FROM executions e
  WHERE e.partition_id = %(partition_id)s AND e.scheduled_at = %(scheduled_at)s AND e.task_key = %(task_key)s
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at, e.origin, e.gap_last_scheduled_at
  FROM chain c STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = %(partition_id)s
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = %(task_key)s
  WHERE c.step < %(steps)s AND (c.scheduled_at > %(at)s OR c.origin > 2))
SELECT step, scheduled_at, previous_scheduled_at, last_at FROM chain
WHERE (scheduled_at <= %(at)s AND last_at >= %(at)s) OR step = %(steps)s ORDER BY step"""

READ_EXECUTIONS = f"""SELECT {EXECUTION_COLUMNS.format(result="NULL")}
FROM (SELECT j.partition_id, j.scheduled_at, UNHEX(j.task_key) AS task_key FROM JSON_TABLE(%(keys)s, '$[*]' COLUMNS (
  partition_id SMALLINT UNSIGNED PATH '$[0]', scheduled_at BIGINT PATH '$[1]', task_key CHAR(32) PATH '$[2]')) j) k
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY)
  ON e.partition_id = k.partition_id AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = e.partition_id AND t.task_key = e.task_key"""

# The last row that a listing looks at, when there are as many.
FIND_EDGE = """SELECT e.partition_id, e.scheduled_at, e.task_key FROM executions e FORCE INDEX (PRIMARY)
WHERE %(ranges)s ORDER BY e.partition_id, e.scheduled_at, e.task_key LIMIT 1 OFFSET %(offset)s"""

LIST_EXECUTIONS = f"""SELECT {EXECUTION_COLUMNS.format(result="NULL")}
FROM executions e FORCE INDEX (PRIMARY)
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE (%(ranges)s) AND e.task_key BETWEEN %(low)s AND %(high)s AND t.namespace = %(namespace)s%(condition)s
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

    async def get_gap(self, ref: TaskRef, at: int) -> Execution | None:
        """See `LedgerStore.get_gap`: 500 rows of the history a statement."""
        rows = await self._db.read(self._db.query, READ_HEAD % {**_name(ref), "condition": ""})
        head: int | None = rows[0][0] if rows else None
        for _ in range(GAP_STATEMENTS):
            if head is None:
                break
            values = {
                **_name(ref),
                "scheduled_at": head,
                "steps": CHAIN_STEPS,
                "at": int(at),
            }
            head = None
            for _, scheduled_at, previous, last_at in await self._db.read(self._db.query, FIND_GAP % values):
                if last_at is not None and scheduled_at <= at <= last_at:
                    return await self.get_execution(ref, scheduled_at)
                head = previous
        return None

    async def list_task_executions(
        self, ref: TaskRef, *, only: ExecutionFilter = EVERYTHING, from_at: int | None = None, limit: int
    ) -> ExecutionPage:
        """See `LedgerStore.list_task_executions`: 500 rows of the history a statement, at most ten statements.

        A page with an upper bound in the middle of a history walks down to it from the newest row.
        """
        rows = await self._db.read(
            self._db.query, READ_HEAD % {**_name(ref), "condition": condition_of(only.task)}
        )
        if not rows:
            return ExecutionPage([], None)
        head: int | None = rows[0][0] if from_at is None else from_at
        fits = _fits(only)
        times: list[int] = []
        for _ in range(CHAIN_STATEMENTS):
            if head is None or len(times) == limit:
                break
            steps = CHAIN_STEPS if fits != "TRUE" else min(CHAIN_STEPS, limit - len(times))
            values = {
                **_name(ref),
                "scheduled_at": head,
                "steps": steps,
                "fits": fits,
                "start_at": _EARLIEST if only.start_at is None else int(only.start_at),
            }
            head = None
            for step, scheduled_at, previous, is_fit in await self._db.read(
                self._db.query, FOLLOW_CHAIN % values
            ):
                if is_fit:
                    times.append(scheduled_at)
                if step == steps or len(times) == limit:
                    head = previous
                    break
        found = {
            execution.ref.scheduled_at: execution
            for execution in await self._read(
                [ExecutionRef(ref.partition_id, at, ref.task_key) for at in times]
            )
        }
        return ExecutionPage(
            [found[at] for at in times if at in found],
            None if head is None else ExecutionRef(ref.partition_id, head, ref.task_key),
        )

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
        only: ExecutionFilter = EVERYTHING,
        after: ExecutionRef | None = None,
        limit: int,
    ) -> ExecutionPage:
        """See `LedgerStore.list_executions`.

        Reads the time span of every partition until the page is full or enough was looked at: a small namespace beside a
        large ledger costs a walk over the span, so callers do well to give one. Each step finds the last of the rows
        that it may look at, then reads those up to it that fit.
        """
        prefix = namespace_prefix(namespace)
        values = {
            "low": binary(prefix + b"\x00" * (KEY_BYTES - PREFIX_BYTES)),
            "high": binary(prefix + b"\xff" * (KEY_BYTES - PREFIX_BYTES)),
            "namespace": text(namespace),
            "condition": condition_of(only.task) + _states(only),
        }
        found: list[Execution] = []
        scanned = 0
        rows = min(
            SCANNED_ROWS, limit
        )  # the namespace may have the ledger to itself; then these fill the page
        begin = 0 if after is None else after.partition_id
        while begin < self._db.partition_count:
            end = min(begin + PARTITIONS_PER_LIST_STATEMENT, self._db.partition_count)
            edge = await self._edge(only, begin, end, after, rows)
            statement = LIST_EXECUTIONS % {
                **values,
                "ranges": _ranges(only, begin, end, after, edge),
                "limit": limit - len(found),
            }
            found.extend(_execution(row) for row in await self._db.read(self._db.query, statement))
            if len(found) == limit:
                return ExecutionPage(found, found[-1].ref)
            if edge is None:
                begin, after = end, None
                continue
            begin, after = edge.partition_id, edge
            scanned += rows
            if scanned >= SCANNED_ROWS_PER_PAGE:
                return ExecutionPage(found, edge)
            rows = min(SCANNED_ROWS, 4 * rows)
        return ExecutionPage(found, None)

    async def _edge(
        self, only: ExecutionFilter, begin: int, end: int, after: ExecutionRef | None, count: int
    ) -> ExecutionRef | None:
        """The last of the next `count` rows of these partitions; None when there are fewer."""
        ranges = _ranges(only, begin, end, after, None)
        rows = await self._db.read(self._db.query, FIND_EDGE % {"ranges": ranges, "offset": count - 1})
        return ExecutionRef(*rows[0]) if rows else None


def _ranges(
    only: ExecutionFilter, begin: int, end: int, after: ExecutionRef | None, until: ExecutionRef | None
) -> str:
    """Key ranges of the rows of partitions begin..end - 1 within the time span, behind `after`, up to `until`."""
    lower = _EARLIEST if only.start_at is None else int(only.start_at)
    upper = _LATEST if only.end_at is None else int(only.end_at)
    span = f"e.scheduled_at >= {lower} AND e.scheduled_at < {upper}"
    if until is not None:
        end = until.partition_id + 1
    ranges: list[str] = []
    whole: list[int] = []
    for partition_id in range(begin, end):
        behind = after if after is not None and after.partition_id == partition_id else None
        up_to = until if until is not None and until.partition_id == partition_id else None
        if behind is None and up_to is None:
            whole.append(partition_id)
            continue
        at = f"e.partition_id = {partition_id}"
        inner = [at, span]
        if behind is not None:
            same = f"{at} AND e.scheduled_at = {behind.scheduled_at:d} AND e.task_key > {binary(behind.task_key)}"
            if up_to is not None and up_to.scheduled_at == behind.scheduled_at:
                ranges.append(f"{same} AND e.task_key <= {binary(up_to.task_key)}")
                continue
            ranges.append(same)
            inner.append(f"e.scheduled_at > {behind.scheduled_at:d}")
        if up_to is not None:
            ranges.append(
                f"{at} AND e.scheduled_at = {up_to.scheduled_at:d} AND e.task_key <= {binary(up_to.task_key)}"
            )
            inner.append(f"e.scheduled_at < {up_to.scheduled_at:d}")
        ranges.append(" AND ".join(inner))
    if whole:
        ranges.append(f"e.partition_id IN ({integers(whole)}) AND {span}")
    return " OR ".join(f"({part})" for part in ranges)


def _states(only: ExecutionFilter) -> str:
    return f" AND e.state IN ({integers(only.states)})" if only.states else ""


def _fits(only: ExecutionFilter) -> str:
    """Whether a row of the chain fits, as SQL."""
    terms = []
    if only.start_at is not None:
        terms.append(f"scheduled_at >= {int(only.start_at)}")
    if only.end_at is not None:
        terms.append(f"scheduled_at < {int(only.end_at)}")
    if only.states:
        terms.append(f"state IN ({integers(only.states)})")
    return f"({' AND '.join(terms)})" if terms else "TRUE"


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
        handler=row[27],
        policies=row[28],
    )
