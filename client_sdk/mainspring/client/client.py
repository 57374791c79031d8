"""The client: one method per call, plain Python values in and out."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import grpc

from mainspring.client import batches, convert, schedule_convert, status
from mainspring.client.addresses import parse_addresses
from mainspring.client.backoff import Backoff
from mainspring.client.caller import Caller
from mainspring.client.cluster import Cluster, Handover, Partition
from mainspring.client.errors import Internal, MainspringError
from mainspring.client.execution import Execution
from mainspring.client.instants import to_timestamp
from mainspring.client.preview import Preview
from mainspring.client.schedules import Schedule
from mainspring.client.task import DEFAULT_NAMESPACE, Delivery, NewTask, ScheduledTask, Task
from mainspring.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    execution_service_pb2,
    execution_service_pb2_grpc,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

_TASKS = task_service_pb2_grpc.TaskServiceStub
_EXECUTIONS = execution_service_pb2_grpc.ExecutionServiceStub
_ADMIN = admin_service_pb2_grpc.AdminServiceStub


class MainspringClient:
    """Registers tasks and reads the ledger, over any of the given nodes.

    Every method raises `MainspringError` subclasses for what the server answers, and `Unavailable` when no
    node could be reached within the deadline. Calls that lost their connection are repeated: each is safe to
    repeat, because a created task has an id before it is first sent. One client serves many concurrent calls
    of one event loop. Use it as `async with`, or call `close`.

    Args:
        addresses: host:port of one node or of several (a list, or one string with commas).
        default_timeout_s: Deadline of a call that names none, over all its tries, in seconds.
        credentials: For TLS. None: plain text.
        backoff: How long to wait when every address has failed.
        parallel_calls: How many calls `create_tasks` has open at once.

    Raises:
        ValueError: There is no address, or a limit is not above 0.
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        default_timeout_s: float = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
        backoff: Backoff | None = None,
        parallel_calls: int = 4,
    ) -> None:
        if default_timeout_s <= 0 or parallel_calls < 1:
            raise ValueError("default_timeout_s and parallel_calls must be above 0")
        self._default_timeout_s = default_timeout_s
        self._parallel_calls = parallel_calls
        self._caller = Caller(parse_addresses(addresses), credentials=credentials, backoff=backoff)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._caller.close()

    async def create_task(
        self,
        handler: str,
        schedule: Schedule,
        *,
        payload: bytes | str = b"",
        namespace: str = DEFAULT_NAMESPACE,
        task_id: str | None = None,
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
        timeout_s: float | None = None,
    ) -> ScheduledTask:
        """Register a task; once this returns, it is durable. The answer also tells what the schedule means.

        Args:
            handler: The name of the code on an executor that runs it.
            schedule: When: `At`, `Delay`, `Cron`, `Every` or `CalendarInterval`.
            payload: For the handler, at most 256 KiB; a string is encoded in UTF-8.
            namespace: The namespace.
            task_id: Unique within the namespace. None: the client makes one.
            delivery: What becomes of an execution when its executor fails: another attempt, or it ends as LOST.
            timeout_s: Deadline in seconds.

        Raises:
            InvalidArgument: A field is wrong.
            AlreadyExists: The id is in use with another definition (the same one answers as the first call).
        """
        task = convert.new_task_to_proto(NewTask(handler, schedule, payload, namespace, task_id, delivery))
        response = await self._caller.call(
            _TASKS,
            "CreateTask",
            task_service_pb2.CreateTaskRequest(task=task),
            task_service_pb2.CreateTaskResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return convert.scheduled_task_from_proto(response)

    async def preview_schedule(
        self,
        schedule: Schedule,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        task_id: str = "",
        after: datetime | None = None,
        count: int = 10,
        timeout_s: float | None = None,
    ) -> Preview:
        """Tell what a schedule means and when it would fire, without creating anything.

        Args:
            schedule: As for `create_task`.
            namespace: Of the task that would have this schedule.
            task_id: Of the task that would have this schedule. Needed where it matters: with `H` in a cron expression,
                and with jitter.
            after: The instant at which the task would be created: what is listed comes after it. Timezone-aware. None:
                now, cluster time.
            count: How many scheduled times to list, at most 1,000.
            timeout_s: Deadline in seconds.

        Raises:
            InvalidArgument: A field is wrong, as for `create_task`.
            Unimplemented: The node is too old to know this call.
            ValueError: The bound is naive.
        """
        request = task_service_pb2.PreviewScheduleRequest(
            schedule=schedule_convert.schedule_to_proto(schedule),
            namespace=namespace,
            id=task_id,
            count=count,
        )
        if after is not None:
            request.after_time.CopyFrom(to_timestamp("after", after))
        response = await self._caller.call(
            _TASKS,
            "PreviewSchedule",
            request,
            task_service_pb2.PreviewScheduleResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return schedule_convert.preview_from_proto(response)

    async def create_tasks(
        self, tasks: Iterable[NewTask], *, timeout_s: float | None = None
    ) -> list[Task | MainspringError]:
        """Register many tasks, in calls of at most 1,000 tasks and 3 MiB, several at once.

        Returns one entry for each task, in order: the task, or why it was not registered. A call that failed
        as a whole puts its error in the place of each of its tasks; nothing is raised for it.

        Args:
            tasks: What to register; all of it is held in memory.
            timeout_s: Deadline of each call, in seconds.
        """
        limit_s = self._timeout_s(timeout_s)
        gate = asyncio.Semaphore(self._parallel_calls)
        chunks = list(batches.cut(convert.new_task_to_proto(task) for task in tasks))
        answers: list[list[Task | MainspringError]] = [[] for _ in chunks]

        async def send(index: int, chunk: list[task_pb2.Task]) -> None:
            async with gate:
                answers[index] = await self._create_chunk(chunk, limit_s)

        async with asyncio.TaskGroup() as group:
            for index, chunk in enumerate(chunks):
                group.create_task(send(index, chunk), name=f"create-tasks-{index}")
        return [answer for chunk_answers in answers for answer in chunk_answers]

    async def get_task(
        self, task_id: str, *, namespace: str = DEFAULT_NAMESPACE, timeout_s: float | None = None
    ) -> Task:
        """Return one task.

        Raises:
            NotFound: There is none of that name.
        """
        response = await self._caller.call(
            _TASKS,
            "GetTask",
            task_service_pb2.GetTaskRequest(namespace=namespace, id=task_id),
            task_service_pb2.GetTaskResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return convert.task_from_proto(response.task)

    async def list_tasks(
        self,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        page_size: int = 0,
        omit_payload: bool = False,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Task]:
        """Iterate over the tasks of a namespace; pages are read as the iteration comes to them.

        Args:
            namespace: The namespace.
            page_size: Tasks per call, at most 1,000; 0 leaves it to the server.
            omit_payload: Leave the payloads out, which makes pages lighter.
            timeout_s: Deadline of each page, in seconds.
        """
        token = ""
        while True:
            response = await self._caller.call(
                _TASKS,
                "ListTasks",
                task_service_pb2.ListTasksRequest(
                    namespace=namespace, page_size=page_size, page_token=token, omit_payload=omit_payload
                ),
                task_service_pb2.ListTasksResponse,
                timeout_s=self._timeout_s(timeout_s),
            )
            for task in response.tasks:
                yield convert.task_from_proto(task)
            token = response.next_page_token
            if not token:
                return

    async def cancel_task(
        self, task_id: str, *, namespace: str = DEFAULT_NAMESPACE, timeout_s: float | None = None
    ) -> Task:
        """End a task: nothing of it fires any more; running executions go on. Returns the cancelled task.

        Raises:
            NotFound: There is none of that name.
            FailedPrecondition: It has completed.
        """
        response = await self._caller.call(
            _TASKS,
            "CancelTask",
            task_service_pb2.CancelTaskRequest(namespace=namespace, id=task_id),
            task_service_pb2.CancelTaskResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return convert.task_from_proto(response.task)

    async def list_executions(
        self,
        task_id: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Execution]:
        """Iterate over executions, without their results; pages are read as the iteration comes to them.

        Args:
            task_id: Those of this task, newest first. None: those of the whole namespace.
            start: Only scheduled times at or after this; timezone-aware.
            end: Only scheduled times before this; timezone-aware.
            namespace: The namespace.
            page_size: Executions per call, at most 1,000; 0 leaves it to the server.
            timeout_s: Deadline of each page, in seconds.

        Raises:
            ValueError: A bound is naive.
        """
        request = execution_service_pb2.ListExecutionsRequest(
            namespace=namespace, task_id=task_id or "", page_size=page_size
        )
        if start is not None:
            request.start_time.CopyFrom(to_timestamp("start", start))
        if end is not None:
            request.end_time.CopyFrom(to_timestamp("end", end))
        while True:
            response = await self._caller.call(
                _EXECUTIONS,
                "ListExecutions",
                request,
                execution_service_pb2.ListExecutionsResponse,
                timeout_s=self._timeout_s(timeout_s),
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
        if scheduled_time is not None:
            request.scheduled_time.CopyFrom(to_timestamp("scheduled_time", scheduled_time))
        response = await self._caller.call(
            _EXECUTIONS,
            "GetExecution",
            request,
            execution_service_pb2.GetExecutionResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return convert.execution_from_proto(response.execution)

    async def list_nodes(self, *, timeout_s: float | None = None) -> Cluster:
        """Return the nodes, and the executors connected to the node that answers."""
        response = await self._caller.call(
            _ADMIN,
            "ListNodes",
            admin_service_pb2.ListNodesRequest(),
            admin_service_pb2.ListNodesResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return convert.cluster_from_proto(response)

    async def list_partitions(self, *, timeout_s: float | None = None) -> list[Partition]:
        """Return every partition with its owner, by id."""
        response = await self._caller.call(
            _ADMIN,
            "ListPartitions",
            admin_service_pb2.ListPartitionsRequest(),
            admin_service_pb2.ListPartitionsResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return [convert.partition_from_proto(partition) for partition in response.partitions]

    async def list_handovers(
        self,
        *,
        node_id: str = "",
        since: datetime | None = None,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Handover]:
        """Iterate over the changes of owner, newest first; pages are read as the iteration comes to them.

        The last 100 or so of each partition are kept. A change shows about a second after the new owner fires.

        Args:
            node_id: Only those from or to this node; empty for all.
            since: Only those whose new owner fired at or after this; timezone-aware.
            page_size: Changes per call, at most 1,000; 0 leaves it to the server.
            timeout_s: Deadline of each page, in seconds.

        Raises:
            ValueError: The bound is naive.
        """
        request = admin_service_pb2.ListHandoversRequest(node_id=node_id, page_size=page_size)
        if since is not None:
            request.since_time.CopyFrom(to_timestamp("since", since))
        while True:
            response = await self._caller.call(
                _ADMIN,
                "ListHandovers",
                request,
                admin_service_pb2.ListHandoversResponse,
                timeout_s=self._timeout_s(timeout_s),
            )
            for handover in response.handovers:
                yield convert.handover_from_proto(handover)
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    async def drain_node(self, node: str, *, timeout_s: float | None = None) -> str:
        """Have a node give all its partitions to others, in order; returns its id once it has been told.

        It goes on to serve calls and executors, and takes no partition until `undrain_node` or its next start.
        `list_partitions` shows when it is empty. Safe to repeat.

        Args:
            node: Its id, or the name that it was given if no other member has the same.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: There is no such member; the message names those that there are.
            FailedPrecondition: No other node is ready to take anything.
        """
        response = await self._caller.call(
            _ADMIN,
            "DrainNode",
            admin_service_pb2.DrainNodeRequest(node_id=node),
            admin_service_pb2.DrainNodeResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return response.node_id

    async def undrain_node(self, node: str, *, timeout_s: float | None = None) -> str:
        """End the drain of a node: it takes its share of the partitions again; returns its id. Safe to repeat.

        Raises:
            NotFound: There is no such member; the message names those that there are.
        """
        response = await self._caller.call(
            _ADMIN,
            "UndrainNode",
            admin_service_pb2.UndrainNodeRequest(node_id=node),
            admin_service_pb2.UndrainNodeResponse,
            timeout_s=self._timeout_s(timeout_s),
        )
        return response.node_id

    async def _create_chunk(
        self, chunk: list[task_pb2.Task], timeout_s: float
    ) -> list[Task | MainspringError]:
        try:
            response = await self._caller.call(
                _TASKS,
                "BatchCreateTasks",
                task_service_pb2.BatchCreateTasksRequest(tasks=chunk),
                task_service_pb2.BatchCreateTasksResponse,
                timeout_s=timeout_s,
            )
        except MainspringError as error:
            return [error] * len(chunk)
        answers = [_batch_answer(result) for result in response.results]
        # An answer too short would shift every task after it in the caller's list.
        missing = len(chunk) - len(answers)
        return [*answers, *[Internal("the node did not answer for this task")] * missing][: len(chunk)]

    def _timeout_s(self, timeout_s: float | None) -> float:
        return self._default_timeout_s if timeout_s is None else timeout_s


def _batch_answer(result: task_service_pb2.BatchCreateTasksResult) -> Task | MainspringError:
    if result.WhichOneof("outcome") == "task":
        return convert.task_from_proto(result.task)
    return status.from_status(result.error.code, result.error.message, result.error.details)
