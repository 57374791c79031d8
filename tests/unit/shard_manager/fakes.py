"""A cluster of partition managers in one process: a table of rows, hosts that watch over each other, peers, time."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from mainspring.shard_manager.handover import OwnerChange, Release
from mainspring.shard_manager.lease import PartitionLease, PartitionRow
from mainspring.shard_manager.local import LocalMembership, LocalRegistry
from mainspring.shard_manager.manager import PartitionManager
from mainspring.shard_manager.membership import Membership
from mainspring.shard_manager.settings import ManagerSettings
from mainspring.testing.virtual_time import VirtualTimeLoop

T = TypeVar("T")


class LoopTimer:
    """The time of the running loop, virtual or not; `ahead_s` makes a gap in it."""

    def now(self) -> int:
        return round(self.monotonic() * 1_000_000)

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


class StoreDownError(Exception):
    pass


class MemoryTable:
    """The partition rows with compare-and-set, and every owner there ever was."""

    def __init__(self, partitions: int, rng: random.Random) -> None:
        self.rows = {p: PartitionRow(p, 0, None) for p in range(partitions)}
        self.owners: dict[PartitionLease, str] = {}
        self.changes = 0
        self.is_down = False
        self.lose_answers = 0.0
        """Share of writes that are done but answered with an error."""
        self.statement_s = 0.0005
        self._rng = rng

    async def _statement(self) -> None:
        await asyncio.sleep(self.statement_s)
        if self.is_down:
            raise StoreDownError

    def _answer(self) -> None:
        if self._rng.random() < self.lose_answers:
            raise StoreDownError

    def _own(self, lease: PartitionLease, owner_id: str) -> None:
        self.rows[lease.partition_id] = PartitionRow(lease.partition_id, lease.epoch, owner_id)
        self.changes += 1

    async def read_partitions(self) -> list[PartitionRow]:
        await self._statement()
        rows = list(self.rows.values())
        await self._statement()
        return rows

    async def take_partitions(
        self, takes: Sequence[tuple[int, int]], owner_id: str, are_free: bool = False
    ) -> list[PartitionLease]:
        leases = []
        for partition, epoch in takes:
            await self._statement()
            row = self.rows[partition]
            if row.epoch == epoch and not (are_free and row.owner_id is not None):
                leases.append(PartitionLease(partition, epoch + 1))
                self._own(leases[-1], owner_id)
            self._answer()
        return leases

    async def reassert_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str
    ) -> list[PartitionLease]:
        raised = []
        for partition, epoch in leases:
            await self._statement()
            if self.rows[partition].epoch < epoch:
                raised.append(PartitionLease(partition, epoch + 1))
                self._own(raised[-1], owner_id)
            self._answer()
        return raised

    async def release_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str, released_at: int | None = None
    ) -> None:
        for partition, epoch in leases:
            await self._statement()
            if self.rows[partition] == PartitionRow(partition, epoch, owner_id):
                self.rows[partition] = PartitionRow(partition, epoch, None, released_at, owner_id)
            self._answer()


class Link:
    """One node's way to the table; cut, its statements hang for a while and fail."""

    def __init__(self, table: MemoryTable) -> None:
        self.table = table
        self.is_cut = False
        self.hang_s = 0.0

    async def _pass(self) -> None:
        if self.is_cut:
            await asyncio.sleep(self.hang_s)
            raise StoreDownError

    async def read_partitions(self) -> list[PartitionRow]:
        await self._pass()
        return await self.table.read_partitions()

    async def take_partitions(
        self, takes: Sequence[tuple[int, int]], owner_id: str, are_free: bool = False
    ) -> list[PartitionLease]:
        await self._pass()
        return await self.table.take_partitions(takes, owner_id, are_free)

    async def reassert_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str
    ) -> list[PartitionLease]:
        await self._pass()
        return await self.table.reassert_partitions(leases, owner_id)

    async def release_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str, released_at: int | None = None
    ) -> None:
        await self._pass()
        await self.table.release_partitions(leases, owner_id, released_at)


class Witness:
    """Sees when each host begins and ends to fire, and keeps the gaps."""

    def __init__(self) -> None:
        self.adopters: dict[PartitionLease, str] = {}
        self.ended_at: dict[int, float] = {}
        self.gaps_s: list[float] = []

    def begin(self, lease: PartitionLease, node_id: str) -> None:
        adopter = self.adopters.setdefault(lease, node_id)
        assert adopter == node_id, f"{lease} adopted by {adopter} and {node_id}"
        if lease.partition_id in self.ended_at:
            self.gaps_s.append(asyncio.get_running_loop().time() - self.ended_at.pop(lease.partition_id))

    def end(self, lease: PartitionLease) -> None:
        self.ended_at[lease.partition_id] = asyncio.get_running_loop().time()


