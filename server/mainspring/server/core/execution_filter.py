"""Which executions a call is about. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from mainspring.server.core.model import ExecutionState
from mainspring.server.core.task_filter import TaskFilter


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


EVERYTHING = ExecutionFilter()
