"""Requests with one thing wrong, for every method: what is wrong, and how it is refused.

`right_request` makes a request that would be answered; a `WrongCall` gets one thing of it wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from fuzz.caller import Code
from fuzz.flaws import BAD_NAMES
from fuzz.messages import DAY, HOUR, SECOND, length, stamp
from google.protobuf.message import Message

from mainspring.v1 import dev_service_pb2 as dev
from mainspring.v1 import execution_service_pb2 as execution
from mainspring.v1 import namespace_service_pb2 as namespace
from mainspring.v1 import task_service_pb2 as task

LONGEST_PAYLOAD: Final = 256 * 1024


class Target(NamedTuple):
    """What a wrong call is about: a task that exists and may be changed."""

    namespace: str
    id: str
    now: int


class WrongCall(NamedTuple):
    """One thing wrong."""

    method: str
    field: str
    """What the refusal names; empty: none."""
    put: Callable[[Any, Target], object]
    """Gets a right request wrong."""
    what: str
    """The value, for people."""
    code: Code = Code.INVALID_ARGUMENT

    def __repr__(self) -> str:
        return f"<{self.method}: {self.field or self.code.name} {self.what}>"


def _of_task(kind: Callable[..., Any], **fields: Any) -> Callable[[Target], Any]:
    return lambda target: kind(namespace=target.namespace, id=target.id, **fields)


def _of_execution(kind: Callable[..., Any], **fields: Any) -> Callable[[Target], Any]:
    return lambda target: kind(
        namespace=target.namespace, task_id=target.id, scheduled_time=stamp(target.now), **fields
    )


def _update(target: Target) -> task.UpdateTaskRequest:
    request = task.UpdateTaskRequest()
    request.task.namespace, request.task.id, request.task.handler = target.namespace, target.id, "another"
    request.update_mask.paths.append("handler")
    return request


_RIGHT: Final[dict[str, Callable[[Target], Any]]] = {
    "GetTask": _of_task(task.GetTaskRequest),
    "UpdateTask": _update,
    "PauseTask": _of_task(task.PauseTaskRequest),
    "ResumeTask": _of_task(task.ResumeTaskRequest),
    "CancelTask": _of_task(task.CancelTaskRequest),
    "DeleteTask": _of_task(task.DeleteTaskRequest),
    "TriggerTask": _of_task(task.TriggerTaskRequest),
    "BackfillTask": lambda target: task.BackfillTaskRequest(
        namespace=target.namespace,
        id=target.id,
        start_time=stamp(target.now - HOUR),
        end_time=stamp(target.now),
    ),
    "BatchCreateTasks": lambda target: task.BatchCreateTasksRequest(),
    "CreateTask": lambda target: task.CreateTaskRequest(),
    "PreviewSchedule": lambda target: task.PreviewScheduleRequest(schedule={"delay": length(SECOND)}, id="p"),
    "ListTasks": lambda target: task.ListTasksRequest(filter={"handler": "noop"}),
    "CountTasks": lambda target: task.CountTasksRequest(filter={"handler": "noop"}),
    "ChangeTasks": lambda target: task.ChangeTasksRequest(
        filter={"handler": "noop"}, change=task.TASK_CHANGE_PAUSE
    ),
    "ListExecutions": lambda target: execution.ListExecutionsRequest(
        namespace=target.namespace, task_id=target.id
    ),
    "GetExecution": _of_execution(execution.GetExecutionRequest),
    "ExplainExecution": _of_execution(execution.ExplainExecutionRequest),
    "CancelExecution": _of_execution(execution.CancelExecutionRequest),
    "RetryExecution": _of_execution(execution.RetryExecutionRequest),
    "WatchExecutions": lambda target: execution.WatchExecutionsRequest(
        namespace=target.namespace, task_id=target.id
    ),
    "GetSlo": lambda target: execution.GetSloRequest(start_time=stamp(target.now - DAY)),
    "CreateNamespace": lambda target: namespace.CreateNamespaceRequest(namespace={"name": "wrong"}),
    "UpdateNamespace": lambda target: namespace.UpdateNamespaceRequest(namespace={"name": "wrong"}),
    "GetNamespace": lambda target: namespace.GetNamespaceRequest(name="wrong"),
    "ListNamespaces": lambda target: namespace.ListNamespacesRequest(),
    "AdvanceTime": lambda target: dev.AdvanceTimeRequest(by=length(0)),
}
SERVICES: Final = {
    name: service.full_name
    for module in (task, execution, namespace, dev)
    for service in module.DESCRIPTOR.services_by_name.values()
    for name in service.methods_by_name
}
"""The service of each method."""


def right_request(method: str, target: Target) -> Message:
    """A request of a method that would be answered, or names what is not there."""
    request: Message = _RIGHT[method](target)
    return request


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:20]}... ({len(text)})"


def _part(request: Any, path: str) -> tuple[Any, str]:
    """The message that holds a field, and the field's name."""
    *parents, name = path.split(".")
    for parent in parents:
        request = getattr(request, parent)
    return request, name


