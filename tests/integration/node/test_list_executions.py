"""Filters and pages of ListExecutions on a real node."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mainspring.v1 import (
    execution_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)


@pytest.fixture
async def channel(node: Any) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(node.address) as made:
        yield made


async def _pages(channel: grpc.aio.Channel, **fields: Any) -> list[execution_pb2.Execution]:
    stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
    request = execution_service_pb2.ListExecutionsRequest(**fields)
    found: list[execution_pb2.Execution] = []
    while True:
        response = await stub.ListExecutions(request, timeout=10)
        found += response.executions
        request.page_token = response.next_page_token
        if not request.page_token:
            return found


async def test_states_handler_labels_and_times_restrict_what_is_listed(
    bench: Any, node: Any, channel: grpc.aio.Channel
) -> None:
    bench.start_executor(node.address)
    tasks = task_service_pb2_grpc.TaskServiceStub(channel)
    at = Timestamp()
    at.GetCurrentTime()
    request = task_service_pb2.BatchCreateTasksRequest(
        tasks=[
            task_pb2.Task(
                id=f"{handler}-{team}-{n}",
                handler=handler,
                labels={"team": team, "tier": "1"},
                schedule=schedule_pb2.Schedule(at=at),
            )
            for handler in ("noop", "fail")
            for team in ("red", "blue")
            for n in range(3)
        ]
    )
    response = await tasks.BatchCreateTasks(request, timeout=10)
    assert not [result for result in response.results if result.HasField("error")]
    async with asyncio.timeout(10):
        final = (execution_pb2.EXECUTION_STATE_SUCCEEDED, execution_pb2.EXECUTION_STATE_FAILED)
        while len(await _pages(channel, states=final)) < 12:
            await asyncio.sleep(0.05)

    async def ids(**fields: Any) -> set[str]:
        found = [row.task_id for row in await _pages(channel, page_size=2, **fields)]
        assert len(set(found)) == len(found)
        return set(found)

    failed = {f"fail-{team}-{n}" for team in ("red", "blue") for n in range(3)}
    assert await ids(states=[execution_pb2.EXECUTION_STATE_FAILED]) == failed
    assert await ids(handler="fail") == failed
    assert await ids(states=[execution_pb2.EXECUTION_STATE_RUNNING]) == set()
    red = {f"{handler}-red-{n}" for handler in ("noop", "fail") for n in range(3)}
    assert await ids(labels={"team": "red"}) == red
    assert await ids(labels={"tier": "1", "team": "red"}, handler="fail", states=[5]) == failed & red
    assert await ids(labels={"team": "green"}) == set()
    assert await ids(end_time=at) == set()
    assert await ids(task_id="fail-red-0", states=[5]) == {"fail-red-0"}
    assert await ids(task_id="fail-red-0", handler="noop") == set()


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"states": [4, 99]}, "states[1]"),
        ({"states": [0]}, "states[0]"),
        ({"handler": "h" * 201}, "handler"),
        ({"labels": {"": "x"}}, "labels[]"),
    ],
)
async def test_a_wrong_filter_is_named(
    channel: grpc.aio.Channel, fields: dict[str, Any], at_fault: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _pages(channel, **fields)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]
    details = error_details_pb2.BadRequest()
    assert any(
        detail.Unpack(details) and [v.field for v in details.field_violations] == [at_fault]
        for detail in status.details
    )
