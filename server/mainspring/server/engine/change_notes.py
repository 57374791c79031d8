"""Which versions of tasks are over: nothing of them is to be sent any more (I5). PURE."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from mainspring.server.core.model import DueTask, ExecutionRef, TaskRef

KEEP_S = 10.0
"""Several times as long as work may be under way without another look at the database."""


class TaskNote(NamedTuple):
    """What a call has made of a task, for its owner to take note of."""

    ref: TaskRef
    version: int
    """The new one: what is of an older one must not be sent."""
    is_stopped: bool
    """Whether the task does not run any more, now or for good: its waiting executions end, those to be repeated, too."""
    next: DueTask | None
    """Its next time, when it has one."""


class ChangeNotes:
    """The changes of the last seconds.

    A note is needed for as long as work is under way that was recorded before the change. What takes longer than `keep_s`
    is looked up in the database before it is sent (`FenceCheck`).
    """

    def __init__(self, keep_s: float = KEEP_S) -> None:
        self._keep_s = keep_s
        self._notes: dict[TaskRef, tuple[float, int, bool]] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, ref: TaskRef, version: int, *, is_stopped: bool, now_s: float) -> None:
        """Takes a change in (monotonic seconds); an older one than is known changes nothing."""
        while self._notes and (oldest := next(iter(self._notes.items())))[1][0] < now_s - self._keep_s:
            del self._notes[oldest[0]]
        known = self._notes.get(ref)
        if known is None or known[1] < version:
            self._notes.pop(ref, None)
            self._notes[ref] = (now_s, version, is_stopped)

    def forget(self, ref: TaskRef) -> None:
        """Drops the note of a task that does not exist any more: another one of its name begins at version 1."""
        self._notes.pop(ref, None)

    def forget_partitions(self, partition_ids: Collection[int]) -> None:
        """Drops the notes of partitions that are another node's now: it may be told what this one is not."""
        for ref in [ref for ref in self._notes if ref.partition_id in partition_ids]:
            del self._notes[ref]

    def is_outdated(self, ref: ExecutionRef, task_version: int) -> bool:
        """Whether work of this version of an execution's task must not be sent."""
        note = self._notes.get(TaskRef(ref.partition_id, ref.task_key)) if self._notes else None
        return note is not None and note[1] > task_version

    def is_stopped(self, ref: ExecutionRef) -> bool:
        """Whether an execution's task is known not to run any more."""
        note = self._notes.get(TaskRef(ref.partition_id, ref.task_key))
        return note is not None and note[2]
