"""UpdateTask gives a schedule to a task that is behind: what is in the ledger then."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from integration.node.test_life_cycle import SECONDLY, Api

from mainspring.v1 import execution_pb2, schedule_pb2, task_pb2

SUCCEEDED = execution_pb2.EXECUTION_STATE_SUCCEEDED
SCHEDULE = FieldMask(paths=["schedule"])


@pytest.fixture
async def api(bench: Any) -> Any:
    nodes = [await bench.start_node(), await bench.start_node()]
    bench.start_executor(nodes[0].address)
    channels = [grpc.aio.insecure_channel(node.address) for node in nodes]
    yield Api(channels)
    for channel in channels:
        await channel.close()


def _in(seconds: float) -> Timestamp:
    at = Timestamp()
    at.FromMicroseconds(int((time.time() + seconds) * 1_000_000))
    return at


async def _until(at: Timestamp) -> None:
    """Waits until an instant has passed."""
    await asyncio.sleep(max(0.0, at.ToMicroseconds() / 1e6 - time.time()))


async def test_what_was_due_before_runs_by_the_policy_before_and_the_new_schedule_counts_from_then_on(
    bench: Any, api: Api
) -> None:
    created = await api.create("a", SECONDLY)
    await api.task("PauseTask", id="a")
    first = created.next_scheduled_time
    await _until(Timestamp(seconds=first.seconds + 3, nanos=first.nanos))
    every_other = schedule_pb2.Schedule(
        interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=2)), start_time=_in(-100)
    )
    answer = await api.task(
        "UpdateTask", task=task_pb2.Task(id="a", schedule=every_other), update_mask=SCHEDULE
    )
    updated_us = answer.task.update_time.ToMicroseconds()
    assert answer.task.next_scheduled_time == first
    new_first = answer.next_fires[0].scheduled_time.ToMicroseconds()
    assert updated_us < new_first <= updated_us + 2_000_000
    for node in bench.nodes:
        await node.vanish()
    node = await bench.start_node()
    bench.start_executor(node.address, executor_id="executor-2")
    async with grpc.aio.insecure_channel(node.address) as channel:
        after = Api([channel])
        await after.task("ResumeTask", id="a")
        async with asyncio.timeout(20):
            while True:
                rows = sorted(await after.ledger("a"), key=lambda row: row.scheduled_time.ToMicroseconds())
                times = [row.scheduled_time.ToMicroseconds() for row in rows]
                if times and times[-1] >= new_first and rows[-1].state >= SUCCEEDED:
                    break
                await asyncio.sleep(0.05)
    old_count = (updated_us - first.ToMicroseconds()) // 1_000_000 + 1
    old = [at for at in times if at <= updated_us]
    counted = sum(row.gap.count or 1 for row in rows[: len(old)])
    assert counted == old_count, "each time of the old schedule that was due, once"
    assert all((at - first.ToMicroseconds()) % 1_000_000 == 0 for at in old)
    assert times[len(old)] == new_first
    assert all((at - new_first) % 2_000_000 == 0 for at in times[len(old) :])


async def test_a_paused_overdue_one_time_task_that_is_moved_has_one_scheduled_time(api: Api) -> None:
    at = _in(1)
    await api.create("a", schedule_pb2.Schedule(at=at))
    await api.task("PauseTask", id="a")
    await _until(at)
    moved = _in(2)
    answer = await api.task(
        "UpdateTask",
        task=task_pb2.Task(id="a", schedule=schedule_pb2.Schedule(at=moved)),
        update_mask=SCHEDULE,
    )
    assert answer.task.next_scheduled_time == moved
    await api.task("ResumeTask", id="a")
    (row,) = await api.until_final("a", 1)
    assert (row.scheduled_time, row.due_time, row.state) == (moved, moved, SUCCEEDED)
    done = (await api.task("GetTask", id="a")).task
    assert (done.state, done.execution_count) == (task_pb2.TASK_STATE_COMPLETED, 1)
