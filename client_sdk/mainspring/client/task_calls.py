"""Tasks: registered, previewed, read, listed and counted."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta

from mainspring.client import batches, convert, schedule_convert, status
from mainspring.client.caller import Caller
from mainspring.client.errors import Internal, InvalidArgument, MainspringError
from mainspring.client.filters import TaskCount, TaskFilter
from mainspring.client.instants import put_timestamp
from mainspring.client.policies import MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts
from mainspring.client.preview import Preview
from mainspring.client.schedules import Schedule
from mainspring.client.service_calls import ServiceCalls
from mainspring.client.task import DEFAULT_NAMESPACE, Delivery, NewTask, ScheduledTask, Task
from mainspring.v1 import task_pb2, task_service_pb2, task_service_pb2_grpc

_TASKS = task_service_pb2_grpc.TaskServiceStub
_IN_CALL = re.compile(r"^tasks\[\d+\]")


class TaskCalls(ServiceCalls):
    """The calls of TaskService that register and read; see `MainspringClient`."""

    def __init__(self, caller: Caller, *, default_timeout_s: float, parallel_calls: int) -> None:
        super().__init__(caller, default_timeout_s=default_timeout_s)
        self._parallel_calls = parallel_calls

    async def create_task(
        self,
        handler: str,
        schedule: Schedule,
        *,
        payload: bytes | str = b"",
        namespace: str = DEFAULT_NAMESPACE,
        task_id: str | None = None,
        request_id: str | None = None,
        delivery: Delivery | None = None,
        labels: Mapping[str, str] | None = None,
        misfire: MisfirePolicy | None = None,
        overlap: OverlapPolicy | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        lateness_objective: timedelta | None = None,
        keep_executions: int | None = None,
        timeout_s: float | None = None,
    ) -> ScheduledTask:
        """Register a task; once this returns, it is durable. The answer also tells what the schedule means.

        Where a policy is None, that of the namespace comes first if it has one (`TaskDefaults`).

        Args:
            handler: The name of the code on an executor that runs it.
            schedule: When: `At`, `Delay`, `Cron`, `Every` or `CalendarInterval`.
            payload: For the handler, at most 256 KiB; a string is encoded in UTF-8.
            namespace: The namespace.
            task_id: Unique within the namespace. None: the client makes one.
            request_id: In place of an id: calls of one namespace with the same one register one task, whose id the server
                makes from it; at most 200 characters.
            delivery: What becomes of an execution when its executor fails: another attempt, or it ends as LOST. None: the
                first.
            labels: For people and filters: at most 32, keys of 1 to 63 and values of up to 63 characters.
            misfire: What becomes of missed times. None: the latest one runs.
            overlap: What becomes of a scheduled time while an execution is open. None: recurring tasks skip it.
            retry: Whether and when a failed attempt is followed by another. None: it is not.
            timeouts: How long the stages of an execution may take. None: any time.
            lateness_objective: The lateness that the task is meant to keep. None: 10 s.
            keep_executions: How many final executions are kept at most, the newest. None: as many as the namespace keeps.
            timeout_s: Deadline in seconds.

        Raises:
            InvalidArgument: A field is wrong.
            AlreadyExists: The id is in use with another definition (the same one answers as the first call).
            ValueError: Both an id and a request id are given.
        """
        if task_id is not None and request_id is not None:
            raise ValueError("give one of task_id and request_id: a task's id is made from its request id")
        task = convert.new_task_to_proto(
            NewTask(
                handler,
                schedule,
                payload,
                namespace,
                # The server makes the id from the request id where there is none.
                task_id if request_id is None else "",
                delivery,
                labels={} if labels is None else labels,
                misfire=misfire,
                overlap=overlap,
                retry=retry,
                timeouts=timeouts,
                lateness_objective=lateness_objective,
                keep_executions=keep_executions,
            )
        )
        response = await self._call(
            _TASKS,
            "CreateTask",
            task_service_pb2.CreateTaskRequest(task=task, request_id=request_id or ""),
            task_service_pb2.CreateTaskResponse,
            timeout_s,
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
        put_timestamp(request.after_time, "after", after)
        response = await self._call(
            _TASKS,
            "PreviewSchedule",
            request,
            task_service_pb2.PreviewScheduleResponse,
            timeout_s,
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
        response = await self._call(
            _TASKS,
            "GetTask",
            task_service_pb2.GetTaskRequest(namespace=namespace, id=task_id),
            task_service_pb2.GetTaskResponse,
            timeout_s,
        )
        return convert.task_from_proto(response.task)

    async def list_tasks(
        self,
        *,
        filter: TaskFilter | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        page_size: int = 0,
        omit_payload: bool = False,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Task]:
        """Iterate over the tasks of a namespace; pages are read as the iteration comes to them.

        Args:
            filter: Only tasks that this names.
            namespace: The namespace.
            page_size: Tasks per call, at most 1,000; 0 leaves it to the server.
            omit_payload: Leave the payloads out, which makes pages lighter.
            timeout_s: Deadline of each page, in seconds.
        """
        chosen = convert.filter_to_proto(filter)
        token = ""
        while True:
            response = await self._call(
                _TASKS,
                "ListTasks",
                task_service_pb2.ListTasksRequest(
                    namespace=namespace,
                    page_size=page_size,
                    page_token=token,
                    omit_payload=omit_payload,
                    filter=chosen,
                ),
                task_service_pb2.ListTasksResponse,
                timeout_s,
            )
            for task in response.tasks:
                yield convert.task_from_proto(task)
            token = response.next_page_token
            if not token:
                return

    async def count_tasks(
        self,
        *,
        filter: TaskFilter | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> TaskCount:
        """Return how many tasks there are, by state.

        Args:
            filter: Only tasks that this names.
            namespace: The namespace.
            timeout_s: Deadline in seconds.
        """
        response = await self._call(
            _TASKS,
            "CountTasks",
            task_service_pb2.CountTasksRequest(namespace=namespace, filter=convert.filter_to_proto(filter)),
            task_service_pb2.CountTasksResponse,
            timeout_s,
        )
        return convert.task_count_from_proto(response)

    async def _create_chunk(
        self, chunk: list[task_pb2.Task], timeout_s: float
    ) -> list[Task | MainspringError]:
        try:
            response = await self._call(
                _TASKS,
                "BatchCreateTasks",
                task_service_pb2.BatchCreateTasksRequest(tasks=chunk),
                task_service_pb2.BatchCreateTasksResponse,
                timeout_s,
            )
        except MainspringError as error:
            return [error] * len(chunk)
        answers = [_batch_answer(result) for result in response.results]
        # An answer too short would shift every task after it in the caller's list.
        missing = len(chunk) - len(answers)
        return [*answers, *[Internal("the node did not answer for this task")] * missing][: len(chunk)]


def _batch_answer(result: task_service_pb2.BatchCreateTasksResult) -> Task | MainspringError:
    if result.WhichOneof("outcome") == "task":
        return convert.task_from_proto(result.task)
    error = status.from_status(result.error.code, result.error.message, result.error.details)
    if isinstance(error, InvalidArgument):
        # Where the task stood in its call says nothing to a caller who gave them all at once.
        error.fields = [each._replace(field=_IN_CALL.sub("task", each.field)) for each in error.fields]
    return error
