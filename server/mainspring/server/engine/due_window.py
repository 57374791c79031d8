"""The tasks that are due soon, in memory: the finest ring of the due index. PURE; a cache that can be lost at any moment.

A task is in one of three places: in the timing wheel (due later), ready (due, waiting for its claim; a queue per
handler, so that a handler without a free executor holds up no other), or claiming (a transaction is about it).

Memory is bounded twice: by a capacity for all, and by half of it for the ready tasks, where the handler with the longest
queue gives way. A handler that had to leave tasks in the database is saturated: more of its tasks that are due in the
seconds of those stay there until half of its queue is gone. So handlers that nobody runs, however many, cannot take the
room of the others, and a herd cannot take that of what is due after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mainspring.server.core.model import DueTask, TaskRef
from mainspring.server.core.timing_wheel import TimingWheel
from mainspring.server.engine.ready_queue import ReadyQueue

SHED_PARTS = 100
"""What gives way leaves in parts of so much of the capacity."""
_SECOND_US = 1_000_000


@dataclass(slots=True)
class _Saturation:
    """What a handler left in the database: tasks due in the seconds `first_s` to `last_s`."""

    first_s: int
    last_s: int
    relief: int
    """More of them come in when no more than so many are ready."""
    left_out_at: int | None = None
    """The earliest due time that was not taken in."""

    def holds(self, due_at: int) -> bool:
        """Whether a task that is due then stays in the database."""
        return self.first_s <= due_at // _SECOND_US <= self.last_s

    def leave_out(self, due_at: int) -> None:
        """A task that is due then was not taken in."""
        self.left_out_at = due_at if self.left_out_at is None else min(self.left_out_at, due_at)


class DueWindow:
    """Due tasks by time, then by handler. Everything due before `frontier` of a firing partition is in here.

    Args:
        start_at: cluster time now, microseconds UTC.
        capacity: how many tasks to remember at most; what does not fit stays in the database.
    """

    def __init__(self, start_at: int, capacity: int) -> None:
        self._wheel: TimingWheel[TaskRef] = TimingWheel(start_at)
        self._known: dict[TaskRef, DueTask] = {}
        self._ready: dict[str, ReadyQueue] = {}
        self._claiming: dict[TaskRef, DueTask] = {}
        self._capacity = capacity
        self._ready_total = 0
        self._saturated: dict[str, _Saturation] = {}
        self.frontier = start_at
        """Tasks due before this instant are loaded; the loader moves it."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, ref: TaskRef) -> bool:
        return ref in self._known

    def due_at(self, ref: TaskRef) -> int | None:
        """When a task that is remembered is due, or was, when it is ready or under claim."""
        known = self._known.get(ref)
        return None if known is None else known.due_at

    @property
    def room(self) -> int:
        """How many more tasks fit."""
        return max(0, self._capacity - len(self._known))

    @property
    def is_claiming(self) -> bool:
        """Whether any task is under claim."""
        return bool(self._claiming)

    def merge(self, tasks: Iterable[DueTask]) -> int:
        """Takes in what was loaded or hinted, as far as it fits; answers how many were not known.

        The frontier goes back to what does not fit.

        Never replaces a task under claim, nor a newer version by an older one.
        """
        unknown = 0
        for task in tasks:
            ref = TaskRef(task.partition_id, task.task_key)
            known = self._known.get(ref)
            if known is not None and (ref in self._claiming or known.order >= task.order):
                continue
            if known is None and self._saturated:
                saturation = self._saturated.get(task.handler)
                if saturation is not None and saturation.holds(task.due_at):
                    saturation.leave_out(task.due_at)
                    continue
            if known is None and len(self._known) >= self._capacity:
                self.frontier = min(self.frontier, task.due_at)
                continue
            unknown += known is None
            self._known[ref] = task
            self._wheel.insert(ref, task.due_at)
        return unknown

    def forget(self, ref: TaskRef, before_version: int | None = None) -> None:
        """Drops a task that must not fire (cancelled, changed); one under claim is left to the transaction.

        Args:
            before_version: only if it is known with an older version than this.
        """
        known = self._known.get(ref)
        if known is None or ref in self._claiming:
            return
        if before_version is None or known.version < before_version:
            del self._known[ref]
            self._wheel.cancel(ref)

    def forget_older(self, task: DueTask) -> None:
        """Drops what is known of a task when that is older than this, as `forget` does."""
        known = self._known.get(task.ref)
        if known is not None and known.order < task.order:
            self.forget(task.ref)

    def forget_from(self, at: int) -> None:
        """Drops what is due at this instant or later, not before the frontier: to make room for what is due earlier."""
        for ref in [ref for ref, task in self._known.items() if task.due_at >= at and ref in self._wheel]:
            del self._known[ref]
            self._wheel.cancel(ref)

    def forget_partitions(self, partition_ids: Collection[int]) -> None:
        """Drops everything of these partitions, also what is under claim: its outcome then finds nothing to settle."""
        for ref in [ref for ref in self._known if ref.partition_id in partition_ids]:
            del self._known[ref]
            self._wheel.cancel(ref)
            self._claiming.pop(ref, None)

    def advance(self, now: int) -> int:
        """Moves what is due by now from the wheel to the ready queues; answers how many."""
        expired = self._wheel.advance(now)
        for ref in expired:
            task = self._known[ref]
            queue = self._ready.get(task.handler)
            if queue is None:
                queue = self._ready[task.handler] = ReadyQueue()
            queue.append(ref, task.due_at)
        self._ready_total += len(expired)
        while self._ready_total > self._capacity // 2:
            self._give_way(max(self._ready, key=lambda handler: len(self._ready[handler])), now)
        return len(expired)

    def _give_way(self, handler: str, now: int) -> None:
        """Leaves some tasks of a handler to the database; it is saturated from here on."""
        queue = self._ready[handler]
        limit = min(max(1, self._capacity // SHED_PARTS), self._ready_total - self._capacity // 2)
        second, shed = queue.shed(limit, now)
        self._ready_total -= len(shed)
        if not queue:
            del self._ready[handler]
        # Those that were forgotten or moved since are no loss: the queue still named them.
        left = [
            task for ref in shed if self._is_ready(ref) and (task := self._known.pop(ref, None)) is not None
        ]
        if not left:
            return
        saturation = self._saturated.get(handler)
        if saturation is None:
            saturation = self._saturated[handler] = _Saturation(second, second, 0)
        saturation.first_s = min(saturation.first_s, second)
        saturation.last_s = max(saturation.last_s, second)
        saturation.relief = len(queue) // 2
        for task in left:
            saturation.leave_out(task.due_at)

    def _is_ready(self, ref: TaskRef) -> bool:
        return ref not in self._claiming and ref not in self._wheel

    def next_deadline(self) -> int | None:
        """When to call `advance` again at the latest; None when nothing is in the wheel."""
        return self._wheel.next_deadline()

    def ready_handlers(self) -> list[str]:
        """The handlers for which tasks are ready."""
        return list(self._ready)

    def ready_count(self, handler: str) -> int:
        """How many tasks are ready for a handler; an upper bound, forgotten ones may still be counted."""
        queue = self._ready.get(handler)
        return len(queue) if queue is not None else 0

    def relieve(self, handler: str) -> bool:
        """Ends a handler's saturation when half of its queue is gone; True when a sweep has to bring in what was left."""
        saturation = self._saturated.get(handler)
        if saturation is None or self.ready_count(handler) > saturation.relief:
            return False
        del self._saturated[handler]
        if saturation.left_out_at is not None:
            self.frontier = min(self.frontier, saturation.left_out_at)
        return True

    def begin_claims(self, handler: str, limit: int) -> list[DueTask]:
        """Takes up to `limit` ready tasks of a handler into the claiming state, in the order of `ReadyQueue`."""
        queue = self._ready.get(handler)
        taken: list[DueTask] = []
        while queue and len(taken) < limit:
            refs = queue.take(limit - len(taken))
            self._ready_total -= len(refs)
            for ref in refs:
                task = self._known.get(ref)
                if task is None or task.handler != handler or not self._is_ready(ref):
                    continue
                self._claiming[ref] = task
                taken.append(task)
        if queue is not None and not queue:
            del self._ready[handler]
        return taken

    def settle_claim(self, task: DueTask, following: DueTask | None) -> None:
        """Ends a claim: the task goes on with its next time when that lies inside the window, else it is forgotten."""
        ref = task.ref
        if self._claiming.get(ref) is not task:
            return  # the partition went and came back meanwhile: this outcome is of another time
        del self._claiming[ref]
        if following is not None and following.due_at < self.frontier:
            self._known[ref] = following
            self._wheel.insert(ref, following.due_at)
        else:
            self._known.pop(ref, None)

    def return_claim(self, task: DueTask) -> None:
        """Undoes `begin_claims` for a task that was not claimed: it is ready again, in front."""
        ref = task.ref
        if self._claiming.get(ref) is task:
            del self._claiming[ref]
            self._ready.setdefault(task.handler, ReadyQueue()).put_back(ref, task.due_at)
            self._ready_total += 1
