"""Life-cycle calls in a race with the fires of their tasks: what is acknowledged holds from then on (I5).

Two nodes, so that half of the calls reach a node that does not own the task. The witness is the executor's own run log: no
start of an older version is later than the acknowledgement. Which version an execution ran says the ledger.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
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

HERD = 50
AHEAD_S = 1.0
EARLY_S, LATE_S = 0.01, 0.05
"""How long before and after the scheduled time a call is made: some come before the claim, some in it, some after."""


class Acknowledged(NamedTuple):
    """A call that was answered."""

    task_id: str
    version: int
    at: int
    """When the caller had the answer, microseconds of this machine."""


class Cluster:
    """Two nodes, an executor, and stubs of both."""

    def __init__(self, bench: Any, addresses: list[str]) -> None:
        self._bench = bench
        self.channels = [grpc.aio.insecure_channel(address) for address in addresses]
        self.tasks: list[Any] = [task_service_pb2_grpc.TaskServiceStub(channel) for channel in self.channels]
        self.ledger: Any = execution_service_pb2_grpc.ExecutionServiceStub(self.channels[0])

    def started(self) -> dict[str, list[int]]:
        """When executions of each task began, by the run log."""
        starts: dict[str, list[int]] = {}
        for line in (self._bench.folder / "executor-1.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "start":
                starts.setdefault(event["task_id"], []).append(event["at"])
        return starts

    async def executions(self, task_id: str) -> list[execution_pb2.Execution]:
        answer = await self.ledger.ListExecutions(
            execution_service_pb2.ListExecutionsRequest(task_id=task_id)
        )
        return list(answer.executions)


@pytest.fixture
async def cluster(bench: Any) -> Any:
    nodes = [await bench.start_node(), await bench.start_node()]
    bench.start_executor(nodes[0].address, capacity=200)
    made = Cluster(bench, [node.address for node in nodes])
    await _until_shared(made)
    yield made
    for channel in made.channels:
        await channel.close()


async def _until_shared(cluster: Cluster) -> None:
    """Both nodes own partitions, and the executor has a stream to each: tasks of 40 ids run, at both nodes."""
    request = task_service_pb2.BatchCreateTasksRequest(
        tasks=[
            task_pb2.Task(id=f"first-{n}", handler="noop", schedule=schedule_pb2.Schedule(delay=Duration()))
            for n in range(40)
        ]
    )
    await cluster.tasks[0].BatchCreateTasks(request)
    async with asyncio.timeout(20):
        while True:
            rows = [row for n in range(40) for row in await cluster.executions(f"first-{n}")]
            if len(rows) == 40 and all(row.state == execution_pb2.EXECUTION_STATE_SUCCEEDED for row in rows):
                return
            await asyncio.sleep(0.05)


Call = Callable[[Any, str], Awaitable[Any]]


def _pause(stub: Any, task_id: str) -> Awaitable[Any]:
    return stub.PauseTask(task_service_pb2.PauseTaskRequest(id=task_id, note="race"))  # type: ignore[no-any-return]


def _cancel(stub: Any, task_id: str) -> Awaitable[Any]:
    return stub.CancelTask(task_service_pb2.CancelTaskRequest(id=task_id))  # type: ignore[no-any-return]


def _update(stub: Any, task_id: str) -> Awaitable[Any]:
    request = task_service_pb2.UpdateTaskRequest(
        task=task_pb2.Task(id=task_id, payload=b"new"), update_mask=FieldMask(paths=["payload"])
    )
    return stub.UpdateTask(request)  # type: ignore[no-any-return]


CALLS: dict[str, Call] = {"pause": _pause, "cancel": _cancel, "update": _update}


async def _race(cluster: Cluster, kind: str, herd: int, rng: random.Random) -> list[Acknowledged]:
    """A herd that is due at one instant, each task with a call at about that instant, at either node."""
    at_s = time.time() + AHEAD_S
    schedule = schedule_pb2.Schedule(
        interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=3_600)),
        start_time=Timestamp(seconds=int(at_s), nanos=int(at_s % 1 * 1e6) * 1_000),
    )
    ids = [f"{kind}-{herd}-{n}" for n in range(HERD)]
    await cluster.tasks[0].BatchCreateTasks(
        task_service_pb2.BatchCreateTasksRequest(
            tasks=[task_pb2.Task(id=task_id, handler="noop", schedule=schedule) for task_id in ids]
        )
    )

    async def call(task_id: str) -> Acknowledged:
        await asyncio.sleep(max(0.0, at_s + rng.uniform(-EARLY_S, LATE_S) - time.time()))
        answer = await CALLS[kind](rng.choice(cluster.tasks), task_id)
        return Acknowledged(task_id, answer.task.version, time.time_ns() // 1_000)

    return list(await asyncio.gather(*(call(task_id) for task_id in ids)))


async def _judge(cluster: Cluster, acknowledged: list[Acknowledged]) -> Counter[str]:
    """Waits until nothing of the tasks is open, then asks each witness; answers how the races went."""
    ledger: dict[str, list[execution_pb2.Execution]] = {}
    async with asyncio.timeout(30):
        for ack in acknowledged:
            rows = await cluster.executions(ack.task_id)
            while any(row.state < execution_pb2.EXECUTION_STATE_SUCCEEDED for row in rows):
                await asyncio.sleep(0.05)
                rows = await cluster.executions(ack.task_id)
            ledger[ack.task_id] = rows
    starts = cluster.started()
    courses: Counter[str] = Counter()
    for ack in acknowledged:
        old = [row for row in ledger[ack.task_id] if row.task_version < ack.version]
        for row in old:
            ran = row.state == execution_pb2.EXECUTION_STATE_SUCCEEDED
            assert ran == (ack.task_id in starts), row
            assert ran or row.state == execution_pb2.EXECUTION_STATE_CANCELLED, row
            courses["ran" if ran else "cancelled"] += 1
        if old and ack.task_id in starts:
            late_us = starts[ack.task_id][0] - ack.at
            assert late_us <= 0, (
                f"{ack.task_id} began {late_us} us after version {ack.version} was acknowledged"
            )
        courses["not fired"] += not ledger[ack.task_id]
        courses["ran the new one"] += len(ledger[ack.task_id]) - len(old)
    return courses


async def _races(cluster: Cluster, kind: str, herds: int) -> None:
    rng = random.Random(f"{kind} {herds}")
    acknowledged = [ack for herd in range(herds) for ack in await _race(cluster, kind, herd, rng)]
    courses = await _judge(cluster, acknowledged)
    print(kind, dict(courses))
    assert courses["ran"] > 0, "no fire came first: nothing was raced"
    assert courses["not fired"] + courses["ran the new one"] > 0, "no call came first: nothing was raced"
    if kind != "update":
        assert courses["ran the new one"] == 0


@pytest.mark.parametrize("kind", CALLS)
async def test_nothing_older_begins_after_a_call_is_acknowledged(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CALLS)
async def test_nothing_older_begins_in_a_thousand_races(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, 1_000 // HERD)
