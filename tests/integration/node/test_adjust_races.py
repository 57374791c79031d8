"""AdjustExecution in a race with the fire of its own scheduled time: who comes first decides, wholly.

An adjustment that was acknowledged is what happened: by the ledger, and by the executor's own run log. One that was refused
came after the claim, and the execution went as the task says. Half of the calls reach a node that does not own the task.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
import pytest
from integration.node.races import HERD, Cluster, racing_cluster, stamp

from mainspring.v1 import execution_pb2, execution_service_pb2

PUT_OFF_US = 1_500_000
KINDS = ("skip", "due_time", "payload")


class Answered(NamedTuple):
    """A call and whether it came first."""

    task_id: str
    scheduled_at: int
    is_acknowledged: bool


@pytest.fixture
async def cluster(bench: Any, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with racing_cluster(bench, request.node.name) as made:
        yield made


async def _race(cluster: Cluster, kind: str) -> list[Answered]:
    """A herd that is due at one instant, each task with a call about that very time at about that instant."""
    herd = await cluster.herd(kind, handler="echo", payload=b"usual")
    how: dict[str, Any] = {"skip": True, "due_time": stamp(herd.at + PUT_OFF_US), "payload": b"own"}

    async def call(task_id: str) -> Answered:
        request = execution_service_pb2.AdjustExecutionRequest(
            task_id=task_id, scheduled_time=stamp(herd.at), **{kind: how[kind]}
        )
        await cluster.about(herd.at)
        try:
            await cluster.rng.choice(cluster.ledgers).AdjustExecution(request)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, error.details()  # noqa: PT017
            return Answered(task_id, herd.at, is_acknowledged=False)
        return Answered(task_id, herd.at, is_acknowledged=True)

    return list(await asyncio.gather(*map(call, herd.ids)))


async def _judge(cluster: Cluster, kind: str, answers: list[Answered]) -> Counter[bool]:
    """Waits for the one execution of each task, then asks each witness."""
    rows: dict[str, execution_pb2.Execution] = {}
    for answer in answers:
        (rows[answer.task_id],) = await cluster.ended(answer.task_id, least=1)
    starts = cluster.starts()
    for answer in answers:
        row, begun = rows[answer.task_id], [start.at for start in starts.get(answer.task_id, ())]
        assert row.scheduled_time == stamp(answer.scheduled_at)
        if kind == "skip" and answer.is_acknowledged:
            assert (row.state, begun) == (execution_pb2.EXECUTION_STATE_SKIPPED, []), row
            continue
        assert (row.state, len(begun)) == (execution_pb2.EXECUTION_STATE_SUCCEEDED, 1), row
        is_put_off = kind == "due_time" and answer.is_acknowledged
        due_us = answer.scheduled_at + (PUT_OFF_US if is_put_off else 0)
        assert row.due_time == stamp(due_us), row
        assert begun[0] >= due_us - 1_000, f"{answer.task_id} began {due_us - begun[0]} us early"
        assert row.pick_up_time.ToMicroseconds() - due_us <= 10_000_000, row
        whole = await cluster.ledgers[0].GetExecution(
            execution_service_pb2.GetExecutionRequest(
                task_id=answer.task_id, scheduled_time=row.scheduled_time
            )
        )
        is_own = kind == "payload" and answer.is_acknowledged
        assert whole.execution.result == (b"own" if is_own else b"usual"), row
    return Counter(answer.is_acknowledged for answer in answers)


async def _races(cluster: Cluster, kind: str, herds: int) -> None:
    answers = [answer for _ in range(herds) for answer in await _race(cluster, kind)]
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
