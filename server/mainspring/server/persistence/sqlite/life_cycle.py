"""What calls change of tasks: read, decided, written, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict

from mainspring.server.core.model import Task, TaskRef
from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.sqlite.tasks import (
    READ_TASK_WITHOUT_PAYLOAD,
    READ_WHOLE_TASK,
    task_from_row,
)
from mainspring.server.persistence.store.tasks import Changed

_CHANGE_TASK = """UPDATE tasks SET state = :state, version = :version, scheduled_at = :scheduled_at, due_at = :due_at,
  updated_at = :updated_at, note = :note, changed_by = :changed_by, handler = :handler, schedule = :schedule,
  definition_hash = :definition_hash, delivery = :delivery, policies = :policies, labels = :labels,
  adjustments_version = :adjustments_version, adjustments = :adjustments,
  owed = :owed{payload}
WHERE partition_id = :partition_id AND task_key = :task_key"""
CHANGE_TASK = _CHANGE_TASK.format(payload="")

READ_VERSION = "SELECT version FROM tasks WHERE partition_id = ? AND task_key = ?"


class LifeCycleUnits(Units):
    """Implements the changes of `TaskStore`."""

    async def change_tasks(
        self, refs: Sequence[TaskRef], change: Callable[[Task], Task | None], *, with_payload: bool = True
    ) -> list[Changed | None]:
        """See `TaskStore.change_tasks`."""
        read = READ_WHOLE_TASK if with_payload else READ_TASK_WITHOUT_PAYLOAD
        payloads = ", payload = :payload, adjusted_payloads = :adjusted_payloads"
        write = _CHANGE_TASK.format(payload=payloads if with_payload else "")

        def body(connection: sqlite3.Connection) -> dict[TaskRef, Changed]:
            outcome: dict[TaskRef, Changed] = {}
            for ref in sorted(set(refs)):
                row = connection.execute(read, ref).fetchone()
                if row is None:
                    continue
                task = task_from_row(row)
                changed = change(task)
                outcome[ref] = Changed(changed or task, is_changed=changed is not None)
                if changed is not None:
                    connection.execute(write, {**asdict(changed), **ref._asdict()})
            return outcome

        outcome = await self._write(body) if refs else {}
        return [outcome.get(ref) for ref in refs]

    async def read_versions(self, refs: Sequence[TaskRef]) -> dict[TaskRef, int]:
        """See `TaskStore.read_versions`."""

        def body(connection: sqlite3.Connection) -> dict[TaskRef, int]:
            found = {ref: connection.execute(READ_VERSION, ref).fetchone() for ref in refs}
            return {ref: row[0] for ref, row in found.items() if row is not None}

        return await self._read(body) if refs else {}
