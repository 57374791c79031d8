"""AdjustExecution in a race with the fire of its own scheduled time: who comes first decides, wholly.

An adjustment that was acknowledged is what happened: by the ledger, and by the executor's own run log. One that was refused
came after the claim, and the execution went as the task says. Half of the calls reach a node that does not own the task.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from integration.node.test_nothing_old_is_sent import AHEAD_S, HERD, Cluster, _until_shared

from mainspring.v1 import (
    execution_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
)

EARLY_S, LATE_S = 0.04, 0.03
"""How long before and after the scheduled time a call is made: some come before the claim, some in it, some after."""
PUT_OFF_US = 1_500_000
KINDS = ("skip", "due_time", "payload")


class Answered(NamedTuple):
    """A call and whether it came first."""

    task_id: str
    scheduled_at: int
    is_acknowledged: bool


def _stamp(at_us: int) -> Timestamp:
    return Timestamp(seconds=at_us // 1_000_000, nanos=at_us % 1_000_000 * 1_000)


@pytest.fixture
async def cluster(bench: Any) -> AsyncIterator[Cluster]:
    nodes = [await bench.start_node(), await bench.start_node()]
    bench.start_executor(nodes[0].address, capacity=200)
    made = Cluster(bench, [node.address for node in nodes])
    await _until_shared(made)
    yield made
    for channel in made.channels:
        await channel.close()


async def _race(cluster: Cluster, kind: str, herd: int, rng: random.Random) -> list[Answered]:
    """A herd that is due at one instant, each task with a call about that very time at about that instant."""
    at_us = int((time.time() + AHEAD_S) * 1_000_000)
    schedule = schedule_pb2.Schedule(
        interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=3_600)), start_time=_stamp(at_us)
    )
    ids = [f"{kind}-{herd}-{n}" for n in range(HERD)]
    await cluster.tasks[0].BatchCreateTasks(
        task_service_pb2.BatchCreateTasksRequest(
            tasks=[
                task_pb2.Task(id=task_id, handler="echo", payload=b"usual", schedule=schedule)
                for task_id in ids
            ]
        )
    )
    stubs = [execution_service_pb2_grpc.ExecutionServiceStub(channel) for channel in cluster.channels]
    how: dict[str, Any] = {"skip": True, "due_time": _stamp(at_us + PUT_OFF_US), "payload": b"own"}

    async def call(task_id: str) -> Answered:
        request = execution_service_pb2.AdjustExecutionRequest(
            task_id=task_id, scheduled_time=_stamp(at_us), **{kind: how[kind]}
        )
        await asyncio.sleep(max(0.0, at_us / 1e6 + rng.uniform(-EARLY_S, LATE_S) - time.time()))
        try:
            await rng.choice(stubs).AdjustExecution(request)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, error.details()  # noqa: PT017
            return Answered(task_id, at_us, is_acknowledged=False)
        return Answered(task_id, at_us, is_acknowledged=True)

    return list(await asyncio.gather(*(call(task_id) for task_id in ids)))


async def _judge(cluster: Cluster, kind: str, answers: list[Answered]) -> Counter[bool]:
    """Waits for the one execution of each task, then asks each witness."""
    rows: dict[str, execution_pb2.Execution] = {}
    async with asyncio.timeout(60):
        for answer in answers:
            found = await cluster.executions(answer.task_id)
            while not found or any(row.state < execution_pb2.EXECUTION_STATE_SUCCEEDED for row in found):
                await asyncio.sleep(0.05)
                found = await cluster.executions(answer.task_id)
            (rows[answer.task_id],) = found
    starts = cluster.started()
    for answer in answers:
        row, begun = rows[answer.task_id], starts.get(answer.task_id, [])
        assert row.scheduled_time == _stamp(answer.scheduled_at)
        if kind == "skip" and answer.is_acknowledged:
            assert (row.state, begun) == (execution_pb2.EXECUTION_STATE_SKIPPED, []), row
            continue
        assert (row.state, len(begun)) == (execution_pb2.EXECUTION_STATE_SUCCEEDED, 1), row
        is_put_off = kind == "due_time" and answer.is_acknowledged
        due_us = answer.scheduled_at + (PUT_OFF_US if is_put_off else 0)
        assert row.due_time == _stamp(due_us), row
        assert begun[0] >= due_us - 1_000, f"{answer.task_id} began {due_us - begun[0]} us early"
        assert row.pick_up_time.ToMicroseconds() - due_us <= 10_000_000, row
        whole = await cluster.ledger.GetExecution(
            execution_service_pb2.GetExecutionRequest(
                task_id=answer.task_id, scheduled_time=row.scheduled_time
            )
        )
        is_own = kind == "payload" and answer.is_acknowledged
        assert whole.execution.result == (b"own" if is_own else b"usual"), row
    return Counter(answer.is_acknowledged for answer in answers)


async def _races(cluster: Cluster, kind: str, herds: int) -> None:
    rng = random.Random(f"{kind} {herds}")
    answers = [answer for herd in range(herds) for answer in await _race(cluster, kind, herd, rng)]
    came_first = await _judge(cluster, kind, answers)
    print(kind, dict(came_first))
    assert came_first[True] > 0, "no call came first: nothing was raced"
    assert came_first[False] > 0, "no fire came first: nothing was raced"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_acknowledged_is_what_happens(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_acknowledged_is_what_happens_in_a_thousand_races(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, 1_000 // HERD)
