"""The partition manager in virtual time: joins, leaves, crashes, outages, errors."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from unit.shard_manager.fakes import Cluster, Node, cluster_of, held_by, in_virtual_time

from mainspring.shard_manager.lease import PartitionLease, PartitionRow
from mainspring.shard_manager.local import LocalMembership
from mainspring.shard_manager.membership import DRAINED
from mainspring.shard_manager.ownership import TakeReason


def with_cluster(
    count: int, test: Callable[[Cluster, list[Node]], Awaitable[None]], partitions: int = 64
) -> None:
    async def run() -> None:
        async with cluster_of(count, partitions) as cluster:
            await test(cluster, list(cluster.nodes.values()))

    in_virtual_time(run())


def local(node: Node) -> LocalMembership:
    assert isinstance(node.membership, LocalMembership)
    return node.membership


def test_lone_first_start_owns_everything_within_a_second() -> None:
    async def run() -> None:
        cluster = Cluster(256)
        await cluster.add()
        took_s = await cluster.settled(1.0)
        assert took_s >= cluster.settings.rules.settle_s
        await cluster.close()

    in_virtual_time(run())


def test_nodes_that_start_together_share_without_moves() -> None:
    async def run() -> None:
        cluster = Cluster(256)
        for _ in range(3):
            await cluster.add()
        await cluster.settled(1.0)
        assert cluster.table.changes == 256
        assert sorted(held_by(cluster.nodes.values())) == [85, 85, 86]
        await cluster.close()

    in_virtual_time(run())


def test_rows_of_dead_nodes_wait_for_the_grace_at_first_start() -> None:
    async def run() -> None:
        cluster = Cluster(16)
        cluster.table.rows = {p: PartitionRow(p, 3, "long-dead") for p in range(16)}
        node = await cluster.add()
        await asyncio.sleep(2.9)
        assert not node.host.firing
        await cluster.settled(0.5)
        await cluster.close()

    in_virtual_time(run())


def test_join_moves_the_minimum_without_a_gap() -> None:
    async def test(cluster: Cluster, _: list[Node]) -> None:
        before = cluster.table.changes
        joiner = await cluster.add()
        await cluster.settled(6)
        assert cluster.table.changes - before == len(joiner.host.firing) == 64
        assert joiner.manager.stats.taken == {TakeReason.FREE: 64}
        assert len(cluster.witness.gaps_s) == 64
        assert max(cluster.witness.gaps_s) < 0.2  # the promise: one statement each side and a call
        assert not any(node.host.revoked for node in cluster.nodes.values())

    with_cluster(3, test, partitions=256)


def test_join_works_when_announcements_are_lost() -> None:
    async def test(cluster: Cluster, _: list[Node]) -> None:
        cluster.drop_announcements = True
        await cluster.add()
        await cluster.settled(6)
        assert max(cluster.witness.gaps_s) < 0.3  # the row is looked at every 100 ms

    with_cluster(2, test)


def test_leave_hands_over_and_returns() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        leaver = nodes[0]
        held = len(leaver.host.firing)
        before = cluster.table.changes
        await cluster.leave(leaver)
        assert not leaver.host.firing
        await cluster.settled(0.2)
        assert cluster.table.changes - before == held
        assert max(cluster.witness.gaps_s) < 0.2
        assert leaver.manager.stats.released == held

    with_cluster(3, test)


def test_last_node_to_leave_frees_every_row_at_once() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        begun_at = asyncio.get_running_loop().time()
        await cluster.leave(nodes[0])
        assert asyncio.get_running_loop().time() - begun_at < 0.5
        assert {row.owner_id for row in cluster.table.rows.values()} == {None}

    with_cluster(1, test)


@pytest.mark.parametrize("trouble", ["successor cannot prepare", "no membership", "no store"])
def test_leave_keeps_its_deadline_whatever_happens(trouble: str) -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        leaver, other = nodes
        other.host.cannot_prepare = trouble == "successor cannot prepare"
        cluster.table.is_down = trouble == "no store"
        if trouble == "no membership":
            local(leaver).disconnect()
        begun_at = asyncio.get_running_loop().time()
        await leaver.manager.leave(6.0)
        took_s = asyncio.get_running_loop().time() - begun_at
        assert 2.5 < took_s <= 6.01  # it fires on as long as it can
        assert not leaver.host.firing
        freed = [row for row in cluster.table.rows.values() if row.owner_id is None]
        assert len(freed) == (0 if trouble == "no store" else 32)

    with_cluster(2, test)


def test_crash_is_taken_over_at_once() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        held = len(nodes[0].host.firing)
        before = cluster.table.changes
        await cluster.crash(nodes[0])
        assert await cluster.settled(1.0) < 0.5
        assert cluster.table.changes - before == held
        taken = nodes[1].manager.stats.taken[TakeReason.OWNER_GONE]
        assert taken + nodes[2].manager.stats.taken[TakeReason.OWNER_GONE] == held

    with_cluster(3, test, partitions=256)


def test_crash_during_a_join_does_not_wait_for_the_joiner() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        await asyncio.sleep(3)
        joiner = await cluster.add()
        await asyncio.sleep(0.1)
        await cluster.crash(nodes[0])
        await asyncio.sleep(0.5)
        assert sum(held_by(nodes[1:])) == 64
        await cluster.settled(5)
        assert len(joiner.host.firing) == 21

    with_cluster(3, test)


def test_stuck_owner_that_stays_a_member_is_overruled() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        stuck, other = nodes
        await stuck.stop_manager()
        stuck.manager.step_aside("stuck")
        await asyncio.sleep(2.0)
        assert len(stuck.host.firing) == 32
        await asyncio.sleep(1.5)
        assert other.manager.stats.taken[TakeReason.FORCED] == 32
        assert {row.owner_id for row in cluster.table.rows.values()} == {other.node_id}

    with_cluster(2, test)


def test_nothing_moves_while_the_registry_is_away_and_all_is_well_afterwards() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        before = cluster.table.changes
        for node in nodes:
            local(node).disconnect()
        await asyncio.sleep(60)
        assert cluster.table.changes == before
        assert cluster.misplaced() == []
        await cluster.crash(nodes[0])
        await asyncio.sleep(20)
        assert cluster.table.changes == before
        for node in nodes[1:]:
            local(node).reconnect()
        await cluster.settled(1)
        await asyncio.sleep(2)
        for node in cluster.nodes.values():
            assert node.manager.unowned() == {}

    with_cluster(3, test)


def test_all_sessions_expired_at_once_moves_nothing() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        before = cluster.table.changes
        for node in nodes:
            local(node).disconnect()
        for node in nodes:
            local(node).expire()
        for node in nodes:  # they come back one after the other
            await asyncio.sleep(0.7)
            local(node).reconnect()
        await asyncio.sleep(10)
        assert cluster.table.changes == before
        assert cluster.misplaced() == []

    with_cluster(4, test)


def test_one_expired_session_is_taken_over_and_comes_back() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        victim = nodes[0]
        local(victim).disconnect()
        local(victim).expire()
        await asyncio.sleep(3)  # the victim reads the rows and knows, ZooKeeper or not
        assert not victim.host.firing
        assert len(victim.host.revoked) > 0
        await cluster.add()
        local(victim).reconnect()
        await cluster.settled(8)
        assert len(victim.host.firing) == 16

    with_cluster(3, test)


def test_store_outage_is_survived() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        cluster.table.is_down = True
        await asyncio.sleep(1)
        await cluster.crash(nodes[0])
        await asyncio.sleep(20)
        assert nodes[1].manager.stats.failed_rounds > 5
        cluster.table.is_down = False
        await cluster.settled(3)

    with_cluster(3, test)


def test_lost_answers_are_found_out() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        cluster.table.lose_answers = 0.3
        await cluster.crash(nodes[0])
        await asyncio.sleep(8)
        cluster.table.lose_answers = 0.0
        await cluster.settled(6)
        assert sum(node.manager.stats.failed_takes for node in cluster.nodes.values()) > 0

    with_cluster(3, test)


def test_successor_that_cannot_prepare_gets_nothing_and_leaves_no_gap() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        joiner = await cluster.add()
        joiner.host.cannot_prepare = True
        await asyncio.sleep(15)
        assert not joiner.host.firing
        assert not cluster.witness.gaps_s
        assert sum(held_by(nodes)) == 64
        assert 0 < joiner.manager.stats.failed_prepares < 64 * 15
        joiner.host.cannot_prepare = False
        await cluster.settled(5)

    with_cluster(2, test)


def test_database_that_lost_commits_is_overtaken() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        before = dict(cluster.table.rows)
        cluster.table.rows.update({p: PartitionRow(p, 0, None) for p in range(0, 64, 2)})
        await asyncio.sleep(2.5)
        await cluster.settled(1)
        assert all(cluster.table.rows[p].epoch == before[p].epoch + 1 for p in range(0, 64, 2))
        assert all(cluster.table.rows[p] == before[p] for p in range(1, 64, 2))
        assert sum(node.manager.stats.taken[TakeReason.REASSERTED] for node in nodes) == 32

    with_cluster(2, test)


def test_stepping_aside_and_back() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        nodes[0].manager.step_aside("no executor")
        nodes[0].manager.step_aside("no database")
        await cluster.settled(2)
        assert held_by(nodes) == [0, 32, 32]
        nodes[0].manager.return_to_duty("no executor")
        await asyncio.sleep(3)
        assert held_by(nodes) == [0, 32, 32]
        nodes[0].manager.return_to_duty()
        await cluster.settled(2)
        assert sorted(held_by(nodes)) == [21, 21, 22]
        assert not any(node.host.revoked for node in nodes)

    with_cluster(3, test)


def test_all_aside_and_back_one_by_one_moves_nothing() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        before = cluster.table.changes
        for node in nodes:
            node.manager.step_aside("no database")
        await asyncio.sleep(10)
        for node in nodes:
            await asyncio.sleep(0.2)
            node.manager.return_to_duty()
        await asyncio.sleep(5)
        assert cluster.table.changes == before
        assert cluster.misplaced() == []

    with_cluster(3, test)


def test_reconcile_waits_for_rows_read_after_the_call() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        victim = nodes[0]
        partition, epoch = next(iter(victim.manager.holds.items()))
        cluster.table.rows[partition] = PartitionRow(partition, epoch + 1, "node-2")
        await victim.manager.reconcile()
        assert victim.host.revoked == [PartitionLease(partition, epoch)]
        await cluster.settled(2)

    with_cluster(2, test)


def test_gap_in_own_time_voids_the_view() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        frozen = nodes[0]
        frozen.timer.ahead_s = 15.0  # its membership goes on telling the time before
        await cluster.crash(nodes[1])
        await asyncio.sleep(5)
        assert frozen.manager.stats.time_gaps == 1
        assert len(frozen.host.firing) == 32  # keeps what it holds, takes nothing
        assert len(frozen.manager.unowned()) == 0

    with_cluster(2, test)


def test_who_dies_while_the_registry_is_away_is_alarmed_too(capsys: pytest.CaptureFixture[str]) -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        dead, alive = nodes
        for node in nodes:
            local(node).disconnect()
        await cluster.crash(dead)
        alive.manager.note_unreachable(frozenset())
        await asyncio.sleep(5)
        assert alive.manager.unowned() == {}
        alive.manager.note_unreachable(frozenset({dead.node_id}))
        await asyncio.sleep(20)
        assert len(alive.manager.unowned()) == 32
        assert capsys.readouterr().out.count("partitions_unowned") == 1
        local(alive).reconnect()
        alive.manager.note_unreachable(None)
        await cluster.settled(8)
        await asyncio.sleep(2)
        assert alive.manager.unowned() == {}

    with_cluster(2, test)


def test_the_last_ready_node_dies_and_a_drained_one_is_called_back() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        drained, last = nodes
        drained.manager.step_aside(DRAINED)
        await cluster.settled(5)
        assert held_by(nodes) == [0, 64]
        await cluster.crash(last)
        await asyncio.sleep(8)
        assert held_by([drained]) == [64]
        await cluster.add()  # somebody is ready again: the drained node gives everything away
        await cluster.settled(10)
        assert held_by([drained]) == [0]

    with_cluster(2, test)


def test_unowned_partitions_are_counted_and_alarmed(capsys: pytest.CaptureFixture[str]) -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        for node in nodes:
            node.host.cannot_prepare = True
        await cluster.crash(nodes[0])
        await asyncio.sleep(16)
        unowned = nodes[1].manager.unowned()
        assert len(unowned) == 32
        assert min(unowned.values()) > 15
        await asyncio.sleep(2)
        assert capsys.readouterr().out.count("partitions_unowned") == 1
        nodes[1].host.cannot_prepare = False
        await cluster.settled(4)
        await asyncio.sleep(2)
        assert nodes[1].manager.unowned() == {}

    with_cluster(2, test)


def test_routing_follows_what_members_publish() -> None:
    async def test(cluster: Cluster, nodes: list[Node]) -> None:
        for partition, row in cluster.table.rows.items():
            for node in nodes:
                owner = node.manager.owner_of(partition)
                assert owner is not None
                assert owner.node_id == row.owner_id
        assert nodes[0].manager.owner_of(999) is None

    with_cluster(3, test)


@pytest.mark.parametrize("seed", range(10))
def test_seeded_chaos(seed: int) -> None:
    """Faults of every kind at random, then calm. `Witness` fails the run when an epoch has two owners."""

    async def run() -> None:
        rng = random.Random(seed)
        async with cluster_of(3, 48, seed) as cluster:
            for _ in range(25):
                await one_fault(cluster, rng)
                await asyncio.sleep(rng.choice([0.01, 0.1, 0.5, 2.5]))
            cluster.table.is_down, cluster.table.lose_answers = False, 0.0
            for node in cluster.nodes.values():
                node.host.cannot_prepare, node.host.prepare_s = False, 0.02
                node.manager.return_to_duty()
                local(node).reconnect()
            await cluster.settled(12)

    in_virtual_time(run())


async def one_fault(cluster: Cluster, rng: random.Random) -> None:
    nodes = list(cluster.nodes.values())
    node = rng.choice(nodes)
    fault = rng.randrange(12)
    if fault <= 1 and len(nodes) < 5:
        await cluster.add()
    elif fault == 2 and len(nodes) > 1:
        await cluster.crash(node)
    elif fault == 3 and len(nodes) > 1:
        await cluster.leave(node, 4.0)
    elif fault == 4:
        local(node).disconnect()
    elif fault == 5:
        local(node).expire()
    elif fault == 6:
        local(node).reconnect()
    elif fault == 7:
        cluster.table.is_down = not cluster.table.is_down
    elif fault == 8:
        cluster.table.lose_answers = rng.choice([0.0, 0.2])
    elif fault == 9:
        node.host.cannot_prepare = not node.host.cannot_prepare
    elif fault == 10:
        node.host.prepare_s = rng.choice([0.001, 0.5, 3.0, 7.0])
    else:
        (node.manager.step_aside if rng.random() < 0.5 else node.manager.return_to_duty)("chaos")
