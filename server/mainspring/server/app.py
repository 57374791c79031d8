"""The process of a cluster's node: MySQL, ZooKeeper, signals, logs, metrics, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import asdict

import structlog
from prometheus_client import start_http_server

from mainspring.server import __version__
from mainspring.server.clock import ClusterClock
from mainspring.server.config import ServerConfig, split_address
from mainspring.server.core.time_zone import DATABASE_RELEASE
from mainspring.server.errors import FailedPrecondition, MainspringError, StoreUnavailable
from mainspring.server.node import Node
from mainspring.server.observability.logging import configure_logging
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.rpc.node_protocol import NODE_PROTOCOL
from mainspring.shard_manager.cluster_entry import ClusterIdentity
from mainspring.shard_manager.zookeeper import ZooKeeperMembership

log = structlog.get_logger(__name__)


async def serve(config: ServerConfig) -> int:
    """Runs a node of a cluster until SIGTERM or SIGINT; answers the exit code.

    Comes up without the database and without ZooKeeper, and serves as soon as they do. A schema that does not fit, or a
    path in ZooKeeper that is another cluster's, is final: 2.
    """
    node_id = config.node_id()
    configure_logging(config.log_level, config.log_format, node_id=node_id)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = ClusterClock()
    try:
        store = MySQLStore(MySQLSettings.from_url(config.mysql_url, partition_count=config.partitions))
    except ValueError as error:
        log.error("node_failed", error=str(error))
        return 2
    try:
        if not await _start_store(store, clock, stop):
            return 0
        node = Node(config, node_id, store, clock)
        node.metrics.watch_store(lambda: asdict(store.stats))
        address = node.listen()
        metrics_server = None
        if config.metrics_listen:
            host, port = split_address(config.metrics_listen, "metrics_listen")
            metrics_server, _ = start_http_server(port, addr=host, registry=node.metrics.registry)
        membership = ZooKeeperMembership(
            config.zookeeper,
            node_id,
            address,
            __version__,
            session_timeout_s=config.zookeeper_session_s,
            cluster=ClusterIdentity(store.cluster_id, store.partition_count),
            protocol=NODE_PROTOCOL,
            time_zone_database=DATABASE_RELEASE,
        )
        ending = asyncio.create_task(_stop_when_refused(membership, stop), name="refused")
        try:
            await node.run(membership, stop)
            if ending.done():
                raise FailedPrecondition(membership.refusal)
        finally:
            ending.cancel()
            if metrics_server is not None:
                metrics_server.shutdown()
    except (MainspringError, OSError) as error:
        log.error("node_failed", error=str(error))
        return 2
    finally:
        await store.close()
    return 0


async def _stop_when_refused(membership: ZooKeeperMembership, stop: asyncio.Event) -> None:
    """Ends a node that turns out to be set up on another cluster's path.

    One that was a member of this path before holds partitions, and fires them for as long as it can.
    """
    while True:
        await membership.refused.wait()
        if not membership.has_been_member:
            stop.set()
            return
        await asyncio.sleep(1.0)


async def _start_store(store: MySQLStore, clock: ClusterClock, stop: asyncio.Event) -> bool:
    """Waits for the database; False when told to stop meanwhile."""
    pause_s = 0.2
    while not stop.is_set():
        try:
            await store.start()
            await clock.measure(store.database_time)
            return True
        except StoreUnavailable as error:
            log.warning("database_away", error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
            pause_s = min(2.0, pause_s * 2)
    return False
