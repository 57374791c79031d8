"""Nodes and executors as processes of the simulation: the product's own code, joined by the simulated surroundings."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import grpc
from simulation.clock import SimClock
from simulation.coordination import SimMembership, SimZooKeeper
from simulation.database import NodeStore, SimDatabase
from simulation.network import CallError, Network, SimTransport
from simulation.run_log import MemoryRunLog
from simulation.silence import SilentMetrics, SilentServer
from simulation.trace import Trace

import mainspring.server.node as node_module
from mainspring.executor.agent import Agent
from mainspring.executor.config import ExecutorConfig
from mainspring.executor.job import Job
from mainspring.executor.registry import HandlerRegistry
from mainspring.server.config import NodeConfig
from mainspring.server.engine.engine import Engine
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.rpc.drainer import Drainer
from mainspring.server.rpc.executor_service import ExecutorServicer
from mainspring.server.rpc.namespace_cache import NamespaceCache
from mainspring.server.rpc.node_service import NodeServicer
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.server.rpc.peers import GrpcPeers
from mainspring.server.rpc.task_changes import TaskChanges
from mainspring.server.rpc.task_service import TaskServicer
from mainspring.shard_manager.manager import PartitionManager
from mainspring.shard_manager.membership import Membership
from mainspring.testing.virtual_time import SeededLoop, process_context
from mainspring.v1 import node_service_pb2

PORT = 7300
HANDLERS = ("quick", "slow", "flaky", "failing")


class Surroundings:
    """What all processes share."""

    def __init__(
        self,
        loop: SeededLoop,
        network: Network,
        database: SimDatabase,
        zookeeper: SimZooKeeper,
        trace: Trace,
    ) -> None:
        self.loop = loop
        self.network = network
        self.database = database
        self.zookeeper = zookeeper
        self.trace = trace
        self.listeners: dict[str, tuple[str, Any, Any]] = {}
        """By address: the process, its context, its servicer of executors' streams."""
        self.nodes: dict[str, NodeProcess] = {}
        self.executors: dict[str, ExecutorProcess] = {}
        self.bugs: list[str] = []
        """Processes that ended and should not have."""
        self.lost_hints = 0.0
        """Share of the hints between nodes that get lost."""

    def loses_hint(self) -> bool:
        """Whether the next one does."""
        is_lost = bool(self.lost_hints) and self.network.rng.random() < self.lost_hints
        if is_lost:
            self.trace.note("hint_lost")
        return is_lost


class NodeProcess(node_module.Node):
    """A node, whole, with its wiring, but for the sockets. `name` is its process, its host and its node id."""

    def __init__(self, around: Surroundings, name: str, config: NodeConfig, rng: Random) -> None:
        self.name = name
        self.process_context = process_context(name)
        self._around = around
        self.membership = SimMembership(
            around.zookeeper, name, f"{name}:{PORT}", SimClock(around.loop), self.process_context
        )
        self.sim_store = NodeStore(around.database, name)
        super().__init__(
            config,
            name,
            self.sim_store,  # type: ignore[arg-type]  # any unit, by name
            SimClock(around.loop),
            server=SilentServer(),  # type: ignore[arg-type]
            peers=SimPeers(around),
            rng=rng,
        )
        self.address = f"{name}:{PORT}"
        self._stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.engine: Engine | None = None
        self.manager: PartitionManager | None = None
        self.tasks: TaskServicer | None = None
        self.node_servicer: NodeServicer | None = None
        self.is_gone = False
        self.gone = asyncio.Event()

    @classmethod
    def begin(cls, around: Surroundings, name: str, config: NodeConfig, rng: Random) -> NodeProcess:
        """Starts it in a process of its own."""
        context = process_context(name)
        node: NodeProcess = context.run(cls, around, name, config, rng)
        around.nodes[name] = node
        node.task = around.loop.create_task(
            node.run(node.membership, node._stop), context=node.process_context.copy()
        )
        node.task.add_done_callback(node.ended)
        return node

    def register_services(
        self,
        engine: Engine,
        manager: PartitionManager,
        membership: Membership,
        executor_servicer: ExecutorServicer,
    ) -> None:
        """Keeps what the simulated network calls."""
        self.engine, self.manager = engine, manager
        calls = OwnerCalls(self._clock, OwnerRouter(membership, self.node_id), self._peers)
        namespaces = NamespaceCache(self._clock, self._store)
        parts = (self._clock, self._store, engine, self._config.limits, calls, namespaces)
        self.tasks = TaskServicer(*parts, TaskChanges(*parts))
        drainer = Drainer(self.node_id, manager, membership, self._peers)
        self.node_servicer = NodeServicer(self._clock, engine, manager.on_release_announced, drainer, calls)
        self._around.listeners[self.address] = (self.name, self.process_context, executor_servicer)

    def terminate(self) -> None:
        """As SIGTERM."""
        self._around.loop.call_soon(self._stop.set, context=self.process_context)

    def kill(self) -> None:
        """As SIGKILL."""
        if not self.is_gone:
            self.membership.die()
            self._around.loop.kill(self.name)
            self.exited()

    def ended(self, task: asyncio.Task[None]) -> None:
        """Its main task has ended: as it should, or by a bug."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._around.bugs.append(f"{self.name} ended: {error!r}")
        self.exited()

    def exited(self) -> None:
        """The process is gone."""
        if not self.is_gone:
            self.is_gone = True
            self.gone.set()
            self._around.loop.kill(self.name)
            self._around.network.died(self.name)
            self._around.listeners.pop(self.address, None)


class SimPeers(GrpcPeers):
    """The product's client of other nodes, over the simulated network."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__()
        self._around = around

    def get_ready(self, addresses: Sequence[str]) -> None:
        """There is nothing to connect."""

    def _stub(self, address: str) -> Any:
        return _PeerStub(self._around, address.partition(":")[0])


