"""Filters of callers: from the message to a checked `TaskFilter`."""

from __future__ import annotations

from mainspring.server.core.model import TaskState
from mainspring.server.core.task_filter import TaskFilter
from mainspring.server.errors import InvalidField
from mainspring.server.rpc.instants import instant
from mainspring.server.rpc.labels import checked_labels
from mainspring.server.rpc.validation import name
from mainspring.v1 import task_service_pb2


def checked_filter(message: task_service_pb2.TaskFilter) -> TaskFilter:
    """Checks a filter.

    Raises:
        InvalidField: names the field, from `filter` on.
    """
    states = []
    for number in message.states:
        try:
            states.append(TaskState(number))
        except ValueError:
            known = ", ".join(f"{state.value} {state.name}" for state in TaskState)
            raise InvalidField(
                "filter.states", f"holds {number}, which this server does not know: it knows {known}"
            ) from None
    checked_labels(message.labels, "filter.labels")
    bounds = [
        instant(time, f"filter.{field}") if message.HasField(field) else None
        for field, time in (
            ("next_from_time", message.next_from_time),
            ("next_until_time", message.next_until_time),
        )
    ]
    return TaskFilter(
        tuple(sorted(set(states))),
        name(message.handler, "filter.handler") if message.handler else "",
        tuple(sorted(message.labels.items())),
        bounds[0],
        bounds[1],
    )
