"""Registrations, and what the API reads and changes of tasks. Statements carry the partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mainspring.server.core.model import Delivery, NewTask, Task, TaskRef, TaskState
from mainspring.server.core.task_filter import NO_FILTER, TaskFilter
from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.driver_errors import RowRefused
from mainspring.server.persistence.mysql.literals import binary, document, integers, split, text
from mainspring.server.persistence.mysql.task_filters import condition_of
from mainspring.server.persistence.store.tasks import Created, TasksRefused
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix

MAX_ROWS_PER_INSERT = 1000
PARTITIONS_PER_LIST_STATEMENT = 256
"""A namespace is looked up in each partition: one key range each, so at most this many in one statement."""
PARTITIONS_PER_FILTERED_STATEMENT = 32
"""The same where a statement may look at every task of the namespace."""

TASK_COLUMNS = """t.partition_id, t.task_key, t.namespace, t.task_id, t.handler, {payload}, t.schedule,
  t.definition_hash, t.state, t.version, t.scheduled_at, t.due_at, t.last_scheduled_at, t.execution_count, t.created_at,
  t.updated_at, t.delivery, t.policies, t.labels, t.note, t.changed_by, t.adjustments_version, t.adjustments,
  {payloads}, t.owed"""
WITH_PAYLOAD = TASK_COLUMNS.format(payload="t.payload", payloads="NULL")
WITHOUT_PAYLOAD = TASK_COLUMNS.format(payload="X''", payloads="NULL")
WHOLE = TASK_COLUMNS.format(payload="t.payload", payloads="t.adjusted_payloads")

# The assignment behind ON DUPLICATE changes nothing: an existing row is left alone, and unlike INSERT IGNORE it does
# not hide a value that does not fit. The number of affected rows tells how many are new.
INSERT_TASKS = """INSERT INTO tasks (partition_id, task_key, state, version, scheduled_at, due_at, created_at, updated_at,
  definition_hash, namespace, task_id, handler, schedule, payload, delivery, policies, labels)
VALUES %(rows)s
ON DUPLICATE KEY UPDATE tasks.version = tasks.version"""

KEYS = """(SELECT j.partition_id, UNHEX(j.task_key) AS task_key FROM JSON_TABLE(%(keys)s, '$[*]' COLUMNS (
  partition_id SMALLINT UNSIGNED PATH '$[0]', task_key CHAR(32) PATH '$[1]')) j) k"""

READ_TASKS = f"""SELECT {WITH_PAYLOAD}
FROM {KEYS}
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key"""

READ_TASK = f"""SELECT {WITH_PAYLOAD}
FROM tasks t WHERE t.partition_id = %(partition_id)s AND t.task_key = %(task_key)s"""

LIST_TASKS = """SELECT {columns}
FROM tasks t FORCE INDEX (PRIMARY)
WHERE t.namespace = %(namespace)s AND ({ranges})%(condition)s
ORDER BY t.partition_id, t.task_key LIMIT %(limit)s"""

COUNT_TASKS = """SELECT t.state, COUNT(*) FROM tasks t FORCE INDEX (PRIMARY)
WHERE t.namespace = %(namespace)s AND t.partition_id IN (%(partitions)s) AND t.task_key BETWEEN %(low)s AND %(high)s
  %(condition)s
