"""The owner's side of calls that changed tasks: has nothing older sent, and says when that is so (I5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mainspring.server.core.model import TaskRef
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.change_notes import TaskNote
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import WAITING_PLACES, OpenAttempt, OpenAttempts, Place
from mainspring.server.engine.window_loader import WindowLoader

POLL_S = 0.005
START_S = 0.5
"""How long the starts of what was sent before a change are waited for, so that they come before its acknowledgement."""


class NoteTaker:
    """Knows every place in which something older may be under way: the window, transactions, queues, streams."""

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        loader: WindowLoader,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        mishaps: Mishaps,
    ) -> None:
        self._context = context
        self._window = window
        self._loader = loader
        self._executors = executors
        self._attempts = attempts
        self._mishaps = mishaps

    async def take(self, notes: Sequence[TaskNote]) -> list[int]:
        """Takes note of changes that are committed; returns once nothing older of these tasks will be sent.

        What was not sent ends as CANCELLED: what waits, here, and what a stream has not carried yet, in `LateWork`. May take
        as long as a transaction that was under way does.

        Returns:
            The positions of the tasks of which it cannot say so: their partition is not held, or was taken from an owner
            that may still be sending what it recorded.
        """
        held = self._context.held
        now_s = self._context.clock.monotonic()
        mine = {note.ref: note for note in notes if held.epoch_of(note.ref.partition_id) is not None}
        for note in mine.values():
            self._context.notes.add(note.ref, note.version, is_stopped=note.is_stopped, now_s=now_s)
        self._end_waiting(mine)
        while self._is_under_way(mine):
            await self._context.clock.sleep(POLL_S)
        # A claim or an assignment that was under way has told of its rows by now.
        self._end_waiting(mine)
        await self._until_started(mine)
        return [
            position
            for position, note in enumerate(notes)
            if note.ref not in mine
            or not held.is_settled(note.ref.partition_id, self._context.clock.monotonic())
        ]

    def _end_waiting(self, notes: Mapping[TaskRef, TaskNote]) -> None:
        """Ends what waits under an older version, and brings the window up to date."""
        for ref, note in notes.items():
            self._window.forget(ref, before_version=note.version)
            self._mishaps.outdated(
                attempt
                for attempt in self._attempts.of_task(ref)
                if attempt.place in WAITING_PLACES
                and attempt.task_version < note.version
                and (note.is_stopped or attempt.attempt == 0)
            )
        self._loader.accept([note.next for note in notes.values() if note.next is not None])

    def _is_under_way(self, refs: Collection[TaskRef]) -> bool:
        """Whether a transaction is recording executions of these tasks."""
        return not self._attempts.claiming_tasks().isdisjoint(refs) or any(
            attempt.place is Place.ASSIGNING for ref in refs for attempt in self._attempts.of_task(ref)
        )

    async def _until_started(self, notes: Mapping[TaskRef, TaskNote]) -> None:
        """Waits a moment for the starts of what is on its way to executors: it was sent before, and goes on."""
        until_s = self._context.clock.monotonic() + START_S
        sent = [
            attempt
            for ref, note in notes.items()
            for attempt in self._attempts.of_task(ref)
            if attempt.task_version < note.version
        ]
        while (sent := [a for a in sent if self._is_on_its_way(a)]) and (
            self._context.clock.monotonic() < until_s
        ):
            await self._context.clock.sleep(POLL_S)

    def _is_on_its_way(self, attempt: OpenAttempt) -> bool:
        return (
            self._attempts.is_on_its_way(attempt)
            and self._executors.get(attempt.executor_id or "") is not None
        )
