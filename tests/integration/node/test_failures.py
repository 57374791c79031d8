"""Retries, timeouts, progress and cancels on a real node with real executors and real handlers, asyncio and threads."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import pytest
from google.protobuf import json_format
from integration.node.test_main_job import eventually

from mainspring.executor import HandlerRegistry, Job
from mainspring.server.core.model import ExecutionRef
from mainspring.server.engine.engine import Engine
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.v1 import execution_pb2 as pb
from mainspring.v1 import (
    execution_service_pb2,
    execution_service_pb2_grpc,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

DEADLINE_S = 20.0
"""Bounds every wait of a handler; nothing is expected to come near it."""


class Api:
    """The calls these tests need, as generated stubs have them."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self._tasks = task_service_pb2_grpc.TaskServiceStub(self.channel)
        self._executions = execution_service_pb2_grpc.ExecutionServiceStub(self.channel)

    async def create(self, task_id: str, handler: str, **fields: Any) -> None:
        """Registers a one-time task that is due now."""
        task = {"id": task_id, "handler": handler, "schedule": {"delay": "0s"}, **fields}
        request = task_service_pb2.CreateTaskRequest(task=json_format.ParseDict(task, task_pb2.Task()))
        await self._tasks.CreateTask(request, timeout=10)

    async def get(self, task_id: str) -> pb.Execution | None:
        """The execution of a task, once there is one."""
        request = execution_service_pb2.GetExecutionRequest(task_id=task_id)
        try:
            return (await self._executions.GetExecution(request, timeout=10)).execution
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise

    async def until(
        self, task_id: str, holds: Callable[[pb.Execution], object], within_s: float = 20
    ) -> pb.Execution:
        """Waits until an execution is there and something holds of it."""
        found: pb.Execution = await eventually(
            lambda: self.get(task_id), lambda row: row is not None and holds(row), within_s
        )
        return found

    async def ended(self, task_id: str, within_s: float = 20) -> pb.Execution:
        return await self.until(task_id, lambda row: row.state >= pb.EXECUTION_STATE_SUCCEEDED, within_s)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """The engines of the nodes that are started, in order."""
    made: list[Engine] = []

    class KeptEngine(Engine):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr("mainspring.server.node.Engine", KeptEngine)
    return made


@pytest.fixture
async def api(node: Any) -> AsyncIterator[Api]:
    made = Api(node.address)
    yield made
    await made.channel.close()


def ref_of(node: Any, task_id: str, row: pb.Execution) -> ExecutionRef:
    key = task_key("default", task_id)
    return ExecutionRef(
        partition_of(key, node.store.partition_count), row.scheduled_time.ToMicroseconds(), key
    )


async def test_a_failed_attempt_is_followed_by_others_after_their_waits(
    bench: Any, node: Any, api: Api
) -> None:
    registry = HandlerRegistry()
    begun_at_s: list[float] = []

    @registry.handler("flaky")
    async def flaky(job: Job) -> str:
        begun_at_s.append(time.monotonic())
        if job.attempt < 3:
            raise ConnectionError(f"attempt {job.attempt}")
        return f"attempt {job.attempt}"

    @registry.handler("broken")
    def broken(_: Job) -> None:
        raise KeyError("no use")

    bench.start_executor(node.address, registry=registry)
    retry = {"max_attempts": 5, "initial_backoff": "1s", "non_retryable_error_kinds": ["KeyError"]}
    await api.create("flaky", "flaky", retry=retry)
    await api.create("broken", "broken", retry=retry)
    waiting = await api.until("flaky", lambda row: row.failure_count)
    assert waiting.state == pb.EXECUTION_STATE_WAITING
    assert waiting.HasField("retry_time")
    assert (waiting.error_kind, waiting.reason) == ("ConnectionError", "ConnectionError: attempt 1")
    done = await api.ended("flaky")
    assert (done.state, done.attempt, done.failure_count) == (pb.EXECUTION_STATE_SUCCEEDED, 3, 2)
    assert (done.result, done.reason) == (b"attempt 3", "")
    first, second, third = begun_at_s
    assert 1 <= second - first < third - second
    assert third - second >= 2
    ended = await api.ended("broken")
    assert (ended.state, ended.attempt, ended.error_kind) == (pb.EXECUTION_STATE_FAILED, 1, "KeyError")


async def test_a_retry_outlives_the_node_that_decided_it(bench: Any, node: Any, api: Api) -> None:
    registry = HandlerRegistry()

    @registry.handler("once-more")
    async def once_more(job: Job) -> None:
        if job.attempt == 1:
            raise ValueError("not yet")

    bench.start_executor(node.address, registry=registry)
    await api.create("t", "once-more", retry={"max_attempts": 2, "initial_backoff": "6s"})
    waiting = await api.until("t", lambda row: row.failure_count)
    await node.vanish()
    after = await bench.start_node()
    bench.start_executor(after.address, registry=registry, executor_id="executor-2")
    other = Api(after.address)
    try:
        done = await other.ended("t", within_s=30)
    finally:
        await other.channel.close()
    assert (done.state, done.attempt, done.failure_count) == (pb.EXECUTION_STATE_SUCCEEDED, 2, 1)
    assert done.node_id != waiting.node_id
    assert done.pick_up_time.ToMicroseconds() >= waiting.retry_time.ToMicroseconds()


