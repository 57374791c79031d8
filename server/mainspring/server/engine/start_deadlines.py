"""By when ready tasks have to start, and which of them nobody took in time. PURE."""

from __future__ import annotations

from mainspring.server.core.expiry import watched_until
from mainspring.server.core.model import DueTask, TaskRef
from mainspring.server.core.timing_wheel import TimingWheel


class StartDeadlines:
    """Of ready tasks whose policies know such a deadline; the others, which are most, cost nothing.

    Args:
        start_at: cluster time now, microseconds UTC.
    """

    def __init__(self, start_at: int) -> None:
        self._wheel: TimingWheel[TaskRef] = TimingWheel(start_at)
        self._passed: dict[TaskRef, None] = {}

    @property
    def has_passed(self) -> bool:
        """Whether there are tasks to `take`."""
        return bool(self._passed)

    def watch(self, task: DueTask) -> None:
        """Waits for the deadline of a task that has become ready."""
        until_at = watched_until(task.policies, task.due_at)
        if until_at is not None:
            self._wheel.insert(task.ref, until_at + 1)

    def drop(self, ref: TaskRef) -> None:
        """Forgets a task that is not ready any more."""
        self._wheel.cancel(ref)
        self._passed.pop(ref, None)

    def advance(self, now: int) -> int:
        """Moves the clock; answers for how many tasks the deadline has passed since."""
        passed = self._wheel.advance(now)
        self._passed.update(dict.fromkeys(passed))
        return len(passed)

    def next_deadline(self) -> int | None:
        """When to call `advance` again at the latest."""
        return self._wheel.next_deadline()

    def take(self, limit: int) -> list[TaskRef]:
        """Takes up to `limit` tasks whose deadline has passed, the first one first."""
        taken = [ref for ref, _ in zip(self._passed, range(limit), strict=False)]
        for ref in taken:
            del self._passed[ref]
        return taken