def _set(method: str, field: str, *values: Any, code: Code = Code.INVALID_ARGUMENT) -> Iterator[WrongCall]:
    """A plain field with each of these values. Only a refusal of a wrong argument names the field."""

    def put(value: Any) -> Callable[[Any, Target], object]:
        return lambda request, target: setattr(*_part(request, field), value)

    named = field if code is Code.INVALID_ARGUMENT else ""
    for value in values:
        yield WrongCall(method, named, put(value), _shorten(value), code)


def _clear(method: str, field: str) -> WrongCall:
    """A field that is not given."""

    def put(request: Any, target: Target) -> None:
        holder, name = _part(request, field)
        holder.ClearField(name)

    return WrongCall(method, field, put, "unset")


def _instants(method: str, field: str) -> Iterator[WrongCall]:
    """Timestamps that the protos do not allow."""

    def put(seconds: int, nanos: int) -> Callable[[Any, Target], None]:
        def into(request: Any, target: Target) -> None:
            instant = getattr(*_part(request, field))
            instant.seconds, instant.nanos = seconds, nanos

        return into

    for seconds, nanos in ((2**60, 0), (-(2**60), 0), (253_402_300_800, 0), (0, -1), (0, 10**9)):
        yield WrongCall(method, field, put(seconds, nanos), f"{seconds} s {nanos} ns")


def _add(method: str, field: str, path: str, *values: Any) -> Iterator[WrongCall]:
    """Another value in a repeated field or a map; the refusal names the path."""

    def put(value: Any) -> Callable[[Any, Target], object]:
        def into(request: Any, target: Target) -> None:
            holder = getattr(*_part(request, field))
            if isinstance(value, dict):
                holder.update(value)
            else:
                holder.append(value)

        return into

    for value in values:
        yield WrongCall(method, path, put(value), _shorten(value))


def _names() -> Iterator[WrongCall]:
    """Names that are wrong, or of nothing."""
    for method, id_field in (
        *((name, "id") for name in ("GetTask", "PauseTask", "ResumeTask", "CancelTask", "DeleteTask")),
        *((name, "id") for name in ("TriggerTask", "BackfillTask")),
        *((name, "task_id") for name in ("GetExecution", "ExplainExecution", "CancelExecution")),
        *((name, "task_id") for name in ("RetryExecution", "WatchExecutions")),
    ):
        yield from _set(method, id_field, "", *BAD_NAMES)
        yield from _set(method, "namespace", *BAD_NAMES)
        yield from _set(method, id_field, "no such task", code=Code.NOT_FOUND)
        yield from _set(method, "namespace", "no such namespace", code=Code.NOT_FOUND)
    for method in ("ListTasks", "CountTasks", "ChangeTasks", "ListExecutions", "GetSlo", "PreviewSchedule"):
        yield from _set(method, "namespace", *BAD_NAMES)
    yield from _set("UpdateTask", "task.id", "", *BAD_NAMES)
    yield from _set("UpdateTask", "task.namespace", *BAD_NAMES)
    yield from _set("UpdateTask", "task.id", "no such task", code=Code.NOT_FOUND)
    yield from _set("ListExecutions", "task_id", *BAD_NAMES)
    yield from _set("PreviewSchedule", "id", *BAD_NAMES)
    yield from _set("GetNamespace", "name", *BAD_NAMES)
    for method in ("CreateNamespace", "UpdateNamespace"):
        yield from _set(method, "namespace.name", "", " x", *BAD_NAMES)
    yield from _set("UpdateNamespace", "namespace.name", "nobody made it", code=Code.NOT_FOUND)


def _changes() -> Iterator[WrongCall]:
    """Of tasks."""
    yield _clear("CreateTask", "task")
    yield WrongCall("BatchCreateTasks", "tasks", lambda request, target: None, "none")
    yield WrongCall(
        "BatchCreateTasks",
        "tasks",
        lambda request, target: [request.tasks.add() for _ in range(1_001)],
        "1,001",
    )
    for path in ("state", "id", "", "schedule.cron", "*", "handler.x", "Handler"):
        yield from _add("UpdateTask", "update_mask.paths", "update_mask", path)
    yield _clear("UpdateTask", "update_mask")
    yield _clear("UpdateTask", "task")
    for method in ("UpdateTask", "PauseTask", "ResumeTask", "CancelTask", "DeleteTask"):
        yield from _set(method, "etag", "v0", "é" * 50, code=Code.ABORTED)
    for method in ("PauseTask", "ResumeTask", "CancelTask", "ChangeTasks"):
        yield from _set(method, "note", "x" * 501)
        yield from _set(method, "changed_by", "x" * 201)
    yield from _set("ChangeTasks", "change", 0, 9, -3)
    yield _clear("ChangeTasks", "filter")
    yield WrongCall("ChangeTasks", "filter", lambda request, target: request.filter.Clear(), "empty")
    yield from _set("TriggerTask", "payload", b"x" * (LONGEST_PAYLOAD + 1))
    yield from _set("TriggerTask", "request_id", "r" * 201)
    for field in ("start_time", "end_time"):
        yield _clear("BackfillTask", field)
        yield from _instants("BackfillTask", field)
    yield WrongCall(
        "BackfillTask",
        "end_time",
        lambda request, target: request.end_time.CopyFrom(stamp(target.now + SECOND)),
        "to come",
    )
    yield WrongCall(
        "BackfillTask",
        "end_time",
        lambda request, target: request.end_time.CopyFrom(request.start_time),
        "where it begins",
    )


