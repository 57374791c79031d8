"""A simulation's stage in this process: several nodes over one database in memory and one registry of members."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mainspring.client import MainspringError
from mainspring.dev.in_memory_transport import InMemoryTransport
from mainspring.dev.simulate.config import Simulation
from mainspring.dev.simulate.members import SimulatedExecutor, SimulatedNode
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.shard_manager.local import LocalRegistry
from mainspring.testing.errors import ChildFailedError, TestingError
from mainspring.testing.load_run import LoadRun
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder

SPREAD_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 20.0
_POLL_S = 0.02
_Named = TypeVar("_Named", SimulatedNode, SimulatedExecutor)


class InProcessMembers:
    """Everybody who was started. For one event loop."""

    def __init__(self, simulation: Simulation, folder: RunFolder) -> None:
        """Nobody is there yet."""
        self._simulation = simulation
        self._folder = folder
        self._store = SQLiteStore(":memory:", simulation.nodes.partitions)
        self._registry = LocalRegistry()
        self._transport = InMemoryTransport()
        self.nodes: list[SimulatedNode] = []
        self.executors: list[SimulatedExecutor] = []

    async def open(self) -> None:
        """Make the database; it lasts until `end`."""
        await self._store.start()

    async def add_node(self) -> SimulatedNode:
        """Start one more node."""
        name = f"node-{len(self.nodes) + 1}"
        node = SimulatedNode(name, self._store.sibling(), self._registry, self._transport)
        self.nodes.append(node)
        await node.start()
        return node

    def add_executor(self) -> SimulatedExecutor:
        """Start one more executor; its id is its name."""
        name = f"executor-{len(self.executors) + 1}"
        executor = SimulatedExecutor(
            name,
            self._transport,
            [node.address for node in self.nodes if node.is_running],
            self._simulation.executors.capacity,
            self._folder.run_logs / f"{name}.jsonl",
        )
        self.executors.append(executor)
        executor.start()
        return executor

    async def owners(self) -> Counter[str]:
        """How many partitions each node has, by the database; "" for nobody."""
        names = {node.node.node_id: node.name for node in self.nodes}
        return Counter(names.get(row.owner_id or "", "") for row in await self._store.read_partitions())

    @property
    def run_logs(self) -> list[Path]:
        """See `Members.run_logs`."""
        return sorted(self._folder.run_logs.glob("*.jsonl"))

    def close(self) -> None:
        """See `Members.close`: tasks of an event loop cannot be ended without waiting for them; `end` does it."""

    async def end(self) -> None:
        """Drop everybody who is still there, and the database.

        Raises:
            TestingError: One of them had ended with an error of its own.
        """
        members: list[SimulatedExecutor | SimulatedNode] = [*self.executors, *self.nodes]
        try:
            ends = await asyncio.gather(*(member.die() for member in members), return_exceptions=True)
        finally:
            await self._store.close()
        for error in ends:
            if isinstance(error, BaseException):
                raise error


class InProcessRun(LoadRun):
    """The stage, and the run on it."""

    def __init__(
        self,
        simulation: Simulation,
        folder: RunFolder,
        progress: Progress,
        *,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        """Describe it; nothing runs yet."""
        self.members = InProcessMembers(simulation, folder)
        super().__init__(self.members, progress, refresh=refresh)
        self._simulation = simulation
        self._leaving: set[str] = set()

    async def __aexit__(self, *reason: object) -> None:
        """Stop watching and drop everybody, also when cancelled."""
        try:
            await super().__aexit__(*reason)
        finally:
            await self.members.end()

    @property
    def run(self) -> LoadRun:
        """See `Stage.run`."""
        return self

    async def start(self) -> None:
        """Start everybody and wait until the partitions are spread and the executors connected.

        Raises:
            TestingError: Not in time.
        """
        nodes, executors = self._simulation.nodes.count, self._simulation.executors.count
        self.progress.phase = "setting up"
        self.watch()
        await self.members.open()
        for _ in range(nodes):
            await self.members.add_node()
        for _ in range(executors):
            self.members.add_executor()
        await self.connect([node.address for node in self.members.nodes])
        await self._until_spread()
        await self._until(
            lambda: all(node.node.executor_count == executors for node in self.members.nodes),
            "executors connected",
        )
        await self._until_published()
        self.progress.event(
            f"{nodes} nodes share {self._simulation.nodes.partitions} partitions, {executors} executors are connected"
        )

    # --- what happens to the cluster ------------------------------------------------------------------------------

    async def add_node(self) -> None:
        """A node joins; returns when it has its share of the partitions."""
        began_s = time.monotonic()
        name = f"node-{len(self.members.nodes) + 1}"
        self.progress.event(f"{name} joins")
        async with self.fault("join", name):
            await self.members.add_node()
            await self._until_spread()
        self.progress.event(f"{name} has its share after {time.monotonic() - began_s:.1f} s")

    async def stop_node(self, name: str) -> None:
        """A node leaves in order; returns when the others have its partitions."""
        began_s = time.monotonic()
        self.progress.event(f"{name} leaves in order")
        self._leaving.add(name)
        async with self.fault("stop", name):
            await _named(self.members.nodes, name).leave()
            await self._until_spread()
        self.progress.event(f"{name} has left after {time.monotonic() - began_s:.1f} s")

    async def kill_node(self, name: str) -> None:
        """A node dies; its session ends some seconds later; returns when the others have its partitions."""
        began_s = time.monotonic()
        self.progress.event(f"{name} dies without goodbye")
        self._leaving.add(name)
        node = _named(self.members.nodes, name)
        async with self.fault("kill", name):
            await node.die()
            await asyncio.sleep(max(0.0, self._simulation.nodes.session_s - (time.monotonic() - began_s)))
            node.expire()
            await self._until_spread()
        self.progress.event(f"the partitions of {name} are taken after {time.monotonic() - began_s:.1f} s")

    async def add_executor(self) -> None:
        """An executor joins; returns when every node has it."""
        wanted = sum(executor.is_running for executor in self.members.executors) + 1
        executor = self.members.add_executor()
        self.progress.event(f"{executor.name} joins")
        async with self.fault("join", f"new {executor.name}"):
            await self._until(
                lambda: all(
                    node.node.executor_count >= wanted for node in self.members.nodes if node.is_running
                ),
                f"{executor.name} connected",
            )
            await asyncio.sleep(1.0)

    async def kill_executor(self, name: str) -> None:
        """An executor dies; returns when its lease is over, and its work is given to others."""
        self.progress.event(f"{name} dies without goodbye")
        async with self.fault("kill", name):
            await _named(self.members.executors, name).die()
            await asyncio.sleep(EngineSettings().lease_s)

    # --- waiting --------------------------------------------------------------------------------------------------

    async def _until_spread(self) -> None:
        """Wait until the database shows every partition with a node that is there, evenly."""
        deadline = time.monotonic() + SPREAD_TIMEOUT_S
        while True:
            owners = await self.members.owners()
            wanted = {
                node.name for node in self.members.nodes if node.is_running and node.name not in self._leaving
            }
            # With fewer partitions than nodes some have none.
            shares = [owners[name] for name in wanted]
            if set(owners) <= wanted and max(shares) - min(shares) <= 1:
                return
            if time.monotonic() > deadline:
                seen = ", ".join(f"{name or 'nobody'} {count}" for name, count in sorted(owners.items()))
                raise ChildFailedError(
                    f"the partitions are not spread evenly after {SPREAD_TIMEOUT_S:g} s: {seen}"
                )
            await asyncio.sleep(_POLL_S)

    async def _until_published(self) -> None:
        """Wait until the nodes have told each other what they hold: hints need to know the way."""
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                cluster = await self.client.list_nodes()
            except MainspringError as error:
                raise TestingError(f"a node does not answer: {error}") from None
            if sum(node.partition_count for node in cluster.nodes) == cluster.partition_count:
                return
            await asyncio.sleep(_POLL_S)
        raise ChildFailedError(f"the nodes have not published what they hold after {CONNECT_TIMEOUT_S:g} s")

    async def _until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not is_so():
            if time.monotonic() > deadline:
                raise ChildFailedError(f"not within {CONNECT_TIMEOUT_S:g} s: {what}")
            await asyncio.sleep(_POLL_S)


def _named(members: Sequence[_Named], name: str) -> _Named:
    for member in members:
        if member.name == name:
            return member
    raise TestingError(f"{name} has not been started yet")
