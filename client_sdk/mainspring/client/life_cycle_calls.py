"""The life of tasks: changed, paused, resumed, ended, removed, run once more, one by one or many at once."""

import uuid
from datetime import datetime

from mainspring.client import convert
from mainspring.client.enum_numbers import to_number
from mainspring.client.execution import Execution
from mainspring.client.filters import ChangedTasks, TaskChange, TaskFilter
from mainspring.client.instants import to_timestamp
from mainspring.client.service_calls import ServiceCalls
from mainspring.client.task import DEFAULT_NAMESPACE, ScheduledTask, Task
from mainspring.client.task_update import TaskUpdate
from mainspring.v1 import task_service_pb2, task_service_pb2_grpc

_TASKS = task_service_pb2_grpc.TaskServiceStub


class LifeCycleCalls(ServiceCalls):
    """The calls of TaskService that change what there is; see `MainspringClient`.

    With an `etag` a call applies to one state of a task only, and raises `Aborted` when that is not its state any more.
    The state may have moved by the call itself: where an answer was lost the call is repeated. Read the task to tell.
    """

    async def update_task(
        self,
        task_id: str,
        update: TaskUpdate,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        etag: str = "",
        timeout_s: float | None = None,
    ) -> ScheduledTask:
        """Change a task that is active or paused. Returns it as it is now, with what its schedule means.

        Once this returns, nothing of the old definition is sent any more: executions not yet sent end as CANCELLED,
        running ones go on. A new schedule counts from now.

            await client.update_task("daily", TaskUpdate(schedule=Cron("0 8 * * *")))

        Args:
            task_id: The task.
            update: The fields that change, and their new values.
            namespace: The namespace.
            etag: `Task.etag` of the state that it is to apply to; empty for any.
            timeout_s: Deadline in seconds.

        Raises:
            InvalidArgument: A field is wrong, or none changes.
            NotFound: There is none of that name.
            Aborted: The etag is not that of the task any more.
            FailedPrecondition: It has ended.
        """
        request = convert.update_to_proto(namespace, task_id, update)
        request.etag = etag
        response = await self._call(
            _TASKS, "UpdateTask", request, task_service_pb2.UpdateTaskResponse, timeout_s
        )
        return convert.scheduled_task_from_proto(response)

    async def pause_task(
        self,
        task_id: str,
        *,
        note: str = "",
        changed_by: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        etag: str = "",
        timeout_s: float | None = None,
    ) -> Task:
        """Stop a task until it is resumed; once this returns nothing of it is sent, and running executions go on.

        Args:
            task_id: The task. One that is paused is answered with the new note.
            note: Why, for people; at most 500 characters.
            changed_by: Who, for people; at most 200 characters.
            namespace: The namespace.
            etag: `Task.etag` of the state that it is to apply to; empty for any.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: There is none of that name.
            Aborted: The etag is not that of the task any more.
            FailedPrecondition: It has ended.
        """
        request = task_service_pb2.PauseTaskRequest(
            namespace=namespace, id=task_id, note=note, changed_by=changed_by, etag=etag
        )
        response = await self._call(
            _TASKS, "PauseTask", request, task_service_pb2.PauseTaskResponse, timeout_s
        )
        return convert.task_from_proto(response.task)

    async def resume_task(
        self,
        task_id: str,
        *,
        note: str = "",
        changed_by: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        etag: str = "",
        timeout_s: float | None = None,
    ) -> Task:
        """Let a paused task go on. What becomes of the times missed meanwhile says its misfire policy.

        Args: and Raises: see `pause_task`.
        """
        request = task_service_pb2.ResumeTaskRequest(
            namespace=namespace, id=task_id, note=note, changed_by=changed_by, etag=etag
        )
        response = await self._call(
            _TASKS, "ResumeTask", request, task_service_pb2.ResumeTaskResponse, timeout_s
        )
        return convert.task_from_proto(response.task)

    async def cancel_task(
        self,
        task_id: str,
        *,
        note: str = "",
        changed_by: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        etag: str = "",
        timeout_s: float | None = None,
    ) -> Task:
        """End a task: nothing of it fires any more; running executions go on. Returns the cancelled task.

        Args:
            task_id: The task. One that is cancelled is answered as it is.
            note, changed_by, namespace, etag, timeout_s: See `pause_task`.

        Raises:
            NotFound: There is none of that name.
            Aborted: The etag is not that of the task any more.
            FailedPrecondition: It has completed.
        """
        request = task_service_pb2.CancelTaskRequest(
            namespace=namespace, id=task_id, note=note, changed_by=changed_by, etag=etag
        )
        response = await self._call(
            _TASKS, "CancelTask", request, task_service_pb2.CancelTaskResponse, timeout_s
        )
        return convert.task_from_proto(response.task)

    async def delete_task(
        self,
        task_id: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        etag: str = "",
        timeout_s: float | None = None,
    ) -> None:
        """Remove a task with its ledger; once this returns nothing of it is sent and its id is free.

        Args:
            task_id: The task.
            namespace: The namespace.
            etag: `Task.etag` of the state that it is to apply to; empty for any.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: There is none of that name; also when the answer of a first try was lost and the second finds it
                gone.
            Aborted: The etag is not that of the task any more.
            FailedPrecondition: An execution is running; cancel it or wait.
        """
        await self._call(
            _TASKS,
            "DeleteTask",
            task_service_pb2.DeleteTaskRequest(namespace=namespace, id=task_id, etag=etag),
            task_service_pb2.DeleteTaskResponse,
            timeout_s,
        )

    async def trigger_task(
        self,
        task_id: str,
        *,
        payload: bytes | str | None = None,
        request_id: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> Execution:
        """Run a task once more, now, beside its schedule. Returns the new execution.

        Args:
            task_id: The task.
            payload: What the handler gets instead of the task's payload; a string is encoded in UTF-8. None: the
                task's payload.
            request_id: Calls with the same one trigger once; at most 200 characters. None: the client makes one, so that
                its own tries trigger once.
            namespace: The namespace.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: There is none of that name.
            FailedPrecondition: The task cannot be run in its present state.
        """
        request = task_service_pb2.TriggerTaskRequest(
            namespace=namespace,
            id=task_id,
            payload=None if payload is None else convert.payload_bytes(payload),
            request_id=uuid.uuid4().hex if request_id is None else request_id,
        )
        response = await self._call(
            _TASKS, "TriggerTask", request, task_service_pb2.TriggerTaskResponse, timeout_s
        )
        return convert.execution_from_proto(response.execution)

    async def backfill_task(
        self,
        task_id: str,
        start: datetime,
        end: datetime,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> int:
        """Run the scheduled times of a range in the past that the ledger does not hold as run. Returns how many.

        They run one after the other, at a bounded rate; this returns once all are recorded. Safe to repeat, which goes
        on where a call that failed has stopped.

        Args:
            task_id: The task.
            start: Only scheduled times at or after this; timezone-aware.
            end: Only scheduled times before this; timezone-aware. Not after now.
            namespace: The namespace.
            timeout_s: Deadline of each call, which records up to 1,000, in seconds.

        Raises:
            InvalidArgument: The range is wrong.
            NotFound: There is none of that name.
            ValueError: A bound is naive.
        """
        request = task_service_pb2.BackfillTaskRequest(
            namespace=namespace,
            id=task_id,
            start_time=to_timestamp("start", start),
            end_time=to_timestamp("end", end),
        )
        count = 0
        while True:
            response = await self._call(
                _TASKS, "BackfillTask", request, task_service_pb2.BackfillTaskResponse, timeout_s
            )
            count += response.count
            if not response.HasField("next_start_time"):
                return count
            request.start_time.CopyFrom(response.next_start_time)

    async def change_tasks(
        self,
        filter: TaskFilter,
        change: TaskChange,
        *,
        dry_run: bool = False,
        note: str = "",
        changed_by: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> ChangedTasks:
        """Pause, resume, cancel or delete the tasks that a filter names, each as the call for one task does.

        Args:
            filter: Which tasks; at least one restriction.
            change: What to do with them.
            dry_run: Only count them.
            note: Why, for people; at most 500 characters.
            changed_by: Who, for people; at most 200 characters.
            namespace: The namespace.
            timeout_s: Deadline in seconds. Many tasks take their time.

        Raises:
            InvalidArgument: The filter restricts nothing.
        """
        response = await self._call(
            _TASKS,
            "ChangeTasks",
            task_service_pb2.ChangeTasksRequest(
                namespace=namespace,
                filter=convert.filter_to_proto(filter),
                change=to_number("change", change),
                dry_run=dry_run,
                note=note,
                changed_by=changed_by,
            ),
            task_service_pb2.ChangeTasksResponse,
            timeout_s,
        )
        return ChangedTasks(response.matched_count, response.changed_count)