def _lists() -> Iterator[WrongCall]:
    """Of what names many."""
    for method in ("ListTasks", "CountTasks", "ChangeTasks"):
        yield from _add(method, "filter.states", "filter.states", 0, 5, -1)
        yield from _set(method, "filter.handler", "h" * 201, "a\nb")
        yield from _add(method, "filter.labels", "filter.labels[]", {"": "x"})
        yield from _add(method, "filter.labels", "filter.labels[k]", {"k": "x" * 64})
        for field in ("filter.next_from_time", "filter.next_until_time"):
            yield from _instants(method, field)
    for method in ("ListTasks", "ListExecutions", "ListNamespaces"):
        yield from _set(method, "page_size", -1, 1_001, -(2**31))
        yield from _set(method, "page_token", "x", "é", "AAAA" * 9, "/w==")
    yield from _add("ListExecutions", "states", "states[0]", 0, 77, -1)
    yield from _add("ListExecutions", "labels", "labels[]", {"": "x"})
    yield from _set("ListExecutions", "handler", "a\nb", "h" * 201)


def _reads() -> Iterator[WrongCall]:
    """Of one execution, of figures, of schedules."""
    for method in ("GetExecution", "ExplainExecution", "CancelExecution", "RetryExecution"):
        yield from _instants(method, "scheduled_time")
    for method in ("CancelExecution", "RetryExecution"):
        yield _clear(method, "scheduled_time")
        yield WrongCall(
            method,
            "",
            lambda request, target: request.scheduled_time.CopyFrom(stamp(target.now + 500_000 * DAY)),
            "no such time",
            Code.NOT_FOUND,
        )
    yield from _set("CancelExecution", "note", "x" * 501)
    yield from _set("RetryExecution", "request_id", "r" * 201)
    yield from _set("WatchExecutions", "resume_token", "x", "é", "AAAA" * 9)
    for field in ("start_time", "end_time"):
        yield from _instants("ListExecutions", field)
        yield from _instants("GetSlo", field)
    yield _clear("GetSlo", "start_time")
    yield WrongCall(
        "GetSlo",
        "end_time",
        lambda request, target: request.end_time.CopyFrom(stamp(target.now - 2 * DAY)),
        "before it begins",
    )
    yield from _set("PreviewSchedule", "count", -1, 1_001)
    yield _clear("PreviewSchedule", "schedule")
    yield from _instants("PreviewSchedule", "after_time")


WRONG_RETENTIONS: Final = (0, -SECOND, HOUR - SECOND, 3_650 * DAY + SECOND, DAY + 1)
"""Of a namespace."""


def _put_retention(retention: int) -> Callable[[Any, Target], object]:
    return lambda request, target: request.namespace.retention.CopyFrom(length(retention))


def _put_by(by: int) -> Callable[[Any, Target], object]:
    return lambda request, target: request.by.CopyFrom(length(by))


def _others() -> Iterator[WrongCall]:
    """Of namespaces and time."""
    for retention in WRONG_RETENTIONS:
        yield WrongCall(
            "CreateNamespace", "namespace.retention", _put_retention(retention), f"{retention} µs"
        )
    for path in ("name", "etag", "", "*", "task_defaults.labels", "task_defaults.retry.jitter"):
        yield from _add("UpdateNamespace", "update_mask.paths", "update_mask", path)
    yield WrongCall("AdvanceTime", "target", lambda request, target: request.Clear(), "nowhere")
    for by in (-1, 3_651 * DAY):
        yield WrongCall("AdvanceTime", "by", _put_by(by), f"{by} µs")
    yield WrongCall(
        "AdvanceTime",
        "to",
        lambda request, target: request.to.CopyFrom(stamp(target.now - 1_000)),
        "back",
    )


WRONG_CALLS: Final = (*_names(), *_changes(), *_lists(), *_reads(), *_others())
METHODS: Final = tuple(_RIGHT)
