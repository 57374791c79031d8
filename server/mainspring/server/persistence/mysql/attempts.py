"""What an owner writes about attempts: who runs them, that they live, how they ended.

Each unit is one autocommit UPDATE that joins the items with the partitions' rows and the executions. The join reads the
partition rows under a shared lock, so the fence holds as in a claim, without a transaction. An execution's task is
locked the same way where its state matters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from mainspring.server.core.attempt import (
    Assignment,
    AssignOutcome,
    Completion,
    Dispatchable,
    Extension,
    FailedAttempt,
)
from mainspring.server.core.model import Delivery, ExecutionRef, ExecutionState
from mainspring.server.persistence.mysql import fence
from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.driver_errors import RowRefused
from mainspring.server.persistence.mysql.literals import document, split, text

_log = structlog.get_logger("mainspring.store")

MAX_ROWS_PER_UPDATE = 1000
MAX_REASON_CHARACTERS = 2000
MAX_KIND_CHARACTERS = 200

_KEY_FIELDS = "j.partition_id, j.scheduled_at, UNHEX(j.task_key) AS task_key, j.epoch, j.attempt"
_KEY_COLUMNS = """partition_id SMALLINT UNSIGNED PATH '$[0]', scheduled_at BIGINT PATH '$[1]',
    task_key CHAR(32) PATH '$[2]', epoch BIGINT UNSIGNED PATH '$[3]', attempt INT UNSIGNED PATH '$[4]'"""
_FENCED_EXECUTIONS = """STRAIGHT_JOIN partitions p FORCE INDEX (PRIMARY)
  ON p.partition_id = k.partition_id AND p.epoch = k.epoch AND p.owner_id = %(owner_id)s
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY)
  ON e.partition_id = k.partition_id AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key"""

_ASSIGNED = f"""(SELECT {_KEY_FIELDS}, j.executor_id, j.task_version
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS ({_KEY_COLUMNS}, executor_id VARCHAR(200) PATH '$[5]',
    task_version BIGINT UNSIGNED PATH '$[6]')) j) k"""

# A task that does not run any more ends what is open of it; one that was changed, what was never sent. Nothing that is set
# is read here: in which order a server sets columns is its own affair.
_IS_OVER = "t.state IN (2, 4) OR (k.attempt = 0 AND k.task_version < t.version)"
_WHY_OVER = """CASE t.state WHEN 4 THEN 'the task was cancelled' WHEN 2 THEN 'the task was paused'
    ELSE 'the task was changed before this was sent' END"""

ASSIGN = f"""UPDATE {_ASSIGNED}
{_FENCED_EXECUTIONS}
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
SET e.state = IF({_IS_OVER}, 6, 2),
  e.attempt = IF({_IS_OVER}, k.attempt, k.attempt + 1),
  e.executor_id = IF({_IS_OVER}, e.executor_id, k.executor_id),
  e.node_id = IF({_IS_OVER}, e.node_id, %(owner_id)s), e.epoch = IF({_IS_OVER}, e.epoch, k.epoch),
  e.task_version = IF({_IS_OVER}, e.task_version, t.version),
  e.wake_at = IF({_IS_OVER}, NULL, %(wake_at)s),
  e.reason = IF({_IS_OVER}, {_WHY_OVER}, ''),
  e.dispatched_at = IF({_IS_OVER}, e.dispatched_at, NULL), e.picked_up_at = IF({_IS_OVER}, e.picked_up_at, NULL),
  e.finished_at = IF({_IS_OVER}, %(now)s, NULL), e.saved_at = IF({_IS_OVER}, %(now)s, NULL)
WHERE e.state < 4 AND e.attempt = k.attempt"""

READ_ASSIGNED = f"""SELECT e.partition_id, e.scheduled_at, e.task_key, e.epoch, e.attempt, e.executor_id, t.namespace,
  t.task_id, t.handler, IF(e.state = 2, COALESCE(e.payload, t.payload), X''), e.due_at, e.task_version, e.claimed_at,
  t.delivery, t.policies, e.state
FROM {_ASSIGNED}
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY)
  ON e.partition_id = k.partition_id AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
