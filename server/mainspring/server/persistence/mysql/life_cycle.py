"""What calls change of tasks: read under a lock, decided, written, in one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mainspring.server.core.model import Task, TaskRef
from mainspring.server.persistence.mysql.database import Transaction, Units
from mainspring.server.persistence.mysql.literals import binary, document, text
from mainspring.server.persistence.mysql.tasks import KEYS, WHOLE, WITHOUT_PAYLOAD, task_from_row
from mainspring.server.persistence.store.tasks import Changed

# No SKIP LOCKED: a claim that holds the row comes first, and what it made of the task is what is changed.
_LOCK_TASKS = f"""SELECT {{columns}}
FROM {KEYS}
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
FOR UPDATE"""
LOCK_TASKS = _LOCK_TASKS.format(columns=WHOLE)
LOCK_TASKS_WITHOUT_PAYLOAD = _LOCK_TASKS.format(columns=WITHOUT_PAYLOAD)

CHANGE_TASKS = """UPDATE (SELECT j.partition_id, UNHEX(j.task_key) AS task_key, j.state, j.version, j.scheduled_at, j.due_at,
    j.updated_at, j.note, j.changed_by
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS (partition_id SMALLINT UNSIGNED PATH '$[0]', task_key CHAR(32) PATH '$[1]',
    state TINYINT UNSIGNED PATH '$[2]', version BIGINT UNSIGNED PATH '$[3]', scheduled_at BIGINT PATH '$[4]',
    due_at BIGINT PATH '$[5]', updated_at BIGINT PATH '$[6]', note VARCHAR(500) PATH '$[7]',
    changed_by VARCHAR(200) PATH '$[8]')) j) k
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
SET t.state = k.state, t.version = k.version, t.scheduled_at = k.scheduled_at, t.due_at = k.due_at,
  t.updated_at = k.updated_at, t.note = k.note, t.changed_by = k.changed_by"""

DEFINE_TASK = """UPDATE tasks SET handler = %(handler)s, payload = %(payload)s, schedule = %(schedule)s,
  definition_hash = %(definition_hash)s, delivery = %(delivery)s, policies = %(policies)s, labels = %(labels)s,
  owed = %(owed)s
WHERE partition_id = %(partition_id)s AND task_key = %(task_key)s"""

_ADJUST_TASK = """UPDATE tasks SET adjustments_version = %(adjustments_version)s, adjustments = %(adjustments)s{payloads}
WHERE partition_id = %(partition_id)s AND task_key = %(task_key)s"""
ADJUST_TASK_AND_PAYLOADS = _ADJUST_TASK.format(payloads=", adjusted_payloads = %(adjusted_payloads)s")
ADJUST_TASK = _ADJUST_TASK.format(payloads="")

READ_VERSIONS = f"""SELECT t.partition_id, t.task_key, t.version FROM {KEYS}
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key"""


class LifeCycleUnits(Units):
    """Implements the changes of `TaskStore`."""

    async def change_tasks(
        self, refs: Sequence[TaskRef], change: Callable[[Task], Task | None], *, with_payload: bool = True
    ) -> list[Changed | None]:
        """See `TaskStore.change_tasks`."""
        if not refs:
            return []
        lock = LOCK_TASKS if with_payload else LOCK_TASKS_WITHOUT_PAYLOAD

        async def body(transaction: Transaction) -> dict[TaskRef, Changed]:
            (read,) = await transaction.run(lock % {"keys": _keys(refs)})
            outcome: dict[TaskRef, Changed] = {}
            others: list[str] = []
            moves: list[list[int | str | None]] = []
            for task in map(task_from_row, read.rows):
                changed = change(task)
                outcome[task.ref] = Changed(changed or task, is_changed=changed is not None)
                if changed is not None:
                    moves.append(_move(changed))
                    if _definition(changed) != _definition(task):
                        others.append(DEFINE_TASK % _definition(changed))
                    if _adjustments(changed) != _adjustments(task):
                        adjust = ADJUST_TASK_AND_PAYLOADS if with_payload else ADJUST_TASK
                        others.append(adjust % _adjustments(changed))
            if moves:
                await transaction.run("; ".join([CHANGE_TASKS % {"items": document(moves)}, *others]))
            return outcome

        outcome = await self._db.transaction(self._db.api, body)
        return [outcome.get(ref) for ref in refs]

    async def read_versions(self, refs: Sequence[TaskRef]) -> dict[TaskRef, int]:
        """See `TaskStore.read_versions`."""
        if not refs:
            return {}
        rows = await self._db.read(self._db.hot, READ_VERSIONS % {"keys": _keys(refs)})
        return {TaskRef(row[0], row[1]): row[2] for row in rows}


def _keys(refs: Sequence[TaskRef]) -> str:
    return document([[ref.partition_id, ref.task_key.hex()] for ref in sorted(set(refs))])


def _move(task: Task) -> list[int | str | None]:
    return [
        task.ref.partition_id,
        task.ref.task_key.hex(),
        int(task.state),
        task.version,
        task.scheduled_at,
        task.due_at,
        task.updated_at,
        task.note,
        task.changed_by,
    ]


def _definition(task: Task) -> dict[str, object]:
    return {
        "partition_id": int(task.ref.partition_id),
        "task_key": binary(task.ref.task_key),
        "handler": text(task.handler),
        "payload": binary(task.payload),
        "schedule": text(task.schedule),
        "definition_hash": binary(task.definition_hash),
        "delivery": int(task.delivery),
        "policies": text(task.policies),
        "labels": text(task.labels),
        "owed": text(task.owed),
    }


def _adjustments(task: Task) -> dict[str, object]:
    adjustments, payloads = task.adjustments, task.adjusted_payloads
    return {
        "partition_id": int(task.ref.partition_id),
        "task_key": binary(task.ref.task_key),
        "adjustments_version": int(task.adjustments_version),
        "adjustments": "NULL" if adjustments is None else text(adjustments),
        "adjusted_payloads": "NULL" if payloads is None else binary(payloads),
    }
