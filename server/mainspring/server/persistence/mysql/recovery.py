"""What became of a claim whose commit was not answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.claim import ClaimItem, ClaimOutcome, ClaimRun
from mainspring.server.core.model import Delivery, ExecutionRef
from mainspring.server.persistence.mysql import fence
from mainspring.server.persistence.mysql.claim_plan import refs_of
from mainspring.server.persistence.mysql.database import Transaction, Units
from mainspring.server.persistence.mysql.literals import document, integers, text

# FOR UPDATE and not in shared mode: it has to wait for the old transaction, which may hold a shared lock of its own.
# No SKIP LOCKED for the same reason.
LOCK_TASKS = """SELECT k.n, t.scheduled_at, t.version, t.state, t.namespace, t.task_id, t.handler, t.payload,
  t.delivery, t.policies
FROM (SELECT j.n, j.partition_id, UNHEX(j.task_key) AS task_key
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS (n FOR ORDINALITY, partition_id SMALLINT UNSIGNED PATH '$[0]',
    task_key CHAR(32) PATH '$[1]')) j) k
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
FOR UPDATE"""

READ_CLAIMED = """SELECT e.partition_id, e.scheduled_at, e.task_key, e.attempt, e.executor_id, e.due_at, e.task_version,
  e.epoch, e.state, e.payload
FROM (SELECT j.partition_id, j.scheduled_at, UNHEX(j.task_key) AS task_key, j.epoch
  FROM JSON_TABLE(%(keys)s, '$[*]' COLUMNS (partition_id SMALLINT UNSIGNED PATH '$[0]',
    scheduled_at BIGINT PATH '$[1]', task_key CHAR(32) PATH '$[2]', epoch BIGINT UNSIGNED PATH '$[3]')) j) k
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY)
  ON e.partition_id = k.partition_id AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key
WHERE e.epoch = k.epoch AND e.node_id = %(node_id)s AND e.claimed_at = %(now)s"""


class RecoveryUnits(Units):
    """Implements `OwnerStore.recover_claim`."""

    async def recover_claim(
        self, owner_id: str, epochs: Mapping[int, int], items: Sequence[ClaimItem], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """See `OwnerStore.recover_claim`.

        Why this is right: a claim raises `UnknownOutcome` only after its COMMIT was sent, when its transaction holds
        the locks of all task rows it moves. Whoever gets one of these locks after it knows that it has ended, either
        way, and for good: the connection it came by is cut, nothing else of it can arrive. What it wrote is
        recognised by owner (unique per process start), epoch and claim time. The fence is read first, under lock: a
        partition that is no longer held is refused as in a claim.

        Raises:
            Contention: the old transaction still holds its locks (the server has not noticed yet that its client is
                gone: at most `session_timeout_s`); ask again.
        """
        if not items:
            return ClaimOutcome([], [], [], frozenset())
        ordered = sorted(items, key=lambda item: (item.due.partition_id, item.due.task_key))
        partition_ids = sorted({item.due.partition_id for item in ordered})
        held = {partition_id: epochs.get(partition_id, -1) for partition_id in partition_ids}
        keys: list[list[int | str | None]] = [
            [ref.partition_id, ref.scheduled_at, ref.task_key.hex(), held[ref.partition_id]]
            for item in ordered
            for ref in refs_of(item)
        ]

        async def body(transaction: Transaction) -> tuple[Any, Any, Any]:
            names = document([[item.due.partition_id, item.due.task_key.hex()] for item in ordered])
            fence_read, task_read = await transaction.run(
                fence.LOCK_FENCE % {"ids": integers(partition_ids)} + "; " + LOCK_TASKS % {"items": names}
            )
            # A packet of its own: its snapshot must be younger than the locks.
            (written,) = await transaction.run(
                READ_CLAIMED % {"keys": document(keys), "node_id": text(owner_id), "now": int(now)}
            )
            return fence_read.rows, task_read.rows, written.rows

        fence_rows, task_rows, written_rows = await self._db.transaction(
            self._db.hot, body, is_read_only=True
        )
        refused = fence.refused(fence_rows, owner_id, held)
        tasks = {row[0] - 1: row for row in task_rows}
        written = {ExecutionRef(*row[:3]): row for row in written_rows}
        outcome = ClaimOutcome([], [], [], refused)
        for index, item in enumerate(ordered):
            if item.due.partition_id in refused:
                continue
            rows = [written[ref] for ref in refs_of(item) if ref in written]
            task = tasks.get(index)
            if task is None or not (rows or _has_moved(task, item)):
                outcome.dropped.append(item)
                continue
            outcome.moved.append(item)
            runs = {run.scheduled_at: run for run in item.runs}
            for row in rows:
                answer = _dispatchable(row, task, runs.get(row[1]), now)
                if answer is None:
                    continue
                if answer.task_version == task[2]:
                    outcome.claimed.append(answer)
                else:
                    outcome.outdated.append(replace(answer, payload=b""))
        return outcome


def _has_moved(task: tuple[Any, ...], item: ClaimItem) -> bool:
    """Whether a claim without a row of its own (all were in the ledger before) has moved its task."""
    _, scheduled_at, version, *_ = task
    return bool(version == item.due.version and scheduled_at == item.next_scheduled_at)


def _dispatchable(
    row: tuple[Any, ...], task: tuple[Any, ...], run: ClaimRun | None, now: int
) -> Dispatchable | None:
    """The answer for a row of READ_CLAIMED; None for what is skipped, or has gone on since."""
    partition_id, scheduled_at, task_key, attempt, executor_id, due_at, task_version, epoch, state, own = row
    if run is None or (state, attempt) not in ((1, 0), (2, 1)):
        return None
    _, _, _, _, namespace, task_id, handler, payload, delivery, policies = task
    return Dispatchable(
        ref=ExecutionRef(partition_id, scheduled_at, task_key),
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
