"""Nodes and executors for the tests of this folder, ended with the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from integration.executor.fake_node import DEADLINE_S, FakeNode

from mainspring.executor import Executor
from mainspring.executor.mock_handlers import mock_registry


class Cluster:
    """Fake nodes, and executors that run against them."""

    def __init__(self) -> None:
        self.nodes: list[FakeNode] = []
        self.runs: list[tuple[Executor, asyncio.Task[bool]]] = []

    async def node(self, name: str, **attributes: object) -> FakeNode:
        node = FakeNode(name)
        for key, value in attributes.items():
            setattr(node, key, value)
        await node.start()
        self.nodes.append(node)
        return node

    def executor(self, *nodes: FakeNode, capacity: int = 10, **options: object) -> Executor:
        executor = Executor(
            [node.address for node in nodes],
            capacity=capacity,
            registry=mock_registry(),
            **options,  # type: ignore[arg-type]
        )
        self.run(executor)
        return executor

    def run(self, executor: Executor) -> "asyncio.Task[bool]":
        task = asyncio.create_task(executor.run())
        self.runs.append((executor, task))
        return task

    async def drained(self, executor: Executor) -> bool:
        async with asyncio.timeout(DEADLINE_S):
            return await next(task for run, task in self.runs if run is executor)

    async def close(self) -> None:
        for executor, task in self.runs:
            executor.stop()
            executor.stop()
            async with asyncio.timeout(DEADLINE_S):
                await task
        for node in self.nodes:
            await node.kill()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        cluster = Cluster()
        stack.push_async_callback(cluster.close)
        yield cluster
