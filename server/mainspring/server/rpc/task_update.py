"""UpdateTask: the fields of a mask put into a stored task, checked as a registration is.

What the hash of a definition is made from is not stored: words of the call, such as a delay, that became something else.
After an update the hash is that of the task as the API answers it. So CreateTask with what GetTask answers is the same
call again, and CreateTask with the definition before the update is another one, answered ALREADY_EXISTS.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mainspring.server.core.life_cycle import with_definition_changed
from mainspring.server.core.model import Task
from mainspring.server.core.policies import decode as decode_policies
from mainspring.server.core.task_defaults import NO_DEFAULTS, TaskDefaults
from mainspring.server.errors import InvalidField
from mainspring.server.rpc.convert import task_to_proto
from mainspring.server.rpc.validation import CheckedTask, Limits, checked_task
from mainspring.v1 import task_pb2

FIELDS = (
    "handler",
    "payload",
    "schedule",
    "delivery",
    "labels",
    "misfire",
    "overlap",
    "retry",
    "timeouts",
    "lateness_objective",
    "keep_executions",
)
"""What an update mask may name."""


def checked_mask(paths: Collection[str]) -> frozenset[str]:
    """The fields that a mask names.

    Raises:
        InvalidField: it names none, or something else.
    """
    if not paths:
        raise InvalidField("update_mask", "is required: it names the fields of the task to change")
    for path in paths:
        if path not in FIELDS:
            raise InvalidField("update_mask", f"names {path!r}; it may name {', '.join(FIELDS)}")
    return frozenset(paths)


def merged(stored: Task, given: task_pb2.Task, mask: frozenset[str]) -> task_pb2.Task:
    """The stored task with the fields of the mask as given; what is not set there is left open."""
    message = task_to_proto(stored)
    if decode_policies(stored.policies).overlap is None:
        message.overlap = task_pb2.Task().overlap  # the default of its schedule, which may be another one now
    for field in mask:
        message.ClearField(field)
    update = task_pb2.Task()
    update.CopyFrom(given)
    for descriptor, _ in given.ListFields():
        if descriptor.name not in mask:
            update.ClearField(descriptor.name)
    message.MergeFrom(update)
    return message


def updated(
    stored: Task,
    given: task_pb2.Task,
    mask: frozenset[str],
    *,
    now: int,
    partition_count: int,
    limits: Limits,
    defaults: TaskDefaults = NO_DEFAULTS,
) -> Task | None:
    """The stored task after an update; None when it changes nothing, or the task has ended.

    Args:
        now: cluster time: a new schedule counts from it.
        defaults: of its namespace.

    Raises:
        InvalidRequest: what CreateTask would say of the task with these fields.
    """
    has_new_schedule = "schedule" in mask

    def checked(message: task_pb2.Task, now: int | None, defaults: TaskDefaults) -> CheckedTask:
        return checked_task(
            message,
            prefix="task",
            now=now,
            partition_count=partition_count,
            limits=limits,
            defaults=defaults,
            may_default=mask,
        )

    wanted = checked(merged(stored, given, mask), now if has_new_schedule else None, defaults)
    definition = wanted.definition
    if not has_new_schedule:
        definition = replace(definition, schedule=stored.schedule)
    most = wanted.schedule.max_executions
    if has_new_schedule and most is not None and most <= stored.execution_count:
        raise InvalidField(
            "task.schedule.max_executions", f"must be more than {stored.execution_count}: so many there were"
        )
    changed = with_definition_changed(stored, definition, first_at=wanted.first_at, now=now)
    if changed is None:
        return None
    as_answered = checked(task_to_proto(changed), None, NO_DEFAULTS)
    return replace(changed, definition_hash=as_answered.definition.definition_hash)
