"""Calls that have tasks run, or end what waits, in a race with the fires of these.

By the ledger and by the executor's own log of starts:

- resume: nothing begins before the call was made; each time from then on runs, and none twice;
- trigger: what was acknowledged runs exactly once, also when it was called twice, and so does the time beside it;
- backfill: each passed time runs exactly once, also when it was called twice, and so does the one that fires meanwhile;
- CancelExecution: what ended as cancelled before it was sent is never sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from integration.node.races import (
    EVERY_S,
    HERD,
    MOST_HERDS,
    Cluster,
    Herd,
    Start,
    accepted,
    now_us,
    racing_cluster,
    stamp,
)

from mainspring.server.core.instants import SECOND_US
from mainspring.v1 import (
    execution_pb2,
    execution_service_pb2,
    policy_pb2,
    schedule_pb2,
    task_service_pb2,
)

PAST = 2
"""Scheduled times that a backfill finds passed, beside the one that fires meanwhile."""
BACKOFF_S = 1
ROUND_US = 500_000
"""What waits for another attempt is looked for so often."""


@pytest.fixture
async def cluster(bench: Any, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with racing_cluster(bench, request.node.name) as made:
        yield made


def succeeded(rows: list[execution_pb2.Execution]) -> list[int]:
    """The scheduled times of executions, ascending, all of which must have succeeded."""
    assert {row.state for row in rows} <= {execution_pb2.EXECUTION_STATE_SUCCEEDED}, rows
    return sorted(row.scheduled_time.ToMicroseconds() for row in rows)


def started(starts: dict[str, list[Start]], task_id: str) -> list[int]:
    """The scheduled times of what began, ascending."""
    return sorted(start.scheduled_at for start in starts.get(task_id, ()))


def course(at: int, herd: Herd) -> str:
    """Whether a call was over before the herd was due, or came later."""
    return "before" if at <= herd.at else "after"


async def _resume(cluster: Cluster, all_at_once: bool) -> Counter[str]:
    herd = await cluster.herd("resume", ahead_us=2 * SECOND_US)
    assert await cluster.change(herd, task_service_pb2.TASK_CHANGE_PAUSE) == HERD
    if now_us() >= herd.at:
        return Counter()  # it took too long: some may have run before they were paused

    async def one(task_id: str) -> tuple[int, int]:
        await cluster.about(herd.at)
        called_at = now_us()
        await cluster.any_node().ResumeTask(task_service_pb2.ResumeTaskRequest(id=task_id))
        return called_at, now_us()

    if all_at_once:
        await cluster.about(herd.at)
        called_at = now_us()
        assert await cluster.change(herd, task_service_pb2.TASK_CHANGE_RESUME) == HERD
        calls = [(called_at, now_us())] * HERD
    else:
        calls = await asyncio.gather(*map(one, herd.ids))
    ledger = {task_id: await cluster.ended(task_id, least=1) for task_id in herd.ids}
    await cluster.all_pass()
    starts = cluster.starts()
    courses: Counter[str] = Counter()
    for task_id, (called_at, answered_at) in zip(herd.ids, calls, strict=True):
        assert succeeded(ledger[task_id]) == started(starts, task_id) == [herd.at], task_id
        assert starts[task_id][0].at >= called_at, f"{task_id} began while it was paused"
        courses[course(answered_at, herd)] += 1
    return courses


async def _trigger(cluster: Cluster) -> Counter[str]:
    herd = await cluster.herd("trigger", overlap=policy_pb2.OVERLAP_POLICY_ALLOW)

    async def one(task_id: str) -> int:
        await cluster.about(herd.at)
        request = task_service_pb2.TriggerTaskRequest(id=task_id, request_id="once")
        answers = await asyncio.gather(*(stub.TriggerTask(request) for stub in cluster.tasks))
        (at,) = {answer.execution.scheduled_time.ToMicroseconds() for answer in answers}
        return int(at)

    triggered = await asyncio.gather(*map(one, herd.ids))
    ledger = {task_id: await cluster.ended(task_id, least=2) for task_id in herd.ids}
    await cluster.all_pass()
    starts = cluster.starts()
    for task_id, at in zip(herd.ids, triggered, strict=True):
        assert succeeded(ledger[task_id]) == started(starts, task_id) == sorted([herd.at, at]), task_id
    return Counter(course(at, herd) for at in triggered)


async def _backfill(cluster: Cluster) -> Counter[str]:
    herd = await cluster.herd("backfill", past=PAST)
    past = [herd.at - n * EVERY_S * SECOND_US for n in range(PAST, 0, -1)]

    async def one(task_id: str) -> int:
        await cluster.about(herd.at)
        until_at = now_us() - 1_000  # as the nodes reckon it, that has passed too
        request = task_service_pb2.BackfillTaskRequest(
            id=task_id, start_time=stamp(past[0]), end_time=stamp(until_at)
        )
        answers = await asyncio.gather(*(stub.BackfillTask(request) for stub in cluster.tasks))
        assert sum(answer.count for answer in answers) == PAST, "what fires by itself is not for a backfill"
        return until_at

    reached = await asyncio.gather(*map(one, herd.ids))
    ledger = {task_id: await cluster.ended(task_id, least=PAST + 1) for task_id in herd.ids}
    await cluster.all_pass()
    starts = cluster.starts()
    wanted = [*(at + 1 for at in past), herd.at]
    for task_id in herd.ids:
        assert succeeded(ledger[task_id]) == started(starts, task_id) == wanted, task_id
    return Counter(course(at, herd) for at in reached)


async def _cancel_execution(cluster: Cluster) -> Counter[str]:
    """The execution has failed and waits for its second attempt, which is due when the call comes."""
    herd = await cluster.herd(
        "cancel-execution",
        handler="fail",
        retry=policy_pb2.RetryPolicy(max_attempts=2, initial_backoff=Duration(seconds=BACKOFF_S)),
        schedule=schedule_pb2.Schedule(delay=Duration()),
    )

    async def failed(task_id: str) -> execution_pb2.Execution:
        async with asyncio.timeout(30):
            while True:
                rows = await cluster.executions(task_id)
                if rows and rows[0].failure_count:
                    return rows[0]
                await asyncio.sleep(0.05)

    async def one(row: execution_pb2.Execution) -> bool:
        await cluster.about(row.retry_time.ToMicroseconds() + cluster.rng.randint(0, ROUND_US))
        request = execution_service_pb2.CancelExecutionRequest(
            task_id=row.task_id, scheduled_time=row.scheduled_time
        )
        stub = cluster.rng.choice(cluster.ledgers)
        answer = await accepted(lambda: stub.CancelExecution(request), grpc.StatusCode.UNAVAILABLE)
        is_cancelled = answer.execution.state == execution_pb2.EXECUTION_STATE_CANCELLED
        return is_cancelled and answer.execution.attempt == 1

    waiting = await asyncio.gather(*map(failed, herd.ids))
    cancelled = await asyncio.gather(*map(one, waiting))
    ledger = {task_id: await cluster.ended(task_id, least=1) for task_id in herd.ids}
    await cluster.all_pass()
    starts = cluster.starts()
    courses: Counter[str] = Counter()
    for task_id, is_cancelled in zip(herd.ids, cancelled, strict=True):
        attempts = [start.attempt for start in starts[task_id]]
        (row,) = ledger[task_id]
        if is_cancelled:
            assert attempts == [1], f"{task_id} began again after it had ended as cancelled"
            assert row.state == execution_pb2.EXECUTION_STATE_CANCELLED
        else:
            assert attempts in ([1], [1, 2]), task_id
        courses["before" if is_cancelled else "after"] += 1
    return courses


RACES: dict[str, Callable[[Cluster], Awaitable[Counter[str]]]] = {
    "resume": lambda cluster: _resume(cluster, all_at_once=False),
    "resume all": lambda cluster: _resume(cluster, all_at_once=True),
    "trigger": _trigger,
    "backfill": _backfill,
    "cancel execution": _cancel_execution,
}


async def _races(cluster: Cluster, kind: str, count: int) -> None:
    """So many, and more until some of each course were among them."""
    courses: Counter[str] = Counter()
    for _ in range(MOST_HERDS):
        courses += await RACES[kind](cluster)
        if courses.total() >= count and courses["before"] and courses["after"]:
            break
    print(kind, dict(courses))
    assert courses["before"] > 0
    assert courses["after"] > 0


@pytest.mark.parametrize("kind", ["resume", "trigger", "backfill", "cancel execution"])
async def test_each_time_runs_as_the_call_said(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, HERD)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", RACES)
async def test_each_time_runs_as_the_call_said_in_a_thousand_races(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, 1_000)
