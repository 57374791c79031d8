"""Create calls that were made before: ids made from request ids, and tasks that have ended since their first call."""

from __future__ import annotations

import hashlib

from mainspring.server.core.model import Task
from mainspring.server.errors import InvalidField, InvalidRequest
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.validation import Limits
from mainspring.v1 import task_pb2, task_service_pb2

REQUEST_ID_CHARACTERS = 200


def task_of_request(request: task_service_pb2.CreateTaskRequest) -> task_pb2.Task:
    """The task to be registered; with a request id its id is made from that.

    Raises:
        InvalidField: there is no task, or the request id is too long or stands beside an id.
    """
    if not request.HasField("task"):
        raise InvalidField("task", "is required")
    if not request.request_id:
        return request.task
    if request.task.id:
        raise InvalidField("request_id", "stands beside task.id: give one of them")
    check_request_id(request.request_id)
    task = task_pb2.Task()
    task.CopyFrom(request.task)
    task.id = request_task_id(task.namespace or validation.DEFAULT_NAMESPACE, request.request_id)
    return task


def check_request_id(request_id: str) -> None:
    """Raises InvalidField when it is too long."""
    if len(request_id) > REQUEST_ID_CHARACTERS:
        raise InvalidField(
            "request_id", f"has {len(request_id)} characters; at most {REQUEST_ID_CHARACTERS} are allowed"
        )


def request_task_id(namespace: str, request_id: str) -> str:
    """32 hexadecimal digits. Its form must not change: repeated calls find their task by it."""
    digest = hashlib.sha256(b"request-id")
    for part in (namespace.encode(), request_id.encode()):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:32]


async def registered_before(task: task_pb2.Task, store: Store, limits: Limits) -> Task | None:
    """The stored task that a call registered which was like this one and is not valid any more, for its times have passed.

    The call is checked as of the instant of the first one: what was right then and has the same definition is the same call.
    """
    try:
        namespace = validation.name(task.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        ref = validation.task_ref(namespace, validation.name(task.id, "id"), store.partition_count)
    except InvalidField:
        return None
    stored = await store.get_task(ref)
    if stored is None:
        return None
    try:
        same = validation.new_task(
            task, prefix="", now=stored.created_at, partition_count=store.partition_count, limits=limits
        )
    except InvalidRequest:
        return None
    is_same = same.definition_hash == stored.definition_hash and not validation.contradicts(task, stored)
    return stored if is_same else None
