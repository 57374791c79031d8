"""The open executions of each task, and whose turn it is where only one may be under way at a time. PURE.

Every open execution of the partitions held has a place in the line of its task, whatever the task's policy: policies
change. A claim in flight has, too, from the moment in which it was decided until it has told what it did; what it wrote is
in the line as an open execution by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mainspring.server.core.model import ExecutionRef, TaskRef
from mainspring.server.core.overlap import OpenOne, next_to_begin


class TaskLines:
    """What stands beside what, by task."""

    def __init__(self) -> None:
        self._lines: dict[TaskRef, dict[int, OpenOne]] = {}
        self._in_flight: dict[TaskRef, dict[int, OpenOne]] = {}
        self._loading: set[int] = set()

    def put(self, ref: ExecutionRef, *, is_waiting: bool, is_background: bool) -> None:
        """Adds an open execution, or says anew whether it waits for its turn."""
        one = OpenOne(ref.scheduled_at, is_waiting, is_background)
        self._lines.setdefault(_task_of(ref), {})[ref.scheduled_at] = one

    def drop(self, ref: ExecutionRef) -> None:
        """Takes out an execution that has ended, or is no longer this node's."""
        _take_out(self._lines, _task_of(ref), [ref.scheduled_at])

    def begin_claim(self, task: TaskRef, ones: Iterable[OpenOne]) -> None:
        """Adds what a claim is about to record."""
        in_flight = {one.scheduled_at: one for one in ones}
        if in_flight:
            self._in_flight.setdefault(task, {}).update(in_flight)

    def end_claim(self, task: TaskRef, scheduled_at: Iterable[int]) -> None:
        """Takes that out again."""
        _take_out(self._in_flight, task, scheduled_at)

    def beside(self, task: TaskRef, scheduled_at: int) -> list[OpenOne]:
        """What is open of a task whose next time is about to be decided on.

        Of claims in flight those of earlier times: when a claim has failed, its task is decided on again, with the same
        times or later ones.
        """
        ones = {at: one for at, one in self._in_flight.get(task, {}).items() if at < scheduled_at}
        return list((ones | self._lines.get(task, {})).values())

    def open_of(self, task: TaskRef) -> list[ExecutionRef]:
        """What is open of a task."""
        return [
            ExecutionRef(task.partition_id, scheduled_at, task.task_key)
            for scheduled_at in self._lines.get(task, ())
        ]

    def under_way(self, task: TaskRef) -> list[ExecutionRef]:
        """What of a task does not wait for its turn."""
        ones = self._lines.get(task, {}).values()
        return [
            ExecutionRef(task.partition_id, one.scheduled_at, task.task_key)
            for one in ones
            if not one.is_waiting
        ]

    def begin_loading(self, partition_ids: Collection[int]) -> None:
        """Nobody has a turn in these partitions: what is open there is not known yet."""
        self._loading.update(partition_ids)

    def end_loading(self, partition_ids: Collection[int]) -> list[ExecutionRef]:
        """All that is open in these partitions has its place; answers whose turn it is, of each task one at most."""
        loaded = self._loading.intersection(partition_ids)
        self._loading -= loaded
        tasks = [task for task in self._lines if task.partition_id in loaded]
        return [ref for task in tasks if (ref := self.next_of(task)) is not None]

    def next_of(self, task: TaskRef) -> ExecutionRef | None:
        """Which waiting execution of a task has its turn; None while one is under way, or when none waits."""
        line = self._lines.get(task)
        if line is None or task in self._in_flight or task.partition_id in self._loading:
            return None
        head = next_to_begin(line.values())
        return None if head is None else ExecutionRef(task.partition_id, head.scheduled_at, task.task_key)

    def forget_partitions(self, partition_ids: Collection[int]) -> None:
        """Drops everything of these partitions."""
        self._loading.difference_update(partition_ids)
        for lines in (self._lines, self._in_flight):
            for task in [task for task in lines if task.partition_id in partition_ids]:
                del lines[task]


def _task_of(ref: ExecutionRef) -> TaskRef:
    return TaskRef(ref.partition_id, ref.task_key)


def _take_out(lines: dict[TaskRef, dict[int, OpenOne]], task: TaskRef, times: Iterable[int]) -> None:
    line = lines.get(task)
    if line is None:
        return
    for at in times:
        line.pop(at, None)
    if not line:
        del lines[task]