class WatchedHost:
    """A `PartitionHost` that fails the test when the order of calls is wrong."""

    def __init__(self, node_id: str, witness: Witness) -> None:
        self.node_id, self.witness = node_id, witness
        self.prepared: set[int] = set()
        self.firing: dict[int, int] = {}
        self.revoked: list[PartitionLease] = []
        self.changes: list[OwnerChange] = []
        self.prepare_s = 0.02
        self.surrender_s = 0.005
        self.cannot_prepare = False

    async def prepare(self, partition_ids: Sequence[int]) -> None:
        assert not self.firing.keys() & set(partition_ids)
        await asyncio.sleep(self.prepare_s)
        if self.cannot_prepare:
            raise StoreDownError
        self.prepared.update(partition_ids)

    def discard(self, partition_ids: Sequence[int]) -> None:
        self.prepared.difference_update(partition_ids)

    def adopt(self, leases: Sequence[PartitionLease], changes: Sequence[OwnerChange] = ()) -> None:
        assert [change.lease for change in changes] == list(leases)
        self.changes += changes
        for lease in leases:
            assert lease.partition_id not in self.firing
            self.prepared.remove(lease.partition_id)
            self.firing[lease.partition_id] = lease.epoch
            self.witness.begin(lease, self.node_id)

    async def surrender(self, leases: Sequence[PartitionLease]) -> None:
        for lease in leases:
            assert self.firing.pop(lease.partition_id) == lease.epoch
            self.witness.end(lease)
        await asyncio.sleep(self.surrender_s)

    def revoke(self, leases: Sequence[PartitionLease]) -> None:
        for lease in leases:
            if self.firing.get(lease.partition_id) == lease.epoch:
                del self.firing[lease.partition_id]
                self.revoked.append(lease)


class Node:
    """One node of the cluster; `crash` ends it without a word."""

    def __init__(self, cluster: "Cluster", node_id: str, membership: Membership) -> None:
        self.node_id, self.membership = node_id, membership
        self.timer = LoopTimer()
        self.host = WatchedHost(node_id, cluster.witness)
        self.link = Link(cluster.table)
        self.manager = PartitionManager(
            node_id,
            membership,
            self.link,
            self.host,
            cluster,
            self.timer,
            cluster.settings,
            random.Random(cluster.rng.random()),
        )
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.membership.start()
        self.task = asyncio.create_task(self.manager.run(), name=self.node_id)

    async def stop_manager(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task


class Cluster:
    """Several nodes over one table; it is also the `Peers` of all of them."""

    def __init__(self, partitions: int = 64, seed: int = 0, settings: ManagerSettings | None = None) -> None:
        self.rng = random.Random(seed)
        self.table = MemoryTable(partitions, self.rng)
        self.witness = Witness()
        self.settings = settings or ManagerSettings()
        self.registry = LocalRegistry()
        self.nodes: dict[str, Node] = {}
        self.drop_announcements = False
        self.announced: list[int] = []
        self._started = 0

    def _local_membership(self, node_id: str) -> Membership:
        return LocalMembership(self.registry, node_id, f"{node_id}:1", "1", LoopTimer())

    async def add(self, make: Callable[[str], Membership] | None = None) -> Node:
        self._started += 1
        node_id = f"node-{self._started}"
        node = Node(self, node_id, (make or self._local_membership)(node_id))
        self.nodes[node_id] = node
        await node.start()
        return node

    async def announce_release(self, node_id: str, address: str, releases: Sequence[Release]) -> None:
        await asyncio.sleep(0.001)
        if not self.drop_announcements and node_id in self.nodes:
            self.announced += [release.partition_id for release in releases]
            self.nodes[node_id].manager.on_release_announced(releases)

    async def crash(self, node: Node) -> None:
        del self.nodes[node.node_id]
        await node.stop_manager()
        assert isinstance(node.membership, LocalMembership)
        node.membership.vanish()

    async def leave(self, node: Node, deadline_s: float = 10.0) -> None:
        await node.manager.leave(deadline_s)
        assert node.task is not None
        await node.task
        await node.membership.stop()
        del self.nodes[node.node_id]

    async def close(self) -> None:
        for node in list(self.nodes.values()):
            await node.stop_manager()
            await node.membership.stop()

    def misplaced(self) -> list[str]:
        """Why the cluster is not settled; empty when it is."""
        reasons = []
        counts = dict.fromkeys(self.nodes, 0)
        for partition, row in self.table.rows.items():
            firing = {
                n: node.host.firing[partition]
                for n, node in self.nodes.items()
                if partition in node.host.firing
            }
            if firing != {row.owner_id: row.epoch}:
                reasons.append(f"{row} is fired by {firing}")
            for node_id in firing:
                counts[node_id] += 1
        ready = {node_id for node_id, node in self.nodes.items() if node.manager.is_ready}
        loads = [counts[node_id] for node_id in ready]
        if ready and (max(loads) - min(loads) > 1 or sum(loads) < len(self.table.rows)):
            reasons.append(f"unbalanced: {counts}, ready: {ready}")
        if any(node.manager.holds != node.host.firing for node in self.nodes.values()):
            reasons.append("a manager and its host differ")
        return reasons

    async def settled(self, within_s: float) -> float:
        """Wait until every partition is fired by the owner its row names, in balance; return how long it took."""
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        while reasons := self.misplaced():
            assert loop.time() - begun_at <= within_s, f"not settled after {within_s} s: {reasons[:5]}"
            await asyncio.sleep(0.01)
        return loop.time() - begun_at


@contextlib.asynccontextmanager
async def cluster_of(
    count: int, partitions: int = 64, seed: int = 0, settings: ManagerSettings | None = None
) -> Any:
    """A settled cluster whose sessions are past their grace."""
    cluster = Cluster(partitions, seed, settings)
    try:
        for _ in range(count):
            await cluster.add()
        await cluster.settled(8)
        await asyncio.sleep(cluster.settings.rules.grace_s + 0.5)
        yield cluster
    finally:
        await cluster.close()


def held_by(nodes: Iterable[Node]) -> list[int]:
    return [len(node.host.firing) for node in nodes]
