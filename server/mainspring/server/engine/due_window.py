"""The tasks that are due soon, in memory: the finest ring of the due index. PURE; a cache that can be lost at any moment.

A task is in one of three places: in the timing wheel (due later), ready (due, waiting for its claim; a line per
handler, so that a handler without a free executor holds up no other), or claiming (a transaction is about it).

Each handler has a second line for its backlog: what has been due for long when it becomes ready, after an outage. The
first line goes first, but for a share that the backlog has of each batch; so fresh work is on time however long the
backlog, and the backlog goes on however much is fresh. Within a line the order is that of `ReadyQueue`: a herd does not hold
up what is due after it.

Memory is bounded three times: by a capacity for all; by half of it for all ready tasks together, where the longest line
gives way; and by a tenth for each line of a backlog, which is read as fast as it is claimed. A line that had to leave tasks
in the database is saturated: more of its tasks that are due in the seconds of those stay there until half of it is gone. So
handlers that nobody runs, however many, cannot take the room of the others, nor a backlog that of what is fresh.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import DueTask, TaskRef
from mainspring.server.core.timing_wheel import TimingWheel
from mainspring.server.engine.ready_queue import ReadyQueue
from mainspring.server.engine.start_deadlines import StartDeadlines

SHED_PARTS = 100
"""What gives way leaves in parts of so much of the capacity."""
BACKLOG_ROOM = 10
"""A handler's backlog may take one tenth of the capacity."""
BACKLOG_SHARES = 4
"""A handler's backlog has one fourth of each batch, and whatever its fresh tasks leave."""
KEPT_FREE = 4
"""What is loaded ahead leaves one fourth of the capacity: a herd to come must not keep out what is due before it."""
WORTH_LOADING = 16
"""Loading ahead goes on when one in so many of the capacity fits: each time it begins at the frontier."""
NEVER_US = 1 << 62


class Line(NamedTuple):
    """Ready tasks of one handler: those of its backlog, or the others."""

    handler: str
    is_backlog: bool


def _lines(handler: str) -> tuple[Line, Line]:
    return Line(handler, False), Line(handler, True)


@dataclass(slots=True)
class _Saturation:
    """What a line left in the database: tasks due in the seconds `first_s` to `last_s`."""

    first_s: int
    last_s: int
    relief: int
    """More of them come in when no more than so many are ready."""
    left_out_at: int | None = None
    """The earliest due time that was not taken in."""

    def holds(self, due_at: int) -> bool:
        """Whether a task that is due then stays in the database."""
        return self.first_s <= due_at // SECOND_US <= self.last_s

    def leave_out(self, due_at: int) -> None:
        """A task that is due then was not taken in."""
        self.left_out_at = due_at if self.left_out_at is None else min(self.left_out_at, due_at)


