"""Recorded work that its stream could not carry at once: looked at again before it goes out.

Between the check of the fence and the write to the stream nothing should happen; but a process may stand still there, or
a stream may be full. What was checked too long ago is checked again, so that nothing leaves under an epoch that has moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.dispatch.frames import WorkItem
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import OpenAttempts

log = structlog.get_logger(__name__)


class LateWork:
    """Asked by the writers of the streams. Its tasks are bounded by the executors' credit."""

    def __init__(
        self,
        context: OwnerContext,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        mishaps: Mishaps,
        fence_check: FenceCheck,
    ) -> None:
        self._context = context
        self._executors = executors
        self._attempts = attempts
        self._mishaps = mishaps
        self._fence_check = fence_check
        self._tasks: set[asyncio.Task[None]] = set()

    def sift(self, session: ExecutorSession, items: Sequence[WorkItem]) -> list[WorkItem]:
        """Answers what may be written now. What is late comes back to the session once it has been looked at; what belongs
        to another node by now, is of a task that was changed, or was given up while it was looked at, is dropped, its
        credit given back."""
        context = self._context
        oldest_s = context.clock.monotonic() - context.settings.stale_commit_s
        held = self._current(session, self._held(session, items))
        late = [item for item in held if item.as_of_s < oldest_s]
        if late:
            log.warning("work_is_late", executor_id=session.executor_id, executions=len(late))
            task = asyncio.create_task(self._look_again(session, late), name="late work")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return [item for item in held if item.as_of_s >= oldest_s]
        return held

    def _held(self, session: ExecutorSession, items: Sequence[WorkItem]) -> list[WorkItem]:
        epoch_of = self._context.held.epoch_of
        held = [item for item in items if epoch_of(item.attempt_id.ref.partition_id) == item.epoch]
        if len(held) < len(items):
            self._executors.give_back([session] * (len(items) - len(held)))
        return held

    def _current(self, session: ExecutorSession, items: list[WorkItem]) -> list[WorkItem]:
        """What may be sent still of these; what may not ends, or goes on with the task as it is now."""
        notes = self._context.notes
        current = [item for item in items if not notes.is_outdated(item.ref, item.task_version)]
        if len(current) < len(items):
            outdated = [item for item in items if notes.is_outdated(item.ref, item.task_version)]
            self._executors.give_back([session] * len(outdated))
            self._mishaps.outdated(
                attempt
                for item in outdated
                if (attempt := self._attempts.get(item.ref)) is not None
                and self._attempts.is_at_executor(*item.attempt_id)
            )
        return current

    async def _look_again(self, session: ExecutorSession, items: list[WorkItem]) -> None:
        epochs = {item.attempt_id.ref.partition_id: item.epoch for item in items}
        still_held = await self._fence_check.still_held(epochs, min(item.as_of_s for item in items), items)
        mine = self._held(session, items)
        # Asked about meanwhile, the executor has disowned it: the next attempt is recorded, or the execution is lost.
        wanted = [item for item in mine if self._attempts.is_at_executor(*item.attempt_id)]
        self._executors.give_back([session] * (len(mine) - len(wanted)))
        current = self._current(session, wanted)
        unsent = [item for item in current if session.is_closed or self._is_to_stop(item)]
        self._executors.give_back([session] * len(unsent))
        self._mishaps.never_sent(unsent)
        session.send_work(
            item._replace(as_of_s=still_held.as_of_s)
            for item in current
            if item.attempt_id.ref.partition_id in still_held.partitions
            and self._attempts.is_at_executor(*item.attempt_id)
        )

    def _is_to_stop(self, item: WorkItem) -> bool:
        """Whether a call wants it stopped: the word of that is out already, and finds nothing there."""
        attempt = self._attempts.get(item.ref)
        return attempt is not None and bool(attempt.stop_reason)

    async def stop(self) -> None:
        """Ends the looks under way. What was recorded and not sent is found by whoever owns it next."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
