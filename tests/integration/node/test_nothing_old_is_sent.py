"""Calls that stop or change tasks, in a race with the fires of these: what is acknowledged holds from then on (I5).

No start of an older version is later than the acknowledgement, by the executor's own log. Which version an execution ran
says the ledger; what was deleted has none.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from integration.node.races import HERD, MOST_HERDS, Cluster, Herd, accepted, now_us, racing_cluster

from mainspring.v1 import execution_pb2, task_pb2, task_service_pb2


class Acknowledged(NamedTuple):
    """A call that was answered."""

    task_id: str
    version: int | None
    """Of the task from then on; None: there is no such task from then on."""
    at: int
    """When the caller had the answer, microseconds of this machine."""


@pytest.fixture
async def cluster(bench: Any, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with racing_cluster(bench, request.node.name) as made:
        yield made


async def _pause(stub: Any, task_id: str) -> int:
    answer = await stub.PauseTask(task_service_pb2.PauseTaskRequest(id=task_id, note="race"))
    return int(answer.task.version)


async def _cancel(stub: Any, task_id: str) -> int:
    answer = await stub.CancelTask(task_service_pb2.CancelTaskRequest(id=task_id))
    return int(answer.task.version)


async def _update(stub: Any, task_id: str) -> int:
    answer = await stub.UpdateTask(
        task_service_pb2.UpdateTaskRequest(
            task=task_pb2.Task(id=task_id, payload=b"new"), update_mask=FieldMask(paths=["payload"])
        )
    )
    return int(answer.task.version)


async def _delete(stub: Any, task_id: str) -> None:
    """Refused while an execution runs, which a caller waits for."""
    request = task_service_pb2.DeleteTaskRequest(id=task_id)
    await accepted(lambda: stub.DeleteTask(request), grpc.StatusCode.FAILED_PRECONDITION)


def _each(call: Callable[[Any, str], Awaitable[int | None]]) -> Callable[[Cluster, Herd], Any]:
    """A call for each task of a herd at about the instant at which it is due, at either node."""

    async def race(cluster: Cluster, herd: Herd) -> list[Acknowledged]:
        async def one(task_id: str) -> Acknowledged:
            await cluster.about(herd.at)
            version = await call(cluster.any_node(), task_id)
            return Acknowledged(task_id, version, now_us())

        return list(await asyncio.gather(*map(one, herd.ids)))

    return race


def _all(change: task_service_pb2.TaskChange, version: int | None) -> Callable[[Cluster, Herd], Any]:
    """One call for all of them; again until it has changed each, for it leaves out what the call for one would refuse."""

    async def race(cluster: Cluster, herd: Herd) -> list[Acknowledged]:
        await cluster.about(herd.at)
        changed = 0
        async with asyncio.timeout(30):
            while changed < HERD:
                changed += await cluster.change(herd, change)
        at = now_us()
        return [Acknowledged(task_id, version, at) for task_id in herd.ids]

    return race


RACES = {
    "pause": _each(_pause),
    "cancel": _each(_cancel),
    "update": _each(_update),
    "delete": _each(_delete),
    "pause all": _all(task_service_pb2.TASK_CHANGE_PAUSE, 2),
    "cancel all": _all(task_service_pb2.TASK_CHANGE_CANCEL, 2),
    "delete all": _all(task_service_pb2.TASK_CHANGE_DELETE, None),
}


async def _judge(cluster: Cluster, acknowledged: list[Acknowledged]) -> Counter[str]:
    """Waits until nothing of the tasks is open, then asks each witness; answers how the races went."""
    await cluster.all_pass()
    ledger = {ack.task_id: await cluster.ended(ack.task_id) for ack in acknowledged if ack.version}
    starts = cluster.starts()
    courses: Counter[str] = Counter()
    for ack in acknowledged:
        began = [start.at for start in starts.get(ack.task_id, ())]
        if ack.version is None:
            assert len(began) <= 1, ack
            courses["ran" if began else "not fired"] += 1
        else:
            rows = ledger[ack.task_id]
            old = [row for row in rows if row.task_version < ack.version]
            for row in old:
                ran = row.state == execution_pb2.EXECUTION_STATE_SUCCEEDED
                assert ran == bool(began), row
                assert ran or row.state == execution_pb2.EXECUTION_STATE_CANCELLED, row
                courses["ran" if ran else "cancelled"] += 1
            courses["not fired"] += not rows
            courses["ran the new one"] += len(rows) - len(old)
            began = began if old else []
        if began:
            late_us = began[0] - ack.at
            assert late_us <= 0, (
                f"{ack.task_id} began {late_us} us after version {ack.version} was acknowledged"
            )
    return courses


async def _races(cluster: Cluster, kind: str, herds: int) -> None:
    """So many herds, and more until some of each course were among them."""
    courses: Counter[str] = Counter()
    for number in range(1, MOST_HERDS):
        herd = await cluster.herd(kind.replace(" ", "-"))
        courses += await _judge(cluster, await RACES[kind](cluster, herd))
        if number >= herds and courses["ran"] and courses["not fired"] + courses["ran the new one"]:
            break
    print(kind, dict(courses))
    assert courses["ran"] > 0, "no fire came first: nothing was raced"
    assert courses["not fired"] + courses["ran the new one"] > 0, "no call came first: nothing was raced"
    if kind != "update":
        assert courses["ran the new one"] == 0


@pytest.mark.parametrize("kind", ["pause", "cancel", "update", "delete", "pause all"])
async def test_nothing_older_begins_after_a_call_is_acknowledged(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", RACES)
async def test_nothing_older_begins_in_a_thousand_races(cluster: Cluster, kind: str) -> None:
    await _races(cluster, kind, 1_000 // HERD)
