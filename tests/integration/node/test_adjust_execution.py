"""AdjustExecution on two nodes, through either, owner or not: what was asked for happens, and is in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from integration.node.test_life_cycle import Api, _refusal

from mainspring.v1 import execution_pb2, schedule_pb2, task_pb2

SUCCEEDED = execution_pb2.EXECUTION_STATE_SUCCEEDED
SKIPPED = execution_pb2.EXECUTION_STATE_SKIPPED
TASKS = 12
"""Enough for both nodes to own some, so that half of the calls land at the wrong one."""


class Cluster(Api):
    """Stubs of both nodes, and what is to be broken."""

    def __init__(self, bench: Any, channels: list[grpc.aio.Channel]) -> None:
        super().__init__(channels)
        self.bench = bench

    async def adjust(self, task_id: str, at: Timestamp, **how: Any) -> None:
        await self.execution("AdjustExecution", task_id=task_id, scheduled_time=at, **how)

    async def row(self, task_id: str, at: Timestamp) -> execution_pb2.Execution:
        """The execution of a scheduled time, once it is final."""
        async with asyncio.timeout(20):
            while True:
                for row in await self.ledger(task_id):
                    if row.scheduled_time == at and row.state >= SUCCEEDED:
                        return row
                await asyncio.sleep(0.02)

    async def summary(self, task_id: str, at: Timestamp) -> str:
        answer = await self.execution("ExplainExecution", task_id=task_id, scheduled_time=at)
        return str(answer.summary)


@pytest.fixture
async def cluster(bench: Any) -> AsyncIterator[Cluster]:
    nodes = [await bench.start_node(), await bench.start_node()]
    bench.start_executor(nodes[0].address)
    channels = [grpc.aio.insecure_channel(node.address) for node in nodes]
    yield Cluster(bench, channels)
    for channel in channels:
        await channel.close()


def stamp(at_us: int) -> Timestamp:
    return Timestamp(seconds=at_us // 1_000_000, nanos=at_us % 1_000_000 * 1_000)


def in_s(seconds: float) -> int:
    return int((time.time() + seconds) * 1_000_000)


def every(seconds: int, first_us: int) -> schedule_pb2.Schedule:
    interval = schedule_pb2.IntervalSchedule(every=Duration(seconds=seconds))
    return schedule_pb2.Schedule(interval=interval, start_time=stamp(first_us))


async def test_a_time_is_left_out_and_the_next_one_runs(cluster: Cluster) -> None:
    first = in_s(3)
    for n in range(TASKS):
        await cluster.create(f"t{n}", every(1, first))
    for n in range(TASKS):
        await cluster.adjust(f"t{n}", stamp(first), skip=True)
    assert "A call left it out" in await cluster.summary("t0", stamp(first))
    for n in range(TASKS):
        row = await cluster.row(f"t{n}", stamp(first))
        assert (row.state, row.reason, row.attempt) == (SKIPPED, "left out by a call", 0)
        following = await cluster.row(f"t{n}", stamp(first + 1_000_000))
        assert following.state == SUCCEEDED
    assert "left out by a call" in await cluster.summary("t0", stamp(first))


async def test_a_time_is_moved_to_earlier_and_later_and_the_next_stays(cluster: Cluster) -> None:
    first = in_s(600)
    for n in range(TASKS):
        await cluster.create(f"early{n}", every(900, first))
    late_first = in_s(3)
    for n in range(TASKS):
        await cluster.create(f"late{n}", every(60, late_first))
    for n in range(TASKS):
        await cluster.adjust(f"late{n}", stamp(late_first), due_time=stamp(late_first + 2_000_000))
    due = in_s(1)
    for n in range(TASKS):
        await cluster.adjust(f"early{n}", stamp(first), due_time=stamp(due))
    for kind, at, wanted, every_us in (
        ("early", first, due, 900_000_000),
        ("late", late_first, late_first + 2_000_000, 60_000_000),
    ):
        for n in range(TASKS):
            row = await cluster.row(f"{kind}{n}", stamp(at))
            assert row.state == SUCCEEDED
            assert row.due_time == stamp(wanted)
            lateness_us = row.pick_up_time.ToMicroseconds() - wanted
            assert 0 <= lateness_us <= 10_000_000
            task = (await cluster.task("GetTask", id=f"{kind}{n}")).task
            assert task.next_scheduled_time == stamp(at + every_us)
    assert "before its scheduled time" in await cluster.summary("early0", stamp(first))


async def test_a_time_gets_a_payload_of_its_own(cluster: Cluster) -> None:
    first = in_s(3)
    for n in range(TASKS):
        await cluster.create(f"t{n}", every(1, first), handler="echo", payload=b"usual")
    for n in range(TASKS):
        await cluster.adjust(f"t{n}", stamp(first), payload=b"own")
    assert "a payload of its own" in await cluster.summary("t3", stamp(first))
    for n in range(TASKS):
        for at, payload in ((first, b"own"), (first + 1_000_000, b"usual")):
            await cluster.row(f"t{n}", stamp(at))
            answer = await cluster.execution("GetExecution", task_id=f"t{n}", scheduled_time=stamp(at))
            assert answer.execution.result == payload


async def test_a_reset_time_goes_as_the_task_says(cluster: Cluster) -> None:
    first = in_s(3)
    await cluster.create("a", every(60, first), handler="echo", payload=b"usual")
    await cluster.adjust("a", stamp(first), due_time=stamp(first + 50_000_000))
    await cluster.adjust("a", stamp(first), payload=b"own")
    await cluster.adjust("a", stamp(first), reset=True)
    row = await cluster.row("a", stamp(first))
    assert row.due_time == stamp(first)
    answer = await cluster.execution("GetExecution", task_id="a", scheduled_time=stamp(first))
    assert answer.execution.result == b"usual"


async def test_one_time_tasks_are_adjusted_too(cluster: Cluster) -> None:
    at = in_s(600)
    once = schedule_pb2.Schedule(at=stamp(at))
    for task_id in ("moved", "skipped", "given"):
        await cluster.create(task_id, once, handler="echo", payload=b"usual")
    await cluster.adjust("skipped", stamp(at), skip=True)
    await cluster.adjust("given", stamp(at), payload=b"own")
    due = in_s(1)
    await cluster.adjust("given", stamp(at), due_time=stamp(due))
    await cluster.adjust("moved", stamp(at), due_time=stamp(due))
    for task_id, payload in (("moved", b"usual"), ("given", b"own")):
        assert (await cluster.row(task_id, stamp(at))).due_time == stamp(due)
        answer = await cluster.execution("GetExecution", task_id=task_id, scheduled_time=stamp(at))
        assert answer.execution.result == payload
        assert (await cluster.task("GetTask", id=task_id)).task.state == task_pb2.TASK_STATE_COMPLETED
    assert await cluster.ledger("skipped") == []


async def test_adjustments_survive_their_nodes(cluster: Cluster) -> None:
    """One node dies, the other takes over, then that one dies, too, and a new one comes."""
    first = in_s(4)
    for n in range(TASKS):
        await cluster.create(f"t{n}", every(1, first), handler="echo", payload=b"usual")
    for n in range(TASKS):
        await cluster.adjust(f"t{n}", stamp(first), skip=True)
        await cluster.adjust(f"t{n}", stamp(first + 1_000_000), payload=b"own")
    for node in cluster.bench.nodes:
        await node.vanish()
    node = await cluster.bench.start_node()
    cluster.bench.start_executor(node.address, executor_id="executor-2")
    async with grpc.aio.insecure_channel(node.address) as channel:
        after = Cluster(cluster.bench, [channel])
        for n in range(TASKS):
            assert (await after.row(f"t{n}", stamp(first))).state == SKIPPED
            await after.row(f"t{n}", stamp(first + 1_000_000))
            answer = await after.execution(
                "GetExecution", task_id=f"t{n}", scheduled_time=stamp(first + 1_000_000)
            )
            assert answer.execution.result == b"own"


async def test_what_waits_of_the_task_goes_on(cluster: Cluster) -> None:
    """An adjustment of a time to come is no change of the task: a held execution is not cancelled by it."""
    first = in_s(2)
    overlap = {"overlap": 3}  # BUFFER_ONE
    await cluster.create("a", every(2, first), handler="sleep", payload=b"3", **overlap)
    async with asyncio.timeout(20):
        while not any(
            row.state == execution_pb2.EXECUTION_STATE_WAITING for row in await cluster.ledger("a")
        ):
            await asyncio.sleep(0.02)
    before = (await cluster.task("GetTask", id="a")).task
    await cluster.adjust("a", stamp(first + 60_000_000), skip=True)
    row = await cluster.row("a", stamp(first + 2_000_000))
    assert row.state == SUCCEEDED
    after = (await cluster.task("GetTask", id="a")).task
    assert (after.version, after.etag) == (before.version, before.etag)


async def test_what_cannot_be_adjusted_is_refused(cluster: Cluster) -> None:
    first = in_s(1)
    await cluster.create("a", every(60, first))
    await cluster.row("a", stamp(first))
    following = stamp(first + 60_000_000)
    precondition = (grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION")
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    for _ in range(2):  # through either node
        assert await _refusal(cluster.adjust("a", stamp(first), skip=True)) == precondition
        assert await _refusal(cluster.adjust("a", stamp(first + 1), skip=True)) == precondition
        assert await _refusal(cluster.adjust("a", following, due_time=stamp(first))) == invalid
        late = stamp(first + 120_000_000)
        assert await _refusal(cluster.adjust("a", following, due_time=late)) == invalid
        assert await _refusal(cluster.adjust("a", following)) == invalid
        assert await _refusal(cluster.adjust("a", following, skip=False)) == invalid
        assert await _refusal(cluster.adjust("a", following, payload=bytes(256 * 1024 + 1))) == invalid
        unknown = cluster.adjust("b", following, skip=True)
        assert (await _refusal(unknown))[0] is grpc.StatusCode.NOT_FOUND
        no_time = cluster.execution("AdjustExecution", task_id="a", skip=True)
        assert await _refusal(no_time) == invalid
    for n in range(64):
        await cluster.adjust("a", stamp(first + (n + 1) * 60_000_000), skip=True)
    one_more = cluster.adjust("a", stamp(first + 65 * 60_000_000), skip=True)
    assert (await _refusal(one_more))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    await cluster.task("CancelTask", id="a")
    assert await _refusal(cluster.adjust("a", following, reset=True)) == precondition


async def test_another_schedule_drops_what_is_not_its_own(cluster: Cluster) -> None:
    first = in_s(4)
    await cluster.create("a", every(2, first))
    await cluster.adjust("a", stamp(first), skip=True)
    await cluster.adjust("a", stamp(first + 2_000_000), skip=True)
    await cluster.task(
        "UpdateTask",
        task=task_pb2.Task(id="a", schedule=every(5, first)),
        update_mask=FieldMask(paths=["schedule"]),
    )
    moved = first + 6_000_000
    await cluster.adjust("a", stamp(first + 5_000_000), due_time=stamp(moved))
    answer = await cluster.task(
        "UpdateTask", task=task_pb2.Task(id="a", payload=b"x"), update_mask=FieldMask(paths=["payload"])
    )
    due = {fire.scheduled_time.ToMicroseconds(): fire.due_time for fire in answer.next_fires}
    assert due[first + 5_000_000] == stamp(moved)
    assert (await cluster.row("a", stamp(first))).state == SKIPPED
    row = await cluster.row("a", stamp(first + 5_000_000))
    assert (row.state, row.due_time) == (SUCCEEDED, stamp(moved))
    assert len(await cluster.ledger("a")) == 2
