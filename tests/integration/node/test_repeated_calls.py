"""Create calls that are made again: by id, by request id, after the task has ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.v1 import schedule_pb2, task_pb2, task_service_pb2, task_service_pb2_grpc

DAY_US = 86_400_000_000


@pytest.fixture
async def stub(node: Any) -> AsyncIterator[task_service_pb2_grpc.TaskServiceStub]:
    async with grpc.aio.insecure_channel(node.address) as channel:
        yield task_service_pb2_grpc.TaskServiceStub(channel)


async def _create(stub: Any, task: task_pb2.Task, request_id: str = "") -> task_pb2.Task:
    request = task_service_pb2.CreateTaskRequest(task=task, request_id=request_id)
    return (await stub.CreateTask(request, timeout=10)).task  # type: ignore[no-any-return]


def _at(us: int) -> schedule_pb2.Schedule:
    at = Timestamp()
    at.FromMicroseconds(us)
    return schedule_pb2.Schedule(at=at)


async def test_a_request_id_registers_one_task(bench: Any, node: Any, stub: Any) -> None:
    other = await bench.start_node()
    task = task_pb2.Task(handler="noop", schedule=schedule_pb2.Schedule(at=Timestamp(seconds=4_000_000_000)))
    async with grpc.aio.insecure_channel(other.address) as channel:
        stubs = [stub, task_service_pb2_grpc.TaskServiceStub(channel)]
        made = await asyncio.gather(*(_create(stubs[n % 2], task, "request 1") for n in range(20)))
    assert len({t.id for t in made}) == 1
    assert len(made[0].id) == 32
    assert (await _create(stub, task, "request 2")).id != made[0].id
    elsewhere = task_pb2.Task()
    elsewhere.CopyFrom(task)
    elsewhere.namespace = "elsewhere"
    assert (await _create(stub, elsewhere, "request 1")).id != made[0].id
    elsewhere.CopyFrom(task)
    elsewhere.handler = "echo"
    with pytest.raises(grpc.aio.AioRpcError) as conflict:
        await _create(stub, elsewhere, "request 1")
    assert conflict.value.code() is grpc.StatusCode.ALREADY_EXISTS
    elsewhere.id = "mine"
    with pytest.raises(grpc.aio.AioRpcError) as both:
        await _create(stub, elsewhere, "request 1")
    assert both.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_call_of_long_ago_answers_the_task_that_has_ended(bench: Any, node: Any, stub: Any) -> None:
    now_us = await node.store.database_time()
    bench.start_executor(node.address)
    soon_over = Timestamp()
    soon_over.FromMicroseconds(now_us + 3_000_000)
    cron = schedule_pb2.CronSchedule(expressions=["* * * * * *"])
    tasks = [
        # A time that passed is taken for 24 hours.
        task_pb2.Task(id="once", handler="noop", schedule=_at(now_us - DAY_US + 3_000_000)),
        task_pb2.Task(
            id="short", handler="noop", schedule=schedule_pb2.Schedule(cron=cron, end_time=soon_over)
        ),
    ]
    for task in tasks:
        await _create(stub, task)
    async with asyncio.timeout(20):
        for task in tasks:
            request = task_service_pb2.GetTaskRequest(id=task.id)
            while (await stub.GetTask(request, timeout=10)).task.state != task_pb2.TASK_STATE_COMPLETED:
                await asyncio.sleep(0.1)
        while await node.store.database_time() < now_us + 3_100_000:
            await asyncio.sleep(0.1)

    again = [await _create(stub, task) for task in tasks]
    assert {t.state for t in again} == {task_pb2.TASK_STATE_COMPLETED}
    assert min(t.execution_count for t in again) >= 1
    batch = task_service_pb2.BatchCreateTasksRequest(tasks=tasks)
    response = await stub.BatchCreateTasks(batch, timeout=10)
    assert [result.task for result in response.results] == again

    for task in tasks:
        task.handler = "echo"
        with pytest.raises(grpc.aio.AioRpcError) as other:
            await _create(stub, task)
        assert other.value.code() is grpc.StatusCode.INVALID_ARGUMENT, "another definition, and a wrong one"
    batch = task_service_pb2.BatchCreateTasksRequest(tasks=tasks)
    response = await stub.BatchCreateTasks(batch, timeout=10)
    assert [result.error.code for result in response.results] == [3, 3]
