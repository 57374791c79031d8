"""A process full of callers with plain stubs: `python -m benchmarks.client_process`, a `Work` as JSON on the command line.

Requests are built and serialised before the first call, answers are not looked into unless a next page depends on them: what
is measured is the server. It writes one `Done` as JSON into the file that it is told.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import grpc
import uvloop
from benchmarks.bulk import HANDLER, PAYLOAD, task_id
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.client.channel import open_channel
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.v1 import schedule_pb2, task_pb2, task_service_pb2

Kind = Literal["create", "batch", "update", "page"]
PAGE = 1_000
FAR_AHEAD_S = 86_400
_DEADLINE_S = 30.0
_SERVICE = "/mainspring.v1.TaskService/"
_METHODS: dict[Kind, str] = {
    "create": "CreateTask",
    "batch": "BatchCreateTasks",
    "update": "UpdateTask",
    "page": "ListTasks",
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a process does. It stops at `count` calls, or at `until_at`, whichever is first."""

    kind: Kind
    address: str
    namespace: str
    """The tasks': created there with the numbers from `first` on, or changed and listed, as far as they exist."""
    callers: int
    begin_at: int
    """When the calls begin, microseconds; the process is started earlier and prepares meanwhile."""
    out: str
    """The file of the result."""
    count: int = 0
    """Calls; for kinds that change or list, 0: until `until_at`."""
    until_at: int = 0
    rate: float = 0.0
    """Calls a second, begun whether or not earlier ones were answered as long as callers are free; 0: as fast as they go."""
    first: int = 0
    tasks: int = 1
    """Tasks of a batch; for an update, how many tasks to change in turn."""

    def to_json(self) -> str:
        """For the command line."""
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True)
class Done:
    """What a process did. Instants and durations in microseconds."""

    calls: int
    items: int
    """Tasks created, changed or listed."""
    errors: int
    from_at: int
    until_at: int
    cpu_s: float
    """From the begin on."""
    latencies_us: list[int]


def requests(work: Work) -> Iterator[bytes]:
    """The serialised requests, in order; endless for updates."""
    at = Timestamp(seconds=work.begin_at // SECOND_US + FAR_AHEAD_S)
    schedule = schedule_pb2.Schedule(at=at)

    def task(number: int, payload: bytes = PAYLOAD) -> task_pb2.Task:
        return task_pb2.Task(
            namespace=work.namespace,
            id=task_id(number),
            handler=HANDLER,
            payload=payload,
            schedule=schedule,
        )

    if work.kind == "create":
        for number in range(work.first, work.first + work.count):
            yield task_service_pb2.CreateTaskRequest(task=task(number)).SerializeToString()
    elif work.kind == "batch":
        for call in range(work.count):
            first = work.first + call * work.tasks
            tasks = [task(number) for number in range(first, first + work.tasks)]
            yield task_service_pb2.BatchCreateTasksRequest(tasks=tasks).SerializeToString()
    elif work.kind == "update":
        mask = FieldMask(paths=["payload"])
        for number in itertools.count():
            changed = task_pb2.Task(
                namespace=work.namespace,
                id=task_id(work.first + number % work.tasks),
                payload=f"change {number}".encode(),
            )
            yield task_service_pb2.UpdateTaskRequest(task=changed, update_mask=mask).SerializeToString()


class Caller:
    """Calls of one process."""

    def __init__(self, work: Work) -> None:
        """Prepare the requests."""
        self._work = work
        made = requests(work)
        self._requests = made if work.kind == "update" else iter(list(made))
        self._page_token = ""
        self._latencies_us: list[int] = []
        self._items = 0
        self._errors = 0
        self._last_at = 0

    async def run(self) -> Done:
        """Call until the work is done."""
        work = self._work
        channels = [open_channel(work.address) for _ in range(min(work.callers, 8))]
        for channel in channels:
            await channel.channel_ready()
        await sleep_until(work.begin_at)
        cpu_s = time.process_time()
        free = asyncio.Semaphore(work.callers)
        async with asyncio.TaskGroup() as group:
            if work.rate:
                await self._paced(group, free, [_method(channel, work.kind) for channel in channels])
            else:
                for number in range(work.callers):
                    group.create_task(self._repeat(_method(channels[number % len(channels)], work.kind)))
        cpu_s = time.process_time() - cpu_s
        for channel in channels:
            await channel.close()
        latencies_us = self._latencies_us
        return Done(
            len(latencies_us), self._items, self._errors, work.begin_at, self._last_at, cpu_s, latencies_us
        )

    async def _repeat(self, method: Callable[..., Awaitable[Any]]) -> None:
        while await self._call(method):
            pass

    async def _paced(
        self,
        group: asyncio.TaskGroup,
        free: asyncio.Semaphore,
        methods: Sequence[Callable[..., Awaitable[Any]]],
    ) -> None:
        begin_s = time.monotonic()

        async def call(number: int) -> None:
            try:
                await self._call(methods[number % len(methods)])
            finally:
                free.release()

        for number in itertools.count():
            await asyncio.sleep(max(0.0, begin_s + number / self._work.rate - time.monotonic()))
            await free.acquire()
            if self._is_over():
                return
            group.create_task(call(number))

    def _is_over(self) -> bool:
        return bool(self._work.until_at) and now_us() >= self._work.until_at

    async def _call(self, method: Callable[..., Awaitable[Any]]) -> bool:
        """One call; False when there is nothing left to do."""
        if self._is_over():
            return False
        if self._work.kind == "page":
            request = task_service_pb2.ListTasksRequest(
                namespace=self._work.namespace, page_size=PAGE, page_token=self._page_token
            ).SerializeToString()
        elif (request := next(self._requests, b"")) == b"":
            return False
        begin_s = time.monotonic()
        try:
            answer = await method(request, timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError:
            self._errors += 1
            return True
        self._latencies_us.append(round((time.monotonic() - begin_s) * SECOND_US))
        self._last_at = now_us()
        self._items += self._look_at(answer)
        return True

    def _look_at(self, answer: bytes) -> int:
        if self._work.kind == "page":
            page = task_service_pb2.ListTasksResponse.FromString(answer)
            self._page_token = page.next_page_token
            return len(page.tasks)
        if self._work.kind == "batch":
            results = task_service_pb2.BatchCreateTasksResponse.FromString(answer).results
            return sum(result.HasField("task") for result in results)
        return 1


def _method(channel: grpc.aio.Channel, kind: Kind) -> Callable[..., Awaitable[Any]]:
    """The method with bytes in and bytes out."""
    return channel.unary_unary(_SERVICE + _METHODS[kind])


def main() -> int:
    """Do the work of the command line."""
    work = Work(**json.loads(sys.argv[1]))
    done = uvloop.run(Caller(work).run())
    Path(work.out).write_text(json.dumps(dataclasses.asdict(done)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
