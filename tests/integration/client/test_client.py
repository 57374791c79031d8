"""The client against small servers: retries, deadlines, errors, pages, batches."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from mainspring.client import (
    AlreadyExists,
    At,
    Backoff,
    Cron,
    DeadlineExceeded,
    Delay,
    FieldViolation,
    InvalidArgument,
    MainspringClient,
    MainspringError,
    NewTask,
    NotFound,
    Preview,
    Task,
    Unavailable,
)
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


def pack(*details: object) -> list[any_pb2.Any]:
    packed = []
    for detail in details:
        wrapped = any_pb2.Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return packed


INFO = error_details_pb2.ErrorInfo(
    reason="BAD_CRON", domain="mainspring.v1", metadata={"value": "61 * * * *"}
)
FIELDS = error_details_pb2.BadRequest(
    field_violations=[
        error_details_pb2.BadRequest.FieldViolation(
            field="task.schedule.cron.expressions[0]", description="no minute 61"
        )
    ]
)


class Server(
    task_service_pb2_grpc.TaskServiceServicer,
    execution_service_pb2_grpc.ExecutionServiceServicer,
    admin_service_pb2_grpc.AdminServiceServicer,
):
    """Remembers tasks, fails on demand."""

    def __init__(self) -> None:
        self.tasks: dict[str, task_pb2.Task] = {}
        self.calls: list[str] = []
        self.previewed: list[task_service_pb2.PreviewScheduleRequest] = []
        self.batches: list[tuple[int, int]] = []
        self.fail_first = 0
        self.status: status_pb2.Status | None = None
        self.hang: asyncio.Event | None = None
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 4 * 1024 * 1024),
            )
        )
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(self, self._server)
        execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(self, self._server)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(None)

    async def _enter(self, name: str, context: grpc.aio.ServicerContext) -> None:
        self.calls.append(name)
        if self.hang is not None:
            await self.hang.wait()
        if self.status is not None:
            await context.abort_with_status(rpc_status.to_status(self.status))
        if self.fail_first:
            self.fail_first -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away")

    async def CreateTask(self, request, context):  # type: ignore[no-untyped-def]
        # The answer is lost after the task was stored: what a retry must be safe against.
        self.tasks[request.task.id] = request.task
        await self._enter("CreateTask", context)
        fires = [schedule_pb2.FireTime(scheduled_time={"seconds": 60})]
        return task_service_pb2.CreateTaskResponse(task=request.task, meaning="When told.", next_fires=fires)

    async def PreviewSchedule(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("PreviewSchedule", context)
        self.previewed.append(request)
        return task_service_pb2.PreviewScheduleResponse(
            schedule=request.schedule, meaning="When told.", is_complete=True
        )

    async def BatchCreateTasks(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("BatchCreateTasks", context)
        self.batches.append((len(request.tasks), request.ByteSize()))
        results = []
        for task in request.tasks:
            if task.handler == "bad":
                error = task_service_pb2.ItemError(
                    code=code_pb2.INVALID_ARGUMENT, message="wrong", details=pack(FIELDS, INFO)
                )
                results.append(task_service_pb2.BatchCreateTasksResult(error=error))
            else:
                results.append(task_service_pb2.BatchCreateTasksResult(task=task))
        return task_service_pb2.BatchCreateTasksResponse(results=results)

    async def GetTask(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("GetTask", context)
        if request.id not in self.tasks:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such task")
        return task_service_pb2.GetTaskResponse(task=self.tasks[request.id])

    async def ListTasks(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("ListTasks", context)
        size = request.page_size or 2
        begin = int(request.page_token or 0)
        page = list(self.tasks.values())[begin : begin + size]
        token = str(begin + size) if begin + size < len(self.tasks) else ""
        return task_service_pb2.ListTasksResponse(tasks=page, next_page_token=token)

    async def CancelTask(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("CancelTask", context)
        task = self.tasks[request.id]
        task.state = task_pb2.TASK_STATE_CANCELLED
        return task_service_pb2.CancelTaskResponse(task=task)

    async def ListExecutions(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("ListExecutions", context)
        assert request.start_time.seconds == 60
        if not request.page_token:
            return execution_service_pb2.ListExecutionsResponse(
                executions=[execution_pb2.Execution(task_id=request.task_id, attempt=1)],
                next_page_token="more",
            )
        return execution_service_pb2.ListExecutionsResponse(
            executions=[execution_pb2.Execution(task_id=request.task_id, attempt=2)]
        )

    async def GetExecution(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("GetExecution", context)
        execution = execution_pb2.Execution(
            task_id=request.task_id, scheduled_time=request.scheduled_time, result=b"done", state=4
        )
        return execution_service_pb2.GetExecutionResponse(execution=execution)

    async def ListNodes(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("ListNodes", context)
        return admin_service_pb2.ListNodesResponse(
            nodes=[admin_service_pb2.Node(node_id="n1", is_self=True)],
            executors=[admin_service_pb2.ConnectedExecutor(executor_id="e1", handlers=["noop"])],
            partition_count=256,
        )

    async def ListPartitions(self, request, context):  # type: ignore[no-untyped-def]
        await self._enter("ListPartitions", context)
        return admin_service_pb2.ListPartitionsResponse(partitions=[admin_service_pb2.Partition(epoch=3)])


@pytest.fixture
async def servers() -> AsyncIterator[tuple[Server, Server]]:
    pair = (Server(), Server())
    for server in pair:
        await server.start()
    yield pair
    for server in pair:
        if server.hang is not None:
            server.hang.set()
        await server.stop()


async def test_tasks_and_executions_go_through_every_call(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    async with MainspringClient(server.address) as client:
        at = At(datetime(2030, 1, 1, tzinfo=UTC))
        task = await client.create_task("noop", at, payload="hi")
        assert (task.schedule, task.payload, len(task.task_id)) == (at, b"hi", 32)
        assert task.meaning == "When told."
        assert [fire.scheduled_time.timestamp() for fire in task.next_fires] == [60]
        for number in range(4):
            await client.create_task("noop", Delay(timedelta(seconds=1)), task_id=f"t{number}")
        assert (await client.get_task("t2")).task_id == "t2"
        listed = [task.task_id async for task in client.list_tasks()]
        assert listed == list(server.tasks)
        assert server.calls.count("ListTasks") == 3
        assert (await client.cancel_task("t1")).state.name == "CANCELLED"
        start = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
        attempts = [execution.attempt async for execution in client.list_executions("t1", start=start)]
        assert attempts == [1, 2]
        execution = await client.get_execution("t1", start)
        assert (execution.scheduled_time, execution.result, execution.state.name) == (
            start,
            b"done",
            "SUCCEEDED",
        )
        cluster = await client.list_nodes()
        assert (cluster.partition_count, cluster.nodes[0].is_self, cluster.executors[0].handlers) == (
            256,
            True,
            ("noop",),
        )
        assert [partition.epoch for partition in await client.list_partitions()] == [3]


async def test_a_preview_asks_for_what_was_said(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    schedule = Cron("H 2 * * *", "Europe/Berlin", jitter=timedelta(seconds=9))
    async with MainspringClient(server.address) as client:
        preview = await client.preview_schedule(schedule)
        after = datetime(2026, 3, 28, tzinfo=UTC)
        await client.preview_schedule(schedule, namespace="billing", task_id="x", after=after, count=1_000)
        with pytest.raises(ValueError, match="after must be timezone-aware"):
            await client.preview_schedule(schedule, after=after.replace(tzinfo=None))
    assert preview == Preview(schedule, "When told.", (), True)
    plain, full = server.previewed
    assert (plain.namespace, plain.id, plain.count, plain.HasField("after_time")) == (
        "default",
        "",
        10,
        False,
    )
    assert (full.namespace, full.id, full.count, full.after_time.ToDatetime(UTC)) == (
        "billing",
        "x",
        1_000,
        after,
    )


async def test_unavailable_is_tried_on_the_next_address_and_the_one_that_works_is_kept(
    servers: tuple[Server, Server],
) -> None:
    bad, good = servers
    bad.fail_first = 1_000
    async with MainspringClient([bad.address, good.address]) as client:
        for number in range(3):
            await client.create_task("noop", Cron("@daily"), task_id=str(number))
    assert bad.calls == ["CreateTask"]
    assert good.calls == ["CreateTask"] * 3


async def test_a_retry_creates_no_second_task(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    server.fail_first = 2
    async with MainspringClient(server.address) as client:
        task = await client.create_task("noop", Cron("@daily"))
    assert list(server.tasks) == [task.task_id]
    assert len(server.calls) == 3


async def test_a_dead_node_costs_little_and_one_that_comes_back_is_used(
    servers: tuple[Server, Server],
) -> None:
    dead, good = servers
    await dead.stop()
    async with MainspringClient([dead.address, good.address]) as client:
        await client.create_task("noop", Cron("@daily"), task_id="one")
        await good.stop()
        await dead.start()
        await client.create_task("noop", Cron("@daily"), task_id="two")
    assert list(dead.tasks) == ["two"]


async def test_with_every_node_away_it_gives_up_at_the_deadline(servers: tuple[Server, Server]) -> None:
    for server in servers:
        await server.stop()
    async with MainspringClient([server.address for server in servers]) as client:
        began_s = time.monotonic()
        with pytest.raises(Unavailable):
            await client.get_task("x", timeout_s=0.8)
        assert time.monotonic() - began_s <= 10, "the deadline is over all tries"


async def test_no_answer_is_a_deadline_exceeded_and_not_tried_again(servers: tuple[Server, Server]) -> None:
    servers[0].hang = asyncio.Event()
    async with MainspringClient([server.address for server in servers]) as client:
        with pytest.raises(DeadlineExceeded):
            await client.get_task("x", timeout_s=0.2)
    assert servers[1].calls == []


async def test_a_call_that_a_stopping_node_cuts_off_goes_to_another_one(
    servers: tuple[Server, Server],
) -> None:
    first, second = servers
    first.hang = asyncio.Event()
    second.tasks["x"] = task_pb2.Task(id="x", handler="noop", schedule={"at": {"seconds": 60}})
    async with MainspringClient([server.address for server in servers]) as client:
        asking = asyncio.create_task(client.get_task("x", timeout_s=10.0))
        async with asyncio.timeout(5.0):
            while not first.calls:
                await asyncio.sleep(0.01)
        await first.stop()
        assert (await asking).task_id == "x"
    assert second.calls == ["GetTask"]


async def test_tries_wait_in_between_when_all_have_failed(servers: tuple[Server, Server]) -> None:
    for server in servers:
        server.fail_first = 10_000
    backoff = Backoff(initial_s=0.1, ceiling_s=0.1, jitter=0)
    async with MainspringClient([server.address for server in servers], backoff=backoff) as client:
        with pytest.raises(Unavailable):
            await client.get_task("x", timeout_s=0.55)
    assert 2 <= len(servers[0].calls) <= 6


async def test_errors_are_typed_by_code_reason_and_fields(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    server.status = status_pb2.Status(
        code=code_pb2.INVALID_ARGUMENT, message="wrong", details=pack(FIELDS, INFO)
    )
    async with MainspringClient(server.address) as client:
        with pytest.raises(InvalidArgument) as caught:
            await client.create_task("noop", Cron("61 * * * *"))
        assert caught.value.fields == [FieldViolation("task.schedule.cron.expressions[0]", "no minute 61")]
        assert (caught.value.reason, caught.value.metadata) == ("BAD_CRON", {"value": "61 * * * *"})
        assert str(caught.value) == "INVALID_ARGUMENT (BAD_CRON): wrong"

        foreign = error_details_pb2.ErrorInfo(reason="QUOTA", domain="proxy.example")
        server.status = status_pb2.Status(
            code=code_pb2.ALREADY_EXISTS, message="taken", details=pack(foreign)
        )
        with pytest.raises(AlreadyExists) as taken:
            await client.create_task("noop", Cron("@daily"))
        assert taken.value.reason == "", "another domain's reason is not ours"

        server.status = status_pb2.Status(code=code_pb2.DATA_LOSS, message="odd")
        with pytest.raises(MainspringError) as odd:
            await client.get_task("x")
        assert (type(odd.value), odd.value.code) == (MainspringError, "DATA_LOSS")

        server.status = None
        with pytest.raises(NotFound):
            await client.get_task("x")
    assert server.calls == ["CreateTask", "CreateTask", "GetTask", "GetTask"], "nothing was tried again"


async def test_a_batch_answers_for_each_task_in_order(servers: tuple[Server, Server]) -> None:
    server = servers[0]
    tasks = [NewTask("bad" if n % 7 == 0 else "noop", Cron("@daily"), task_id=str(n)) for n in range(2_500)]
    async with MainspringClient(server.address) as client:
        answers = await client.create_tasks(tasks)
    assert sorted(count for count, _ in server.batches) == [500, 1_000, 1_000]
    for number, answer in enumerate(answers):
        if number % 7 == 0:
            assert isinstance(answer, InvalidArgument)
            assert answer.fields[0].field == "task.schedule.cron.expressions[0]"
        else:
            assert isinstance(answer, Task)
            assert answer.task_id == str(number)


async def test_large_payloads_are_cut_below_the_message_limit(servers: tuple[Server, Server]) -> None:
    payload = bytes(256 * 1024)
    async with MainspringClient(servers[0].address) as client:
        answers = await client.create_tasks(NewTask("noop", Cron("@daily"), payload) for _ in range(30))
    assert all(isinstance(answer, Task) for answer in answers)
    assert max(size for _, size in servers[0].batches) < 3 * 1024 * 1024
    assert len(servers[0].batches) == 3


async def test_a_call_that_fails_as_a_whole_answers_for_its_tasks_only(
    servers: tuple[Server, Server],
) -> None:
    server = servers[0]
    async with MainspringClient(server.address, parallel_calls=1, default_timeout_s=1.0) as client:
        first = await client.create_tasks([NewTask("noop", Cron("@daily"))])
        await server.stop()
        rest = await client.create_tasks([NewTask("noop", Cron("@daily"))] * 3, timeout_s=0.3)
    assert isinstance(first[0], Task)
    assert [type(answer) for answer in rest] == [Unavailable] * 3
    assert await MainspringClient("127.0.0.1:1").create_tasks([]) == []
