"""The executions of one task as they change, for WatchExecutions.

There is no log of changes: an index of them would cost every write of the hot path. But it is known where new rows of a
task come: a claim writes scheduled times from the task's next one on, a trigger or a retry writes the instant of the call.
So whatever is written after a look lies at or after a *floor*, which is the task's next scheduled time or the instant of the
look, whichever is earlier. A look reads the history from its head down to the floor of the look before, and again the rows
that were open then. Between two looks a row may pass through several states; the latest is told.

What a watcher has to know to go on is the floor and which rows were open: the resume token. Rows that a backfill adds lie
anywhere in the past, and are not told.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from mainspring.server.clock import Clock
from mainspring.server.core.execution_filter import ExecutionFilter
from mainspring.server.core.model import Execution, ExecutionOrigin, ExecutionState, Task, TaskRef
from mainspring.server.errors import InvalidField, NotFound, ResourceExhausted
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import execution_to_proto
from mainspring.server.rpc.page_token import decode_token, encode_token
from mainspring.v1 import execution_service_pb2 as pb

LOOK_S = 0.5
SIGN_OF_LIFE_S = 10.0
CLOCKS_APART_US = 5_000_000
"""More than the clocks of the nodes that watch and that write ever differ by."""
MOST_WATCHERS = 200
"""On one node: each costs some short reads a look."""
MOST_OPEN = 500
"""Open executions of the task that are followed: the newest."""
MOST_NEW = 50_000
"""Rows since a token was made; one that is older is refused."""
PAGE = 500
_OPEN_STATES = tuple(state for state in ExecutionState if not state.is_final)


@dataclass(slots=True)
class Seen:
    """What a watcher knows."""

    floor_at: int
    """Whatever is written from now on has this scheduled time or a later one."""
    open_at: list[int] = field(default_factory=list)
    """Scheduled times of the open rows, newest first."""
    told: dict[int, Execution] = field(default_factory=dict)
    """Rows as they were told, of those that are open or at or above the floor. Empty when the stream is taken up again."""


class Watchers:
    """The streams of one node."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._count = 0

    async def watch(self, request: pb.WatchExecutionsRequest) -> AsyncIterator[pb.WatchExecutionsResponse]:
        """Answers WatchExecutions; ends by being cancelled.

        Raises:
            InvalidField: a field of the request is wrong, or the token is too old.
            NotFound: there is no such task, or not any more.
            ResourceExhausted: this node has too many watchers.
        """
        namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        task_id = validation.name(request.task_id, "task_id")
        ref = validation.task_ref(namespace, task_id, self._store.partition_count)
        scope = f"watch/{namespace}/{task_id}"
        seen = _decode(scope, request.resume_token)
        if self._count >= MOST_WATCHERS:
            raise ResourceExhausted(f"this node has {self._count} watchers: ask another, or later")
        self._count += 1
        try:
            told_s: float | None = None
            while True:
                changed, seen = await look(self._store, ref, seen, self._clock.now())
                if seen is None:
                    raise NotFound("task", f"{namespace}/{task_id}")
                now_s = self._clock.monotonic()
                # The first answer is a token, before anything has changed.
                if changed or told_s is None or now_s - told_s >= SIGN_OF_LIFE_S:
                    told_s = now_s
                    yield pb.WatchExecutionsResponse(
                        executions=map(execution_to_proto, changed), resume_token=_encode(scope, ref, seen)
                    )
                await self._clock.sleep(LOOK_S)
        finally:
            self._count -= 1


async def look(
    store: Store, ref: TaskRef, seen: Seen | None, now: int
) -> tuple[list[Execution], Seen | None]:
    """What has changed since the look before, oldest first, and what is known after it.

    Args:
        seen: of the look before; None for the first one, which finds everything as it is.
        now: cluster time.

    Raises:
        InvalidField: there is too much of it.
    """
    # Before the rows: what is written after this lies at or above the new floor.
    task = await store.get_task(ref)
    if task is None:
        return [], None
    floor_at = _floor(task, now)
    rows = await _rows_from(store, ref, floor_at if seen is None else min(seen.floor_at, floor_at))
    if seen is None:
        only = ExecutionFilter(states=_OPEN_STATES)
        still_open = (await store.list_task_executions(ref, only=only, limit=MOST_OPEN)).executions
        known = {row.ref.scheduled_at: _plain(row) for row in [*still_open, *rows]}
        return [], _seen(floor_at, known)
    found = {row.ref.scheduled_at: row for row in rows}
    for scheduled_at in seen.open_at:
        if scheduled_at not in found:
            row = await store.get_execution(ref, scheduled_at)
            if row is not None:
                found[scheduled_at] = _plain(row)
    changed = [row for at, row in sorted(found.items()) if seen.told.get(at) != row]
    return changed, _seen(floor_at, found)


def _plain(row: Execution) -> Execution:
    """Without its result, and without what its task may change of it."""
    return replace(row, result=b"", handler="", policies="")


def _floor(task: Task, now: int) -> int:
    at = now - CLOCKS_APART_US
    return at if task.scheduled_at is None else min(at, task.scheduled_at)


def _seen(floor_at: int, rows: dict[int, Execution]) -> Seen:
    open_at = sorted((at for at, row in rows.items() if not row.state.is_final), reverse=True)[:MOST_OPEN]
    followed = set(open_at)
    told = {at: row for at, row in rows.items() if at >= floor_at or at in followed}
    return Seen(floor_at, open_at, told)


async def _rows_from(store: Store, ref: TaskRef, floor_at: int) -> list[Execution]:
    """All rows from this scheduled time on, but for those that a backfill added."""
    rows: list[Execution] = []
    only = ExecutionFilter(start_at=floor_at)
    from_at: int | None = None
    while True:
        page = await store.list_task_executions(ref, only=only, from_at=from_at, limit=PAGE)
        rows += [_plain(row) for row in page.executions if row.origin is not ExecutionOrigin.BACKFILL]
        if len(rows) > MOST_NEW:
            raise InvalidField("resume_token", f"is too old: more than {MOST_NEW:,} executions came after it")
        if page.next is None:
            return rows
        from_at = page.next.scheduled_at


def _encode(scope: str, ref: TaskRef, seen: Seen) -> str:
    open_at = struct.pack(f">{len(seen.open_at)}q", *seen.open_at)
    return encode_token(scope, ref.partition_id, seen.floor_at, open_at)


def _decode(scope: str, token: str) -> Seen | None:
    try:
        position = decode_token(scope, token)
    except InvalidField:
        raise InvalidField("resume_token", "is no resume_token of a watch of this task") from None
    if position is None:
        return None
    return Seen(position[1], list(struct.unpack(f">{len(position[2]) // 8}q", position[2])))
