"""TaskService: registers tasks and tells about them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc

from mainspring.server.clock import Clock
from mainspring.server.core.life_cycle import StateChange
from mainspring.server.core.model import NewTask, Task, TaskRef
from mainspring.server.engine.engine import Engine
from mainspring.server.errors import (
    AlreadyExists,
    InvalidField,
    InvalidRequest,
    MainspringError,
    NotFound,
)
from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.tasks import Created
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import task_to_proto
from mainspring.server.rpc.namespace_cache import NamespaceCache
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.server.rpc.page_token import decode_token, encode_token
from mainspring.server.rpc.repeated_calls import check_request_id, registered_before, task_of_request
from mainspring.server.rpc.schedule_preview import preview_schedule, put_meaning
from mainspring.server.rpc.status import status_of
from mainspring.server.rpc.task_changes import NamedTask, Reason, TaskChanges, named_task
from mainspring.server.rpc.task_filters import checked_filter
from mainspring.server.rpc.task_owner import TaskOwner, backfill_range
from mainspring.server.rpc.validation import Limits
from mainspring.v1 import task_pb2, task_service_pb2, task_service_pb2_grpc

LARGEST_BATCH = 1_000
SLICE_S = 0.005
"""So long the checks of a batch hold the event loop: most tasks take some 50 us, a few schedules some milliseconds."""
PAGE_BYTES = 2 * 1024 * 1024

Context = grpc.aio.ServicerContext[Any, Any]


class TaskServicer(task_service_pb2_grpc.TaskServiceServicer):
    """Decodes, calls, encodes."""

    def __init__(
        self,
        clock: Clock,
        store: Store,
        engine: Engine,
        limits: Limits,
        owner_calls: OwnerCalls,
        namespaces: NamespaceCache,
        changes: TaskChanges,
    ) -> None:
        self._clock = clock
        self._store = store
        self._engine = engine
        self._limits = limits
        self._owner_calls = owner_calls
        self._namespaces = namespaces
        self._changes = changes
        TaskOwner(clock, store, engine).register(owner_calls)

    async def _new_task(self, task: task_pb2.Task, prefix: str) -> NewTask:
        defaults = await self._namespaces.defaults_of(task)
        return validation.new_task(
            task,
            prefix=prefix,
            now=self._clock.now(),
            partition_count=self._store.partition_count,
            limits=self._limits,
            defaults=defaults,
        )

    def _ref(self, namespace: str, task_id: str) -> TaskRef:
        namespace = validation.name(namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        return validation.task_ref(namespace, validation.name(task_id, "id"), self._store.partition_count)

    async def CreateTask(
        self, request: task_service_pb2.CreateTaskRequest, context: Context
    ) -> task_service_pb2.CreateTaskResponse:
        """See the proto."""
        task = task_of_request(request)
        try:
            new = await self._new_task(task, "task")
            (created,) = await self._engine.registrar.create([new])
            stored = _stored(task, new, created)
        except InvalidRequest:
            before = await registered_before(task, self._store, self._limits)
            if before is None:
                raise
            stored = before
        response = task_service_pb2.CreateTaskResponse(task=task_to_proto(stored))
        put_meaning(stored, response)
        return response

    async def PreviewSchedule(
        self, request: task_service_pb2.PreviewScheduleRequest, context: Context
    ) -> task_service_pb2.PreviewScheduleResponse:
        """See the proto."""
        return await preview_schedule(request, self._clock, self._store.partition_count)

    async def BatchCreateTasks(
        self, request: task_service_pb2.BatchCreateTasksRequest, context: Context
    ) -> task_service_pb2.BatchCreateTasksResponse:
        """See the proto."""
        if not 1 <= len(request.tasks) <= LARGEST_BATCH:
            raise InvalidField("tasks", f"holds {len(request.tasks)} tasks; 1 to {LARGEST_BATCH} are allowed")
        results = [task_service_pb2.BatchCreateTasksResult() for _ in request.tasks]
        valid: list[tuple[task_service_pb2.BatchCreateTasksResult, task_pb2.Task, NewTask]] = []
        slice_began_s = self._clock.monotonic()
        for number, (task, result) in enumerate(zip(request.tasks, results, strict=True)):
            if self._clock.monotonic() - slice_began_s > SLICE_S:
                await asyncio.sleep(0)
                slice_began_s = self._clock.monotonic()
            try:
                valid.append((result, task, await self._new_task(task, f"tasks[{number}]")))
            except InvalidRequest as error:
                stored = await registered_before(task, self._store, self._limits)
                if stored is None:
                    _put_error(result, error)
                else:
                    result.task.CopyFrom(task_to_proto(stored))
        created = await self._engine.registrar.create([task for _, _, task in valid]) if valid else []
        for (result, task, new), outcome in zip(valid, created, strict=True):
            try:
                result.task.CopyFrom(task_to_proto(_stored(task, new, outcome)))
            except AlreadyExists as error:
                _put_error(result, error)
        return task_service_pb2.BatchCreateTasksResponse(results=results)

    async def GetTask(
        self, request: task_service_pb2.GetTaskRequest, context: Context
    ) -> task_service_pb2.GetTaskResponse:
        """See the proto."""
        task = await self._store.get_task(self._ref(request.namespace, request.id))
        if task is None:
            raise NotFound("task", f"{request.namespace or validation.DEFAULT_NAMESPACE}/{request.id}")
        return task_service_pb2.GetTaskResponse(task=task_to_proto(task))

    async def ListTasks(
        self, request: task_service_pb2.ListTasksRequest, context: Context
    ) -> task_service_pb2.ListTasksResponse:
        """See the proto."""
        namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        limit = validation.page_size(request.page_size)
        only = checked_filter(request.filter)
        scope = f"tasks/{namespace}" if only.is_empty else f"tasks/{namespace}/{only}"
        position = decode_token(scope, request.page_token)
        after = TaskRef(position[0], position[2]) if position is not None else None
        tasks = await self._store.list_tasks(
            namespace, after, limit, with_payload=not request.omit_payload, only=only
        )
        response = task_service_pb2.ListTasksResponse()
        size = 0
        for task in tasks:
            size += len(task.payload) + len(task.schedule) + 300
            if response.tasks and size > PAGE_BYTES:
                break
            response.tasks.append(task_to_proto(task))
        if tasks and (len(response.tasks) < len(tasks) or len(tasks) == limit):
            last = tasks[len(response.tasks) - 1].ref
            response.next_page_token = encode_token(scope, last.partition_id, 0, last.task_key)
        return response

    async def CountTasks(
        self, request: task_service_pb2.CountTasksRequest, context: Context
    ) -> task_service_pb2.CountTasksResponse:
        """See the proto."""
        namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        counts = await self._store.count_tasks(namespace, checked_filter(request.filter))
        return task_service_pb2.CountTasksResponse(
            count=sum(counts.values()),
            by_state=[
                task_service_pb2.TaskStateCount(state=state.value, count=counts[state])  # type: ignore[arg-type]
                for state in sorted(counts)
            ],
        )

    # --- calls that change tasks ---------------------------------------------------------------------------------

    def _named(self, namespace: str, task_id: str, etag: str = "") -> NamedTask:
        return named_task(namespace, task_id, self._store.partition_count, etag=etag)

    async def CancelTask(
        self, request: task_service_pb2.CancelTaskRequest, context: Context
    ) -> task_service_pb2.CancelTaskResponse:
        """See the proto."""
        named = self._named(request.namespace, request.id, request.etag)
        why = Reason(request.note, request.changed_by).checked()
        task = await self._changes.change_state(named, StateChange.CANCEL, why)
        return task_service_pb2.CancelTaskResponse(task=task_to_proto(task))

    async def PauseTask(
        self, request: task_service_pb2.PauseTaskRequest, context: Context
    ) -> task_service_pb2.PauseTaskResponse:
        """See the proto."""
        named = self._named(request.namespace, request.id, request.etag)
        why = Reason(request.note, request.changed_by).checked()
        task = await self._changes.change_state(named, StateChange.PAUSE, why)
        return task_service_pb2.PauseTaskResponse(task=task_to_proto(task))

    async def ResumeTask(
        self, request: task_service_pb2.ResumeTaskRequest, context: Context
    ) -> task_service_pb2.ResumeTaskResponse:
        """See the proto."""
        named = self._named(request.namespace, request.id, request.etag)
        why = Reason(request.note, request.changed_by).checked()
        task = await self._changes.change_state(named, StateChange.RESUME, why)
        return task_service_pb2.ResumeTaskResponse(task=task_to_proto(task))

    async def UpdateTask(
        self, request: task_service_pb2.UpdateTaskRequest, context: Context
    ) -> task_service_pb2.UpdateTaskResponse:
        """See the proto."""
        if not request.HasField("task"):
            raise InvalidField("task", "is required")
        try:
            named = self._named(request.task.namespace, request.task.id, request.etag)
        except InvalidField as violation:
            raise violation.within("task") from None
        task = await self._changes.update(named, request.task, request.update_mask.paths)
        response = task_service_pb2.UpdateTaskResponse(task=task_to_proto(task))
        put_meaning(task, response)
        return response

    async def ChangeTasks(
        self, request: task_service_pb2.ChangeTasksRequest, context: Context
    ) -> task_service_pb2.ChangeTasksResponse:
        """See the proto."""
        namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        only = checked_filter(request.filter)
        if only.is_empty:
            raise InvalidField(
                "filter", "is required: it names the tasks to change by at least one restriction"
            )
        why = Reason(request.note, request.changed_by).checked()
        change = _state_change(request.change)
        if request.dry_run:
            matched = sum((await self._store.count_tasks(namespace, only)).values())
            return task_service_pb2.ChangeTasksResponse(matched_count=matched)
        matched, changed = await self._changes.change_many(namespace, only, change, why)
        return task_service_pb2.ChangeTasksResponse(matched_count=matched, changed_count=changed)

    # --- calls that the owner of the task carries out (`TaskOwner`) -----------------------------------------------

    async def DeleteTask(
        self, request: task_service_pb2.DeleteTaskRequest, context: Context
    ) -> task_service_pb2.DeleteTaskResponse:
        """See the proto."""
        named = self._named(request.namespace, request.id)
        return cast(
            task_service_pb2.DeleteTaskResponse,
            await self._owner_calls.call("DeleteTask", named.ref.partition_id, request),
        )

    async def TriggerTask(
        self, request: task_service_pb2.TriggerTaskRequest, context: Context
    ) -> task_service_pb2.TriggerTaskResponse:
        """See the proto."""
        named = self._named(request.namespace, request.id)
        if len(request.payload) > self._limits.payload_bytes:
            raise InvalidField(
                "payload",
                f"has {len(request.payload)} bytes; at most {self._limits.payload_bytes} are allowed",
            )
        check_request_id(request.request_id)
        return cast(
            task_service_pb2.TriggerTaskResponse,
            await self._owner_calls.call("TriggerTask", named.ref.partition_id, request),
        )

    async def BackfillTask(
        self, request: task_service_pb2.BackfillTaskRequest, context: Context
    ) -> task_service_pb2.BackfillTaskResponse:
        """See the proto."""
        named = self._named(request.namespace, request.id)
        start_at, end_at = backfill_range(request)
        if start_at >= end_at:
            raise InvalidField("end_time", "must lie behind start_time")
        if end_at > self._clock.now():
            raise InvalidField("end_time", "lies in the future: a backfill is for times that have passed")
        return cast(
            task_service_pb2.BackfillTaskResponse,
            await self._owner_calls.call("BackfillTask", named.ref.partition_id, request),
        )


def _state_change(number: int) -> StateChange | None:
    """None for a removal."""
    if number == task_service_pb2.TASK_CHANGE_DELETE:
        return None
    try:
        return StateChange(number)
    except ValueError:
        known = ", ".join(f"{change.value} {change.name}" for change in StateChange)
        raise InvalidField("change", f"is {number}; this server knows {known}, 4 DELETE") from None


def _stored(asked: task_pb2.Task, new: NewTask, created: Created) -> Task:
    """The task of a registration, unless it is another one's."""
    stored = created.task
    is_as_resolved = (new.delivery, new.policies) == (stored.delivery, stored.policies)
    if created.is_conflict or (not is_as_resolved and validation.contradicts(asked, stored)):
        raise AlreadyExists(
            "task",
            f"{created.task.namespace}/{created.task.task_id}",
            "with another definition; give another id, or cancel that one",
        )
    return stored


def _put_error(result: task_service_pb2.BatchCreateTasksResult, error: MainspringError) -> None:
    status = status_of(error)
    result.error.code = status.code
    result.error.message = status.message
    result.error.details.extend(status.details)
