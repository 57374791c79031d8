"""Every wrong request is told what is wrong with which field, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status

from mainspring.client import Delay, FailedPrecondition, MainspringClient, TaskState
from mainspring.v1 import (
    execution_service_pb2,
    execution_service_pb2_grpc,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)


@pytest.fixture
async def channel(node: Any) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(node.address) as made:
        yield made


def timestamp(at: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(at)
    return made


def in_a_minute() -> schedule_pb2.Schedule:
    return schedule_pb2.Schedule(delay=Duration(seconds=60))


def task(**fields: Any) -> task_pb2.Task:
    return task_pb2.Task(**{"id": "t", "handler": "noop", "schedule": in_a_minute(), **fields})


def cron(expression: str, zone: str = "UTC") -> schedule_pb2.Schedule:
    return schedule_pb2.Schedule(cron=schedule_pb2.CronSchedule(expressions=[expression], time_zone=zone))


def every(**duration: int) -> schedule_pb2.Schedule:
    return schedule_pb2.Schedule(interval=schedule_pb2.IntervalSchedule(every=Duration(**duration)))


NOW = datetime.now(UTC)

BAD_TASKS = {
    "no handler": (task(handler=""), "task.handler"),
    "overlong handler": (task(handler="h" * 201), "task.handler"),
    "overlong id": (task(id="i" * 201), "task.id"),
    "control character in the id": (task(id="a\nb"), "task.id"),
    "NUL in the namespace": (task(namespace="a\x00b"), "task.namespace"),
    "overlong namespace": (task(namespace="n" * 201), "task.namespace"),
    "payload over the limit": (task(payload=b"x" * (256 * 1024 + 1)), "task.payload"),
    "no schedule": (task_pb2.Task(id="t", handler="noop"), "task.schedule"),
    "empty schedule": (task(schedule=schedule_pb2.Schedule()), "task.schedule.kind"),
    "unknown zone": (task(schedule=cron("* * * * *", "Mars/Olympus")), "task.schedule.cron.time_zone"),
    "zone with a path": (task(schedule=cron("* * * * *", "../etc/passwd")), "task.schedule.cron.time_zone"),
    "bad cron": (task(schedule=cron("61 * * * *")), "task.schedule.cron.expressions[0]"),
    "empty cron": (task(schedule=cron("")), "task.schedule.cron.expressions[0]"),
    "never-firing cron": (task(schedule=cron("0 0 31 2 *")), "task.schedule.cron.expressions[0]"),
    "random cron": (task(schedule=cron("R * * * *")), "task.schedule.cron.expressions[0]"),
    "reboot": (task(schedule=cron("@reboot")), "task.schedule.cron.expressions[0]"),
    "overlong cron": (task(schedule=cron("0," * 200 + "0 * * * *")), "task.schedule.cron.expressions[0]"),
    "long ago": (
        task(schedule=schedule_pb2.Schedule(at=timestamp(NOW - timedelta(hours=25)))),
        "task.schedule.at",
    ),
    "unknown delivery": (task(delivery=3), "task.delivery"),
    "negative delivery": (task(delivery=-1), "task.delivery"),
    "after the year 9999": (
        task(schedule=schedule_pb2.Schedule(at=Timestamp(seconds=253_402_300_800))),
        "task.schedule.at",
    ),
    "garbled nanos": (task(schedule=schedule_pb2.Schedule(at=Timestamp(nanos=-5))), "task.schedule.at"),
    "negative delay": (
        task(schedule=schedule_pb2.Schedule(delay=Duration(seconds=-1))),
        "task.schedule.delay",
    ),
    "endless delay": (
        task(schedule=schedule_pb2.Schedule(delay=Duration(seconds=1 << 40))),
        "task.schedule.delay",
    ),
    "interval under 1 s": (task(schedule=every(nanos=999_999_999)), "task.schedule.interval.every"),
    "negative interval": (task(schedule=every(seconds=-5)), "task.schedule.interval.every"),
    "one time with an end": (
        task(schedule=schedule_pb2.Schedule(delay=Duration(seconds=1), end_time=timestamp(NOW))),
        "task.schedule.end_time",
    ),
    "nothing left of it": (
        task(
            schedule=schedule_pb2.Schedule(
                cron=schedule_pb2.CronSchedule(expressions=["0 9 * * *"]),
                exclusions=schedule_pb2.Exclusions(expressions=["* 9 * * *"]),
            )
        ),
        "task.schedule",
    ),
    "no interval": (
        task(schedule=schedule_pb2.Schedule(interval=schedule_pb2.IntervalSchedule())),
        "task.schedule.interval.every",
    ),
}


def details(error: grpc.aio.AioRpcError) -> tuple[list[str], str]:
    """The fields and the reason in an error's details."""
    fields, reason = [], ""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    for packed in status.details:
        bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        if packed.Unpack(bad):
            fields = [violation.field for violation in bad.field_violations]
        elif packed.Unpack(info):
            reason = info.reason
    return fields, reason


