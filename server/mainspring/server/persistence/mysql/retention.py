"""What has ended and is old is removed by its owner: read without a lock, then removed under the fence, a slice at a time.

Nobody but the owner removes these rows, and what is final or ended stays so until a call revives a task, which locks the
task's row: so what was read holds when it is removed, or the statement that removes looks again.
"""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.server.core.history import Row, Surplus
from mainspring.server.core.model import ExecutionRef, ExecutionState, TaskRef, TaskState
from mainspring.server.core.namespaces import Cutoffs, Span
from mainspring.server.persistence.mysql import fence
from mainspring.server.persistence.mysql.database import Transaction, Units
from mainspring.server.persistence.mysql.literals import binary, document, integer
from mainspring.server.persistence.store.retention import Slice
from mainspring.shard_manager.hashing import PREFIX_BYTES, namespace_prefix
from mainspring.shard_manager.lease import PartitionLease

CHAIN_STEPS = 500
"""As in `ledger`."""

READ_OLD_EXECUTIONS = """SELECT e.scheduled_at, e.task_key, e.state, COALESCE(e.saved_at, e.claimed_at)
FROM executions e FORCE INDEX (PRIMARY)
WHERE (%(ranges)s) ORDER BY e.partition_id, e.scheduled_at, e.task_key LIMIT %(limit)s"""

DELETE_EXECUTIONS = """DELETE e FROM (SELECT j.scheduled_at, UNHEX(j.task_key) AS task_key
  FROM JSON_TABLE(%(keys)s, '$[*]' COLUMNS (scheduled_at BIGINT PATH '$[0]', task_key CHAR(32) PATH '$[1]')) j) k
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = %(partition_id)s
  AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key
WHERE e.state >= 4"""

_LINKED = """(SELECT j.scheduled_at, UNHEX(j.task_key) AS task_key, j.old_previous_at, j.previous_at
  FROM JSON_TABLE(%(links)s, '$[*]' COLUMNS (scheduled_at BIGINT PATH '$[0]', task_key CHAR(32) PATH '$[1]',
    old_previous_at BIGINT PATH '$[2]', previous_at BIGINT PATH '$[3]')) j) k
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = %(partition_id)s
  AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key
  AND e.previous_scheduled_at <=> k.old_previous_at"""

RELINK_EXECUTIONS = f"UPDATE {_LINKED} SET e.previous_scheduled_at = k.previous_at"

DELETE_LINKED = f"DELETE e FROM {_LINKED}"

LOCK_TASKS = """SELECT t.task_key FROM tasks t FORCE INDEX (PRIMARY)
WHERE t.partition_id = %(partition_id)s AND t.task_key IN (%(keys)s) FOR UPDATE"""

# due_at is NULL for what is paused, completed or cancelled: the index finds these without a look at the others.
READ_ENDED_TASKS = """SELECT t.task_key, t.state, t.version, t.updated_at, t.last_scheduled_at, t.namespace, e.state,
  COALESCE(e.saved_at, e.claimed_at)
FROM tasks t FORCE INDEX (due)
LEFT JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = t.partition_id AND e.scheduled_at = t.last_scheduled_at
  AND e.task_key = t.task_key
WHERE t.partition_id = %(partition_id)s AND t.due_at IS NULL AND t.task_key > %(after)s
ORDER BY t.task_key LIMIT %(limit)s"""

_ENDED_KEYS = """(SELECT UNHEX(j.task_key) AS task_key, j.version, j.last_scheduled_at
  FROM JSON_TABLE(%(keys)s, '$[*]' COLUMNS (task_key CHAR(32) PATH '$[0]', version BIGINT UNSIGNED PATH '$[1]',
    last_scheduled_at BIGINT PATH '$[2]')) j) k"""

LOCK_ENDED_TASKS = f"""SELECT t.task_key FROM {_ENDED_KEYS}
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = %(partition_id)s AND t.task_key = k.task_key
WHERE t.version = k.version AND t.last_scheduled_at <=> k.last_scheduled_at AND t.state IN (3, 4)
FOR UPDATE SKIP LOCKED"""

READ_OPEN_TASKS = """SELECT DISTINCT e.task_key FROM executions e FORCE INDEX (wake)
WHERE e.partition_id = %(partition_id)s AND e.wake_at > -9223372036854775807"""

