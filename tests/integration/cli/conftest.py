"""A small node with a memory instead of a database, and the command as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from mainspring.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    execution_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("protos", "server", "shard_manager", "executor", "client_sdk", "cli", "testing")
MEANING = "At 02:30 every day, Europe/Berlin."
Context = grpc.aio.ServicerContext[Any, Any]


async def refuse(context: Context, code: int, message: str, reason: str, **fields: str) -> None:
    """End the call with a status and google.rpc details, as a node does."""
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="mainspring.v1"))
    violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=name.replace("__", ".").replace("_0", "[0]"), description=words
        )
        for name, words in fields.items()
    ]
    details[1].Pack(error_details_pb2.BadRequest(field_violations=violations))
    status = status_pb2.Status(code=code, message=message, details=details if fields else details[:1])
    await context.abort_with_status(rpc_status.to_status(status))


class MemoryNode(
    task_service_pb2_grpc.TaskServiceServicer,
    execution_service_pb2_grpc.ExecutionServiceServicer,
    admin_service_pb2_grpc.AdminServiceServicer,
):
    """Answers what it was told to, and remembers what it was asked.

    Attributes:
        address: host:port where it listens.
        tasks: By (namespace, id).
        executions: In the order in which they are listed.
        fires: What a created task and a preview answer as the times to come.
        time_zone_databases: Those of the nodes n1, n2, ... that there are.
        requests: Every request that came in.
        handlers_refused: A task with this handler is refused, as if its cron expression and id were wrong.
        is_database_away: Whether tasks are answered with UNAVAILABLE.
    """

    def __init__(self) -> None:
        self.address = ""
        self.tasks: dict[tuple[str, str], task_pb2.Task] = {}
        self.executions: list[execution_pb2.Execution] = []
        self.fires: list[schedule_pb2.FireTime] = []
        self.time_zone_databases = ["2026f"]
        self.requests: list[Any] = []
        self.is_database_away = False
        self.is_coordinator_connected = True
        self.owner_id = "n1"
        self.gives_away = True

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
        task.state, task.version, task.partition_id = task_pb2.TASK_STATE_ACTIVE, 1, 17
        task.create_time.FromSeconds(1_900_000_000)
        task.next_scheduled_time.FromMicroseconds(1_900_000_060_500_000)
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
        task.state = task_pb2.TASK_STATE_CANCELLED
        return task_service_pb2.CancelTaskResponse(task=task)

    async def ListTasks(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        found = [task for (namespace, _), task in self.tasks.items() if namespace == request.namespace]
        begin = int(request.page_token or 0)
        end = begin + (request.page_size or 100)
        token = str(end) if end < len(found) else ""
        return task_service_pb2.ListTasksResponse(tasks=found[begin:end], next_page_token=token)

    async def ListExecutions(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        return execution_service_pb2.ListExecutionsResponse(executions=self.executions)

    async def GetExecution(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        return execution_service_pb2.GetExecutionResponse(execution=self.executions[0])

    async def ListNodes(self, request: Any, context: Context) -> Any:
        nodes = [
            admin_service_pb2.Node(
                node_id=f"n{number}",
                address=self.address,
                version="0.1.0",
                is_ready=True,
                partition_count=2,
                is_self=number == 1,
                time_zone_database=release,
            )
            for number, release in enumerate(self.time_zone_databases, start=1)
        ]
        answer = admin_service_pb2.ListNodesResponse(
            nodes=nodes, partition_count=2, is_coordinator_connected=self.is_coordinator_connected
        )
        answer.cluster_time.FromSeconds(1_900_000_000)
        return answer

    async def ListPartitions(self, request: Any, context: Context) -> Any:
        partitions = [
            admin_service_pb2.Partition(
                partition_id=0, epoch=7, owner_id=self.owner_id, owner_address=self.address
            ),
            admin_service_pb2.Partition(partition_id=1, epoch=2),
        ]
        return admin_service_pb2.ListPartitionsResponse(partitions=partitions)

    async def ListHandovers(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        handover = admin_service_pb2.Handover(
            partition_id=3,
            epoch=8,
            reason=admin_service_pb2.HANDOVER_REASON_DRAINED,
            from_node_id="n1",
            to_node_id="n2",
            late_execution_count=2,
        )
        handover.fire_time.FromSeconds(1_900_000_000)
        handover.gap.FromMilliseconds(40)
        handover.release_time.FromMilliseconds(1_900_000_000_000 - 40)
        handover.max_lateness.FromMilliseconds(30)
        return admin_service_pb2.ListHandoversResponse(handovers=[handover])

    async def DrainNode(self, request: Any, context: Context) -> Any:
        if request.node_id != "n1":
            await refuse(context, code_pb2.NOT_FOUND, "no member of that name; known: n1", "NOT_FOUND")
        self.owner_id = "n2" if self.gives_away else "n1"
        return admin_service_pb2.DrainNodeResponse(node_id="n1")

    async def UndrainNode(self, request: Any, context: Context) -> Any:
        return admin_service_pb2.UndrainNodeResponse(node_id=request.node_id)

    async def _task(self, request: Any, context: Context) -> task_pb2.Task:
        self.requests.append(request)
        if self.is_database_away:
            await refuse(context, code_pb2.UNAVAILABLE, "the database does not answer", "STORE_UNAVAILABLE")
        name = f"{request.namespace}/{request.id}"
        if (request.namespace, request.id) not in self.tasks:
            await refuse(context, code_pb2.NOT_FOUND, f"task {name!r} does not exist", "NOT_FOUND")
        return self.tasks[request.namespace, request.id]


@pytest.fixture
async def memory_node() -> AsyncIterator[MemoryNode]:
    """A node on a free loopback port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    node = MemoryNode()
    task_service_pb2_grpc.add_TaskServiceServicer_to_server(node, server)
    execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(node, server)
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(node, server)
    node.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield node
    await server.stop(None)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """The one JSON document on stdout."""
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)


Mainspring = Callable[..., Awaitable[Done]]


def environment_of_command(*first_on_path: Path, **more: str) -> dict[str, str]:
    """An environment in which `python -m mainspring.cli` runs, with no setting of the developer's."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAINSPRING_")}
    path = os.pathsep.join(map(str, [*first_on_path, *(ROOT / source for source in SOURCES)]))
    return {**inherited, "PYTHONPATH": path, "TZ": "Europe/Berlin", "COLUMNS": "200", **more}


async def run_command(
    *arguments: str,
    stdin: bytes = b"",
    environment: dict[str, str] | None = None,
    program: Path | None = None,
) -> Done:
    """Run the command, or another program, as a process of its own; 60 s are the limit of a hanging one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *([str(program)] if program else ["-m", "mainspring.cli"]),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment or environment_of_command(),
    )
    try:
        async with asyncio.timeout(60):
            stdout, stderr = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Done(process.returncode, stdout.decode(), stderr.decode())


@pytest.fixture
def mainspring(memory_node: MemoryNode) -> Mainspring:
    """Run the command against the node, which the environment names."""

    async def run(*arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None) -> Done:
        named = {"MAINSPRING_ADDRESS": memory_node.address, **(environment or {})}
        return await run_command(*arguments, stdin=stdin, environment=environment_of_command(**named))

    return run
