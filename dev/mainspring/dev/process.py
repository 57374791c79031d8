"""Everything in one process: a node, its store, and an executor that reaches it without a socket.

The parts that may differ are handed in: the store, the clock and the handlers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mainspring.dev.in_memory_transport import InMemoryTransport
from mainspring.dev.node import InProcessNode
from mainspring.executor.executor import Executor
from mainspring.executor.registry import HandlerRegistry
from mainspring.server import __version__
from mainspring.server.clock import DatabaseClock
from mainspring.server.config import NodeConfig
from mainspring.server.core.time_zone import DATABASE_RELEASE
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.persistence.store import Store
from mainspring.shard_manager.lease import PartitionLease
from mainspring.shard_manager.local import LocalMembership, LocalRegistry

READY_TIMEOUT_S = 30.0
EXECUTOR_DRAIN_S = 5.0
_LOOK_AGAIN_S = 0.01


class NotReadyError(Exception):
    """The node did not get hold of its partitions in time; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class BuiltInExecutor:
    """The executor in this process.

    Attributes:
        registry: Its handlers, at least one.
        capacity: How many items of work run at once.
        run_log: A file to append evidence of every run to; None for none.
        executor_id: Unique per process start; made when None.
        drain_timeout_s: How long a stop waits for running handlers, in seconds.
    """

    registry: HandlerRegistry
    capacity: int = 100
    run_log: Path | None = None
    executor_id: str | None = None
    drain_timeout_s: float = EXECUTOR_DRAIN_S


VIRTUAL_TIME = EngineSettings(
    window_s=86_400.0,  # of virtual time, which passes in a moment
    sweep_grace_s=-0.000_001,  # time stands still while anything is looked for: what is due now counts
    full_sweep_every=1,
    claim_distance_s=0.0,  # nothing comes meanwhile: time stands still until all is done
    complete_distance_s=0.0,
    retention_round_s=0.0,  # a jump of a year is no reason to forget what it showed
)
"""What a node's engine needs differently under a virtual clock."""


def node_config(listen: str, engine: EngineSettings | None = None) -> NodeConfig:
    """The settings of a node without a cluster."""
    return NodeConfig(listen=listen, name="dev", engine=engine or EngineSettings())


class DevProcess:
    """One node and perhaps one executor. Runs once, on one event loop."""

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        clock: DatabaseClock,
        executor: BuiltInExecutor | None = None,
        keep_time: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """Put the parts together; nothing runs yet.

        Args:
            config: Of the node; see `node_config`.
            store: Started, and nobody else's: whoever its rows call the owner of a partition is taken for dead.
            clock: Of node and executor.
            executor: None for none.
            keep_time: Of a virtual clock; see `TimeMover`.
        """
        self.transport = InMemoryTransport()
        self.node = InProcessNode(
            config, config.node_id(), store, clock, self.transport, keep_time, self._is_executor_away
        )
        self._store = store
        self._clock = clock
        self._settings = executor
        self._executor: Executor | None = None
        self._is_leaving = False

    def listen(self) -> str:
        """Bind the port; returns the address.

        Raises:
            OSError: The address cannot be bound.
        """
        return self.node.listen()

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> bool:
        """Serve until `stop` is set; then let the executor finish, and leave in order. A cancellation ends all at once.

        Args:
            stop: Set it to end.
            on_ready: Called once everything works.

        Returns:
            Whether everything that ran was finished and saved.

        Raises:
            NotReadyError: It does not serve after 30 s.
            OSError: The run log cannot be opened.
        """
        await free_partitions(self._store)
        node_id, address = self.node.node_id, self.node.address
        membership = LocalMembership(
            LocalRegistry(),
            node_id,
            address,
            __version__,
            self._clock,
            time_zone_database=DATABASE_RELEASE,
        )
        stop_node = asyncio.Event()
        is_clean = True
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self.node.run(membership, stop_node), name="dev-node")
                working = group.create_task(self._work(), name="dev-executor")
                announcing = group.create_task(self._announce(membership, on_ready), name="dev-ready")
                await stop.wait()
                self._is_leaving = True
                announcing.cancel()
                if self._executor is not None:
                    self._executor.stop()
                    is_clean = await working
                else:
                    working.cancel()
                stop_node.set()
                await serving
        except* (NotReadyError, OSError) as errors:
            raise errors.exceptions[0] from None
        return is_clean

    def _is_executor_away(self) -> bool:
        """Whether the executor in this process has yet to connect, or to connect again after the process stood still."""
        if self._settings is None or self._is_leaving:
            return False
        return self._executor is None or not self.node.has_executor(self._executor.config.executor_id)

    async def _work(self) -> bool:
        if self._settings is None:
            return True
        await self.node.is_reachable.wait()
        self._executor = Executor(
            self.node.address,
            capacity=self._settings.capacity,
            executor_id=self._settings.executor_id,
            drain_timeout_s=self._settings.drain_timeout_s,
            run_log=self._settings.run_log,
            registry=self._settings.registry,
            transport=self.transport,
            clock=self._clock,
            frame_distance_s=0.0,  # there is no stream to spare, and virtual time stands still meanwhile
        )
        return await self._executor.run()

    async def _announce(self, membership: LocalMembership, on_ready: Callable[[], None]) -> None:
        executors = 0 if self._settings is None else 1
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_TIMEOUT_S):
                while (
                    self._held(membership) < self._store.partition_count
                    or self.node.executor_count < executors
                ):
                    # Executors connect without a word to the membership, and its clock may stand still: look again soon.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_AGAIN_S):
                            await membership.wait_for_change(membership.view().generation, READY_TIMEOUT_S)
                on_ready()
                return
        raise NotReadyError(
            f"after {READY_TIMEOUT_S:g} s it holds {self._held(membership)} of {self._store.partition_count} "
            f"partitions and has {self.node.executor_count} executors"
        )

    def _held(self, membership: LocalMembership) -> int:
        own = membership.view().members.get(self.node.node_id)
        return 0 if own is None else len(own.holds)


async def free_partitions(store: Store) -> None:
    """Free what an earlier process left behind by a crash, so that nobody waits out its session.

    Only for a store that no other process uses.
    """
    left: dict[str, list[PartitionLease]] = {}
    for row in await store.read_partitions():
        if row.owner_id is not None:
            left.setdefault(row.owner_id, []).append(PartitionLease(row.partition_id, row.epoch))
    for owner_id, leases in left.items():
        await store.release_partitions(leases, owner_id)
