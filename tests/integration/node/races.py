"""What a race of calls with fires needs: two nodes, so that half of the calls reach one that does not own the task, herds of
tasks that are due at one instant, and the witness: the executor's own log of starts."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.server.core.instants import SECOND_US
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
AHEAD_US = SECOND_US
EVERY_S = 3_600
EARLY_US, LATE_US = 80_000, 40_000
"""How long before and after the scheduled time a call is made: some come before the claim, some in it, some after."""
MOST_HERDS = 60
"""After so many without both courses of a race something is wrong."""
WITHIN_S = 30.0


class Start(NamedTuple):
    """The beginning of a handler, by the executor's log; microseconds of this machine."""

    scheduled_at: int
    attempt: int
    at: int


class Herd(NamedTuple):
    """Tasks that are due at one instant, with a label in common."""

    name: str
    ids: list[str]
    at: int
    """Their first scheduled time; the next one is an hour later."""


def now_us() -> int:
    """This machine's time."""
    return time.time_ns() // 1_000


def stamp(at: int) -> Timestamp:
    """An instant for a request."""
    return Timestamp(seconds=at // SECOND_US, nanos=at % SECOND_US * 1_000)


class Cluster:
    """Two nodes, an executor, and stubs of both."""

    def __init__(self, bench: Any, addresses: list[str], seed: str) -> None:
        self._bench = bench
        self.rng = random.Random(seed)
        self.channels = [grpc.aio.insecure_channel(address) for address in addresses]
        self.tasks: list[Any] = [task_service_pb2_grpc.TaskServiceStub(channel) for channel in self.channels]
        self.ledgers: list[Any] = [
            execution_service_pb2_grpc.ExecutionServiceStub(channel) for channel in self.channels
        ]
        self._herds = 0
        self._passed = 0

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self.channels:
            await channel.close()

    def any_node(self) -> Any:
        """The tasks of one of the nodes."""
        return self.rng.choice(self.tasks)

    def starts(self) -> dict[str, list[Start]]:
        """When executions of each task began."""
        starts: dict[str, list[Start]] = {}
        for line in (self._bench.folder / "executor-1.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "start":
                start = Start(event["scheduled_at"], event["attempt"], event["at"])
                starts.setdefault(event["task_id"], []).append(start)
        return starts

    async def executions(self, task_id: str) -> list[execution_pb2.Execution]:
        """Newest first."""
        request = execution_service_pb2.ListExecutionsRequest(task_id=task_id)
        return list((await self.ledgers[0].ListExecutions(request)).executions)

    async def ended(self, task_id: str, least: int = 0) -> list[execution_pb2.Execution]:
        """The same, once there are so many and all of them are final."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                rows = await self.executions(task_id)
                if len(rows) >= least and all(
                    row.state >= execution_pb2.EXECUTION_STATE_SUCCEEDED for row in rows
                ):
                    return rows
                await asyncio.sleep(0.05)

    async def herd(self, kind: str, *, ahead_us: int = AHEAD_US, past: int = 0, **fields: Any) -> Herd:
        """Registers tasks.

        Args:
            ahead_us: when they are due, from now on.
            past: so many of their scheduled times lie in the past.
            fields: of the tasks.
        """
        self._herds += 1
        name = f"{kind}-{self._herds}"
        at = now_us() + ahead_us
        schedule = schedule_pb2.Schedule(
            interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=EVERY_S)),
            start_time=stamp(at - past * EVERY_S * SECOND_US),
        )
        fields = {"handler": "noop", "schedule": schedule, "labels": {"herd": name}, **fields}
        ids = [f"{name}-{n}" for n in range(HERD)]
        answer = await self.tasks[0].BatchCreateTasks(
            task_service_pb2.BatchCreateTasksRequest(
                tasks=[task_pb2.Task(id=task_id, **fields) for task_id in ids]
            )
        )
        assert len(answer.results) == HERD
        return Herd(name, ids, at)

    async def about(self, at: int) -> None:
        """Waits until a moment before or after an instant."""
        moment = at + self.rng.randint(-EARLY_US, LATE_US)
        await asyncio.sleep(max(0, moment - now_us()) / 1e6)

    async def change(self, herd: Herd, change: task_service_pb2.TaskChange) -> int:
        """One call for all tasks of a herd; answers how many it has changed."""
        request = task_service_pb2.ChangeTasksRequest(
            filter=task_service_pb2.TaskFilter(labels={"herd": herd.name}), change=change
        )
        return int((await self.any_node().ChangeTasks(request)).changed_count)

    async def all_pass(self) -> None:
        """Both nodes do what they had to do by now: 40 tasks that are due after it run, at both nodes."""
        self._passed += 1
        ids = [f"pass-{self._passed}-{n}" for n in range(40)]
        schedule = schedule_pb2.Schedule(delay=Duration())
        await self.tasks[0].BatchCreateTasks(
            task_service_pb2.BatchCreateTasksRequest(
                tasks=[task_pb2.Task(id=task_id, handler="noop", schedule=schedule) for task_id in ids]
            )
        )
        for task_id in ids:
            rows = await self.ended(task_id, least=1)
            assert [row.state for row in rows] == [execution_pb2.EXECUTION_STATE_SUCCEEDED]


@asynccontextmanager
async def racing_cluster(bench: Any, seed: str) -> AsyncIterator[Cluster]:
    """A cluster whose nodes both own partitions and have the executor."""
    nodes = [await bench.start_node(), await bench.start_node()]
    bench.start_executor(nodes[0].address, capacity=200)
    cluster = Cluster(bench, [node.address for node in nodes], seed)
    try:
        await cluster.all_pass()
        yield cluster
    finally:
        await cluster.close()


async def accepted(call: Callable[[], Awaitable[Any]], *refusals: grpc.StatusCode) -> Any:
    """Calls until it is not refused that way any more."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in refusals:
                    raise