DELETE_TASKS = """DELETE r FROM (SELECT UNHEX(j.task_key) AS task_key
  FROM JSON_TABLE(%(document)s, '$[*]' COLUMNS (task_key CHAR(32) PATH '$[0]')) j) k
STRAIGHT_JOIN trigger_requests r FORCE INDEX (PRIMARY) ON r.partition_id = %(partition_id)s AND r.task_key = k.task_key;
DELETE FROM tasks WHERE partition_id = %(partition_id)s AND task_key IN (%(keys)s)"""

READ_HEADS = """SELECT t.task_key, t.last_scheduled_at FROM tasks t FORCE INDEX (PRIMARY)
WHERE t.partition_id = %(partition_id)s AND t.task_key IN (%(keys)s)"""

FOLLOW_CHAIN = """WITH RECURSIVE chain (step, scheduled_at, previous_scheduled_at, state) AS (
  SELECT 1, e.scheduled_at, e.previous_scheduled_at, e.state FROM executions e
  WHERE e.partition_id = %(partition_id)s AND e.scheduled_at = %(scheduled_at)s AND e.task_key = %(task_key)s
  UNION ALL
  SELECT c.step + 1, e.scheduled_at, e.previous_scheduled_at, e.state
  FROM chain c STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY) ON e.partition_id = %(partition_id)s
    AND e.scheduled_at = c.previous_scheduled_at AND e.task_key = %(task_key)s
  WHERE c.step < %(steps)s)
SELECT scheduled_at, previous_scheduled_at, state FROM chain ORDER BY step"""


