"""The ready tasks of one handler, in lanes: one for each second in which some became due. PURE.

A herd, or the backlog after an outage, must not hold up what becomes due after it. So three quarters of what is taken are
what has waited longest, and a quarter is what became due last; within a lane the oldest comes first. While the queue is
short both are the same tasks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import TaskRef

FRESH_PART = 4
"""One in so many is taken from the newest lanes."""
FRESH_S = 2
"""Lanes of the last seconds are not shed for others: they are what the newest part is for."""


class ReadyQueue:
    """First in, first out within a lane; of any length. It may name tasks that are ready no longer: its user knows."""

    def __init__(self) -> None:
        self._lanes: dict[int, deque[TaskRef]] = {}
        self._seconds: list[int] = []  # of the lanes, ascending
        self._count = 0
        self._taken = 0

    def __len__(self) -> int:
        return self._count

    def append(self, ref: TaskRef, due_at: int) -> None:
        """Adds a task behind the others of its second; `due_at` in microseconds UTC."""
        self._lane(due_at).append(ref)
        self._count += 1

    def put_back(self, ref: TaskRef, due_at: int) -> None:
        """Adds a task in front of the others of its second."""
        self._lane(due_at).appendleft(ref)
        self._count += 1

    def take(self, limit: int) -> list[TaskRef]:
        """Takes up to `limit` tasks: what has waited longest, and every fourth from what became due last."""
        fresh = (self._taken + limit) // FRESH_PART - self._taken // FRESH_PART
        if self._count <= limit or len(self._seconds) == 1:
            fresh = 0
        self._taken += limit
        taken: list[TaskRef] = []
        self._take_from(0, limit - fresh, taken)
        self._take_from(-1, fresh, taken)
        return taken

    def shed(self, limit: int, now: int) -> tuple[int, list[TaskRef]]:
        """Takes up to `limit` tasks of one lane, from its back: those whose turn is farthest.

        That is the newest lane before the fresh ones; while all are fresh, the longest.

        Returns:
            The lane's second, and the tasks. ValueError when the queue is empty.
        """
        behind = bisect_left(self._seconds, now // SECOND_US - FRESH_S)
        second = self._seconds[behind - 1] if behind else max(self._seconds, key=self._length)
        lane = self._lanes[second]
        shed = [lane.pop() for _ in range(min(limit, len(lane)))]
        self._count -= len(shed)
        if not lane:
            self._remove(self._seconds.index(second))
        return second, shed

    def sift(self, is_wanted: Callable[[TaskRef, int], bool]) -> int:
        """Drops the names that are not wanted, told a task and the second of its lane; answers how many."""
        before = self._count
        for second in list(self._seconds):
            kept = deque(ref for ref in self._lanes[second] if is_wanted(ref, second))
            self._count += len(kept) - len(self._lanes[second])
            if kept:
                self._lanes[second] = kept
            else:
                self._remove(self._seconds.index(second))
        return before - self._count

    def _length(self, second: int) -> int:
        return len(self._lanes[second])

    def _lane(self, due_at: int) -> deque[TaskRef]:
        second = due_at // SECOND_US
        lane = self._lanes.get(second)
        if lane is None:
            lane = self._lanes[second] = deque()
            insort(self._seconds, second)
        return lane

    def _take_from(self, end: int, limit: int, taken: list[TaskRef]) -> None:
        """Takes lane by lane from this end of the queue (0 or -1)."""
        while limit > 0 and self._seconds:
            lane = self._lanes[self._seconds[end]]
            if len(lane) <= limit:
                taken.extend(lane)
                limit -= len(lane)
                self._count -= len(lane)
                self._remove(end)
                continue
            taken.extend([lane.popleft() for _ in range(limit)])
            self._count -= limit
            return

    def _remove(self, index: int) -> None:
        del self._lanes[self._seconds.pop(index)]
