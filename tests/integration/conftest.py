"""A whole node in the test's own loop: real MariaDB, real gRPC; membership in process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mainspring.client import MainspringClient
from mainspring.executor.executor import Executor
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.registry import HandlerRegistry
from mainspring.server.clock import ClusterClock
from mainspring.server.config import NodeConfig
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.node import Node
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.shard_manager.local import LocalMembership, LocalRegistry
from mainspring.shard_manager.membership import Membership

PARTITIONS = 16


@dataclass
class RunningNode:
    """A node and the way to end it."""

    node: Node
    store: MySQLStore
    stop: asyncio.Event
    task: "asyncio.Task[None]"
    is_gone: bool = False

    @property
    def address(self) -> str:
        return self.node.address

    async def leave(self) -> None:
        """An orderly end."""
        self.is_gone = True
        self.stop.set()
        async with asyncio.timeout(20):
            await self.task
        await self.store.close()

    async def vanish(self) -> None:
        """An end without goodbye."""
        self.is_gone = True
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.store.close()


@dataclass
class Bench:
    """Starts nodes and executors over one database and one registry, and clears up."""

    url: str
    folder: Path
    registry: LocalRegistry = field(default_factory=LocalRegistry)
    nodes: list[RunningNode] = field(default_factory=list)
    executors: list[tuple[Executor, "asyncio.Task[bool]"]] = field(default_factory=list)
    membership_of: Callable[[str, str, ClusterClock], Membership] | None = None
    """Of node id, address and clock; by default in the registry of this bench."""

    def _local_membership(self, node_id: str, address: str, clock: ClusterClock) -> Membership:
        return LocalMembership(self.registry, node_id, address, "test", clock)

    async def start_node(self, engine: EngineSettings | None = None) -> RunningNode:
        clock = ClusterClock()
        config = NodeConfig(listen="127.0.0.1:0", engine=engine or EngineSettings())
        store = MySQLStore(MySQLSettings.from_url(self.url))
        await store.start()
        await clock.measure(store.database_time)
        node_id = config.node_id()
        node = Node(config, node_id, store, clock)
        address = node.listen()
        make = self.membership_of or self._local_membership
        membership = make(node_id, address, clock)
        stop = asyncio.Event()
        running = RunningNode(node, store, stop, asyncio.create_task(node.run(membership, stop)))
        self.nodes.append(running)
        return running

    def start_executor(
        self,
        address: str,
        *,
        capacity: int = 100,
        executor_id: str = "executor-1",
        registry: HandlerRegistry | None = None,
    ) -> Executor:
        executor = Executor(
            address,
            capacity=capacity,
            executor_id=executor_id,
            registry=registry or mock_registry(),
            run_log=self.folder / f"{executor_id}.jsonl",
            drain_timeout_s=5,
        )
        self.executors.append((executor, asyncio.create_task(executor.run())))
        return executor

    async def clear(self) -> None:
        for executor, task in self.executors:
            if not task.done():
                executor.stop()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(8):
                        await asyncio.wait([task])
        for running in self.nodes:
            if not running.is_gone:
                await running.vanish()


@pytest.fixture
async def bench(fresh_database: Callable[..., str], tmp_path: Path) -> AsyncIterator[Bench]:
    """A place to start nodes and executors."""
    url = fresh_database()
    await migrate(MySQLSettings.from_url(url), partitions=PARTITIONS)
    made = Bench(url, tmp_path)
    yield made
    await made.clear()


@pytest.fixture
async def node(bench: Bench) -> RunningNode:
    """One running node."""
    return await bench.start_node()


@pytest.fixture
async def client(node: RunningNode) -> AsyncIterator[MainspringClient]:
    """A client of that node."""
    async with MainspringClient(node.address) as made:
        yield made


@pytest.fixture
def bench_type() -> type[Bench]:
    """For a bench over a database of the test's own."""
    return Bench
