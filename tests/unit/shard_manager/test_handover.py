"""What is kept of a change of owner: from whom, why, for how long nobody fired, what became late."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.shard_manager.fakes import Node, cluster_of, in_virtual_time

from mainspring.shard_manager.handover import ChangeReason, OwnerChange, Release, handover_of
from mainspring.shard_manager.lease import PartitionLease
from mainspring.shard_manager.membership import DRAINED
from mainspring.shard_manager.ownership import TakeReason

T0 = 1_800_000_000_000_000
instants = st.integers(T0 - 1000, T0 + 1000)


@given(st.one_of(st.none(), instants), st.one_of(st.none(), instants), instants, st.lists(instants))
def test_a_record_counts_what_fell_due_while_nobody_fired(
    released_at: int | None, noticed_at: int | None, firing_at: int, due_at: list[int]
) -> None:
    noticed_at = None if released_at is not None else noticed_at
    change = OwnerChange(PartitionLease(3, 7), "a", ChangeReason.FORCED, released_at, noticed_at)
    record = handover_of(change, "b", firing_at=firing_at, due_at=due_at)
    late = [at for at in due_at if at < firing_at and not (released_at is not None and at < released_at)]
    assert record[:7] == (3, 7, ChangeReason.FORCED, "a", "b", released_at, noticed_at)
    assert record.late_count == len(late)
    assert record.max_lateness_us == max((firing_at - at for at in late), default=0)
    began_at = released_at if released_at is not None else noticed_at
    assert record.gap_us == (None if began_at is None else max(0, firing_at - began_at))


def changes(nodes: list[Node]) -> list[OwnerChange]:
    return [change for node in nodes for change in node.host.changes]


def test_a_first_owner_comes_from_nobody() -> None:
    async def run() -> None:
        async with cluster_of(1, 8) as cluster:
            (node,) = cluster.nodes.values()
            assert Counter(change[1:] for change in node.host.changes) == {
                (None, ChangeReason.FREE, None, None): 8
            }

    in_virtual_time(run())


@pytest.mark.parametrize("how", ["join", "leave", "drain", "aside"])
def test_an_orderly_hand_over_says_from_whom_why_and_since_when(how: str) -> None:
    async def run() -> None:
        async with cluster_of(2, 32) as cluster:
            old = list(cluster.nodes.values())
            for node in old:
                node.host.changes.clear()
            begun_at = round(asyncio.get_running_loop().time() * 1_000_000)
            if how == "join":
                await cluster.add()
            elif how == "leave":
                await cluster.leave(old[0])
            else:
                old[0].manager.step_aside(DRAINED if how == "drain" else "no executor")
            await cluster.settled(8)
            found = changes(list(cluster.nodes.values()))
            reason = {
                "join": ChangeReason.REBALANCED,
                "leave": ChangeReason.LEAVING,
                "drain": ChangeReason.DRAINED,
                "aside": ChangeReason.STEPPED_ASIDE,
            }[how]
            assert len(found) >= 10
            assert {change.reason for change in found} == {reason}
            assert {change.from_node for change in found} <= {node.node_id for node in old}
            for change in found:
                assert change.noticed_at is None
                assert change.released_at is not None
                assert change.released_at >= begun_at
            assert max(cluster.witness.gaps_s) < 0.02, "a step is four statements on each side, and a call"

    in_virtual_time(run())


def test_a_crash_is_counted_from_when_it_was_noticed() -> None:
    async def run() -> None:
        async with cluster_of(2, 32) as cluster:
            victim, survivor = cluster.nodes.values()
            survivor.host.changes.clear()
            survivor.host.cannot_prepare = True
            crashed_at = round(asyncio.get_running_loop().time() * 1_000_000)
            await cluster.crash(victim)
            await asyncio.sleep(5)
            survivor.host.cannot_prepare = False
            await cluster.settled(4)
            assert len(survivor.host.changes) == 16
            for change in survivor.host.changes:
                assert (change.from_node, change.reason, change.released_at) == (
                    victim.node_id,
                    ChangeReason.OWNER_GONE,
                    None,
                )
                assert change.noticed_at is not None
                assert 0 <= change.noticed_at - crashed_at < 200_000, "not from when it could take it at last"

    in_virtual_time(run())


def test_an_owner_that_lets_go_of_one_after_the_other_is_not_forced() -> None:
    """However slow it is: what it has not let go of yet it still fires."""

    async def run() -> None:
        async with cluster_of(2, 64) as cluster:
            for node in cluster.nodes.values():
                node.host.surrender_s = 1.5
            joiner = await cluster.add()
            await cluster.settled(20)
            assert joiner.manager.stats.taken == {TakeReason.FREE: 21}

    in_virtual_time(run())


def test_an_owner_that_lets_go_of_nothing_is_forced() -> None:
    async def run() -> None:
        async with cluster_of(1, 8) as cluster:
            (old,) = cluster.nodes.values()
            joiner = await cluster.add()
            old.manager._carry_out = lambda *_: None  # type: ignore[method-assign]
            await asyncio.sleep(6)
            assert joiner.manager.stats.taken == {TakeReason.FORCED: 4}
            assert {change.reason for change in joiner.host.changes} == {ChangeReason.FORCED}
            assert all(change.noticed_at is not None for change in joiner.host.changes)

    in_virtual_time(run())


@pytest.mark.parametrize("what", ["not ours", "old epoch", "not prepared", "from an older node"])
def test_an_announcement_that_cannot_be_followed_blindly_is_looked_up(what: str) -> None:
    async def run() -> None:
        async with cluster_of(2, 8) as cluster:
            first, second = cluster.nodes.values()
            held = next(iter(second.host.firing))
            release = Release(held, second.host.firing[held], second.node_id, 0)
            if what == "old epoch":
                release = release._replace(epoch=0)
            if what == "from an older node":
                release = Release(held, -1, "", 0)
            before = cluster.table.changes
            first.manager.on_release_announced([release])
            await asyncio.sleep(1)
            assert cluster.table.changes == before
            assert cluster.misplaced() == []

    in_virtual_time(run())


def test_the_record_of_a_lost_database_names_ourselves() -> None:
    async def run() -> None:
        async with cluster_of(1, 4) as cluster:
            (node,) = cluster.nodes.values()
            node.host.changes.clear()
            cluster.table.rows.update(
                {p: row._replace(epoch=0, owner_id="x") for p, row in cluster.table.rows.items()}
            )
            await asyncio.sleep(3)
            assert [(c.from_node, c.reason) for c in node.host.changes] == [
                (node.node_id, ChangeReason.REASSERTED)
            ] * 4

    in_virtual_time(run())


def test_an_announced_epoch_below_one_that_was_seen_is_overtaken() -> None:
    """A fail-over lost commits: an epoch that executors have seen must never come again."""

    async def run() -> None:
        async with cluster_of(1, 8) as cluster:
            joiner = await cluster.add()
            for partition in range(8):
                joiner.manager._picture.see_epoch(partition, 50)
            await cluster.settled(8)
            assert set(joiner.host.firing.values()) == {51}

    in_virtual_time(run())