class DueWindow:
    """Due tasks by time, then by handler. Everything due before `frontier` of a firing partition is in here.

    Args:
        start_at: cluster time now, microseconds UTC.
        capacity: how many tasks to remember at most; what does not fit stays in the database.
        backlog_after_us: what has been due for longer belongs to the backlog.
    """

    def __init__(self, start_at: int, capacity: int, *, backlog_after_us: int = NEVER_US) -> None:
        self._wheel: TimingWheel[TaskRef] = TimingWheel(start_at)
        self._known: dict[TaskRef, DueTask] = {}
        self._ready: dict[Line, ReadyQueue] = {}
        self._claiming: dict[TaskRef, DueTask] = {}
        self._capacity = capacity
        self._ready_total = 0
        self._saturated: dict[Line, _Saturation] = {}
        self._owed: dict[str, int] = {}
        """By handler with a backlog, what of its share it has not had, times the shares."""
        self._starts = StartDeadlines(start_at)
        self._stale: dict[str, int] = {}
        """By handler, about so many names are in its queues of tasks that `begin_expired` took."""
        self._backlog_after_us = backlog_after_us
        self._now = start_at
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
    def room_ahead(self) -> int:
        """How many more tasks that are loaded ahead fit."""
        return max(0, self.room - self._capacity // KEPT_FREE)

    @property
    def is_worth_loading(self) -> bool:
        """Whether so many tasks fit that loading ahead goes on."""
        return self.room_ahead > self._capacity // WORTH_LOADING

    @property
    def is_claiming(self) -> bool:
        """Whether any task is under claim."""
        return bool(self._claiming)

    def merge(self, tasks: Iterable[DueTask], *, ahead: bool = False) -> int:
        """Takes in what was loaded or hinted, as far as it fits; answers how many were not known.

        The frontier goes back to what does not fit.

        Never replaces a task under claim, nor a newer version by an older one.

        Args:
            ahead: they are loaded ahead, and leave room for what is registered, or found, to be due before.
        """
        unknown = 0
        most = self._capacity - (self._capacity // KEPT_FREE if ahead else 0)
        for task in tasks:
            ref = TaskRef(task.partition_id, task.task_key)
            known = self._known.get(ref)
            if known is not None and (ref in self._claiming or known.order >= task.order):
                continue
            if known is None and self.leaves_out(task):
                continue
            if known is None and len(self._known) >= most:
                self.frontier = min(self.frontier, task.due_at)
                continue
            unknown += known is None
            if known is not None and known.policies:
                self._starts.drop(ref)
            self._known[ref] = task
            self._wheel.insert(ref, task.due_at)
        return unknown

    def leaves_out(self, task: DueTask) -> bool:
        """Whether a task stays in the database until its line has room again; then the frontier goes back to it."""
        if not self._saturated or task.ref in self._known:
            return False
        saturation = self._saturated.get(self._line_of(task))
        if saturation is None or not saturation.holds(task.due_at):
            return False
        saturation.leave_out(task.due_at)
        return True

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
            self._starts.drop(ref)

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
            self._starts.drop(ref)
            self._claiming.pop(ref, None)

    def advance(self, now: int) -> int:
        """Moves what is due by now from the wheel to the ready queues; answers how many, or are too late to start now."""
        self._now = max(self._now, now)
        expired = self._wheel.advance(now)
        lines: set[Line] = set()
        for ref in expired:
            task = self._known[ref]
            line = self._line_of(task)
            queue = self._ready.get(line)
            if queue is None:
                queue = self._ready[line] = ReadyQueue()
            queue.append(ref, task.due_at)
            lines.add(line)
            if task.policies:
                self._starts.watch(task)
        self._ready_total += len(expired)
        for line in lines:
            while (
                line.is_backlog and (over := self._length(line) - max(1, self._capacity // BACKLOG_ROOM)) > 0
            ):
                self._give_way(line, over)
        while (over := self._ready_total - self._capacity // 2) > 0:
            self._give_way(max(self._ready, key=self._length), over)
        return len(expired) + self._starts.advance(now)

    @property
    def backlog_before(self) -> int:
        """What is due before this instant belongs to the backlog."""
        return self._now - self._backlog_after_us

    def _line_of(self, task: DueTask) -> Line:
        return Line(task.handler, task.due_at < self.backlog_before)

    def _length(self, line: Line) -> int:
        queue = self._ready.get(line)
        return 0 if queue is None else len(queue)

    def _give_way(self, line: Line, over: int) -> None:
        """Leaves some tasks of a line to the database, at most `over`; it is saturated from here on."""
        queue = self._ready[line]
        second, shed = queue.shed(min(max(1, self._capacity // SHED_PARTS), over), self._now)
        self._ready_total -= len(shed)
        if not queue:
            del self._ready[line]
        # Those that were forgotten or moved since are no loss: the queue still named them.
        left = [
            task for ref in shed if self._is_ready(ref) and (task := self._known.pop(ref, None)) is not None
        ]
        self._met_stale(line.handler, len(shed) - len(left))
        if not left:
            return
        saturation = self._saturated.get(line)
        if saturation is None:
            saturation = self._saturated[line] = _Saturation(second, second, 0)
        saturation.first_s = min(saturation.first_s, second)
        saturation.last_s = max(saturation.last_s, second)
        saturation.relief = len(queue) // 2
        for task in left:
            saturation.leave_out(task.due_at)
            self._starts.drop(task.ref)

    def _is_ready(self, ref: TaskRef) -> bool:
        return ref not in self._claiming and ref not in self._wheel

    def next_deadline(self) -> int | None:
        """When to call `advance` again at the latest; None when nothing is due later, or too late to start."""
        next_start = self._starts.next_deadline()
        next_due = self._wheel.next_deadline()
        if next_start is None or next_due is None:
            return next_due if next_start is None else next_start
        return min(next_start, next_due)

    @property
    def has_expired(self) -> bool:
        """Whether `begin_expired` has something to take."""
        return self._starts.has_passed

    def ready_handlers(self) -> list[str]:
        """The handlers for which tasks are ready, or were and gave way to others to the last one."""
        return list(dict.fromkeys(line.handler for line in (*self._ready, *self._saturated)))

    def ready_count(self, handler: str) -> int:
        """How many tasks are ready for a handler; an upper bound, forgotten ones may still be counted."""
        return sum(self._length(line) or line in self._saturated for line in _lines(handler))

    def relieve(self, handler: str) -> bool:
        """Ends the saturation of a handler's lines of which half is gone.

        True when a sweep has to bring in what was left. The loader goes on where the first line left something; what is
        left of a backlog lies far behind, and only its reader goes there.
        """
        is_relieved = False
        for line in _lines(handler):
            saturation = self._saturated.get(line)
            if saturation is None or self._length(line) - self._stale.get(handler, 0) > saturation.relief:
                continue
            del self._saturated[line]
            is_relieved = True
            if not line.is_backlog and saturation.left_out_at is not None:
                self.frontier = min(self.frontier, max(saturation.left_out_at, self.backlog_before))
        return is_relieved

    def begin_claims(self, handler: str, limit: int) -> list[DueTask]:
        """Takes up to `limit` ready tasks of a handler into the claiming state, each line's in the order of `ReadyQueue`."""
        fresh, backlog = _lines(handler)
        if backlog not in self._ready:
            return self._begin(fresh, limit)
        # Credit may come by ones: what is not a whole share yet is owed.
        owed = self._owed.get(handler, 0) + limit
        taken = self._begin(fresh, limit - min(limit, owed // BACKLOG_SHARES))
        of_backlog = self._begin(backlog, limit - len(taken))
        if backlog in self._ready:
            self._owed[handler] = max(0, owed - BACKLOG_SHARES * len(of_backlog))
        else:
            self._owed.pop(handler, None)
        return taken + of_backlog + self._begin(fresh, limit - len(taken) - len(of_backlog))

    def begin_expired(self, limit: int) -> list[DueTask]:
        """Takes up to `limit` ready tasks that are too late to start into the claiming state."""
        taken = [
            self._known[ref] for ref in self._starts.take(limit) if ref in self._known and self._is_ready(ref)
        ]
        self._claiming.update((task.ref, task) for task in taken)
        for handler, count in Counter(task.handler for task in taken).items():
            stale = self._stale[handler] = self._stale.get(handler, 0) + count
            # At half of all it costs two looks a name, however often it happens.
            if stale > sum(map(self._length, _lines(handler))) // 2:
                self._forget_stale(handler)
        return taken

    def _forget_stale(self, handler: str) -> None:
        """Drops the names from a handler's queues of tasks that are not ready for it, or at another time: nobody may ever
        ask for them."""
        seen: set[TaskRef] = set()

        def is_wanted(ref: TaskRef, second: int) -> bool:
            task = self._known.get(ref)
            if task is None or ref in seen or not self._is_ready(ref):
                return False
            if task.handler != handler or task.due_at // SECOND_US != second:
                return False
            seen.add(ref)
            return True

        for line in _lines(handler):
            queue = self._ready.get(line)
            if queue is not None:
                self._ready_total -= queue.sift(is_wanted)
                if not queue:
                    del self._ready[line]
        self._stale.pop(handler, None)

    def _met_stale(self, handler: str, count: int) -> None:
        """So many names left the queues of a handler that named nothing any more."""
        stale = self._stale.get(handler, 0) - count
        if stale > 0:
            self._stale[handler] = stale
        else:
            self._stale.pop(handler, None)

    def _begin(self, line: Line, limit: int) -> list[DueTask]:
        queue = self._ready.get(line)
        taken: list[DueTask] = []
        while queue and len(taken) < limit:
            refs = queue.take(limit - len(taken))
            self._ready_total -= len(refs)
            before = len(taken)
            for ref in refs:
                task = self._known.get(ref)
                if task is None or task.handler != line.handler or not self._is_ready(ref):
                    continue
                self._claiming[ref] = task
                taken.append(task)
                if task.policies:
                    self._starts.drop(ref)
            self._met_stale(line.handler, len(refs) - (len(taken) - before))
        if queue is not None and not queue:
            del self._ready[line]
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

    def look_again(self, task: DueTask, at: int) -> None:
        """Ends a claim that found the task locked, or not as it is known: it is ready again at an instant.

        A hint that tells how it is now takes its place until then.
        """
        ref = task.ref
        if self._claiming.get(ref) is task:
            del self._claiming[ref]
            self._wheel.insert(ref, at)

    def return_claim(self, task: DueTask, *, may_expire: bool = True) -> None:
        """Undoes `begin_claims` or `begin_expired` for a task that was not claimed: it is ready again, in front.

        Args:
            may_expire: whether to take it again once it is too late to start; that may be so already, and `advance` tells.
        """
        ref = task.ref
        if self._claiming.get(ref) is task:
            del self._claiming[ref]
            self._ready.setdefault(self._line_of(task), ReadyQueue()).put_back(ref, task.due_at)
            self._ready_total += 1
            if may_expire and task.policies:
                self._starts.watch(task)
