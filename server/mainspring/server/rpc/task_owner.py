"""What the owner of a task does for calls about it, wherever they came from."""

from __future__ import annotations

import hashlib

from mainspring.server.clock import Clock
from mainspring.server.core.life_cycle import is_being_removed
from mainspring.server.core.model import Execution, ExecutionRef, TaskRef
from mainspring.server.engine.engine import Engine
from mainspring.server.errors import InvalidField, NotFound, StaleEpoch, Unavailable
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import execution_to_proto
from mainspring.server.rpc.instants import instant, timestamp
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.server.rpc.task_changes import NamedTask, named_task
from mainspring.v1 import execution_service_pb2, task_service_pb2

LOOK_AGAIN_S = 0.05
LONGEST_LOOK_S = 5.0
"""An execution that is in the ledger and not in its owner's memory is found by the sweep in less."""


class TaskOwner:
    """Requests come checked; what speaks against them now is told by errors. StaleEpoch: this node is not the owner."""

    def __init__(self, clock: Clock, store: Store, engine: Engine) -> None:
        self._clock = clock
        self._store = store
        self._engine = engine

    def register(self, calls: OwnerCalls) -> None:
        """Offers the methods."""
        tasks, executions = task_service_pb2, execution_service_pb2
        calls.register("DeleteTask", tasks.DeleteTaskRequest, tasks.DeleteTaskResponse, self._delete)
        calls.register("TriggerTask", tasks.TriggerTaskRequest, tasks.TriggerTaskResponse, self._trigger)
        calls.register("BackfillTask", tasks.BackfillTaskRequest, tasks.BackfillTaskResponse, self._backfill)
        calls.register(
            "RetryExecution",
            executions.RetryExecutionRequest,
            executions.RetryExecutionResponse,
            self._retry,
        )
        calls.register(
            "CancelExecution",
            executions.CancelExecutionRequest,
            executions.CancelExecutionResponse,
            self._cancel,
        )

    def _named(self, namespace: str, task_id: str, etag: str = "") -> NamedTask:
        return named_task(namespace, task_id, self._store.partition_count, etag=etag)

    async def _execution(self, ref: TaskRef, scheduled_at: int, name: str) -> Execution:
        row = await self._store.get_execution(ref, scheduled_at)
        if row is None:
            raise NotFound("execution", name)
        return row

    async def _delete(
        self, request: task_service_pb2.DeleteTaskRequest, call_key: bytes
    ) -> task_service_pb2.DeleteTaskResponse:
        named = self._named(request.namespace, request.id, request.etag)
        await self._engine.extra_runs.remove(
            named.ref,
            named.name,
            lambda task: named.check(task, lambda: is_being_removed(task)),
        )
        return task_service_pb2.DeleteTaskResponse()

    async def _trigger(
        self, request: task_service_pb2.TriggerTaskRequest, call_key: bytes
    ) -> task_service_pb2.TriggerTaskResponse:
        named = self._named(request.namespace, request.id)
        scheduled_at = await self._engine.extra_runs.trigger(
            named.ref,
            named.name,
            payload=request.payload if request.HasField("payload") else None,
            payload_of=None,
            request_key=_request_key(request.request_id) if request.request_id else call_key,
        )
        row = await self._execution(named.ref, scheduled_at, named.name)
        return task_service_pb2.TriggerTaskResponse(execution=execution_to_proto(row))

    async def _backfill(
        self, request: task_service_pb2.BackfillTaskRequest, call_key: bytes
    ) -> task_service_pb2.BackfillTaskResponse:
        named = self._named(request.namespace, request.id)
        done = await self._engine.extra_runs.backfill(named.ref, named.name, *backfill_range(request))
        return task_service_pb2.BackfillTaskResponse(
            count=done.added_count,
            next_start_time=None if done.next_start_at is None else timestamp(done.next_start_at),
        )

    async def _retry(
        self, request: execution_service_pb2.RetryExecutionRequest, call_key: bytes
    ) -> execution_service_pb2.RetryExecutionResponse:
        named = self._named(request.namespace, request.task_id)
        scheduled_at = instant(request.scheduled_time, "scheduled_time")
        name = f"{named.name} at {request.scheduled_time.ToJsonString()}"
        added_at = await self._engine.extra_runs.retry(
            ExecutionRef(named.ref.partition_id, scheduled_at, named.ref.task_key),
            name,
            named.name,
            _retry_key(request.request_id, scheduled_at) if request.request_id else call_key,
        )
        row = await self._execution(named.ref, added_at, named.name)
        return execution_service_pb2.RetryExecutionResponse(execution=execution_to_proto(row))

    async def _cancel(
        self, request: execution_service_pb2.CancelExecutionRequest, call_key: bytes
    ) -> execution_service_pb2.CancelExecutionResponse:
        named = self._named(request.namespace, request.task_id)
        scheduled_at = instant(request.scheduled_time, "scheduled_time")
        name = f"{named.name} at {request.scheduled_time.ToJsonString()}"
        ref = ExecutionRef(named.ref.partition_id, scheduled_at, named.ref.task_key)
        until_s = self._clock.monotonic() + LONGEST_LOOK_S
        while self._engine.holds(ref.partition_id):
            is_told = await self._engine.cancel_execution(ref, request.note)
            row = await self._execution(named.ref, scheduled_at, name)
            if is_told or row.state.is_final:
                return execution_service_pb2.CancelExecutionResponse(execution=execution_to_proto(row))
            if self._clock.monotonic() >= until_s:
                raise Unavailable(f"execution {name!r} is not known to its owner yet: call again")
            await self._clock.sleep(LOOK_AGAIN_S)
        raise StaleEpoch(ref.partition_id, 0)


def backfill_range(request: task_service_pb2.BackfillTaskRequest) -> tuple[int, int]:
    """Its bounds.

    Raises:
        InvalidField: one is missing or wrong.
    """
    for field in ("start_time", "end_time"):
        if not request.HasField(field):
            raise InvalidField(field, "is required")
    return instant(request.start_time, "start_time"), instant(request.end_time, "end_time")


def _request_key(request_id: str) -> bytes:
    return hashlib.sha256(request_id.encode()).digest()[: validation.REQUEST_KEY_BYTES]


def _retry_key(request_id: str, scheduled_at: int) -> bytes:
    """Another one for each execution, and than that of a trigger: a caller may use an id once for each kind of call."""
    return hashlib.blake2b(
        request_id.encode(),
        digest_size=validation.REQUEST_KEY_BYTES,
        person=b"retry",
        salt=scheduled_at.to_bytes(8, "big", signed=True),
    ).digest()
