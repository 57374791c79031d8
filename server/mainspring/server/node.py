"""A node over a store and a membership: builds every object, owns every task, knows the order of start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import random

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from mainspring.server import __version__
from mainspring.server.clock import DatabaseClock
from mainspring.server.config import NodeConfig
from mainspring.server.coordinator_watch import CoordinatorWatch
from mainspring.server.core.time_zone import DATABASE_RELEASE
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.duty_watch import DutyWatch
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.engine import Engine
from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.supervision import keep_running
from mainspring.server.observability.metrics import Metrics
from mainspring.server.persistence.store import Store
from mainspring.server.rpc.admin_service import AdminServicer
from mainspring.server.rpc.channel_options import SERVER_OPTIONS
from mainspring.server.rpc.drainer import Drainer
from mainspring.server.rpc.execution_service import ExecutionServicer
from mainspring.server.rpc.executor_service import ExecutorServicer
from mainspring.server.rpc.interceptors import CallInterceptor
from mainspring.server.rpc.namespace_cache import NamespaceCache
from mainspring.server.rpc.namespace_service import NamespaceServicer
from mainspring.server.rpc.node_service import NodeServicer
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.server.rpc.peers import GrpcPeers
from mainspring.server.rpc.task_changes import TaskChanges
from mainspring.server.rpc.task_service import TaskServicer
from mainspring.shard_manager.manager import PartitionManager
from mainspring.shard_manager.membership import Membership
from mainspring.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    execution_service_pb2,
    execution_service_pb2_grpc,
    executor_service_pb2,
    executor_service_pb2_grpc,
    namespace_service_pb2,
    namespace_service_pb2_grpc,
    node_service_pb2,
    node_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
)

log = structlog.get_logger(__name__)

DUTY_ROUND_S = 0.1
LOOP_LAG_ROUND_S = 0.1
STOOD_STILL_S = 2.0
UNOWNED_ROUND_S = 1.0
FLUSH_S = 1.0
RECONCILE_S = 5.0
GOODBYE_S = 0.5
CLIENT_SERVICES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    execution_service_pb2.DESCRIPTOR.services_by_name["ExecutionService"].full_name,
    namespace_service_pb2.DESCRIPTOR.services_by_name["NamespaceService"].full_name,
    executor_service_pb2.DESCRIPTOR.services_by_name["ExecutorService"].full_name,
    node_service_pb2.DESCRIPTOR.services_by_name["NodeService"].full_name,
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name,
)


class Node:
    """One node over a store and a membership, whichever they are.

    Args:
        server: serves the calls; None: a gRPC server of its own.
        peers: calls the other nodes; None: over gRPC.
        rng: pauses are drawn from it; None: a generator of its own.
    """

    def __init__(
        self,
        config: NodeConfig,
        node_id: str,
        store: Store,
        clock: DatabaseClock,
        *,
        server: grpc.aio.Server | None = None,
        peers: GrpcPeers | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self.node_id = node_id
        self.metrics = Metrics()
        self._server = server or grpc.aio.server(
            interceptors=[CallInterceptor(clock, self.metrics)],
            options=SERVER_OPTIONS,
        )
        self._health = health.HealthServicer()
        self._peers = peers or GrpcPeers()
        self._rng = rng
        self._is_serving: bool | None = None
        self._is_leaving = False
        self._duty: DutyWatch | None = None
        self._fenced = asyncio.Event()
        self.address = ""
        self._services = list(CLIENT_SERVICES)
        """Full names of what clients may call; shown by reflection and health."""

    def listen(self) -> str:
        """Binds the port; answers the address under which others reach this node.

        Raises:
            OSError: the address cannot be bound.
        """
        try:
            port = self._server.add_insecure_port(self._config.listen)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._config.listen}: {error}") from None
        host = self._config.listen.rpartition(":")[0]
        self.address = self._config.advertise or f"{host}:{port}"
        return self.address

    async def run(self, membership: Membership, stop: asyncio.Event) -> None:
        """Serves until `stop` is set; then hands over, within the configured time, and ends."""
        executors = ConnectedExecutors(self._config.engine.lease_s)
        held = HeldPartitions()
        context = OwnerContext(
            self.node_id, self._clock, self._store, held, self._config.engine, self.metrics
        )
        engine = Engine(
            context,
            executors,
            OwnerRouter(membership, self.node_id),
            self._peers,
            on_fenced=self._fenced.set,
        )
        manager = PartitionManager(
            self.node_id, membership, self._store, engine.host, self._peers, self._clock, rng=self._rng
        )
        duty = self._duty = DutyWatch(
            self.node_id, self._clock, self._store.database_time, executors, membership, manager, self.metrics
        )
        engine.reaper.is_deaf = duty.is_deaf
        executor_servicer = ExecutorServicer(
            self._clock,
            engine,
            self._config.engine,
            self.metrics,
            node_id=self.node_id,
            address=self.address,
            version=__version__,
            node_addresses=lambda: node_addresses(membership, self.address),
        )
        self.register_services(engine, manager, membership, executor_servicer)
        loops = {
            "database": duty.database_round,
            "duty": self._duty_round,
            "nodes": _NodeListRound(membership, executors, self._peers, self.address).run_round,
            "fenced": lambda: self._fenced_round(manager, engine),
            "lag": self._lag_round,
            "unowned": lambda: self._unowned_round(manager),
            "coordinator": CoordinatorWatch(
                self.node_id, self._clock, membership, self._peers.answers, manager, self.metrics
            ).run_round,
        }
        await self._server.start()
        await membership.start()
        log.info(
            "node_started",
            address=self.address,
            version=__version__,
            time_zone_database=DATABASE_RELEASE,
        )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(engine.run(), name="engine")]
                tasks += [
                    group.create_task(keep_running(name, round_of, self._clock), name=name)
                    for name, round_of in loops.items()
                ]
                managing = group.create_task(manager.run(), name="manager")
                await stop.wait()
                await self._leave(engine, manager, executor_servicer)
                for task in (*tasks, managing):
                    task.cancel()
        finally:
            await self._server.stop(0)
            await membership.stop()
            await self._peers.close()
            log.info("node_stopped")

    async def _leave(
        self, engine: Engine, manager: PartitionManager, executor_servicer: ExecutorServicer
    ) -> None:
        """Not ready, others take over; then the executors' last results, then goodbye."""
        self._is_leaving = True
        await self._show_health()
        await manager.leave(self._config.leave_s)
        executor_servicer.drain()
        await self._flush(engine)
        executor_servicer.say_goodbye()
        await self._server.stop(GOODBYE_S)
        await self._flush(engine)  # of the last registrations, too, somebody has to be told

    async def _flush(self, engine: Engine) -> None:
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(FLUSH_S):
                await engine.flush()

    def register_services(
        self,
        engine: Engine,
        manager: PartitionManager,
        membership: Membership,
        executor_servicer: ExecutorServicer,
    ) -> None:
        """Adds every service to the gRPC server, before it starts. A node of another kind adds its own to these."""
        server, clock, store = self._server, self._clock, self._store
        drainer = Drainer(self.node_id, manager, membership, self._peers)
        owner_calls = OwnerCalls(clock, OwnerRouter(membership, self.node_id), self._peers)
        namespaces = NamespaceCache(clock, store)
        limits = self._config.limits
        changes = TaskChanges(clock, store, engine, limits, owner_calls, namespaces)
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(
            TaskServicer(clock, store, engine, limits, owner_calls, namespaces, changes), server
        )
        execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(
            ExecutionServicer(clock, store, owner_calls, changes), server
        )
        namespace_service_pb2_grpc.add_NamespaceServiceServicer_to_server(
            NamespaceServicer(clock, store, namespaces), server
        )
        executor_service_pb2_grpc.add_ExecutorServiceServicer_to_server(executor_servicer, server)
        node_service_pb2_grpc.add_NodeServiceServicer_to_server(
            NodeServicer(clock, engine, manager.on_release_announced, drainer, owner_calls), server
        )
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(
            AdminServicer(clock, store, engine, membership, drainer, self.node_id), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (
                *self._services,
                reflection.SERVICE_NAME,
                health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            ),
            server,
        )

    # --- rounds of the node's own loops --------------------------------------------------------------------------

    async def _duty_round(self) -> None:
        """Steps aside or returns, and shows it."""
        assert self._duty is not None
        self._duty.judge()
        await self._show_health()
        await self._clock.sleep(DUTY_ROUND_S)

    async def _show_health(self) -> None:
        is_database_there = self._duty is None or self._duty.is_database_there
        is_serving = is_database_there and not self._is_leaving
        if is_serving == self._is_serving:
            return
        self._is_serving = is_serving
        log.info("health_changed", is_serving=is_serving)
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if is_serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for service in ("", *self._services):
            await self._health.set(service, status)

    async def _fenced_round(self, manager: PartitionManager, engine: Engine) -> None:
        """Compares what is held with the rows: at once when a write was refused, else now and then."""
        try:
            async with self._clock.timeout(RECONCILE_S):
                await self._fenced.wait()
        except TimeoutError:
            pass
        else:
            self._fenced.clear()
            async with self._clock.timeout(RECONCILE_S):
                await manager.reconcile()
        engine.host.adopt_missing(manager.holds)

    async def _unowned_round(self, manager: PartitionManager) -> None:
        """Shows partitions that nobody fires; the manager alarms in the log."""
        waiting_s = manager.unowned().values()
        self.metrics.partitions_unowned.set(len(waiting_s))
        self.metrics.partitions_unowned_s.set(max(waiting_s, default=0.0))
        await self._clock.sleep(UNOWNED_ROUND_S)

    async def _lag_round(self) -> None:
        begun_s = self._clock.monotonic()
        await self._clock.sleep(LOOP_LAG_ROUND_S)
        lag_s = max(0.0, self._clock.monotonic() - begun_s - LOOP_LAG_ROUND_S)
        self.metrics.loop_lag.observe(lag_s)
        if lag_s > STOOD_STILL_S:
            log.warning("node_stood_still", seconds=round(lag_s, 3))
            self._fenced.set()  # whatever was read before counts for nothing


