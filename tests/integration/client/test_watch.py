"""Watches: every change comes, over nodes that stop, streams that break, and restarts of the watching program."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest
from google.rpc import code_pb2
from integration.memory_node import MemoryNode, serving

from mainspring.client import (
    Backoff,
    ExecutionWatch,
    InvalidArgument,
    MainspringClient,
    Unavailable,
    execution_calls,
)
from mainspring.v1 import execution_pb2

BACKOFF = Backoff(initial_s=0.01, ceiling_s=0.01)


def attempts(*numbers: int) -> list[execution_pb2.Execution]:
    return [execution_pb2.Execution(task_id="daily", attempt=number) for number in numbers]


async def begun(node: MemoryNode, count: int = 1) -> None:
    """Until so many watches have begun: what changes before is not theirs."""
    async with asyncio.timeout(10):
        while sum(type(request).__name__ == "WatchExecutionsRequest" for request in node.requests) < count:
            await asyncio.sleep(0.01)


async def next_attempt(watch: ExecutionWatch) -> int:
    async with asyncio.timeout(10):
        return (await anext(watch)).attempt


async def test_changes_come_one_by_one_in_their_order(memory_node: MemoryNode) -> None:
    async with (
        MainspringClient(memory_node.address) as client,
        aclosing(client.watch_executions("daily", namespace="billing")) as watch,
    ):
        waiting = asyncio.create_task(next_attempt(watch))
        await begun(memory_node)
        memory_node.change(*attempts(1, 2, 3))
        assert [await waiting, await next_attempt(watch), await next_attempt(watch)] == [1, 2, 3]
    request = memory_node.requests[-1]
    assert (request.namespace, request.task_id, request.resume_token) == ("billing", "daily", "")


async def test_the_token_goes_on_behind_what_was_handed_out(memory_node: MemoryNode) -> None:
    memory_node.change(*attempts(1))
    async with MainspringClient(memory_node.address) as client:
        first = client.watch_executions("daily", resume_token="0")
        assert first.resume_token == "0"
        assert await next_attempt(first) == 1
        assert first.resume_token == "1"
        memory_node.change(*attempts(2, 3))
        assert await next_attempt(first) == 2
        assert first.resume_token == "1", "the third one has not been handed out"
        await first.aclose()
        await first.aclose()
        async with aclosing(client.watch_executions("daily", resume_token=first.resume_token)) as second:
            assert [await next_attempt(second), await next_attempt(second)] == [2, 3]
            assert second.resume_token == "3"


async def test_a_watch_says_when_it_has_begun(memory_node: MemoryNode) -> None:
    memory_node.change(*attempts(1))
    async with (
        MainspringClient(memory_node.address) as client,
        aclosing(client.watch_executions("daily")) as watch,
        asyncio.timeout(10),
    ):
        assert await watch.begin() == "1"
        assert await watch.begin() == "1"
        memory_node.change(*attempts(2))
        assert await next_attempt(watch) == 2
        assert watch.resume_token == "2"
        async with aclosing(client.watch_executions("daily", resume_token="0")) as other:
            assert await other.begin() == "0"
            assert [await next_attempt(other), await next_attempt(other)] == [1, 2]


@pytest.mark.parametrize("end", [None, code_pb2.UNAVAILABLE, code_pb2.CANCELLED])
async def test_a_stream_that_ends_is_taken_up_where_it_ended(
    memory_node: MemoryNode, end: int | None
) -> None:
    memory_node.watch_ends = [end, end]
    async with (
        MainspringClient(memory_node.address, backoff=BACKOFF) as client,
        aclosing(client.watch_executions("daily", resume_token="0")) as watch,
    ):
        memory_node.change(*attempts(1, 2))
        assert [await next_attempt(watch), await next_attempt(watch)] == [1, 2]
        memory_node.change(*attempts(3))
        assert await next_attempt(watch) == 3
        memory_node.change(*attempts(4))
        assert await next_attempt(watch) == 4
    assert [request.resume_token for request in memory_node.requests] == ["0", "2", "3"]


async def test_a_node_that_stops_is_replaced_by_another(memory_node: MemoryNode) -> None:
    other = MemoryNode()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(other))
        stopping = MemoryNode()
        async with serving(stopping) as server:
            client = await stack.enter_async_context(
                MainspringClient([stopping.address, other.address], backoff=BACKOFF)
            )
            watch = await stack.enter_async_context(
                aclosing(client.watch_executions("daily", resume_token="0"))
            )
            stopping.change(*attempts(1))
            assert await next_attempt(watch) == 1
            other.change(*attempts(1, 2))
            await server.stop(None)
            assert await next_attempt(watch) == 2
    assert [request.resume_token for request in other.requests] == ["1"]


async def test_with_every_node_away_it_gives_up_after_its_timeout(memory_node: MemoryNode) -> None:
    loop = asyncio.get_running_loop()
    async with MainspringClient(["127.0.0.1:1", "127.0.0.1:2"], backoff=BACKOFF) as client:
        began = loop.time()
        with pytest.raises(Unavailable):
            await next_attempt(client.watch_executions("daily", timeout_s=0.5))
        assert loop.time() - began < 5


async def test_a_node_that_says_nothing_is_left(
    memory_node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_calls, "SILENCE_S", 0.2)
    async with (
        MainspringClient(memory_node.address, backoff=BACKOFF) as client,
        aclosing(client.watch_executions("daily", resume_token="0")) as watch,
    ):
        waiting = asyncio.create_task(next_attempt(watch))
        await begun(memory_node, 3)
        memory_node.change(*attempts(1))
        assert await waiting == 1


async def test_what_a_node_refuses_is_raised(memory_node: MemoryNode) -> None:
    memory_node.watch_ends = [code_pb2.INVALID_ARGUMENT]
    memory_node.change(*attempts(1))
    async with MainspringClient(memory_node.address) as client:
        watch = client.watch_executions("daily", resume_token="0")
        assert await next_attempt(watch) == 1
        with pytest.raises(InvalidArgument):
            await next_attempt(watch)
        with pytest.raises(StopAsyncIteration):
            await next_attempt(watch)
    assert len(memory_node.requests) == 1


async def test_the_timeout_is_of_an_interruption_and_not_of_the_watch(memory_node: MemoryNode) -> None:
    memory_node.watch_ends = [None, None]
    async with (
        MainspringClient(memory_node.address, backoff=BACKOFF) as client,
        aclosing(client.watch_executions("daily", resume_token="0", timeout_s=0.1)) as watch,
    ):
        for attempt in (1, 2, 3):
            await asyncio.sleep(0.15)  # longer than any interruption may be
            memory_node.change(*attempts(attempt))
            assert await next_attempt(watch) == attempt
