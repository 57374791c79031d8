"""What became of a claim whose answer the caller does not have."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.claim import ClaimItem, ClaimOutcome, ClaimRun
from mainspring.server.core.model import Delivery, ExecutionRef
from mainspring.server.persistence.sqlite import fence
from mainspring.server.persistence.sqlite.database import Units

READ_TASK = """SELECT scheduled_at, version, namespace, task_id, handler, payload, delivery, policies FROM tasks
WHERE partition_id = ? AND task_key = ?"""

READ_CLAIMED = """SELECT state, attempt, executor_id, due_at, task_version, payload FROM executions
WHERE partition_id = ? AND scheduled_at = ? AND task_key = ? AND epoch = ? AND node_id = ? AND claimed_at = ?"""

_AS_CLAIMED = frozenset({(1, 0), (2, 1)})
"""(state, attempt) of a row that has not gone on since its claim."""


class RecoveryUnits(Units):
    """Implements `OwnerStore.recover_claim`."""

    async def recover_claim(
        self, owner_id: str, epochs: Mapping[int, int], items: Sequence[ClaimItem], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """See `OwnerStore.recover_claim`.

        A claim of this store is never of unknown outcome, but its caller may have been cut off from the answer. It has
        the write lock, although it writes nothing: whatever was on its way has ended, either way.

        Raises:
            Contention: somebody holds the write lock; ask again.
        """
        if not items:
            return ClaimOutcome([], [], [], frozenset())
        ordered = sorted(items, key=lambda item: (item.due.partition_id, item.due.task_key))
        held = {item.due.partition_id: epochs.get(item.due.partition_id, -1) for item in ordered}

        def body(connection: sqlite3.Connection) -> ClaimOutcome:
            lost = fence.lost_terms(connection, owner_id, held.items())
            outcome = ClaimOutcome([], [], [], frozenset(partition_id for partition_id, _ in lost))
            for item in ordered:
                if item.due.partition_id not in outcome.refused:
                    mark = (held[item.due.partition_id], owner_id, now)
                    _recover_item(connection, item, mark, outcome)
            return outcome

        return await self._write(body)


def _recover_item(
    connection: sqlite3.Connection, item: ClaimItem, mark: tuple[int, str, int], outcome: ClaimOutcome
) -> None:
    """Sorts one item in. `mark`: (epoch, owner, claim time), by which the claim's rows are known."""
    due = item.due
    task = connection.execute(READ_TASK, due.ref).fetchone()
    times = [run.scheduled_at for run in item.runs]
    if item.gap is not None:
        times.insert(0, item.gap.from_at)
    refs = [ExecutionRef(due.partition_id, scheduled_at, due.task_key) for scheduled_at in times]
    rows = {ref: row for ref in refs if (row := connection.execute(READ_CLAIMED, (*ref, *mark)).fetchone())}
    if task is None or not (rows or _has_moved(task, item)):
        outcome.dropped.append(item)
        return
    outcome.moved.append(item)
    runs = {run.scheduled_at: run for run in item.runs}
    for ref, row in rows.items():
        if (row[0], row[1]) not in _AS_CLAIMED:
            continue
        answer = _dispatchable(runs[ref.scheduled_at], ref, row, task, mark)
        if answer.task_version == task[1]:
            outcome.claimed.append(answer)
        else:
            outcome.outdated.append(replace(answer, payload=b""))


def _has_moved(task: tuple[Any, ...], item: ClaimItem) -> bool:
    """Whether a claim without a row of its own (all were in the ledger before) has moved its task."""
    scheduled_at, version, *_ = task
    return bool(version == item.due.version and scheduled_at == item.next_scheduled_at)


def _dispatchable(
    run: ClaimRun, ref: ExecutionRef, row: tuple[Any, ...], task: tuple[Any, ...], mark: tuple[int, str, int]
) -> Dispatchable:
    _, attempt, executor_id, due_at, task_version, own = row
    _, _, namespace, task_id, handler, payload, delivery, policies = task
    epoch, _, now = mark
    return Dispatchable(
        ref=ref,
        epoch=epoch,
        attempt=attempt,
        executor_id=executor_id,
        namespace=namespace,
        task_id=task_id,
        handler=handler,
        payload=b"" if executor_id is None else payload if own is None else own,
        due_at=due_at,
        task_version=task_version,
        claimed_at=now,
        delivery=Delivery(delivery),
        policies=policies,
        origin=run.origin,
        wake_at=run.wake_at,
    )