class _NodeListRound:
    """Pushes the list of nodes to the executors whenever it changes, and drops channels to nodes that are gone."""

    def __init__(
        self, membership: Membership, executors: ConnectedExecutors, peers: GrpcPeers, own_address: str
    ) -> None:
        self._membership = membership
        self._executors = executors
        self._peers = peers
        self._own_address = own_address
        self._generation = -1
        self._told: tuple[str, ...] = ()

    async def run_round(self) -> None:
        """Waits for a change of the membership and tells the executors when the list differs."""
        await self._membership.wait_for_change(self._generation, 5.0)
        self._generation = self._membership.view().generation
        addresses = node_addresses(self._membership, self._own_address)
        if addresses != self._told:
            self._told = addresses
            for session in self._executors.sessions():
                session.tell_nodes(addresses)
        members = {member.address for member in self._membership.view().members.values()}
        self._peers.get_ready([address for address in members if address != self._own_address])
        await self._peers.forget([address for address in self._peers.addresses() if address not in members])


def node_addresses(membership: Membership, own_address: str) -> tuple[str, ...]:
    """The nodes that executors should hold a stream to: the members, and this one until it is among them.

    None while no members are known, which says nothing: a node that does not reach the coordinator must not draw executors
    to itself.
    """
    members = {member.address for member in membership.view().members.values()}
    return tuple(sorted({own_address, *members})) if members else ()
