"""A node whose executors in this process need no socket."""

import asyncio
from collections.abc import Awaitable, Callable

from mainspring.dev.dev_service import SERVICE, DevServicer
from mainspring.dev.in_memory_transport import InMemoryTransport
from mainspring.dev.virtual_clock import VirtualClock
from mainspring.dev.virtual_clock_mover import TimeMover
from mainspring.server.clock import DatabaseClock
from mainspring.server.config import NodeConfig
from mainspring.server.engine.engine import Engine
from mainspring.server.node import Node
from mainspring.server.persistence.store import Store
from mainspring.server.rpc.executor_service import ExecutorServicer
from mainspring.shard_manager.manager import PartitionManager
from mainspring.shard_manager.membership import Membership
from mainspring.v1 import dev_service_pb2_grpc


class InProcessNode(Node):
    """The node of a cluster, which also listens on an in-memory transport under its own address.

    With a `VirtualClock` it has the `DevService`, too.
    """

    def __init__(
        self,
        config: NodeConfig,
        node_id: str,
        store: Store,
        clock: DatabaseClock,
        transport: InMemoryTransport,
        keep_time: Callable[[int], Awaitable[None]] | None = None,
        is_executor_away: Callable[[], bool] = lambda: False,
    ) -> None:
        """See `Node`; executors that use `transport` reach it from `is_reachable` on, and `TimeMover` for the last two."""
        super().__init__(config, node_id, store, clock)
        self._transport = transport
        self._keep_time = keep_time
        self._is_executor_away = is_executor_away
        self._engine: Engine | None = None
        self.is_reachable = asyncio.Event()

    @property
    def executor_count(self) -> int:
        """How many executors are connected, by whichever transport."""
        return 0 if self._engine is None else len(self._engine.executors.sessions())

    def has_executor(self, executor_id: str) -> bool:
        """Whether an executor is connected."""
        return self._engine is not None and self._engine.executors.get(executor_id) is not None

    async def run(self, membership: Membership, stop: asyncio.Event) -> None:
        """See `Node`."""
        try:
            await super().run(membership, stop)
        finally:
            await self._transport.unlisten(self.address)

    def register_services(
        self,
        engine: Engine,
        manager: PartitionManager,
        membership: Membership,
        executor_servicer: ExecutorServicer,
    ) -> None:
        if isinstance(self._clock, VirtualClock):
            mover = TimeMover(
                self._clock, engine.stillness, self._store, self._keep_time, self._is_executor_away
            )
            dev_service_pb2_grpc.add_DevServiceServicer_to_server(DevServicer(mover), self._server)
            self._services.append(SERVICE)
        super().register_services(engine, manager, membership, executor_servicer)
        self._engine = engine
        self._transport.listen(self.address, executor_servicer)
        self.is_reachable.set()