async def test_cancels_reach_user_code(bench: Any, node: Any, api: Api, engines: list[Engine]) -> None:
    registry = HandlerRegistry()
    running: dict[str, threading.Event] = {}

    def begin(job: Job) -> None:
        running.setdefault(job.task_id, threading.Event()).set()

    @registry.handler("async")
    async def on_the_loop(job: Job) -> str:
        begin(job)
        try:
            await asyncio.sleep(DEADLINE_S)
        except asyncio.CancelledError:
            if job.task_id == "swallows":
                return "tidied up"
            if job.task_id == "raises":
                raise RuntimeError("could not tidy up") from None
            raise
        return "was not cancelled"

    @registry.handler("thread")
    def on_a_thread(job: Job) -> None:
        begin(job)
        assert job.wait_until_cancelled(DEADLINE_S)
        assert job.is_cancelled
        job.raise_if_cancelled()

    bench.start_executor(node.address, registry=registry)
    handlers = {"plain": "async", "swallows": "async", "raises": "async", "thread": "thread"}
    for task_id, handler in handlers.items():
        await api.create(task_id, handler, retry={"max_attempts": 9})

        async def has_begun(task_id: str = task_id) -> bool:
            return task_id in running

        await eventually(has_begun, bool)
        row = await api.until(task_id, lambda row: True)
        assert await engines[0].cancel_execution(ref_of(node, task_id, row), "enough")
    rows = {task_id: await api.ended(task_id) for task_id in handlers}
    told = "a call asked to stop it (enough)"
    assert {task_id: (row.state, row.reason, row.attempt) for task_id, row in rows.items()} == {
        "plain": (pb.EXECUTION_STATE_CANCELLED, told, 1),
        "swallows": (pb.EXECUTION_STATE_SUCCEEDED, told, 1),
        "raises": (pb.EXECUTION_STATE_FAILED, "RuntimeError: could not tidy up", 1),
        "thread": (pb.EXECUTION_STATE_CANCELLED, told, 1),
    }
    assert rows["swallows"].result == b"tidied up"


async def test_slow_and_silent_handlers_are_stopped_and_what_starts_too_late_does_not(
    bench: Any, node: Any, api: Api
) -> None:
    await api.create("late", "quick", timeouts={"schedule_to_start": "1s"})
    stopped: list[str] = []
    registry = HandlerRegistry()

    @registry.handler("quick")
    async def quick(_: Job) -> None:
        raise AssertionError("it was too late to start")

    @registry.handler("slow")
    async def slow(job: Job) -> str:
        if job.attempt == 2:
            return "in time"
        try:
            while True:
                job.heartbeat()
                await asyncio.sleep(0.2)
        finally:
            stopped.append(job.task_id)

    @registry.handler("silent")
    def silent(job: Job) -> None:
        for _ in range(3):
            job.heartbeat()
            job.wait_until_cancelled(0.6)
        job.wait_until_cancelled(DEADLINE_S)
        stopped.append(job.task_id)
        job.raise_if_cancelled()

    await asyncio.sleep(1.5)
    bench.start_executor(node.address, registry=registry)
    once_more = {"max_attempts": 2, "initial_backoff": "0s"}
    await api.create("slow", "slow", retry=once_more, timeouts={"start_to_finish": "2s", "heartbeat": "1.5s"})
    await api.create("silent", "silent", timeouts={"heartbeat": "1s"})
    late = await api.ended("late")
    assert (late.state, late.HasField("pick_up_time")) == (pb.EXECUTION_STATE_EXPIRED, False)
    silent_row = await api.ended("silent")
    assert (silent_row.state, silent_row.error_kind) == (pb.EXECUTION_STATE_FAILED, "HeartbeatTimeout")
    slow_row = await api.ended("slow")
    assert (slow_row.state, slow_row.result) == (pb.EXECUTION_STATE_SUCCEEDED, b"in time")
    assert (slow_row.failure_count, slow_row.error_kind) == (1, "Timeout")

    async def all_stopped() -> bool:
        return set(stopped) == {"slow", "silent"}

    await eventually(all_stopped, bool)


async def test_the_progress_of_a_long_execution_is_in_the_ledger(bench: Any, node: Any, api: Api) -> None:
    registry = HandlerRegistry()
    ends = threading.Event()

    @registry.handler("long")
    def long(job: Job) -> None:
        number = 0
        while not ends.is_set():
            number += 1
            job.heartbeat(f"step {number}")
            ends.wait(0.2)

    bench.start_executor(node.address, registry=registry)
    await api.create("t", "long")
    try:
        row = await api.until("t", lambda row: row.progress)
        assert row.state == pb.EXECUTION_STATE_RUNNING
        assert row.progress.startswith(b"step ")
        assert row.pick_up_time.ToMicroseconds() <= row.progress_time.ToMicroseconds()
    finally:
        ends.set()
    assert (await api.ended("t")).progress == row.progress
