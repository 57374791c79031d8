"""Which executions a call is about. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from mainspring.server.core.model import ExecutionState
from mainspring.server.core.task_filter import TaskFilter

CLOCKS_APART_US = 10_000_000
"""More than the clocks of two owners of a task ever differ by."""


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Executions that fit every restriction; what is left out does not restrict.

    Attributes:
        start_at: whose scheduled time is at or after this.
        end_at: whose scheduled time is before this.
        states: in one of these.
        handler: of tasks with this handler.
        labels: of tasks with all of these labels, as sorted pairs.
    """

    start_at: int | None = None
    end_at: int | None = None
    states: tuple[ExecutionState, ...] = ()
    handler: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def task(self) -> TaskFilter:
        """What it asks of the task."""
        return TaskFilter(handler=self.handler, labels=self.labels)

    @property
    def stop_at(self) -> int | None:
        """Where a walk along a task's history, newest recorded first, may end: at a row that was claimed before this and
        is scheduled before `start_at`.

        Scheduled times need not rise in the order in which they were recorded (a backfill records old ones late), but
        nothing is scheduled after it was claimed, except what a call had moved to an earlier time; and those follow one
        another in the history.
        """
        return None if self.start_at is None else self.start_at - CLOCKS_APART_US


EVERYTHING = ExecutionFilter()