class _PeerStub:
    """Calls of `NodeService`, by name."""

    def __init__(self, around: Surroundings, name: str) -> None:
        self._around = around
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(request: Any, timeout: float) -> Any:
            if method == "Hint" and self._around.loses_hint():
                return node_service_pb2.HintResponse()
            node = self._around.nodes.get(self._name)
            if node is None or node.node_servicer is None:
                raise CallError(grpc.StatusCode.UNAVAILABLE, "nobody listens")
            handler = getattr(node.node_servicer, method)
            return await self._around.network.call(
                self._name, node.process_context, lambda: handler(request, None), timeout
            )

        return call


class ExecutorProcess:
    """An executor: the product's agent with handlers that take time and fail as their payload and name say."""

    def __init__(
        self, around: Surroundings, name: str, addresses: tuple[str, ...], capacity: int, rng: Random
    ) -> None:
        self.name = name
        self._around = around
        self.run_log = MemoryRunLog(name, around.trace)
        self.clock = SimClock(around.loop, wrong_by_us=rng.randrange(-30_000, 30_000))
        self.process_context = process_context(name)
        self._stop = asyncio.Event()
        self.is_gone = False
        config = ExecutorConfig(addresses, capacity=capacity, executor_id=name)
        self.agent: Agent = self.process_context.run(
            lambda: Agent(
                config,
                self._registry(),
                transport=SimTransport(around.network, name, around.listeners),
                clock=self.clock,
                run_log=self.run_log,
                random=rng,
            )
        )
        self.task = around.loop.create_task(self.agent.run(self._stop), context=self.process_context.copy())
        self.task.add_done_callback(lambda _: self.exited())

    def _registry(self) -> HandlerRegistry:
        registry = HandlerRegistry()

        async def work(job: Job) -> bytes:
            if job.payload:
                await self.clock.sleep(int(job.payload) / 1000)
            if job.handler == "failing" or (
                job.handler == "flaky" and fails(job.task_id, job.scheduled_at, job.attempt)
            ):
                raise RuntimeError("planned")
            return b""

        for handler in HANDLERS:
            registry.register(handler, work)
        return registry

    def terminate(self) -> None:
        """As SIGTERM: it drains."""
        self._around.loop.call_soon(self._stop.set, context=self.process_context)

    def kill(self) -> None:
        """As SIGKILL."""
        self._around.loop.kill(self.name)
        self.exited()

    def exited(self) -> None:
        """The process is gone."""
        if not self.is_gone:
            self.is_gone = True
            self._around.loop.kill(self.name)
            self._around.network.died(self.name)


def fails(task_id: str, scheduled_at: int, attempt: int) -> bool:
    """Whether an attempt of a flaky task fails: the same in each run, and each attempt ends unlike the one before."""
    return (zlib.crc32(f"{task_id}/{scheduled_at}".encode()) + attempt) % 2 == 0


@contextlib.contextmanager
def trimmed() -> Iterator[None]:
    """Nodes made in the block do not measure: a registry of metrics a node costs more than the rest of it."""
    metrics, lag_round_s = node_module.Metrics, node_module.LOOP_LAG_ROUND_S
    node_module.Metrics = SilentMetrics  # type: ignore[misc,assignment]
    node_module.LOOP_LAG_ROUND_S = 60.0
    try:
        yield
    finally:
        node_module.Metrics = metrics  # type: ignore[misc]
        node_module.LOOP_LAG_ROUND_S = lag_round_s
