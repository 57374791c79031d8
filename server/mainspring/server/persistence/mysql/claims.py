"""The claim: due tasks become executions and move on, in one transaction of three round trips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from mainspring.server.core.claim import ClaimItem, ClaimOutcome
from mainspring.server.core.model import ExecutionRef, TaskRef
from mainspring.server.errors import StoreError, UnknownOutcome
from mainspring.server.persistence.mysql import fence
from mainspring.server.persistence.mysql.additions import join_history
from mainspring.server.persistence.mysql.claim_plan import ClaimCall, Planned, plan, refs_of
from mainspring.server.persistence.mysql.database import Transaction, Units
from mainspring.server.persistence.mysql.driver_errors import RowRefused
from mainspring.server.persistence.mysql.literals import binary, document, integers, split, text

_log = structlog.get_logger("mainspring.store")

MAX_REFUSED_ROWS = 16
"""More bad rows than this in one claim are no bad rows but a broken statement: give up instead of halving on."""
PARK_US = 60_000_000
"""A task whose claim the database refuses is looked at again after this long, not at each sweep."""

_KEYS = """(SELECT j.n, j.partition_id, UNHEX(j.task_key) AS task_key, j.scheduled_at, j.version, j.execution_count,
    j.is_sent, j.adjustments_version, j.has_payloads
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS (n FOR ORDINALITY, partition_id SMALLINT UNSIGNED PATH '$[0]',
    task_key CHAR(32) PATH '$[1]', scheduled_at BIGINT PATH '$[2]', version BIGINT UNSIGNED PATH '$[3]',
    execution_count BIGINT PATH '$[4]', is_sent TINYINT PATH '$[5]', adjustments_version BIGINT UNSIGNED PATH '$[6]',
    has_payloads TINYINT PATH '$[7]')) j) k"""

# SKIP LOCKED: one task locked by an API call must not hold up the other 999. The payload is read only for those that
# are sent now. Of tasks that were never adjusted the last two values are left out, and NULL.
LOCK_TASKS = f"""SELECT k.n, t.last_scheduled_at, t.namespace, t.task_id, t.handler, IF(k.is_sent, t.payload, X''),
  t.delivery, t.policies, IF(k.has_payloads, t.adjusted_payloads, NULL)
FROM {_KEYS}
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
WHERE t.scheduled_at = k.scheduled_at AND t.version = k.version AND t.execution_count = k.execution_count AND t.state = 1
  AND t.adjustments_version = COALESCE(k.adjustments_version, 0)
FOR UPDATE SKIP LOCKED"""

# Affected rows tell how many are new.
INSERT_EXECUTIONS = """INSERT INTO executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at,
  wake_at, attempt, epoch, task_version, executor_id, node_id, claimed_at, finished_at, saved_at, gap_last_scheduled_at,
  gap_count, reason, origin, payload)
