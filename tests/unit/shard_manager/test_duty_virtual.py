"""Nodes that step aside and return, in virtual time: managers, judges of duty and what they see, no wire between them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from sampling import draws
from unit.shard_manager.fakes import Cluster, Link, LoopTimer, Node, cluster_of, held_by, in_virtual_time

from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.duty_watch import DutyWatch
from mainspring.server.errors import StoreUnavailable
from mainspring.server.observability.metrics import Metrics
from mainspring.shard_manager.local import LocalMembership
from mainspring.shard_manager.membership import ProtocolRange
from mainspring.shard_manager.ownership import TakeReason

BEAT_S = 1.0
LEASE_S = 3.0


class TestClock(LoopTimer):
    """As much of a node's clock as duty needs."""

    __test__ = False

    def now(self) -> int:
        return round(self.monotonic() * 1e6)

    def lease_time(self) -> float:
        return self.monotonic()

    async def wait_until(self, event: asyncio.Event, at: int | None) -> None:
        raise NotImplementedError

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)

    async def measure(self, database_time: Callable[[], Awaitable[int]]) -> None:
        await database_time()


class Duty:
    """The duty of one node, with its link to the database and the executors it hears."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        self.node = node
        self.link: Link = node.link
        self.clock = TestClock()
        self.executors = ConnectedExecutors(LEASE_S)
        self.hears = True
        self.beat_at = self.clock.monotonic() + rng.uniform(0, BEAT_S)
        self.watch = DutyWatch(
            node.node_id,
            self.clock,
            self._database_time,
            self.executors,
            node.membership,
            node.manager,
            Metrics(),
        )
        self.tasks = [
            asyncio.create_task(self._rounds(self.watch.database_round)),
            asyncio.create_task(self._rounds(self._judge)),
        ]

    async def _rounds(self, round_of: Callable[[], Awaitable[None]]) -> None:
        while True:
            await round_of()

    async def _judge(self) -> None:
        now = self.clock.monotonic()
        if self.hears and now >= self.beat_at:
            self.beat_at += BEAT_S * max(1, round((now - self.beat_at) / BEAT_S))
            session = self.executors.get("e")
            if session is None:
                session = ExecutorSession("e", ["h"], 1, version="1", connected_at=0, heard_at_s=now)
                self.executors.connect(session)
            self.executors.heard(session, now)
        self.executors.lapsed(now)
        self.watch.judge()
        await self.clock.sleep(0.1)

    async def _database_time(self) -> int:
        try:
            await self.link._pass()
            await self.link.table._statement()
        except Exception:
            raise StoreUnavailable from None
        return self.clock.now()

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()


def with_duties(
    count: int, test: Callable[[Cluster, list[Node], list[Duty]], Awaitable[None]], seed: int = 0
) -> None:
    async def run() -> None:
        async with cluster_of(count, 60, seed) as cluster:
            nodes = list(cluster.nodes.values())
            duties = [Duty(node, cluster.rng) for node in nodes]
            await asyncio.sleep(5)
            assert cluster.misplaced() == []
            try:
                await test(cluster, nodes, duties)
            finally:
                for duty in duties:
                    duty.end()

    in_virtual_time(run())


async def until_held(node: Node, count: int, within_s: float) -> float:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while len(node.host.firing) != count:
        assert loop.time() - begun < within_s, f"{len(node.host.firing)} after {within_s} s"
        await asyncio.sleep(0.01)
    return loop.time() - begun


@pytest.mark.parametrize("hang_s", [0.0, 3.0, 60.0])
def test_a_node_cut_off_from_its_database_loses_its_partitions_in_time(hang_s: float) -> None:
    async def test(cluster: Cluster, nodes: list[Node], duties: list[Duty]) -> None:
        nodes[0].link.is_cut, nodes[0].link.hang_s = True, hang_s
        took_s = max([await until_held(node, 30, 6.0) for node in nodes[1:]])
        assert took_s < 5.0  # its silence of 3 s, then: seen, settled, prepared, asked in vain
        forced = sum(node.manager.stats.taken[TakeReason.FORCED] for node in nodes[1:])
        assert forced == 20
        assert not nodes[0].manager.is_ready
        await asyncio.sleep(30)
        nodes[0].link.is_cut = False
        await cluster.settled(8.0)
        assert held_by(nodes) == [20, 20, 20]
        # It let go of what it had lost before it took anything.
        assert len(nodes[0].host.revoked) == 20

    with_duties(3, test)


@pytest.mark.parametrize("seed", range(draws(5)))
def test_a_database_that_was_away_for_all_moves_nothing(seed: int) -> None:
    """Whatever the length of the outage, and whoever sees it begin and end first."""

    async def test(cluster: Cluster, nodes: list[Node], duties: list[Duty]) -> None:
        rng = random.Random(seed)
        before = cluster.table.changes
        for _ in range(8):
            outage_s = rng.choice([rng.uniform(0.3, 4.5), rng.uniform(2.0, 3.5), rng.uniform(3, 20)])
            order = rng.sample(nodes, len(nodes))
            for node in order:
                node.link.hang_s = rng.choice([0.0, 0.0, rng.uniform(0, 3)])
                node.link.is_cut = True
            await asyncio.sleep(outage_s)
            for node in order:  # as slow as connecting anew may be
                await asyncio.sleep(rng.uniform(0, 0.3))
                node.link.is_cut = False
            await asyncio.sleep(rng.choice([1.5, 12.0]))
            assert cluster.table.changes == before, f"after {outage_s:.2f} s"
        await asyncio.sleep(5)
        assert cluster.misplaced() == []

    with_duties(3, test, seed)


def test_a_node_that_is_cut_off_for_longer_than_the_others_moves_then() -> None:
    async def test(cluster: Cluster, nodes: list[Node], duties: list[Duty]) -> None:
        for node in nodes:
            node.link.is_cut = True
        await asyncio.sleep(8)
        for node in nodes[1:]:
            node.link.is_cut = False
        await asyncio.sleep(2.5)
        assert held_by(nodes) == [20, 20, 20]
        await until_held(nodes[1], 30, 3.0)

    with_duties(3, test)


def test_a_node_cut_off_from_executors_hands_over_in_order() -> None:
    async def test(cluster: Cluster, nodes: list[Node], duties: list[Duty]) -> None:
        duties[0].hears = False
        took_s = max([await until_held(node, 30, 7.0) for node in nodes[1:]])
        assert took_s < 6.0
        assert sum(node.manager.stats.taken[TakeReason.FORCED] for node in nodes[1:]) == 0
        assert max(cluster.witness.gaps_s) < 0.2
        await asyncio.sleep(20)
        duties[0].hears = True
        await cluster.settled(3.0)

    with_duties(3, test)


@pytest.mark.parametrize("seed", range(draws(3)))
def test_executors_that_go_and_come_for_all_move_nothing(seed: int) -> None:
    async def test(cluster: Cluster, nodes: list[Node], duties: list[Duty]) -> None:
        rng = random.Random(seed)
        before = cluster.table.changes
        for _ in range(8):
            for duty in duties:
                duty.hears = False
            await asyncio.sleep(rng.uniform(0.5, 12))
            for duty in rng.sample(duties, len(duties)):
                await asyncio.sleep(rng.uniform(0, 0.7))
                duty.hears = True
            await asyncio.sleep(5)
            assert all(node.manager.is_ready for node in nodes)
        assert cluster.table.changes == before

    with_duties(3, test, seed)


def test_what_is_published() -> None:
    async def test(cluster: Cluster, nodes: list[Node], duties: list[Duty]) -> None:
        nodes[0].link.is_cut = True
        await asyncio.sleep(4)
        member = nodes[1].membership.view().members[nodes[0].node_id]
        assert (member.ready, member.away, member.executors) == (False, {"database"}, 1)
        duties[0].hears = False
        await asyncio.sleep(2.5)
        assert nodes[1].membership.view().members[nodes[0].node_id].executors == 0

    with_duties(2, test)


def test_a_node_of_an_incompatible_protocol_waits_until_the_others_are_gone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def test(cluster: Cluster, nodes: list[Node], duties: list[Duty]) -> None:
        before = cluster.table.changes

        def newer(node_id: str) -> LocalMembership:
            return LocalMembership(
                cluster.registry, node_id, f"{node_id}:1", "2", LoopTimer(), ProtocolRange(3, 4)
            )

        joiner = await cluster.add(newer)
        duties.append(Duty(joiner, cluster.rng))
        await asyncio.sleep(10)
        assert cluster.table.changes == before
        assert joiner.manager.away_reasons == {"protocol"}
        assert all(node.manager.is_ready for node in nodes)
        assert capsys.readouterr().out.count("protocol_incompatible") == 1
        for node in nodes:
            await cluster.leave(node)
        await cluster.settled(5.0)
        assert len(joiner.host.firing) == 60

    with_duties(2, test)
