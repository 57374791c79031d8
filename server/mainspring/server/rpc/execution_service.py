"""ExecutionService: reads the ledger, ends executions and runs them again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import grpc

from mainspring.server.clock import Clock
from mainspring.server.core.execution_filter import ExecutionFilter
from mainspring.server.core.model import ExecutionRef, ExecutionState
from mainspring.server.core.task_adjustment import WantedAdjustment
from mainspring.server.errors import InvalidField, NotFound
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import execution_to_proto
from mainspring.server.rpc.execution_watch import Watchers
from mainspring.server.rpc.explanation import explain_execution
from mainspring.server.rpc.instants import instant
from mainspring.server.rpc.labels import checked_labels, labels_of
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.server.rpc.page_token import decode_token, encode_token
from mainspring.server.rpc.repeated_calls import check_request_id
from mainspring.server.rpc.slo import get_slo
from mainspring.server.rpc.task_changes import NamedTask, Reason, TaskChanges, named_task
from mainspring.v1 import execution_service_pb2, execution_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class ExecutionServicer(execution_service_pb2_grpc.ExecutionServiceServicer):
    """Decodes, calls, encodes."""

    def __init__(self, clock: Clock, store: Store, owner_calls: OwnerCalls, changes: TaskChanges) -> None:
        self._store = store
        self._clock = clock
        self._changes = changes
        self._watchers = Watchers(store, clock)
        self._owner_calls = owner_calls

    async def ListExecutions(
        self, request: execution_service_pb2.ListExecutionsRequest, context: Context
    ) -> execution_service_pb2.ListExecutionsResponse:
        """See the proto."""
        namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        only = _filter(request)
        limit = validation.page_size(request.page_size)
        scope = f"executions/{namespace}/{request.task_id}/{only!r}"
        position = decode_token(scope, request.page_token)
        if request.task_id:
            task_id = validation.name(request.task_id, "task_id")
            page = await self._store.list_task_executions(
                validation.task_ref(namespace, task_id, self._store.partition_count),
                only=only,
                from_at=position[1] if position is not None else None,
                limit=limit,
            )
        else:
            page = await self._store.list_executions(
                namespace,
                only=only,
                after=ExecutionRef(*position) if position is not None else None,
                limit=limit,
            )
        response = execution_service_pb2.ListExecutionsResponse(
            executions=[execution_to_proto(row) for row in page.executions]
        )
        if page.next is not None:
            response.next_page_token = encode_token(scope, *page.next)
        return response

    async def GetExecution(
        self, request: execution_service_pb2.GetExecutionRequest, context: Context
    ) -> execution_service_pb2.GetExecutionResponse:
        """See the proto."""
        namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        task_id = validation.name(request.task_id, "task_id")
        scheduled_at = None
        if request.HasField("scheduled_time"):
            scheduled_at = instant(request.scheduled_time, "scheduled_time")
        ref = validation.task_ref(namespace, task_id, self._store.partition_count)
        execution = await self._store.get_execution(ref, scheduled_at)
        if execution is None:
            if await self._store.get_task(ref) is None:
                raise NotFound("task", f"{namespace}/{task_id}")
            at = "yet" if scheduled_at is None else f"at {request.scheduled_time.ToJsonString()}"
            raise NotFound("execution", f"{namespace}/{task_id} {at}")
        return execution_service_pb2.GetExecutionResponse(execution=execution_to_proto(execution))

    async def ExplainExecution(
        self, request: execution_service_pb2.ExplainExecutionRequest, context: Context
    ) -> execution_service_pb2.ExplainExecutionResponse:
        """See the proto."""
        return await explain_execution(request, self._store, self._clock)

    async def WatchExecutions(
        self, request: execution_service_pb2.WatchExecutionsRequest, context: Context
    ) -> AsyncIterator[execution_service_pb2.WatchExecutionsResponse]:
        """See the proto."""
        async for response in self._watchers.watch(request):
            yield response

    async def GetSlo(
        self, request: execution_service_pb2.GetSloRequest, context: Context
    ) -> execution_service_pb2.GetSloResponse:
        """See the proto."""
        return await get_slo(request, self._store, self._clock)

    def _named(
        self,
        request: execution_service_pb2.CancelExecutionRequest
        | execution_service_pb2.RetryExecutionRequest
        | execution_service_pb2.AdjustExecutionRequest,
    ) -> tuple[NamedTask, int]:
        """The task and the scheduled time that a request names."""
        named = named_task(request.namespace, request.task_id, self._store.partition_count, field="task_id")
        if not request.HasField("scheduled_time"):
            raise InvalidField("scheduled_time", "is required")
        return named, instant(request.scheduled_time, "scheduled_time")

    async def AdjustExecution(
        self, request: execution_service_pb2.AdjustExecutionRequest, context: Context
    ) -> execution_service_pb2.AdjustExecutionResponse:
        """See the proto."""
        named, scheduled_at = self._named(request)
        await self._changes.adjust(named, scheduled_at, _wanted(request))
        return execution_service_pb2.AdjustExecutionResponse()

    # --- calls that the owner of the task carries out (`TaskOwner`) ----------------------------------------------

    async def CancelExecution(
        self, request: execution_service_pb2.CancelExecutionRequest, context: Context
    ) -> execution_service_pb2.CancelExecutionResponse:
        """See the proto."""
        named, _ = self._named(request)
        Reason(request.note).checked()
        return cast(
            execution_service_pb2.CancelExecutionResponse,
            await self._owner_calls.call("CancelExecution", named.ref.partition_id, request),
        )

    async def RetryExecution(
        self, request: execution_service_pb2.RetryExecutionRequest, context: Context
    ) -> execution_service_pb2.RetryExecutionResponse:
        """See the proto."""
        named, _ = self._named(request)
        check_request_id(request.request_id)
        return cast(
            execution_service_pb2.RetryExecutionResponse,
            await self._owner_calls.call("RetryExecution", named.ref.partition_id, request),
        )


def _wanted(request: execution_service_pb2.AdjustExecutionRequest) -> WantedAdjustment:
    """What a call asks for.

    Raises:
        InvalidField: it asks for nothing, or for something false.
    """
    kind = request.WhichOneof("adjustment")
    if kind is None:
        raise InvalidField("adjustment", "is required: skip, due_time, payload or reset")
    if kind == "due_time":
        return WantedAdjustment(due_at=instant(request.due_time, "due_time"))
    if kind == "payload":
        return WantedAdjustment(payload=request.payload)
    if not getattr(request, kind):
        raise InvalidField(kind, "is false: set it to true, or another adjustment")
    return WantedAdjustment(is_skipped=kind == "skip")


def _filter(request: execution_service_pb2.ListExecutionsRequest) -> ExecutionFilter:
    """Which executions a caller asks for.

    Raises:
        InvalidField: a field is wrong.
    """
    start_at = instant(request.start_time, "start_time") if request.HasField("start_time") else None
    end_at = instant(request.end_time, "end_time") if request.HasField("end_time") else None
    if start_at is not None and end_at is not None and start_at > end_at:
        raise InvalidField("end_time", "lies before start_time")
    states: set[ExecutionState] = set()
    for number, state in enumerate(request.states):
        try:
            states.add(ExecutionState(state))
        except ValueError:
            raise InvalidField(
                f"states[{number}]", f"is {state}, which is no state of an execution"
            ) from None
    return ExecutionFilter(
        start_at=start_at,
        end_at=end_at,
        states=tuple(sorted(states)),
        handler=validation.name(request.handler, "handler") if request.handler else "",
        labels=tuple(sorted(labels_of(checked_labels(request.labels)).items())),
    )
