"""Executions: the ledger read, watched and explained, single executions changed."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from mainspring.client import convert
from mainspring.client.enum_numbers import to_number
from mainspring.client.execution import Execution, ExecutionState, Explanation
from mainspring.client.instants import put_timestamp, to_timestamp
from mainspring.client.service_calls import ServiceCalls
from mainspring.client.task import DEFAULT_NAMESPACE
from mainspring.client.watch import ExecutionWatch
from mainspring.v1 import execution_service_pb2, execution_service_pb2_grpc

_EXECUTIONS = execution_service_pb2_grpc.ExecutionServiceStub

SILENCE_S = 45.0
"""A watch that has heard nothing for this long is opened anew: a node gives a sign of life every 15 s."""


class ExecutionCalls(ServiceCalls):
    """The calls of ExecutionService; see `MainspringClient`."""

    async def list_executions(
        self,
        task_id: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        states: Sequence[ExecutionState] = (),
        handler: str = "",
        labels: Mapping[str, str] | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Execution]:
        """Iterate over executions, without their results; pages are read as the iteration comes to them.

        Args:
            task_id: Those of this task, the newest recorded first. None: those of the whole namespace.
            start: Only scheduled times at or after this; timezone-aware.
            end: Only scheduled times before this; timezone-aware.
            states: Only executions in one of these states. Empty: all.
            handler: Only executions of this handler. Empty: all.
            labels: Only executions of tasks with all of these labels. None: all.
            namespace: The namespace.
            page_size: Executions per call, at most 1,000; 0 leaves it to the server.
            timeout_s: Deadline of each page, in seconds.

        Raises:
            ValueError: A bound is naive.
        """
        request = execution_service_pb2.ListExecutionsRequest(
            namespace=namespace,
            task_id=task_id or "",
            page_size=page_size,
            states=[to_number("states", state) for state in states],
            handler=handler,
            labels=labels,
        )
        put_timestamp(request.start_time, "start", start)
        put_timestamp(request.end_time, "end", end)
        while True:
            response = await self._call(
                _EXECUTIONS,
                "ListExecutions",
                request,
                execution_service_pb2.ListExecutionsResponse,
                timeout_s,
            )
            for execution in response.executions:
                yield convert.execution_from_proto(execution)
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    async def get_execution(
        self,
        task_id: str,
        scheduled_time: datetime | None = None,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> Execution:
        """Return one execution with its result.

        Args:
            task_id: The task.
            scheduled_time: To the microsecond, timezone-aware. None: the latest in the ledger.
            namespace: The namespace.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: The task is unknown or has no such scheduled time in the ledger yet.
            ValueError: The time is naive.
        """
        request = execution_service_pb2.GetExecutionRequest(namespace=namespace, task_id=task_id)
        put_timestamp(request.scheduled_time, "scheduled_time", scheduled_time)
        response = await self._call(
            _EXECUTIONS,
            "GetExecution",
            request,
            execution_service_pb2.GetExecutionResponse,
            timeout_s,
        )
        return convert.execution_from_proto(response.execution)

    async def explain_execution(
        self,
        task_id: str,
        scheduled_time: datetime | None = None,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> Explanation:
        """Tell why an execution went as it did, stage by stage, or why there is none for a scheduled time.

        Args:
            task_id: The task.
            scheduled_time: Timezone-aware. None: the latest in the ledger.
            namespace: The namespace.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: The task is unknown, or has no execution yet.
            ValueError: The time is naive.
        """
        request = execution_service_pb2.ExplainExecutionRequest(namespace=namespace, task_id=task_id)
        put_timestamp(request.scheduled_time, "scheduled_time", scheduled_time)
        response = await self._call(
            _EXECUTIONS,
            "ExplainExecution",
            request,
            execution_service_pb2.ExplainExecutionResponse,
            timeout_s,
        )
        return convert.explanation_from_proto(response)

    def watch_executions(
        self,
        task_id: str,
        *,
        resume_token: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> ExecutionWatch:
        """Iterate over the executions of a task as they change, each with its latest state, until the watch is closed.

            async with aclosing(client.watch_executions("daily")) as watch:
                async for execution in watch:
                    ...

        A connection that breaks is replaced, at another node where there is one: nothing is left out, something may
        come twice. The iteration raises `Unavailable` when no node could be watched for as long as the timeout says.

        Args:
            task_id: Whose executions. What a backfill adds is not among them.
            resume_token: Goes on behind what another watch had handed out (`ExecutionWatch.resume_token`). Empty: from
                now on.
            namespace: The namespace.
            timeout_s: How long nodes may be away at a time, in seconds.
        """
        request = execution_service_pb2.WatchExecutionsRequest(
            namespace=namespace, task_id=task_id, resume_token=resume_token
        )
        limit_s = self._timeout_s(timeout_s)
        return ExecutionWatch(
            request,
            self._caller.stream(
                _EXECUTIONS,
                "WatchExecutions",
                lambda: request,
                execution_service_pb2.WatchExecutionsResponse,
                silence_s=SILENCE_S,
                timeout_s=limit_s,
            ),
        )

    async def cancel_execution(
        self,
        task_id: str,
        scheduled_time: datetime,
        *,
        note: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> Execution:
        """End an execution that is not final. Returns it; it is not final while its handler has not ended.

        One that was not sent ends at once. A running handler is told: asyncio handlers are cancelled, threads see a flag.
        A final one is answered as it is.

        Args:
            task_id: The task.
            scheduled_time: To the microsecond, timezone-aware.
            note: Why, for people; at most 500 characters.
            namespace: The namespace.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: There is no such execution.
            ValueError: The time is naive.
        """
        response = await self._call(
            _EXECUTIONS,
            "CancelExecution",
            execution_service_pb2.CancelExecutionRequest(
                namespace=namespace,
                task_id=task_id,
                scheduled_time=to_timestamp("scheduled_time", scheduled_time),
                note=note,
            ),
            execution_service_pb2.CancelExecutionResponse,
            timeout_s,
        )
        return convert.execution_from_proto(response.execution)

    async def retry_execution(
        self,
        task_id: str,
        scheduled_time: datetime,
        *,
        request_id: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> Execution:
        """Run an execution again that ended as FAILED, EXPIRED or LOST. Returns the new one, which is due now.

        Args:
            task_id: The task.
            scheduled_time: Of the execution that has ended; to the microsecond, timezone-aware.
            request_id: Calls for the same execution with the same one run it again once; at most 200 characters. None: the
                client makes one, so that its own tries run it again once.
            namespace: The namespace.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: There is no such execution.
            FailedPrecondition: It ended otherwise, or has not ended; or its task is paused or cancelled.
            ValueError: The time is naive.
        """
        response = await self._call(
            _EXECUTIONS,
            "RetryExecution",
            execution_service_pb2.RetryExecutionRequest(
                namespace=namespace,
                task_id=task_id,
                scheduled_time=to_timestamp("scheduled_time", scheduled_time),
                request_id=uuid.uuid4().hex if request_id is None else request_id,
            ),
            execution_service_pb2.RetryExecutionResponse,
            timeout_s,
        )
        return convert.execution_from_proto(response.execution)

    async def adjust_execution(
        self,
        task_id: str,
        scheduled_time: datetime,
        *,
        skip: bool = False,
        due_time: datetime | None = None,
        payload: bytes | str | None = None,
        reset: bool = False,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> None:
        """Change one scheduled time that is still to come; its identity stays the scheduled time.

        Args:
            task_id: The task.
            scheduled_time: To the microsecond, timezone-aware.
            skip: It does not run: it is recorded as SKIPPED.
            due_time: When to act on it instead, timezone-aware; before the scheduled time that follows it.
            payload: What its handler gets instead of the task's payload; a string is encoded in UTF-8.
            reset: It goes as the task says again.
            namespace: The namespace.
            timeout_s: Deadline in seconds.

        Raises:
            FailedPrecondition: It has been claimed already, or is no time of the schedule.
            NotFound: The task is unknown.
            ValueError: Not exactly one of the four adjustments is given, or a time is naive.
        """
        if [skip, due_time is not None, payload is not None, reset].count(True) != 1:
            raise ValueError("give exactly one of skip, due_time, payload and reset")
        request = execution_service_pb2.AdjustExecutionRequest(
            namespace=namespace,
            task_id=task_id,
            scheduled_time=to_timestamp("scheduled_time", scheduled_time),
        )
        if skip:
            request.skip = True
        elif reset:
            request.reset = True
        elif payload is not None:
            request.payload = convert.payload_bytes(payload)
        put_timestamp(request.due_time, "due_time", due_time)
        await self._call(
            _EXECUTIONS,
            "AdjustExecution",
            request,
            execution_service_pb2.AdjustExecutionResponse,
            timeout_s,
        )
