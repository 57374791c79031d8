"""The calls that tests of policies need, as generated stubs have them, and a handler that notes what it does."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any, NamedTuple

import grpc.aio
from google.protobuf import json_format

from mainspring.executor import HandlerRegistry, Job
from mainspring.server.core.instants import SECOND_US
from mainspring.v1 import execution_pb2 as pb
from mainspring.v1 import (
    execution_service_pb2,
    execution_service_pb2_grpc,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)


class Api:
    """Registers and cancels tasks and reads their ledgers, over one node."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self._tasks = task_service_pb2_grpc.TaskServiceStub(self.channel)
        self._executions = execution_service_pb2_grpc.ExecutionServiceStub(self.channel)

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()

    async def create(self, task_id: str, handler: str, **fields: Any) -> None:
        """Registers a task; by default it fires each second."""
        task = {
            "id": task_id,
            "handler": handler,
            "schedule": {"cron": {"expressions": ["* * * * * *"], "time_zone": "UTC"}},
            **fields,
        }
        request = task_service_pb2.CreateTaskRequest(task=json_format.ParseDict(task, task_pb2.Task()))
        await self._tasks.CreateTask(request, timeout=10)

    async def cancel(self, task_id: str) -> None:
        """Cancels a task: nothing more becomes due."""
        await self._tasks.CancelTask(task_service_pb2.CancelTaskRequest(id=task_id), timeout=10)

    async def state(self, task_id: str) -> int:
        """The state of a task."""
        request = task_service_pb2.GetTaskRequest(id=task_id)
        answer = await self._tasks.GetTask(request, timeout=10)
        return int(answer.task.state)

    async def rows(self, task_id: str) -> list[pb.Execution]:
        """The executions of a task, oldest first."""
        request = execution_service_pb2.ListExecutionsRequest(task_id=task_id, page_size=1_000)
        answer = await self._executions.ListExecutions(request, timeout=10)
        return list(reversed(answer.executions))


class Span(NamedTuple):
    """One run of a handler, seconds on the monotonic clock."""

    task_id: str
    scheduled_s: int
    begun_s: float
    ended_s: float


class Notebook:
    """A handler "slow" that takes so many seconds, and what it did. May be offered by several executors."""

    def __init__(self, takes_s: float) -> None:
        self.spans: list[Span] = []
        self.under_way = 0
        self.registry = HandlerRegistry()

        @self.registry.handler("slow")
        async def slow(job: Job) -> None:
            begun_s = time.monotonic()
            self.under_way += 1
            try:
                await asyncio.sleep(takes_s)
            finally:
                self.under_way -= 1
                self.spans.append(Span(job.task_id, job.scheduled_at // SECOND_US, begun_s, time.monotonic()))

    def of(self, task_id: str) -> list[Span]:
        """The ended runs of a task, by their beginnings."""
        return sorted((span for span in self.spans if span.task_id == task_id), key=lambda span: span.begun_s)

    def overlaps(self, task_id: str) -> int:
        """How many runs of a task began before the one before had ended."""
        return sum(after.begun_s < before.ended_s for before, after in itertools.pairwise(self.of(task_id)))


def seconds_of(row: pb.Execution) -> int:
    """The scheduled time, in whole seconds."""
    return int(row.scheduled_time.seconds)