async def all_tasks(channel: grpc.aio.Channel, namespace: str = "") -> list[task_pb2.Task]:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    return list((await stub.ListTasks(task_service_pb2.ListTasksRequest(namespace=namespace))).tasks)


async def test_bad_tasks_name_their_field_and_leave_nothing_behind(channel: grpc.aio.Channel) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    for name, (bad, field) in BAD_TASKS.items():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateTask(task_service_pb2.CreateTaskRequest(task=bad))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, (name, caught.value.details())
        assert details(caught.value)[0] == [field], name
        assert field in (caught.value.details() or ""), name
    assert await all_tasks(channel) == []


async def test_a_batch_answers_for_each_task_on_its_own(channel: grpc.aio.Channel) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    bad = [bad for bad, _ in BAD_TASKS.values()]
    good = [task(id=f"good-{n}") for n in range(len(bad))]
    mixed = [t for pair in zip(bad, good, strict=True) for t in pair]
    response = await stub.BatchCreateTasks(task_service_pb2.BatchCreateTasksRequest(tasks=mixed))
    assert len(response.results) == len(mixed)
    for result in response.results[::2]:
        assert result.error.code == code_pb2.INVALID_ARGUMENT
    assert [r.task.id for r in response.results[1::2]] == [t.id for t in good]
    assert {t.id for t in await all_tasks(channel)} == {t.id for t in good}


