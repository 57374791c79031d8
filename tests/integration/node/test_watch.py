"""WatchExecutions on real nodes: every execution of a task, over broken streams and changes of the node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest

from mainspring.client import Delay, Every, MainspringClient
from mainspring.v1 import execution_pb2, execution_service_pb2_grpc
from mainspring.v1 import execution_service_pb2 as pb

SUCCEEDED = execution_pb2.EXECUTION_STATE_SUCCEEDED


@asynccontextmanager
async def _watch(address: str, task_id: str, token: str = "") -> AsyncIterator[AsyncIterator[Any]]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        call = stub.WatchExecutions(pb.WatchExecutionsRequest(task_id=task_id, resume_token=token))

        async def answers() -> AsyncIterator[Any]:
            async for answer in call:
                yield answer

        async with aclosing(answers()) as stream:
            yield stream
        call.cancel()


async def test_every_execution_is_told_over_broken_streams_and_other_nodes(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    other = await bench.start_node()
    for n, running in enumerate((node, other)):
        bench.start_executor(running.address, executor_id=f"executor-{n}")
    await client.create_task("noop", Every(timedelta(seconds=1)), task_id="t")
    addresses = [node.address, other.address]
    token, told = "", set[int]()
    async with asyncio.timeout(40):
        for turn in range(6):
            async with _watch(addresses[turn % 2], "t", token) as stream:
                received = 0
                async for answer in stream:
                    token = answer.resume_token
                    told |= {
                        e.scheduled_time.ToMicroseconds() for e in answer.executions if e.state == SUCCEEDED
                    }
                    received += 1
                    if received == 3:
                        break
            await asyncio.sleep(1.2)  # while nobody listens

    rows = [e async for e in client.list_executions(task_id="t")]
    succeeded = sorted(
        int(e.scheduled_time.timestamp() * 1_000_000) for e in rows if e.state.name == "SUCCEEDED"
    )
    first, last = min(told), max(told)
    assert [at for at in succeeded if first <= at <= last] == sorted(told)
    assert len(told) >= 6


async def test_the_first_word_is_a_token_before_anything_has_changed(
    node: Any, client: MainspringClient
) -> None:
    await client.create_task("noop", Every(timedelta(hours=1)), task_id="t")
    async with asyncio.timeout(5), _watch(node.address, "t") as stream:  # a sign of life comes after 10 s
        first = await anext(stream)
    assert (list(first.executions), bool(first.resume_token)) == ([], True)


async def test_an_open_execution_is_told_when_it_ends(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    bench.start_executor(node.address)
    await client.create_task("sleep", Delay(timedelta(0)), payload=b"3", task_id="long")
    async with asyncio.timeout(30):
        while not [e async for e in client.list_executions(task_id="long")]:
            await asyncio.sleep(0.05)
        async with _watch(node.address, "long") as stream:
            first = await anext(stream)
            assert not first.executions
        states = []
        async with _watch(node.address, "long", first.resume_token) as stream:
            async for answer in stream:
                states += [execution.state for execution in answer.executions]
                if SUCCEEDED in states:
                    break
    assert states[-1] == SUCCEEDED


@pytest.mark.parametrize(
    ("task_id", "token", "code"),
    [
        ("", "", grpc.StatusCode.INVALID_ARGUMENT),
        ("nobody", "", grpc.StatusCode.NOT_FOUND),
        ("t", "garbled", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_wrong_watch_ends_with_the_reason(
    node: Any, client: MainspringClient, task_id: str, token: str, code: grpc.StatusCode
) -> None:
    await client.create_task("noop", Delay(timedelta(hours=1)), task_id="t")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async with asyncio.timeout(10), _watch(node.address, task_id, token) as stream:
            await anext(stream)
    assert refused.value.code() is code


async def test_a_node_ends_beside_its_watchers(node: Any, client: MainspringClient) -> None:
    await client.create_task("noop", Delay(timedelta(hours=1)), task_id="t")
    async with asyncio.timeout(20), _watch(node.address, "t") as stream:
        await anext(stream)
        await node.leave()