WHERE (e.state = 2 AND e.attempt = k.attempt + 1 AND e.executor_id = k.executor_id
    AND e.node_id = %(owner_id)s AND e.epoch = k.epoch)
  OR (e.state = 6 AND e.attempt = k.attempt AND e.saved_at = %(now)s)"""

_COMPLETE = f"""UPDATE (SELECT {_KEY_FIELDS}, j.state, j.dispatched_at, j.picked_up_at, j.finished_at,
    j.is_waiting%(extra_fields)s
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS ({_KEY_COLUMNS}, state TINYINT UNSIGNED PATH '$[5]',
    dispatched_at BIGINT PATH '$[6]', picked_up_at BIGINT PATH '$[7]', finished_at BIGINT PATH '$[8]',
    is_waiting TINYINT PATH '$[9]'%(extra_columns)s)) j) k
{_FENCED_EXECUTIONS}
SET e.state = k.state, e.wake_at = NULL, e.finished_at = k.finished_at, e.saved_at = %(now)s,
  e.dispatched_at = COALESCE(k.dispatched_at, e.dispatched_at),
  e.picked_up_at = COALESCE(k.picked_up_at, e.picked_up_at)%(extra_sets)s
WHERE e.state < 4 AND e.attempt = k.attempt AND (e.state = 1) = k.is_waiting"""

# The common end has nothing to tell; without the wide columns the server's temporary table stays small.
_PLAIN = {"extra_fields": "", "extra_columns": "", "extra_sets": ""}
# The result stays hex until SET: MariaDB gives UNHEX(LONGTEXT) no room in the temporary table of the join.
_TELLING = {
    "extra_fields": ", j.reason, j.result, j.error_kind",
    "extra_columns": ", reason VARCHAR(2000) PATH '$[10]', result LONGTEXT PATH '$[11]',"
    " error_kind VARCHAR(200) PATH '$[12]'",
    "extra_sets": ", e.reason = k.reason, e.result = UNHEX(k.result),"
    " e.failure_count = e.failure_count + (k.state = 5), e.error_kind = IF(k.state = 5, k.error_kind, e.error_kind)",
}

RETRY = f"""UPDATE (SELECT {_KEY_FIELDS}, j.retry_at, j.dispatched_at, j.picked_up_at, j.reason, j.error_kind
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS ({_KEY_COLUMNS}, retry_at BIGINT PATH '$[5]',
    dispatched_at BIGINT PATH '$[6]', picked_up_at BIGINT PATH '$[7]', reason VARCHAR(2000) PATH '$[8]',
    error_kind VARCHAR(200) PATH '$[9]')) j) k
{_FENCED_EXECUTIONS}
SET e.state = 1, e.wake_at = k.retry_at, e.failure_count = e.failure_count + 1, e.error_kind = k.error_kind,
  e.reason = k.reason, e.dispatched_at = COALESCE(k.dispatched_at, e.dispatched_at),
  e.picked_up_at = COALESCE(k.picked_up_at, e.picked_up_at)
WHERE e.state IN (2, 3) AND e.attempt = k.attempt"""

_EXTEND = f"""UPDATE (SELECT {_KEY_FIELDS}, j.state, j.wake_at, j.dispatched_at, j.picked_up_at%(extra_fields)s
  FROM JSON_TABLE(%(items)s, '$[*]' COLUMNS ({_KEY_COLUMNS}, state TINYINT UNSIGNED PATH '$[5]', wake_at BIGINT PATH '$[6]',
    dispatched_at BIGINT PATH '$[7]', picked_up_at BIGINT PATH '$[8]'%(extra_columns)s)) j) k
{_FENCED_EXECUTIONS}
SET e.state = k.state, e.wake_at = k.wake_at,
  e.dispatched_at = COALESCE(k.dispatched_at, e.dispatched_at),
  e.picked_up_at = COALESCE(k.picked_up_at, e.picked_up_at)%(extra_sets)s