class _HistoryChanged(Exception):
    """A call or a late claim has put an execution into a history meanwhile."""


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
        at = f"e.partition_id = {lease.partition_id:d}"
        ranges = f"{at} AND e.scheduled_at >= {span.from_at:d} AND e.scheduled_at < {span.until_at:d}"
        if after is not None:
            ranges = (
                f"({at} AND e.scheduled_at = {after.scheduled_at:d} AND e.task_key > {binary(after.task_key)})"
                f" OR ({ranges} AND e.scheduled_at > {after.scheduled_at:d})"
            )
        statement = READ_OLD_EXECUTIONS % {"ranges": ranges, "limit": int(limit)}
        rows = await self._db.read(self._db.query, statement)
        by_beginning = cutoffs.by_beginning(namespace_prefix)
        old: list[list[int | str | None]] = [
            [scheduled_at, task_key.hex()]
            for scheduled_at, task_key, state, ended_at in rows
            if ExecutionState(state).is_final
            and max(scheduled_at, ended_at) < by_beginning.get(task_key[:PREFIX_BYTES], cutoffs.default_at)
        ]
        following = None
        if len(rows) == limit:
            following = ExecutionRef(lease.partition_id, rows[-1][0], rows[-1][1])
        if not old:
            return Slice(0, following)

        async def body(transaction: Transaction) -> int | None:
            if await _is_refused(transaction, owner_id, lease):
                return None
            values = {"partition_id": int(lease.partition_id), "keys": document(old)}
            return (await transaction.run(DELETE_EXECUTIONS % values))[0].affected

        removed = await self._db.transaction(self._db.api, body)
        return Slice(removed or 0, following, is_refused=removed is None)

    async def remove_tasks(
        self,
        owner_id: str,
        lease: PartitionLease,
        cutoffs: Cutoffs,
        *,
        after: ExecutionRef | None,
        limit: int,
    ) -> Slice:
        """See `RetentionStore.remove_tasks`.

        What a call makes of a task meanwhile changes its version or its latest execution, and locks its row before it adds
        an execution: so under these locks nothing is open that is not seen.
        """
        values: dict[str, object] = {
            "partition_id": int(lease.partition_id),
            "after": binary(b"" if after is None else after.task_key),
            "limit": int(limit),
        }
        rows = await self._db.read(self._db.query, READ_ENDED_TASKS % values)
        ended: list[list[int | str | None]] = []
        for key, state, version, updated_at, last_at, namespace, last_state, last_ended_at in rows:
            cutoff_at = cutoffs.of(namespace)
            is_old = last_state is None or (ExecutionState(last_state).is_final and last_ended_at < cutoff_at)
            if state in (TaskState.COMPLETED, TaskState.CANCELLED) and updated_at < cutoff_at and is_old:
                ended.append([key.hex(), version, last_at])
        following = ExecutionRef(lease.partition_id, 0, rows[-1][0]) if len(rows) == limit else None
        if not ended:
            return Slice(0, following)

        async def body(transaction: Transaction) -> int | None:
            if await _is_refused(transaction, owner_id, lease):
                return None
            locked = await transaction.run(LOCK_ENDED_TASKS % {**values, "keys": document(ended)})
            opened = await transaction.run(READ_OPEN_TASKS % values)
            keys = {row[0] for row in locked[0].rows} - {row[0] for row in opened[0].rows}
            if not keys:
                return 0
            names = ",".join(binary(key) for key in sorted(keys))
            listed = document([[key.hex()] for key in sorted(keys)])
            statements = DELETE_TASKS % {**values, "keys": names, "document": listed}
            return (await transaction.run(statements))[1].affected

        removed = await self._db.transaction(self._db.api, body)
        return Slice(removed or 0, following, is_refused=removed is None)

    async def trim_histories(
        self, owner_id: str, lease: PartitionLease, keeps: Mapping[bytes, int], *, limit: int
    ) -> dict[bytes, bool]:
        """See `RetentionStore.trim_histories`.

        Histories are read without a lock, which would hold up claims, and changed under that of their task only as long as
        they are as they were read: every link of what is removed, and of what stays above it, is compared.
        """
        if not keeps:
            return {}
        names = ",".join(binary(key) for key in sorted(keeps))
        values = {"partition_id": int(lease.partition_id), "keys": names}
        heads = await self._db.read(self._db.query, READ_HEADS % values)
        surpluses: dict[bytes, Surplus] = {}
        for task_key, head in heads:
            surplus = Surplus(keeps[task_key], limit)
            await self._walk(TaskRef(lease.partition_id, task_key), head, surplus)
            surpluses[task_key] = surplus
        gone: list[list[int | str | None]] = [
            [row.scheduled_at, key.hex(), row.previous_at, None]
            for key, surplus in surpluses.items()
            for row in surplus.remove
        ]
        links: list[list[int | str | None]] = [
            [link.scheduled_at, key.hex(), link.old_previous_at, link.previous_at]
            for key, surplus in surpluses.items()
            for link in surplus.relinks
        ]
        if gone:

            async def body(transaction: Transaction) -> bool:
                if await _is_refused(transaction, owner_id, lease):
                    return False
                _, relinked, deleted = await transaction.run(
                    "; ".join(
                        [
                            LOCK_TASKS % values,
                            RELINK_EXECUTIONS % {**values, "links": document(links)},
                            DELETE_LINKED % {**values, "links": document(gone)},
                        ]
                    )
                )
                if (relinked.affected, deleted.affected) != (len(links), len(gone)):
                    raise _HistoryChanged
                return True

            try:
                if not await self._db.transaction(self._db.api, body):
                    return {}
            except _HistoryChanged:
                return dict.fromkeys(keeps, True)
        return {key: key in surpluses and surpluses[key].is_cut for key in keeps}

    async def _walk(self, ref: TaskRef, head: int | None, surplus: Surplus) -> None:
        steps = min(CHAIN_STEPS, surplus.keep + surplus.limit + 1)
        while head is not None:
            values = {
                "partition_id": int(ref.partition_id),
                "task_key": binary(ref.task_key),
                "scheduled_at": integer(head),
                "steps": steps,
            }
            rows = await self._db.read(self._db.query, FOLLOW_CHAIN % values)
            head = surplus.walk(Row(row[0], row[1], ExecutionState(row[2])) for row in rows)
            if len(rows) < steps:
                break
        surplus.end()


async def _is_refused(transaction: Transaction, owner_id: str, lease: PartitionLease) -> bool:
    """Begins the transaction by locking the partition's row in shared mode, as a claim does."""
    (read,) = await transaction.run(fence.LOCK_FENCE % {"ids": lease.partition_id})
    return bool(fence.refused(read.rows, owner_id, {lease.partition_id: lease.epoch}))
