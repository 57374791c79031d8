"""The options that say which tasks, and which executions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import typer

from mainspring.cli.option_sets import OptionSet
from mainspring.cli.options import instant
from mainspring.cli.policy_reading import read_labels
from mainspring.client import TaskFilter, TaskState

_WHICH: Final = "Which tasks"


class TaskStateChoice(StrEnum):
    """The names are those of `mainspring.client.TaskState`."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class ExecutionStateChoice(StrEnum):
    """The names are those of `mainspring.client.ExecutionState`."""

    WAITING = "waiting"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class TaskFilterOptions(OptionSet):
    """What the command line says about which tasks; what is left out does not restrict."""

    state: Annotated[
        list[TaskStateChoice] | None,
        typer.Option(
            metavar="STATE",
            help="In this state: active, paused, completed or cancelled. Repeat it for any of several.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    handler: Annotated[
        str | None, typer.Option(metavar="HANDLER", help="Of this handler.", rich_help_panel=_WHICH)
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="With this label. Repeat it for those with all of several.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    next_from: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="Whose next scheduled time is at or after this.",
            rich_help_panel=_WHICH,
        ),
    ] = None
    next_until: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="Whose next scheduled time is before this.",
            rich_help_panel=_WHICH,
        ),
    ] = None


def read_filter(said: TaskFilterOptions) -> TaskFilter | None:
    """Return the filter that the options say; None when they say nothing.

    Raises:
        typer.BadParameter: A label cannot be read.
    """
    if not said.said():
        return None
    return TaskFilter(
        states=[TaskState[choice.name] for choice in said.state or ()],
        handler=said.handler or "",
        labels=read_labels(said.label or ()),
        next_from=said.next_from,
        next_until=said.next_until,
    )