VALUES %(rows)s
ON DUPLICATE KEY UPDATE executions.state = executions.state"""

EXISTING_EXECUTIONS = """SELECT k.n
FROM (SELECT j.n, j.partition_id, j.scheduled_at, UNHEX(j.task_key) AS task_key
  FROM JSON_TABLE(%(keys)s, '$[*]' COLUMNS (n FOR ORDINALITY, partition_id SMALLINT UNSIGNED PATH '$[0]',
    scheduled_at BIGINT PATH '$[1]', task_key CHAR(32) PATH '$[2]')) j) k
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY)
  ON e.partition_id = k.partition_id AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key"""

# What is counted are the rows that this transaction inserts: it commits with them, or not at all.
MOVE_TASKS = """UPDATE (SELECT j.partition_id, UNHEX(j.task_key) AS task_key, j.next_scheduled_at, j.next_due_at,
    j.last_scheduled_at, j.counted, j.adjustments
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS (partition_id SMALLINT UNSIGNED PATH '$[0]', task_key CHAR(32) PATH '$[1]',
    next_scheduled_at BIGINT PATH '$[2]', next_due_at BIGINT PATH '$[3]', last_scheduled_at BIGINT PATH '$[4]',
    counted BIGINT PATH '$[5]', adjustments VARCHAR(4000) PATH '$[6]')) j) k
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
SET t.state = IF(k.next_scheduled_at IS NULL, 3, 1), t.scheduled_at = k.next_scheduled_at, t.due_at = k.next_due_at,
  t.last_scheduled_at = k.last_scheduled_at, t.execution_count = t.execution_count + k.counted,
  t.adjustments = k.adjustments, t.adjusted_payloads = IF(k.adjustments IS NULL, NULL, t.adjusted_payloads)"""

SET_OWED = (
    "UPDATE tasks SET owed = %(owed)s WHERE partition_id = %(partition_id)s AND task_key = %(task_key)s"
)

PARK_TASK = """UPDATE partitions p FORCE INDEX (PRIMARY) STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY)
SET t.due_at = %(due_at)s
WHERE p.partition_id = %(partition_id)s AND p.epoch = %(epoch)s AND p.owner_id = %(owner_id)s
  AND t.partition_id = %(partition_id)s AND t.task_key = %(task_key)s AND t.scheduled_at = %(scheduled_at)s
  AND t.version = %(version)s AND t.adjustments_version = %(adjustments_version)s AND t.state = 1"""


class _RowsExist(Exception):
    """Some of the executions are in the ledger already: begin again and look first."""


@dataclass(slots=True)
class _Progress:
    """What the parts of one claim have done so far."""

    outcome: ClaimOutcome = field(default_factory=lambda: ClaimOutcome([], [], [], frozenset()))
    refused_rows: int = 0
    has_committed: bool = False


class ClaimUnits(Units):
    """Implements `OwnerStore.claim`."""

    async def claim(
        self, owner_id: str, epochs: Mapping[int, int], items: Sequence[ClaimItem], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """See `OwnerStore.claim`.

        Why this is right:

        - The partition rows are locked in shared mode until the commit. A take is an UPDATE of such a row: either it
          came first, then the epoch read here is another and the partition's items are left out; or it waits for
          this commit, and the new owner, who loads open executions after its take, sees what was written here.
        - An execution is inserted only under the lock of its task's row and only while the task still shows the
          scheduled time, so of two claims of one scheduled time the second finds the task moved.
        - An execution that exists already (a schedule that was set back) is noticed by the count of inserted rows:
          the transaction starts over, reads which ones exist under the same task locks, and leaves those alone. They
          were counted when they were inserted, and are not counted again. Whoever planned with them has a higher
          count in memory than the row shows, and its next claim is dropped: it must not end a task too early.
        - Nothing is applied before COMMIT, so only its lost answer is an unknown outcome.

        A row that the server refuses is found by halving; its task is parked for a minute (`due_at` moves, the scheduled
        time does not), logged, and answered as dropped.
        """
        call = ClaimCall(owner_id, epochs, now, wake_at)
        ordered = sorted(items, key=lambda item: (item.due.partition_id, item.due.task_key))
        progress = _Progress()
        try:
            await self._claim_part(call, ordered, progress)
        except UnknownOutcome:
            raise
        except StoreError as error:
            if progress.has_committed:
                # A part of the batch is in: the caller must look before it repeats.
                raise UnknownOutcome(f"the claim was applied in part: {error.message}") from error
            raise
        return progress.outcome

    async def _claim_part(self, call: ClaimCall, items: Sequence[ClaimItem], progress: _Progress) -> None:
        try:
            part = await self._claim_once(call, items)
        except RowRefused as error:
            if len(items) > 1:
                middle = len(items) // 2
                await self._claim_part(call, items[:middle], progress)
                await self._claim_part(call, items[middle:], progress)
                return
            progress.refused_rows += 1
            if progress.refused_rows > MAX_REFUSED_ROWS:
                raise StoreError(
                    f"the database refuses too many rows of one claim: {error.message}"
                ) from error
            await self._park(call, items[0], error)
            progress.outcome.dropped.append(items[0])
            progress.outcome.parked.append(items[0])
            return
        progress.has_committed = True
        outcome = progress.outcome
        outcome.claimed.extend(part.claimed)
        outcome.moved.extend(part.moved)
        outcome.dropped.extend(part.dropped)
        progress.outcome = ClaimOutcome(
            outcome.claimed, outcome.moved, outcome.dropped, outcome.refused | part.refused, outcome.parked
        )

    async def _claim_once(self, call: ClaimCall, items: Sequence[ClaimItem]) -> ClaimOutcome:
        try:
            return await self._db.transaction(
                self._db.hot, lambda transaction: _claim(transaction, call, items, is_careful=False)
            )
        except _RowsExist:
            pass
        try:
            return await self._db.transaction(
                self._db.hot, lambda transaction: _claim(transaction, call, items, is_careful=True)
            )
        except _RowsExist as error:
            raise StoreError("executions appeared although their tasks were locked") from error

    async def _park(self, call: ClaimCall, item: ClaimItem, error: RowRefused) -> None:
        due = item.due
        self._db.stats.rows_parked += 1
        _log.error(
            "store.task_parked",
            partition_id=due.partition_id,
            task_key=due.task_key.hex(),
            scheduled_at=due.scheduled_at,
            error=error.message,
        )
        try:
            await self._db.write(
                self._db.hot,
                PARK_TASK
                % {
                    "due_at": call.now + PARK_US,
                    "partition_id": due.partition_id,
                    "epoch": call.epochs.get(due.partition_id, 0),
                    "owner_id": text(call.owner_id),
                    "task_key": binary(due.task_key),
                    "scheduled_at": due.scheduled_at,
                    "version": due.version,
                    "adjustments_version": due.adjustments_version,
                },
            )
        except StoreError as failure:
            # Not parked, so the next sweep finds it and tries again.
            _log.warning("store.park_failed", error=failure.message)


async def _claim(
    transaction: Transaction, call: ClaimCall, items: Sequence[ClaimItem], *, is_careful: bool
) -> ClaimOutcome:
    """The transaction's body. `items` in key order."""
    if not items:
        return ClaimOutcome([], [], [], frozenset())
    partition_ids = sorted({item.due.partition_id for item in items})
    keys = document(
        [
            [
                item.due.partition_id,
                item.due.task_key.hex(),
                item.due.scheduled_at,
                item.due.version,
                item.due.execution_count,
                int(any(run.executor_id is not None for run in item.runs)),
                *_adjusted(item),
            ]
            for item in items
        ]
    )
    # One packet: the tasks of a refused partition are locked in vain for a moment, which costs less than a round trip
    # for everybody.
    fence_read, task_read = await transaction.run(
        fence.LOCK_FENCE % {"ids": integers(partition_ids)} + "; " + LOCK_TASKS % {"items": keys}
    )
    epochs = {partition_id: call.epochs.get(partition_id, -1) for partition_id in partition_ids}
    refused = fence.refused(fence_read.rows, call.owner_id, epochs)
    locked = {row[0] - 1: row for row in task_read.rows}
    moved: list[ClaimItem] = []
    dropped: list[ClaimItem] = []
    taken: list[tuple[ClaimItem, tuple[Any, ...]]] = []
    for index, item in enumerate(items):
        if item.due.partition_id in refused:
            continue
        row = locked.get(index)
        if row is None:
            dropped.append(item)
        else:
            moved.append(item)
            taken.append((item, row))
    if not taken:
        return ClaimOutcome([], [], dropped, refused)
    existing = await _existing(transaction, moved) if is_careful else frozenset[ExecutionRef]()
    planned, moves = plan(call, taken, existing)
    planned.sort(key=lambda row: row.ref)
    parts = [
        INSERT_EXECUTIONS % {"rows": ",\n".join([row.sql for row in part])}
        for part in split(planned, [len(row.sql) for row in planned], max_rows=5000)
    ]
    late = await _join_late(transaction, taken, planned)
    move = MOVE_TASKS % {"items": document(moves)}
    results = await transaction.run("; ".join([*parts, move, *_pay(moved), *late]))
    if sum(result.affected for result in results[: len(parts)]) != len(planned):
        raise _RowsExist
    return ClaimOutcome([row.answer for row in planned if row.answer is not None], moved, dropped, refused)


