"""The nodes and executors of a simulation in one process, each with a way to die."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from mainspring.dev.in_memory_transport import InMemoryStream, InMemoryTransport
from mainspring.dev.node import InProcessNode
from mainspring.dev.process import node_config
from mainspring.executor.executor import Executor
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.transport import TransportError
from mainspring.server import __version__
from mainspring.server.clock import ClusterClock
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.shard_manager.local import LocalMembership, LocalRegistry
from mainspring.testing.errors import TestingError

LISTEN = "127.0.0.1:0"
LEAVE_S = 8.0
"""As a node of a cluster: here somebody takes its partitions over."""


class MortalMembership(LocalMembership):
    """A membership whose node can die: its session then lasts on until somebody ends it, as ZooKeeper's would."""

    _is_dead = False

    def die(self) -> None:
        """The node is gone and says nothing more; it stays registered until `expire`."""
        self._is_dead = True
        self.disconnect()

    async def stop(self) -> None:
        """See `Membership.stop`; the dead do not sign off."""
        if not self._is_dead:
            await super().stop()


class SimulatedMember:
    """A node or an executor: a task with a name."""

    def __init__(self, name: str) -> None:
        """Nothing runs yet."""
        self.name = name
        self._task: asyncio.Task[object] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._task is not None and not self._task.done()

    def _run(self, work: Callable[[], Awaitable[object]]) -> None:
        async def named() -> object:
            structlog.contextvars.bind_contextvars(member=self.name)
            return await work()

        self._task = asyncio.create_task(named(), name=self.name)

    async def _end(self, *, cancels: bool) -> None:
        """Wait for the end, cancelled or not.

        Raises:
            TestingError: It ended with an error of its own.
        """
        if self._task is None:
            return
        if cancels:
            self._task.cancel()
        await asyncio.wait([self._task])
        error = None if self._task.cancelled() else self._task.exception()
        if error is not None:
            raise TestingError(f"{self.name} ended: {error!r}") from error


class SimulatedNode(SimulatedMember):
    """A whole scheduler node: engine, gRPC server, shard manager, and a connection of its own to the shared database."""

    def __init__(
        self, name: str, store: SQLiteStore, registry: LocalRegistry, transport: InMemoryTransport
    ) -> None:
        """Describe it; nothing runs yet. `store` is this node's own handle."""
        super().__init__(name)
        config = replace(node_config(LISTEN), name=name, leave_s=LEAVE_S)
        self._store = store
        self._clock = ClusterClock()
        self._transport = transport
        self._stop = asyncio.Event()
        self.node = InProcessNode(config, config.node_id(), store, self._clock, transport)
        self.address = self.node.listen()
        self._membership = MortalMembership(
            registry, self.node.node_id, self.address, __version__, self._clock
        )

    async def start(self) -> None:
        """Start it; returns when executors can reach it."""
        await self._store.start()
        await self._clock.measure(self._store.database_time)
        self._run(self._serve)
        await self.node.is_reachable.wait()

    async def _serve(self) -> None:
        try:
            await self.node.run(self._membership, self._stop)
        finally:
            await self._store.close()

    async def leave(self) -> None:
        """Leave in order: hand the partitions over, say goodbye."""
        self._stop.set()
        await self._end(cancels=False)

    async def die(self) -> None:
        """Be gone in the middle of whatever it does. Others still see its session: see `expire`."""
        self._membership.die()
        await self._transport.unlisten(self.address)
        await self._end(cancels=True)

    def expire(self) -> None:
        """Let the session of the dead node end."""
        self._membership.expire()


class SimulatedExecutor(SimulatedMember):
    """An executor with the mock handlers, which reaches the nodes without sockets."""

    def __init__(
        self, name: str, transport: InMemoryTransport, addresses: list[str], capacity: int, run_log: Path
    ) -> None:
        """Describe it; nothing runs yet."""
        super().__init__(name)
        self._network = _CutNetwork(transport)
        self._executor = Executor(
            addresses,
            capacity=capacity,
            executor_id=name,
            run_log=run_log,
            registry=mock_registry(),
            transport=self._network,
        )

    def start(self) -> None:
        """Start it; it connects by itself."""
        self._run(self._executor.run)

    async def die(self) -> None:
        """Be gone in the middle of whatever it does: nothing that it has not said yet is heard any more."""
        await self._network.cut()
        await self._end(cancels=True)


class _CutNetwork:
    """An executor's way to the nodes, which can be cut."""

    def __init__(self, transport: InMemoryTransport) -> None:
        self._transport = transport
        self._streams: set[InMemoryStream] = set()
        self._is_cut = False

    async def open(self, address: str) -> InMemoryStream:
        """See `Transport`."""
        if self._is_cut:
            raise TransportError("the network is cut")
        stream = await self._transport.open(address)
        self._streams.add(stream)
        stream.serving.add_done_callback(lambda _: self._streams.discard(stream))
        return stream

    async def cut(self) -> None:
        """Break every stream, for ever."""
        self._is_cut = True
        for stream in list(self._streams):
            with suppress(TransportError):
                await stream.close()