WHERE e.state < 4 AND e.attempt = k.attempt AND (e.state = 1) = (k.state = 1)"""

_WITH_NEWS = {
    "extra_fields": ", j.progress_at, j.progress, j.stop_reason",
    "extra_columns": ", progress_at BIGINT PATH '$[9]', progress VARCHAR(2048) PATH '$[10]',"
    " stop_reason VARCHAR(2000) PATH '$[11]'",
    "extra_sets": ", e.progress = IF(k.progress_at IS NULL, e.progress, UNHEX(k.progress)),"
    " e.progress_at = COALESCE(k.progress_at, e.progress_at),"
    " e.reason = IF(k.stop_reason = '', e.reason, k.stop_reason)",
}

_PLAIN_ROW_BYTES = 200
"""About what an item takes in a statement beside its reason and result."""

_Row = list[int | str | None]
_I = TypeVar("_I", Assignment, Completion, Extension, FailedAttempt)


class AttemptUnits(Units):
    """Implements `OwnerStore.assign`, `complete`, `retry` and `extend`."""

    async def assign(
        self, owner_id: str, items: Sequence[Assignment], *, now: int, wake_at: int
    ) -> AssignOutcome:
        """See `OwnerStore.assign`.

        The read afterwards needs no lock: it recognises this owner's record by owner, epoch, attempt and executor, and
        whoever took the partition meanwhile has changed one of them.
        """
        dispatchable: list[Dispatchable] = []
        cancelled: list[ExecutionRef] = []

        async def write(part: Sequence[Assignment]) -> int:
            rows: list[_Row] = [
                [*_key(i.ref), i.epoch, i.expected_attempt, i.executor_id, i.task_version] for i in part
            ]
            values = {
                "items": document(rows),
                "owner_id": text(owner_id),
                "now": int(now),
                "wake_at": int(wake_at),
            }
            await self._db.write(self._db.hot, ASSIGN % values)
            found = await self._db.read(self._db.hot, READ_ASSIGNED % values)
            for row in found:
                ref = ExecutionRef(row[0], row[1], row[2])
                if row[15] == ExecutionState.CANCELLED:
                    cancelled.append(ref)
                else:
                    fields: list[Any] = [*row[3:13], Delivery(row[13]), row[14]]
                    dispatchable.append(Dispatchable(ref, *fields))
            return len(found)

        recorded = await self._in_parts(items, _sizes(items), write)
        refused = await self._refused_when_short(owner_id, items, recorded)
        return AssignOutcome(dispatchable, cancelled, refused)

    async def complete(self, owner_id: str, items: Sequence[Completion], *, now: int) -> frozenset[int]:
        """See `OwnerStore.complete`.

        A reason or result that the server refuses is replaced by a note: the end itself must not be lost.
        """
        plain = [item for item in items if not _has_to_tell(item)]
        telling = [item for item in items if _has_to_tell(item)]
        context = {"owner_id": text(owner_id), "now": int(now)}

        async def write_plain(part: Sequence[Completion]) -> int:
            rows = document([_completion(item) for item in part])
            return await self._db.write(self._db.hot, _COMPLETE % {**_PLAIN, **context, "items": rows})

        async def write_telling(part: Sequence[Completion]) -> int:
            rows = document([_telling_completion(item) for item in part])
            return await self._db.write(self._db.hot, _COMPLETE % {**_TELLING, **context, "items": rows})

        async def write_note(item: Completion) -> int:
            note = replace(
                item, reason="the database refused the reason or the result", result=b"", error_kind=""
            )
            return await write_telling([note])

        written = await self._in_parts(plain, _sizes(plain), write_plain)
        sizes = [200 + len(item.reason) + 2 * len(item.result) for item in telling]
        written += await self._in_parts(telling, sizes, write_telling, write_note)
        return await self._refused_when_short(owner_id, items, written)

    async def retry(self, owner_id: str, items: Sequence[FailedAttempt]) -> frozenset[int]:
        """See `OwnerStore.retry`. A reason that the server refuses is replaced by a note."""

        async def write(part: Sequence[FailedAttempt]) -> int:
            values = {"items": document([_failed_attempt(item) for item in part]), "owner_id": text(owner_id)}
            return await self._db.write(self._db.hot, RETRY % values)

        async def write_note(item: FailedAttempt) -> int:
            return await write([replace(item, reason="the database refused the reason", error_kind="")])

        sizes = [200 + len(item.reason) for item in items]
        written = await self._in_parts(items, sizes, write, write_note)
        return await self._refused_when_short(owner_id, items, written)

    async def extend(self, owner_id: str, items: Sequence[Extension]) -> frozenset[int]:
        """See `OwnerStore.extend`."""
        plain = [item for item in items if not _has_news(item)]
        telling = [item for item in items if _has_news(item)]
        owner = {"owner_id": text(owner_id)}

        async def write_plain(part: Sequence[Extension]) -> int:
            rows = document([_extension(item) for item in part])
            return await self._db.write(self._db.hot, _EXTEND % {**_PLAIN, **owner, "items": rows})

        async def write_telling(part: Sequence[Extension]) -> int:
            rows = document([_telling_extension(item) for item in part])
            return await self._db.write(self._db.hot, _EXTEND % {**_WITH_NEWS, **owner, "items": rows})

        written = await self._in_parts(plain, _sizes(plain), write_plain)
        sizes = [200 + len(item.stop_reason) + 2 * len(item.progress) for item in telling]
        written += await self._in_parts(telling, sizes, write_telling)
        return await self._refused_when_short(owner_id, items, written)

    async def _in_parts(
        self,
        items: Sequence[_I],
        sizes: Sequence[int],
        write: Callable[[Sequence[_I]], Awaitable[int]],
        write_refused: Callable[[_I], Awaitable[int]] | None = None,
    ) -> int:
        """Writes in key order, in statements of bounded size; answers the sum.

        A statement that the server refuses for a value is halved until the one bad item is alone: it goes to
        `write_refused`, or is logged and left out.
        """
        order = sorted(range(len(items)), key=lambda index: items[index].ref)
        queue = [
            [items[index] for index in part]
            for part in split(order, [sizes[index] for index in order], max_rows=MAX_ROWS_PER_UPDATE)
        ]
        written = 0
        while queue:
            part = queue.pop()
            try:
                written += await write(part)
            except RowRefused as error:
                if len(part) > 1:
                    middle = len(part) // 2
                    queue += [part[:middle], part[middle:]]
                elif write_refused is not None:
                    written += await write_refused(part[0])
                else:
                    _log.error("store.row_refused", ref=str(part[0].ref), error=error.message)
        return written

    async def _refused_when_short(self, owner_id: str, items: Sequence[_I], written: int) -> frozenset[int]:
        if written >= len(items):
            return frozenset()
        terms = {(item.ref.partition_id, item.epoch) for item in items}
        return await fence.read_refused(self._db, owner_id, terms)


def _sizes(items: Sequence[object]) -> list[int]:
    return [_PLAIN_ROW_BYTES] * len(items)


def _key(ref: ExecutionRef) -> tuple[int, int, str]:
    return (ref.partition_id, ref.scheduled_at, ref.task_key.hex())


def _completion(item: Completion) -> _Row:
    return [
        *_key(item.ref),
        item.epoch,
        item.attempt,
        int(item.state),
        item.dispatched_at,
        item.picked_up_at,
        item.finished_at,
        int(item.is_waiting),
    ]


def _has_to_tell(item: Completion) -> bool:
    return item.state is ExecutionState.FAILED or bool(item.reason or item.result)


def _telling_completion(item: Completion) -> _Row:
    result = item.result.hex() if item.result else None
    return [
        *_completion(item),
        item.reason[:MAX_REASON_CHARACTERS],
        result,
        item.error_kind[:MAX_KIND_CHARACTERS],
    ]


def _failed_attempt(item: FailedAttempt) -> _Row:
    return [
        *_key(item.ref),
        item.epoch,
        item.attempt,
        item.retry_at,
        item.dispatched_at,
        item.picked_up_at,
        item.reason[:MAX_REASON_CHARACTERS],
        item.error_kind[:MAX_KIND_CHARACTERS],
    ]


def _has_news(item: Extension) -> bool:
    return item.progress_at is not None or bool(item.stop_reason)


def _extension(item: Extension) -> _Row:
    return [
        *_key(item.ref),
        item.epoch,
        item.attempt,
        int(item.state),
        item.wake_at,
        item.dispatched_at,
        item.picked_up_at,
    ]


def _telling_extension(item: Extension) -> _Row:
    return [
        *_extension(item),
        item.progress_at,
        item.progress.hex(),
        item.stop_reason[:MAX_REASON_CHARACTERS],
    ]
