"""Which tasks: what lists, counts and changes of many tasks are restricted to, and what those answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from mainspring.client.checks import require, text_map, tuple_of
from mainspring.client.instants import require_aware
from mainspring.client.task import TaskState


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Names tasks of one namespace; what is left out does not restrict.

    Attributes:
        states: In one of these states.
        handler: Of this handler.
        labels: With all of these labels.
        next_from: Whose next scheduled time is at or after this; timezone-aware.
        next_until: Whose next scheduled time is before this; timezone-aware.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: A bound is naive.
    """

    states: Sequence[TaskState] = ()
    handler: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    next_from: datetime | None = None
    next_until: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", tuple_of("states", self.states, TaskState))
        require("handler", self.handler, str)
        object.__setattr__(self, "labels", text_map("labels", self.labels))
        for name in ("next_from", "next_until"):
            if (instant := getattr(self, name)) is not None:
                require_aware(name, instant)


class TaskChange(Enum):
    """What to do with many tasks."""

    PAUSE = 1
    """As `pause_task`."""
    RESUME = 2
    """As `resume_task`."""
    CANCEL = 3
    """As `cancel_task`."""
    DELETE = 4
    """As `delete_task`."""


@dataclass(frozen=True, slots=True)
class ChangedTasks:
    """What became of a change of many tasks.

    Attributes:
        matched_count: How many tasks the filter named.
        changed_count: How many of them were changed.
    """

    matched_count: int
    changed_count: int


@dataclass(frozen=True, slots=True)
class TaskCount:
    """How many tasks there are.

    Attributes:
        count: In all.
        by_state: The same by state; a state without tasks may be left out.
    """

    count: int
    by_state: Mapping[TaskState, int] = field(hash=False)
