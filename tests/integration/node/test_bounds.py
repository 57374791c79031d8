"""A maximum of executions and jitter on a real node."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.client import Execution, ExecutionState, MainspringClient
from mainspring.v1 import schedule_pb2, task_pb2, task_service_pb2, task_service_pb2_grpc

SECOND = timedelta(seconds=1)


@pytest.fixture
async def tasks(node: Any) -> AsyncIterator[task_service_pb2_grpc.TaskServiceStub]:
    """The node's TaskService."""
    async with grpc.aio.insecure_channel(node.address) as channel:
        yield task_service_pb2_grpc.TaskServiceStub(channel)


async def create(stub: Any, *tasks: task_pb2.Task) -> list[task_pb2.Task]:
    response = await stub.BatchCreateTasks(task_service_pb2.BatchCreateTasksRequest(tasks=tasks), timeout=10)
    assert not any(result.HasField("error") for result in response.results)
    return [result.task for result in response.results]


async def get(stub: Any, task_id: str) -> task_pb2.Task:
    response = await stub.GetTask(task_service_pb2.GetTaskRequest(id=task_id), timeout=10)
    return response.task  # type: ignore[no-any-return]


async def executions(client: MainspringClient, task_id: str | None = None) -> list[Execution]:
    return [execution async for execution in client.list_executions(task_id=task_id)]


def every_second(**bounds: Any) -> schedule_pb2.Schedule:
    interval = schedule_pb2.IntervalSchedule(every=Duration(seconds=1))
    return schedule_pb2.Schedule(interval=interval, **bounds)


def each_second(**bounds: Any) -> schedule_pb2.Schedule:
    return schedule_pb2.Schedule(cron=schedule_pb2.CronSchedule(expressions=["* * * * * *"]), **bounds)


async def test_a_task_completes_after_its_maximum_of_executions(
    bench: Any, node: Any, client: MainspringClient, tasks: Any
) -> None:
    bench.start_executor(node.address)
    bounded = {
        "interval": every_second(max_executions=3),
        "cron": each_second(max_executions=3),
        "fails": every_second(max_executions=3),
        "once": every_second(max_executions=1),
    }
    made = await create(
        tasks,
        task_pb2.Task(id="endless", handler="noop", schedule=every_second()),
        *(
            task_pb2.Task(id=name, handler="fail" if name == "fails" else "noop", schedule=schedule)
            for name, schedule in bounded.items()
        ),
    )
    assert {task.execution_count for task in made} == {0}

    async with asyncio.timeout(30):
        # What goes on for ever has been there well behind the last of what ends.
        while (await get(tasks, "endless")).execution_count < 6:
            await asyncio.sleep(0.05)

    for name, schedule in bounded.items():
        rows = await executions(client, name)
        task = await get(tasks, name)
        assert len(rows) == task.execution_count == schedule.max_executions, name
        assert task.state == task_pb2.TASK_STATE_COMPLETED
        assert not task.HasField("next_scheduled_time")
        wanted = ExecutionState.FAILED if name == "fails" else ExecutionState.SUCCEEDED
        assert {row.state for row in rows} == {wanted}
        times = sorted(row.scheduled_time for row in rows)
        assert times == [times[0] + n * SECOND for n in range(len(rows))]
    assert (await get(tasks, "endless")).state == task_pb2.TASK_STATE_ACTIVE


async def test_tasks_with_jitter_are_due_within_it_and_never_run_before(
    bench: Any, node: Any, client: MainspringClient, tasks: Any
) -> None:
    bench.start_executor(node.address)
    at = (datetime.now(UTC) + 2 * SECOND).replace(microsecond=0)
    herd_at = Timestamp()
    herd_at.FromDatetime(at)
    herd = schedule_pb2.Schedule(at=herd_at, jitter=Duration(seconds=3))
    await create(
        tasks,
        *(task_pb2.Task(id=f"herd-{n}", handler="noop", schedule=herd) for n in range(60)),
        task_pb2.Task(
            id="tight", handler="noop", schedule=each_second(max_executions=4, jitter=Duration(seconds=60))
        ),
        task_pb2.Task(
            id="loose",
            handler="noop",
            schedule=each_second(max_executions=4, jitter=Duration(nanos=200_000_000)),
        ),
    )

    async with asyncio.timeout(40):
        while len(rows := [row for row in await executions(client) if row.state.is_final]) < 68:
            await asyncio.sleep(0.05)

    jitters = {"tight": SECOND, "loose": SECOND / 5}
    offsets: dict[str, set[timedelta]] = {}
    for row in rows:
        assert row.due_time is not None
        assert row.claim_time is not None
        assert row.pick_up_time is not None
        kind = "herd" if row.task_id.startswith("herd") else row.task_id
        assert row.scheduled_time <= row.due_time < row.scheduled_time + jitters.get(kind, 3 * SECOND)
        assert row.due_time <= row.claim_time <= row.pick_up_time
        assert row.pick_up_time - row.due_time < 10 * SECOND
        offsets.setdefault(kind, set()).add(row.due_time - row.scheduled_time)
    assert len(offsets["herd"]) == 60
    assert max(offsets["herd"]) - min(offsets["herd"]) > 2 * SECOND
    assert len(offsets["tight"]) == len(offsets["loose"]) == 1