GROUP BY t.state ORDER BY NULL"""


class TaskUnits(Units):
    """Implements `TaskStore` but for its changes, which are in `life_cycle`."""

    async def create_tasks(self, tasks: Sequence[NewTask]) -> list[Created]:
        """See `TaskStore.create_tasks`.

        One autocommit statement for up to 1,000 rows or 2 MiB: a batch larger than that may be half written when it
        fails, which its repetition mends. Rows are sorted by key, which keeps concurrent batches from deadlocking.
        """
        first_of: dict[TaskRef, NewTask] = {}
        for task in tasks:
            first_of.setdefault(task.ref, task)
        fresh = [first_of[ref] for ref in sorted(first_of)]
        rows = [_insert_row(task) for task in fresh]
        stored: dict[TaskRef, Task] = {}
        refused: dict[TaskRef, str] = {}
        for part in split(range(len(fresh)), map(len, rows), max_rows=MAX_ROWS_PER_INSERT):
            await self._insert([fresh[i] for i in part], [rows[i] for i in part], stored, refused)
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

    async def _insert(
        self, tasks: list[NewTask], rows: list[str], stored: dict[TaskRef, Task], refused: dict[TaskRef, str]
    ) -> None:
        try:
            inserted = await self._db.write(self._db.api, INSERT_TASKS % {"rows": ",\n".join(rows)})
        except RowRefused as error:
            if len(tasks) == 1:
                refused[tasks[0].ref] = error.message
                return
            middle = len(tasks) // 2
            await self._insert(tasks[:middle], rows[:middle], stored, refused)
            await self._insert(tasks[middle:], rows[middle:], stored, refused)
            return
        if inserted == len(tasks):
            stored.update({task.ref: _as_stored(task) for task in tasks})
            return
        keys = document([[task.ref.partition_id, task.ref.task_key.hex()] for task in tasks])
        found = await self._db.read(self._db.api, READ_TASKS % {"keys": keys})
        stored.update({task.ref: task for task in map(task_from_row, found)})

    async def get_task(self, ref: TaskRef) -> Task | None:
        """See `TaskStore.get_task`."""
        rows = await self._db.read(self._db.query, READ_TASK % _name(ref))
        return task_from_row(rows[0]) if rows else None

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
        columns = LIST_TASKS.replace("{columns}", WITH_PAYLOAD if with_payload else WITHOUT_PAYLOAD)
        condition = condition_of(only)
        step = PARTITIONS_PER_FILTERED_STATEMENT if condition else PARTITIONS_PER_LIST_STATEMENT
        low, high = _key_range(namespace)
        begin = after.partition_id if after is not None else 0
        found: list[Task] = []
        while begin < self._db.partition_count and len(found) < limit:
            end = min(begin + step, self._db.partition_count)
            ranges = []
            if after is not None and after.partition_id == begin:
                ranges.append(
                    f"t.partition_id = {begin} AND t.task_key > {binary(max(after.task_key, low))}"
                    f" AND t.task_key <= {binary(high)}"
                    if after.task_key >= low
                    else f"t.partition_id = {begin} AND t.task_key BETWEEN {binary(low)} AND {binary(high)}"
                )
                whole = range(begin + 1, end)
            else:
                whole = range(begin, end)
            if whole:
                ranges.append(
                    f"t.partition_id IN ({integers(whole)})"
                    f" AND t.task_key BETWEEN {binary(low)} AND {binary(high)}"
                )
            statement = columns.replace("{ranges}", " OR ".join(ranges))
            values = {"namespace": text(namespace), "limit": limit - len(found), "condition": condition}
            found.extend(map(task_from_row, await self._db.read(self._db.query, statement % values)))
            begin = end
        return found

    async def count_tasks(self, namespace: str, only: TaskFilter = NO_FILTER) -> dict[TaskState, int]:
        """See `TaskStore.count_tasks`: looks at every task of the namespace, some partitions a statement."""
        low, high = _key_range(namespace)
        values = {
            "namespace": text(namespace),
            "low": binary(low),
            "high": binary(high),
            "condition": condition_of(only),
        }
        counts: Counter[TaskState] = Counter()
        for begin in range(0, self._db.partition_count, PARTITIONS_PER_FILTERED_STATEMENT):
            end = min(begin + PARTITIONS_PER_FILTERED_STATEMENT, self._db.partition_count)
            statement = COUNT_TASKS % {**values, "partitions": integers(range(begin, end))}
            for state, count in await self._db.read(self._db.query, statement):
                counts[TaskState(state)] += count
        return dict(counts)


def task_from_row(row: tuple[Any, ...]) -> Task:
    """Maps a row of TASK_COLUMNS."""
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
    """The smallest and the largest key that a task of the namespace may have."""
    prefix, rest = namespace_prefix(namespace), KEY_BYTES - PREFIX_BYTES
    return prefix + b"\x00" * rest, prefix + b"\xff" * rest


def _name(ref: TaskRef) -> dict[str, object]:
    return {"partition_id": int(ref.partition_id), "task_key": binary(ref.task_key)}


def _insert_row(task: NewTask) -> str:
    created_at = int(task.created_at)
    return (
        f"({task.ref.partition_id:d},{binary(task.ref.task_key)},1,1,{task.scheduled_at:d},{task.due_at:d},"
        f"{created_at},{created_at},{binary(task.definition_hash)},{text(task.namespace)},{text(task.task_id)},"
        f"{text(task.handler)},{text(task.schedule)},{binary(task.payload)},{int(task.delivery)},"
        f"{text(task.policies)},{text(task.labels)})"
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
