"""Partition managers over a real ZooKeeper and one table of rows: joins, leaves, crashes, cuts and outages.

`Witness` fails the test when an epoch of a partition has two owners; `settled` when a partition has none or the
cluster is out of balance.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from unit.shard_manager.fakes import Cluster, Node, held_by

from mainspring.shard_manager.membership import Membership
from mainspring.shard_manager.ownership import OwnershipRules, TakeReason
from mainspring.shard_manager.settings import ManagerSettings
from mainspring.shard_manager.zookeeper import ZooKeeperMembership
from mainspring.testing.zookeeper import ZooKeeperServer

SESSION_S = 1.2
GRACE_S = 1.5
PARTITIONS = 128
PROMISED_S = 10.0
"""Within so much a cluster has settled after anything."""


class Link:
    """A node's way to ZooKeeper, that can be cut without closing anything, as by a firewall."""

    def __init__(self, port: int) -> None:
        self._target_port = port
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            pumps = [
                asyncio.create_task(self._pump(reader, far_writer)),
                asyncio.create_task(self._pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                far_writer.close()
        except OSError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()


class ZooKeeperCluster(Cluster):
    """A cluster whose nodes reach ZooKeeper each over a link of its own."""

    def __init__(self, server: ZooKeeperServer, session_s: float) -> None:
        super().__init__(PARTITIONS, settings=ManagerSettings(rules=OwnershipRules(grace_s=GRACE_S)))
        self.server = server
        self._session_s = session_s
        self.links: dict[str, Link] = {}

    async def join(self) -> Node:
        link = Link(self.server.port)
        hosts = await link.start()

        def make(node_id: str) -> Membership:
            self.links[node_id] = link
            return ZooKeeperMembership(f"{hosts}/mainspring", node_id, f"{node_id}:1", "1", self._session_s)

        return await self.add(make)

    async def crash(self, node: Node) -> None:
        """The process is gone; ZooKeeper hears nothing of it until the session times out."""
        del self.nodes[node.node_id]
        self.links[node.node_id].cut()
        await node.stop_manager()

    async def end(self, crashed: list[Node]) -> None:
        for link in self.links.values():
            link.heal()
        for node in crashed:
            await node.membership.stop()
        await self.close()
        for link in self.links.values():
            await link.close()


@pytest.fixture
async def cluster(
    request: pytest.FixtureRequest, own_zookeeper: ZooKeeperServer
) -> AsyncIterator[ZooKeeperCluster]:
    """Three nodes that own everything and are past their grace; a parameter is the length of their sessions."""
    made = ZooKeeperCluster(own_zookeeper, getattr(request, "param", SESSION_S))
    everybody = [await made.join() for _ in range(3)]
    await made.settled(PROMISED_S)
    loop = asyncio.get_running_loop()
    while any(
        (s := n.membership.view().session_started_at) is None or loop.time() - s < GRACE_S + 0.2
        for n in everybody
    ):
        await asyncio.sleep(0.05)
    yield made
    everybody = list({*everybody, *made.nodes.values()})
    await made.end([node for node in everybody if node.node_id not in made.nodes])


async def nothing_happens(
    cluster: Cluster, while_doing: Callable[[], Awaitable[None]], seconds: float
) -> None:
    """No row changes hands and every owner fires on while a fault lasts."""
    before = dict(cluster.table.rows)
    await while_doing()
    ends_at = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends_at:
        assert cluster.table.rows == before
        assert cluster.misplaced() == []
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("cluster", [4.0], indirect=True)  # no session ends by itself
async def test_join_then_leave(cluster: ZooKeeperCluster) -> None:
    before = cluster.table.changes
    joiner = await cluster.join()
    await cluster.settled(PROMISED_S)
    assert cluster.table.changes - before == len(joiner.host.firing) == PARTITIONS // 4
    await cluster.leave(joiner)
    await cluster.settled(PROMISED_S)
    assert cluster.table.changes - before == 2 * (PARTITIONS // 4)
    assert len(cluster.witness.gaps_s) == 2 * (PARTITIONS // 4)
    assert all(not node.manager.stats.taken[TakeReason.FORCED] for node in cluster.nodes.values())
    assert all(node.manager.stats.revoked == 0 for node in cluster.nodes.values())


async def test_crash(cluster: ZooKeeperCluster) -> None:
    victim = next(iter(cluster.nodes.values()))
    await cluster.crash(victim)
    await cluster.settled(PROMISED_S)
    assert sorted(held_by(cluster.nodes.values())) == [64, 64]


async def test_zookeeper_stopped_and_back(cluster: ZooKeeperCluster) -> None:
    async def stop() -> None:
        await asyncio.to_thread(cluster.server.kill)

    await nothing_happens(cluster, stop, 3)
    victim = next(iter(cluster.nodes.values()))
    await cluster.crash(victim)  # nobody can know before ZooKeeper is back
    await asyncio.to_thread(cluster.server.start)
    await cluster.settled(10)
    joiner = await cluster.join()
    await cluster.settled(PROMISED_S)
    assert joiner.host.firing


async def test_zookeeper_frozen_so_that_sessions_expire(cluster: ZooKeeperCluster) -> None:
    async def freeze() -> None:
        cluster.server.pause()

    has_expired = False
    for _ in range(4):
        await nothing_happens(cluster, freeze, 2 * SESSION_S + 0.5)
        cluster.server.resume()
        # Which sessions end is a race of their pings with the server's look at them. A node whose session lives on may
        # take from those whose sessions ended, as after a crash, and hand back: all is owned, and by one, in seconds.
        async with asyncio.timeout(10):
            for node in cluster.nodes.values():
                while not node.membership.view().is_connected:
                    await node.membership.wait_for_change(node.membership.view().generation, 0.5)
        await cluster.settled(15)
        views = [node.membership.view() for node in cluster.nodes.values()]
        has_expired = any(view.session_expired_at is not None for view in views)
        if has_expired:
            break
    assert has_expired, "no freeze ended a session: nothing was shown"
    await cluster.crash(next(iter(cluster.nodes.values())))
    await cluster.settled(10)


async def test_node_cut_off_from_zookeeper_alone_and_back(cluster: ZooKeeperCluster) -> None:
    victim = next(iter(cluster.nodes.values()))
    cluster.links[victim.node_id].cut()
    async with asyncio.timeout(SESSION_S + 4):
        while victim.host.firing:  # the others take its rows, and it reads that
            await asyncio.sleep(0.02)
    others = [node for node in cluster.nodes.values() if node is not victim]
    assert sum(held_by(others)) == PARTITIONS
    cluster.links[victim.node_id].heal()
    await cluster.settled(15)
    assert len(victim.host.firing) >= PARTITIONS // 3
