"""What an owner loads: tasks due soon and executions that are open. Plain reads on the two time indexes."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.server.core.model import (
    Delivery,
    DueCursor,
    DueTask,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    OpenExecution,
)
from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.literals import binary, integers

# The lower bound matters as much as the upper one: index entries of rows that moved on stay until purge has removed
# them, and a scan from the beginning would walk over all of them.
LOAD_DUE_TASKS = """SELECT due_at, partition_id, task_key, scheduled_at, version, handler, schedule, execution_count,
  policies, adjustments_version, adjustments, owed
FROM tasks FORCE INDEX (due)
WHERE (%(ranges)s) AND state = 1
ORDER BY partition_id, due_at, task_key LIMIT %(limit)s"""

LOAD_OPEN_EXECUTIONS = """SELECT e.partition_id, e.scheduled_at, e.task_key, e.state, e.attempt, e.epoch, e.executor_id,
  t.handler, e.due_at, e.wake_at, e.claimed_at, e.dispatched_at, e.picked_up_at, t.delivery,
  t.policies, e.origin, e.failure_count, IF(e.state = 1, '', e.reason), e.task_version
FROM executions e FORCE INDEX (wake)
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE %(ranges)s
ORDER BY e.partition_id, e.wake_at, e.task_key, e.scheduled_at LIMIT %(limit)s"""

_LOWEST = -(2**63)


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
        span = f"due_at >= {from_at:d} AND due_at < {until_at:d}"
        ranges = []
        whole = sorted(set(partition_ids))
        if after is not None:
            if after.partition_id in whole:
                at = f"partition_id = {after.partition_id:d}"
                ranges.append(f"{at} AND due_at = {after.due_at:d} AND task_key > {binary(after.task_key)}")
                ranges.append(
                    f"{at} AND due_at > {after.due_at:d} AND due_at >= {from_at:d} AND due_at < {until_at:d}"
                )
            whole = [partition_id for partition_id in whole if partition_id > after.partition_id]
        if whole:
            ranges.append(f"partition_id IN ({integers(whole)}) AND {span}")
        if not ranges:
            return []
        sql = LOAD_DUE_TASKS % {"ranges": " OR ".join(ranges), "limit": int(limit)}
        return [DueTask._make(row) for row in await self._db.read(self._db.load, sql)]

    async def load_open_executions(
        self, partition_ids: Sequence[int], *, until_at: int | None, after: DueCursor | None, limit: int
    ) -> list[OpenExecution]:
        """See `OwnerStore.load_open_executions`. Final rows have no wake_at, so the index holds open ones alone."""
        # A comparison, and not IS NOT NULL: it makes one range of the index a partition on both servers.
        span = f"e.wake_at > {_LOWEST}" + ("" if until_at is None else f" AND e.wake_at < {until_at:d}")
        ranges = []
        whole = sorted(set(partition_ids))
        if after is not None:
            if after.partition_id in whole:
                at = f"e.partition_id = {after.partition_id:d}"
                ranges.append(
                    f"{at} AND e.wake_at = {after.due_at:d} AND e.task_key >= {binary(after.task_key)}"
                )
                ranges.append(f"{at} AND e.wake_at > {after.due_at:d} AND {span}")
            whole = [partition_id for partition_id in whole if partition_id > after.partition_id]
        if whole:
            ranges.append(f"e.partition_id IN ({integers(whole)}) AND {span}")
        if not ranges:
            return []
        sql = LOAD_OPEN_EXECUTIONS % {"ranges": " OR ".join(ranges), "limit": int(limit)}
        return [
            OpenExecution(
                ref=ExecutionRef(row[0], row[1], row[2]),
                state=ExecutionState(row[3]),
                attempt=row[4],
                epoch=row[5],
                executor_id=row[6],
                handler=row[7],
                due_at=row[8],
                wake_at=row[9],
                claimed_at=row[10],
                dispatched_at=row[11],
                picked_up_at=row[12],
                delivery=Delivery(row[13]),
                policies=row[14],
                origin=ExecutionOrigin(row[15]),
                failure_count=row[16],
                stop_reason=row[17],
                task_version=row[18],
            )
            for row in await self._db.read(self._db.load, sql)
        ]
