"""Tasks of a small node with a memory instead of a database: changed as they are told, and nothing ever runs."""

from typing import Any

from google.rpc import code_pb2
from integration.memory import MEANING, Context, Memory, refuse

from mainspring.v1 import execution_pb2, task_pb2, task_service_pb2, task_service_pb2_grpc

ENDED = (task_pb2.TASK_STATE_COMPLETED, task_pb2.TASK_STATE_CANCELLED)
NEW_STATES = {
    task_service_pb2.TASK_CHANGE_PAUSE: task_pb2.TASK_STATE_PAUSED,
    task_service_pb2.TASK_CHANGE_RESUME: task_pb2.TASK_STATE_ACTIVE,
    task_service_pb2.TASK_CHANGE_CANCEL: task_pb2.TASK_STATE_CANCELLED,
}
NOW_S = 1_900_000_000


def matches(task: task_pb2.Task, filter: task_service_pb2.TaskFilter) -> bool:
    """Whether a filter names a task; the times of the filter are not looked at."""
    return (
        (not filter.states or task.state in filter.states)
        and filter.handler in ("", task.handler)
        and filter.labels.items() <= task.labels.items()
    )


class MemoryTasks(Memory, task_service_pb2_grpc.TaskServiceServicer):
    """TaskService."""

    async def CreateTask(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        if request.task.handler == "refused":
            await refuse(
                context,
                code_pb2.INVALID_ARGUMENT,
                "two fields are wrong",
                "INVALID_REQUEST",
                task__schedule__cron__expressions_0="never fires",
                task__id="holds a control character",
            )
        task = task_pb2.Task()
        task.CopyFrom(request.task)
        task.state, task.version, task.partition_id, task.etag = task_pb2.TASK_STATE_ACTIVE, 1, 17, "v1"
        task.create_time.FromSeconds(NOW_S)
        task.next_scheduled_time.FromMilliseconds(NOW_S * 1_000 + 60_500)
        self.tasks[task.namespace, task.id] = task
        return task_service_pb2.CreateTaskResponse(task=task, meaning=MEANING, next_fires=self.fires)

    async def PreviewSchedule(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        if request.schedule.jitter.seconds and not request.id:
            await refuse(
                context,
                code_pb2.INVALID_ARGUMENT,
                "a field is wrong",
                "INVALID_REQUEST",
                id="is required with jitter",
            )
        return task_service_pb2.PreviewScheduleResponse(
            schedule=request.schedule,
            meaning=MEANING,
            fires=self.fires[: request.count],
            is_complete=len(self.fires) <= request.count,
        )

    async def GetTask(self, request: Any, context: Context) -> Any:
        return task_service_pb2.GetTaskResponse(task=await self._task(request, context))

    async def CancelTask(self, request: Any, context: Context) -> Any:
        task = await self._task(request, context)
        self._change(task, task_service_pb2.TASK_CHANGE_CANCEL, request)
        return task_service_pb2.CancelTaskResponse(task=task)

    async def UpdateTask(self, request: Any, context: Context) -> Any:
        task = await self._open_task(request.task, context, request)
        for path in request.update_mask.paths:
            task.ClearField(path)
        chosen = task_pb2.Task()
        request.update_mask.MergeMessage(request.task, chosen)
        task.MergeFrom(chosen)
        self._change(task)
        await self._answered(context)
        return task_service_pb2.UpdateTaskResponse(task=task, meaning=MEANING, next_fires=self.fires)

    async def PauseTask(self, request: Any, context: Context) -> Any:
        task = await self._open_task(request, context, request)
        self._change(task, task_service_pb2.TASK_CHANGE_PAUSE, request)
        return task_service_pb2.PauseTaskResponse(task=task)

    async def ResumeTask(self, request: Any, context: Context) -> Any:
        task = await self._open_task(request, context, request)
        self._change(task, task_service_pb2.TASK_CHANGE_RESUME, request)
        return task_service_pb2.ResumeTaskResponse(task=task)

    async def DeleteTask(self, request: Any, context: Context) -> Any:
        task = await self._task(request, context)
        await self._check_etag(task, request, context)
        del self.tasks[task.namespace, task.id]
        return task_service_pb2.DeleteTaskResponse()

    async def TriggerTask(self, request: Any, context: Context) -> Any:
        task = await self._task(request, context)
        name = f"triggered by {request.request_id}"
        known = [execution for execution in self.executions if execution.reason == name]
        if not known:
            execution = execution_pb2.Execution(
                namespace=task.namespace,
                task_id=task.id,
                state=execution_pb2.EXECUTION_STATE_WAITING,
                origin=execution_pb2.EXECUTION_ORIGIN_TRIGGER,
                reason=name,
            )
            execution.scheduled_time.FromSeconds(NOW_S + len(self.executions))
            self.executions.append(execution)
            known = [execution]
        await self._answered(context)
        return task_service_pb2.TriggerTaskResponse(execution=known[0])

    async def BackfillTask(self, request: Any, context: Context) -> Any:
        await self._task(request, context)
        answer = task_service_pb2.BackfillTaskResponse(count=self.backfill_counts.pop(0))
        if self.backfill_counts:
            answer.next_start_time.FromSeconds(request.start_time.seconds + 3_600)
        return answer

    async def ChangeTasks(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        if not request.filter.ListFields():
            await refuse(
                context,
                code_pb2.INVALID_ARGUMENT,
                "a field is wrong",
                "INVALID_REQUEST",
                filter="needs at least one restriction",
            )
        found = self._found(request)
        changed = 0 if request.dry_run else sum(self._change(task, request.change, request) for task in found)
        return task_service_pb2.ChangeTasksResponse(matched_count=len(found), changed_count=changed)

    async def CountTasks(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        states = [task.state for task in self._found(request)]
        by_state = [
            task_service_pb2.TaskStateCount(state=state, count=states.count(state))
            for state in sorted(set(states))
        ]
        return task_service_pb2.CountTasksResponse(count=len(states), by_state=by_state)

    async def ListTasks(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        found = self._found(request)
        begin = int(request.page_token or 0)
        end = begin + (request.page_size or 100)
        token = str(end) if end < len(found) else ""
        return task_service_pb2.ListTasksResponse(tasks=found[begin:end], next_page_token=token)

    async def _task(self, request: Any, context: Context) -> task_pb2.Task:
        self.requests.append(request)
        if self.is_database_away:
            await refuse(context, code_pb2.UNAVAILABLE, "the database does not answer", "STORE_UNAVAILABLE")
        name = f"{request.namespace}/{request.id}"
        if (request.namespace, request.id) not in self.tasks:
            await refuse(context, code_pb2.NOT_FOUND, f"task {name!r} does not exist", "NOT_FOUND")
        return self.tasks[request.namespace, request.id]

    async def _open_task(self, named: Any, context: Context, request: Any) -> task_pb2.Task:
        task = await self._task(named, context)
        self.requests[-1] = request
        await self._check_etag(task, request, context)
        if task.state in ENDED:
            await refuse(context, code_pb2.FAILED_PRECONDITION, "the task has ended", "TASK_ENDED")
        return task

    async def _check_etag(self, task: task_pb2.Task, request: Any, context: Context) -> None:
        if request.etag not in ("", task.etag):
            await refuse(context, code_pb2.ABORTED, f"the task is at {task.etag}", "STALE_ETAG")

    def _found(self, request: Any) -> list[task_pb2.Task]:
        return [
            task
            for (namespace, _), task in self.tasks.items()
            if namespace == request.namespace and matches(task, request.filter)
        ]

    def _change(self, task: task_pb2.Task, change: int | None = None, request: Any = None) -> bool:
        if change == task_service_pb2.TASK_CHANGE_DELETE:
            del self.tasks[task.namespace, task.id]
            return True
        if task.state in ENDED:
            return False
        if change is not None:
            task.state = NEW_STATES[change]  # type: ignore[index]
        if request is not None:
            task.note, task.changed_by = request.note, request.changed_by
        task.version += 1
        task.etag = f"v{task.version}"
        return True
