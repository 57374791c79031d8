"""The ledger of a small node with a memory instead of a database."""

from collections.abc import AsyncIterator
from typing import Any

from google.rpc import code_pb2
from integration.memory import Context, Memory, refuse

from mainspring.v1 import execution_pb2, execution_service_pb2, execution_service_pb2_grpc

FAILED = (
    execution_pb2.EXECUTION_STATE_FAILED,
    execution_pb2.EXECUTION_STATE_EXPIRED,
    execution_pb2.EXECUTION_STATE_LOST,
)


class MemoryLedger(Memory, execution_service_pb2_grpc.ExecutionServiceServicer):
    """ExecutionService."""

    async def ListExecutions(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        return execution_service_pb2.ListExecutionsResponse(executions=self.executions)

    async def GetExecution(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        return execution_service_pb2.GetExecutionResponse(execution=self.executions[0])

    async def CancelExecution(self, request: Any, context: Context) -> Any:
        execution = await self._execution(request, context)
        execution.state = execution_pb2.EXECUTION_STATE_CANCELLED
        execution.reason = request.note
        return execution_service_pb2.CancelExecutionResponse(execution=execution)

    async def RetryExecution(self, request: Any, context: Context) -> Any:
        execution = await self._execution(request, context)
        if execution.state not in FAILED:
            await refuse(context, code_pb2.FAILED_PRECONDITION, "it has not failed", "NOT_FAILED")
        name = f"run again by {request.request_id}"
        again = next((known for known in self.executions if known.reason == name), None)
        if again is None:
            again = execution_pb2.Execution(
                namespace=execution.namespace, task_id=execution.task_id, reason=name
            )
            again.scheduled_time.FromSeconds(execution.scheduled_time.seconds + len(self.executions))
            again.state = execution_pb2.EXECUTION_STATE_WAITING
            self.executions.append(again)
        await self._answered(context)
        return execution_service_pb2.RetryExecutionResponse(execution=again)

    async def AdjustExecution(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        return execution_service_pb2.AdjustExecutionResponse()

    async def ExplainExecution(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        answer = execution_service_pb2.ExplainExecutionResponse(summary="There is none yet.")
        if self.executions:
            answer.summary = "It ran 12 ms late."
            answer.execution.CopyFrom(self.executions[0])
            answer.lateness.FromMilliseconds(12)
            answer.lateness_objective.FromSeconds(10)
            stage = answer.stages.add(name="due")
            stage.time.CopyFrom(self.executions[0].due_time)
            answer.stages.add(name="picked up").duration.FromMilliseconds(12)
        return answer

    async def WatchExecutions(self, request: Any, context: Context) -> AsyncIterator[Any]:
        asked = execution_service_pb2.WatchExecutionsRequest()
        asked.CopyFrom(request)
        self.requests.append(asked)
        position = int(request.resume_token or len(self._changes))
        yield execution_service_pb2.WatchExecutionsResponse(resume_token=str(position))
        while True:
            while position == len(self._changes):
                self._has_changed.clear()
                await self._has_changed.wait()
            changed, position = self._changes[position:], len(self._changes)
            yield execution_service_pb2.WatchExecutionsResponse(
                executions=changed, resume_token=str(position)
            )
            if self.watch_ends:
                code = self.watch_ends.pop(0)
                if code is None:
                    return
                await refuse(context, code, "the watch ends here", "WATCH_ENDS")

    async def _execution(self, request: Any, context: Context) -> execution_pb2.Execution:
        self.requests.append(request)
        for execution in self.executions:
            if (execution.task_id, execution.scheduled_time) == (request.task_id, request.scheduled_time):
                return execution
        await refuse(context, code_pb2.NOT_FOUND, "there is no such execution", "NOT_FOUND")
        raise AssertionError