def _adjusted(item: ClaimItem) -> tuple[int, ...]:
    """What LOCK_TASKS asks about adjustments: nothing for a task without any."""
    if not item.due.adjustments_version:
        return ()
    return item.due.adjustments_version, int(any(run.has_payload for run in item.runs))


def _pay(items: Sequence[ClaimItem]) -> list[str]:
    """Statements for tasks that owed times of earlier schedules: seldom any."""
    return [
        SET_OWED
        % {
            "owed": text(item.next_owed),
            "partition_id": item.due.partition_id,
            "task_key": binary(item.due.task_key),
        }
        for item in items
        if item.due.owed is not None
    ]


async def _join_late(
    transaction: Transaction, taken: Sequence[tuple[ClaimItem, tuple[Any, ...]]], planned: Sequence[Planned]
) -> list[str]:
    """Statements for tasks of which a call has added an execution later than a time that is claimed now: seldom any."""
    newest = {
        item.due.ref: row[1]
        for item, row in taken
        if row[1] is not None and (refs := refs_of(item)) and row[1] > refs[0].scheduled_at
    }
    times: dict[TaskRef, list[int]] = {}
    for new in planned if newest else ():
        times.setdefault(TaskRef(new.ref.partition_id, new.ref.task_key), []).append(new.ref.scheduled_at)
    return [
        statement
        for task, head_at in newest.items()
        if task in times
        for statement in await join_history(transaction, task, head_at, times[task])
    ]


async def _existing(transaction: Transaction, items: Sequence[ClaimItem]) -> frozenset[ExecutionRef]:
    """Which of the items' executions are in the ledger; final once their tasks are locked."""
    refs = [ref for item in items for ref in refs_of(item)]
    if not refs:
        return frozenset()
    keys = document([[ref.partition_id, ref.scheduled_at, ref.task_key.hex()] for ref in refs])
    results = await transaction.run(EXISTING_EXECUTIONS % {"keys": keys})
    return frozenset(refs[row[0] - 1] for row in results[0].rows)