async def test_all_fields_at_fault_are_named_at_once(channel: grpc.aio.Channel) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    bad = task_pb2.Task(id="i" * 201, namespace="a\tb", schedule=cron("nonsense"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CreateTask(task_service_pb2.CreateTaskRequest(task=bad))
    fields, reason = details(caught.value)
    assert fields == ["task.namespace", "task.id", "task.handler", "task.schedule.cron.expressions[0]"]
    assert reason == "INVALID_REQUEST"


async def test_an_unknown_delivery_says_what_is_known(channel: grpc.aio.Channel) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CreateTask(task_service_pb2.CreateTaskRequest(task=task(delivery=77)))
    assert "task.delivery: is 77, which this server does not know" in (caught.value.details() or "")


async def test_the_delivery_is_part_of_the_definition(channel: grpc.aio.Channel) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    least, most = task_pb2.DELIVERY_MODE_AT_LEAST_ONCE, task_pb2.DELIVERY_MODE_AT_MOST_ONCE

    async def create(task_id: str, delivery: task_pb2.DeliveryMode | None) -> task_pb2.DeliveryMode:
        given = {} if delivery is None else {"delivery": delivery}
        request = task_service_pb2.CreateTaskRequest(task=task(id=task_id, **given))
        return (await stub.CreateTask(request)).task.delivery

    assert await create("default", None) == await create("default", least) == least
    assert await create("once", most) == await create("once", most) == most
    for task_id, other in (("default", most), ("once", None), ("once", least)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await create(task_id, other)
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert {t.id: t.delivery for t in await all_tasks(channel)} == {"default": least, "once": most}
    got = await stub.GetTask(task_service_pb2.GetTaskRequest(id="once"))
    assert got.task.delivery == most


async def test_the_same_id_answers_as_the_first_call_did_or_says_that_it_is_taken(
    channel: grpc.aio.Channel,
) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    request = task_service_pb2.CreateTaskRequest(task=task(payload=b"1"))
    first = await stub.CreateTask(request)
    again = await stub.CreateTask(request)
    assert again.task == first.task
    for other in (
        task(payload=b"2"),
        task(payload=b"1", handler="echo"),
        task(payload=b"1", schedule=schedule_pb2.Schedule(delay=Duration(seconds=61))),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateTask(task_service_pb2.CreateTaskRequest(task=other))
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert details(caught.value)[1] == "ALREADY_EXISTS"
    (stored,) = await all_tasks(channel)
    assert stored.payload == b"1"


BAD_CALLS = {
    "GetTask without id": ("GetTask", task_service_pb2.GetTaskRequest(), "INVALID_ARGUMENT"),
    "GetTask of nothing": ("GetTask", task_service_pb2.GetTaskRequest(id="nothing"), "NOT_FOUND"),
    "CancelTask of nothing": ("CancelTask", task_service_pb2.CancelTaskRequest(id="nothing"), "NOT_FOUND"),
    "CreateTask of nothing": ("CreateTask", task_service_pb2.CreateTaskRequest(), "INVALID_ARGUMENT"),
    "empty batch": ("BatchCreateTasks", task_service_pb2.BatchCreateTasksRequest(), "INVALID_ARGUMENT"),
    "overlong batch": (
        "BatchCreateTasks",
        task_service_pb2.BatchCreateTasksRequest(tasks=[task()] * 1001),
        "INVALID_ARGUMENT",
    ),
    "bad page token": ("ListTasks", task_service_pb2.ListTasksRequest(page_token="!!"), "INVALID_ARGUMENT"),
    "page token of nowhere": (
        "ListTasks",
        task_service_pb2.ListTasksRequest(page_token="AAAA" * 8),
        "INVALID_ARGUMENT",
    ),
    "negative page size": ("ListTasks", task_service_pb2.ListTasksRequest(page_size=-1), "INVALID_ARGUMENT"),
    "giant page size": ("ListTasks", task_service_pb2.ListTasksRequest(page_size=1001), "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
async def test_bad_calls(channel: grpc.aio.Channel, case: str) -> None:
    method, request, code = BAD_CALLS[case]
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(request)
    assert caught.value.code().name == code, caught.value.details()


async def test_bad_ledger_calls(channel: grpc.aio.Channel) -> None:
    stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
    tasks = task_service_pb2_grpc.TaskServiceStub(channel)
    await tasks.CreateTask(task_service_pb2.CreateTaskRequest(task=task()))
    expected = {
        "INVALID_ARGUMENT": execution_service_pb2.GetExecutionRequest(),
        "NOT_FOUND": execution_service_pb2.GetExecutionRequest(task_id="nothing"),
    }
    for code, request in expected.items():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetExecution(request)
        assert caught.value.code().name == code
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetExecution(execution_service_pb2.GetExecutionRequest(task_id="t"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    late, early = timestamp(NOW), timestamp(NOW - timedelta(days=1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListExecutions(
            execution_service_pb2.ListExecutionsRequest(start_time=late, end_time=early)
        )
    assert details(caught.value)[0] == ["end_time"]


async def test_a_page_token_of_another_listing_is_refused(channel: grpc.aio.Channel) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    await stub.BatchCreateTasks(
        task_service_pb2.BatchCreateTasksRequest(tasks=[task(id=f"t{n}") for n in range(3)])
    )
    page = await stub.ListTasks(task_service_pb2.ListTasksRequest(page_size=2))
    rest = await stub.ListTasks(
        task_service_pb2.ListTasksRequest(page_size=2, page_token=page.next_page_token)
    )
    assert len(page.tasks) + len(rest.tasks) == 3
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListTasks(
            task_service_pb2.ListTasksRequest(namespace="other", page_token=page.next_page_token)
        )
    assert details(caught.value)[0] == ["page_token"]


async def test_bytes_that_are_no_message_are_the_callers_mistake(channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary("/mainspring.v1.TaskService/CreateTask")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_completed_task_cannot_be_cancelled(bench: Any, node: Any, client: MainspringClient) -> None:
    bench.start_executor(node.address)
    await client.create_task("noop", Delay(timedelta(0)), task_id="done")
    async with asyncio.timeout(10):
        while (await client.get_task("done")).state is not TaskState.COMPLETED:
            await asyncio.sleep(0.02)
    with pytest.raises(FailedPrecondition):
        await client.cancel_task("done")


async def test_a_page_of_long_schedules_stays_below_what_a_client_receives(channel: grpc.aio.Channel) -> None:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    dates = [(date(2027, 1, 1) + timedelta(days=n)).isoformat() for n in range(366)]
    exclusions = schedule_pb2.Exclusions(dates=dates)
    cron = schedule_pb2.CronSchedule(expressions=["0 9 * * *"])
    long = schedule_pb2.Schedule(cron=cron, exclusions=exclusions)
    for batch in range(4):
        tasks = [task(id=f"t{batch}-{n}", schedule=long) for n in range(250)]
        await stub.BatchCreateTasks(task_service_pb2.BatchCreateTasksRequest(tasks=tasks))
    listed: set[str] = set()
    token, pages = "", 0
    while token or not listed:
        page = await stub.ListTasks(task_service_pb2.ListTasksRequest(page_size=1_000, page_token=token))
        assert page.ByteSize() < 3 * 1024 * 1024
        listed |= {each.id for each in page.tasks}
        token, pages = page.next_page_token, pages + 1
    assert len(listed) == 1_000
    assert pages > 1
