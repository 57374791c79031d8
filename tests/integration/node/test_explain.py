"""ExplainExecution on a real node: did it run, and if not why."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.v1 import (
    execution_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

Response = execution_service_pb2.ExplainExecutionResponse


@pytest.fixture
async def channel(node: Any) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(node.address) as made:
        yield made


async def _explain(channel: grpc.aio.Channel, task_id: str, at: datetime | None = None) -> Response:
    stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
    request = execution_service_pb2.ExplainExecutionRequest(task_id=task_id)
    if at is not None:
        request.scheduled_time.FromDatetime(at)
    return await stub.ExplainExecution(request, timeout=10)  # type: ignore[no-any-return]


async def _create(channel: grpc.aio.Channel, task: task_pb2.Task) -> task_pb2.Task:
    stub = task_service_pb2_grpc.TaskServiceStub(channel)
    response = await stub.CreateTask(task_service_pb2.CreateTaskRequest(task=task), timeout=10)
    return response.task  # type: ignore[no-any-return]


async def test_a_run_is_explained_stage_by_stage(bench: Any, node: Any, channel: grpc.aio.Channel) -> None:
    bench.start_executor(node.address)
    at = Timestamp()
    at.GetCurrentTime()
    task = task_pb2.Task(id="t", handler="fail", payload=b"no route", schedule=schedule_pb2.Schedule(at=at))
    task.lateness_objective.CopyFrom(Duration(seconds=5))
    await _create(channel, task)
    async with asyncio.timeout(10):
        while True:
            try:
                explained = await _explain(channel, "t")
            except grpc.aio.AioRpcError:
                explained = Response()
            if explained.execution.state == execution_pb2.EXECUTION_STATE_FAILED:
                break
            await asyncio.sleep(0.05)

    assert "failed after" in explained.summary
    assert "no route" in explained.summary
    assert [stage.name for stage in explained.stages][-6:] == [
        "due",
        "claimed",
        "dispatched",
        "picked up",
        "finished",
        "saved",
    ]
    total_us = sum(stage.duration.ToMicroseconds() for stage in explained.stages[-5:-2])
    assert 0 < explained.lateness.ToMicroseconds() <= total_us + 1
    assert explained.lateness_objective.ToSeconds() == 5
    assert explained.broken_stage == ""


async def test_why_there_is_none(channel: grpc.aio.Channel) -> None:
    now = datetime.now(UTC).replace(microsecond=0, second=0)
    schedule = schedule_pb2.Schedule(
        cron=schedule_pb2.CronSchedule(expressions=["0 2 * * *"], time_zone="UTC")
    )
    await _create(channel, task_pb2.Task(id="nightly", handler="noop", schedule=schedule))
    tomorrow = now.replace(hour=2, minute=0) + timedelta(days=1 if now.hour >= 2 else 0)

    async def answer(at: datetime) -> str:
        explained = await _explain(channel, "nightly", at)
        assert not explained.HasField("execution")
        assert not explained.HasField("lateness")
        return explained.summary

    assert "still to come" in await answer(tomorrow + timedelta(days=1))
    assert "registered after that" in await answer(tomorrow - timedelta(days=2))
    assert "no time of the schedule" in await answer(tomorrow + timedelta(minutes=1))
    tasks = task_service_pb2_grpc.TaskServiceStub(channel)
    await tasks.CancelTask(task_service_pb2.CancelTaskRequest(id="nightly"), timeout=10)
    assert "was cancelled before" in await answer(tomorrow)
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await _explain(channel, "nobody", tomorrow)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as nothing:
        await _explain(channel, "nightly")
    assert nothing.value.code() is grpc.StatusCode.NOT_FOUND
