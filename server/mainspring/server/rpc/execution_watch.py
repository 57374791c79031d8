"""The executions of one task as they change, for WatchExecutions.

There is no log of changes: an index of them would cost every write of the hot path. But the history of one task is one: new
rows come at its head, and only open rows change. So a look at the head, and at the rows that were open at the look before,
shows every change. Between two looks a row may pass through several states; the latest is told.

What a watcher has to know to go on is where the head was and which rows were open: the resume token.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from mainspring.server.clock import Clock
from mainspring.server.core.execution_filter import CLOCKS_APART_US, EVERYTHING, ExecutionFilter
from mainspring.server.core.model import Execution, ExecutionState, TaskRef
from mainspring.server.errors import InvalidField, NotFound, ResourceExhausted
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import execution_to_proto
from mainspring.server.rpc.page_token import decode_token, encode_token
from mainspring.v1 import execution_service_pb2 as pb

LOOK_S = 0.5
SIGN_OF_LIFE_S = 10.0
MOST_WATCHERS = 200
"""On one node: each costs two or three short reads a look."""
MOST_OPEN = 500
"""Open executions of the task that are followed: the newest."""
MOST_NEW = 50_000
"""New rows since a token was made; one that is older is refused."""
PAGE = 500
_NOTHING = -(2**62)
_OPEN_STATES = tuple(state for state in ExecutionState if not state.is_final)


@dataclass(slots=True)
class Seen:
    """What a watcher knows."""

    head_at: int = _NOTHING
    """Scheduled time of the row at the head of the history."""
    claimed_at: int = _NOTHING
    """When that row was recorded."""
    open: dict[int, Execution | None] = field(default_factory=dict)
    """Open rows by scheduled time, as they were told; None: as told before the stream was taken up again."""


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
            if await self._store.get_task(ref) is None:
                raise NotFound("task", f"{namespace}/{task_id}")
            if seen is None:
                seen = await _begin(self._store, ref)
            told_s: float | None = None
            while True:
                changed = await look(self._store, ref, seen)
                now_s = self._clock.monotonic()
                # The first answer is a token, before anything has changed.
                if changed or told_s is None or now_s - told_s >= SIGN_OF_LIFE_S:
                    told_s = now_s
                    yield pb.WatchExecutionsResponse(
                        executions=map(execution_to_proto, changed), resume_token=_encode(scope, ref, seen)
                    )
                await self._clock.sleep(LOOK_S)
                if not changed and await self._store.get_task(ref) is None:
                    raise NotFound("task", f"{namespace}/{task_id}")
        finally:
            self._count -= 1


async def _begin(store: Store, ref: TaskRef) -> Seen:
    """What there is now, none of which is told."""
    seen = Seen()
    newest = (await store.list_task_executions(ref, limit=1)).executions
    if newest:
        seen.head_at, seen.claimed_at = newest[0].ref.scheduled_at, newest[0].claimed_at
    only = ExecutionFilter(states=_OPEN_STATES)
    page = await store.list_task_executions(ref, only=only, limit=MOST_OPEN)
    seen.open = {row.ref.scheduled_at: row for row in page.executions}
    return seen


async def look(store: Store, ref: TaskRef, seen: Seen) -> list[Execution]:
    """What has changed since the look before, oldest first; notes it as seen.

    Raises:
        InvalidField: there is too much of it.
    """
    fresh: list[Execution] = []
    from_at: int | None = None
    is_reached = False
    while not is_reached:
        page = await store.list_task_executions(
            ref, only=EVERYTHING, from_at=from_at, limit=1 if from_at is None else PAGE
        )
        for row in page.executions:
            # The row that was the head may be gone; what was recorded well before it is not new.
            if row.ref.scheduled_at == seen.head_at or row.claimed_at < seen.claimed_at - CLOCKS_APART_US:
                is_reached = True
                break
            fresh.append(row)
        if len(fresh) > MOST_NEW:
            raise InvalidField("resume_token", f"is too old: more than {MOST_NEW:,} executions came after it")
        if page.next is None:
            break
        from_at = page.next.scheduled_at
    changed: list[Execution] = []
    for scheduled_at, known in list(seen.open.items()):
        row_now = await store.get_execution(ref, scheduled_at)
        if row_now is None:
            del seen.open[scheduled_at]
        elif row_now != known:
            changed.append(row_now)
            seen.open[scheduled_at] = row_now
    changed += reversed(fresh)
    if fresh:
        seen.head_at, seen.claimed_at = fresh[0].ref.scheduled_at, fresh[0].claimed_at
    for row in changed:
        if row.state.is_final:
            seen.open.pop(row.ref.scheduled_at, None)
        else:
            seen.open[row.ref.scheduled_at] = row
    while len(seen.open) > MOST_OPEN:
        del seen.open[next(iter(seen.open))]
    return changed


def _encode(scope: str, ref: TaskRef, seen: Seen) -> str:
    numbers = (seen.claimed_at, *seen.open)
    return encode_token(scope, ref.partition_id, seen.head_at, struct.pack(f">{len(numbers)}q", *numbers))


def _decode(scope: str, token: str) -> Seen | None:
    try:
        position = decode_token(scope, token)
    except InvalidField:
        raise InvalidField("resume_token", "is no resume_token of a watch of this task") from None
    if position is None:
        return None
    claimed_at, *open_at = struct.unpack(f">{len(position[2]) // 8}q", position[2])
    return Seen(position[1], claimed_at, dict.fromkeys(open_at))
