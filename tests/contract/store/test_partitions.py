"""Ownership rows and the database's clock."""

from __future__ import annotations

import asyncio
import time

from contract.store.builders import ALL, PARTITIONS, own_all

from mainspring.server.persistence.store import Store
from mainspring.shard_manager.lease import PartitionLease, PartitionRow


async def test_a_new_cluster_is_free_at_epoch_zero(store: Store) -> None:
    assert store.partition_count == PARTITIONS
    assert await store.read_partitions() == [PartitionRow(p, 0, None) for p in ALL]


async def test_a_take_raises_the_epoch_and_only_the_expected_one_can(store: Store) -> None:
    assert await store.take_partitions([(0, 0), (1, 0)], "me") == [PartitionLease(0, 1), PartitionLease(1, 1)]
    assert await store.take_partitions([(0, 0), (1, 1), (2, 3)], "you") == [PartitionLease(1, 2)]
    rows = await store.read_partitions()
    assert rows[:3] == [PartitionRow(0, 1, "me"), PartitionRow(1, 2, "you"), PartitionRow(2, 0, None)]


async def test_a_release_frees_exactly_its_own_term(store: Store) -> None:
    await own_all(store, "me")
    await store.take_partitions([(1, 1)], "you")
    await store.release_partitions([PartitionLease(0, 1), PartitionLease(1, 1), PartitionLease(2, 7)], "me")
    await store.release_partitions([PartitionLease(3, 1)], "you")
    rows = await store.read_partitions()
    assert rows[:4] == [
        PartitionRow(0, 1, None, rows[0].released_at, "me"),
        PartitionRow(1, 2, "you"),
        PartitionRow(2, 1, "me"),
        PartitionRow(3, 1, "me"),
    ]


async def test_a_freed_partition_is_taken_at_its_epoch(store: Store) -> None:
    await own_all(store, "me")
    await store.release_partitions([PartitionLease(5, 1)], "me")
    assert await store.take_partitions([(5, 1)], "you") == [PartitionLease(5, 2)]


async def test_a_freed_row_says_by_whom_and_since_when_until_it_is_taken(store: Store) -> None:
    """Where the owner does not know when, by the database's clock, which is the cluster's."""
    await own_all(store, "me")
    earliest = await store.database_time()
    await store.release_partitions([PartitionLease(5, 1)], "me", earliest - 1_500_000)
    await store.release_partitions([PartitionLease(6, 1)], "me")
    latest = await store.database_time()
    rows = await store.read_partitions()
    assert [row.released_by for row in rows[5:7]] == ["me", "me"]
    assert rows[5].released_at == earliest - 1_500_000
    assert earliest <= (rows[6].released_at or 0) <= latest
    await store.take_partitions([(5, 1)], "you")
    await store.reassert_partitions([PartitionLease(6, 9)], "you")
    assert (await store.read_partitions())[5:7] == [PartitionRow(5, 2, "you"), PartitionRow(6, 10, "you")]


async def test_free_ones_are_taken_together_and_only_those(store: Store, other_store: Store) -> None:
    """Of the expected epoch, and without an owner; whoever is first has each of them."""
    await store.take_partitions([(0, 0), (1, 0)], "me")
    await store.release_partitions([PartitionLease(1, 1)], "me")
    takes = [(0, 1), (1, 1), (2, 0), (3, 4)]
    assert await store.take_partitions(takes, "you", True) == [PartitionLease(1, 2), PartitionLease(2, 1)]
    assert await store.take_partitions(takes, "you", True) == []
    assert await store.take_partitions([(4, 0), (5, 0)], "you", True) == [
        PartitionLease(4, 1),
        PartitionLease(5, 1),
    ]
    assert await store.take_partitions([], "you", True) == []
    rows = await store.read_partitions()
    assert rows[:3] == [PartitionRow(0, 1, "me"), PartitionRow(1, 2, "you"), PartitionRow(2, 1, "you")]
    await store.release_partitions([PartitionLease(p, rows[p].epoch) for p in (1, 2, 4, 5)], "you")
    wanted = [(1, 2), (2, 1), (4, 1), (5, 1), (6, 0), (7, 0)]
    first, second = await asyncio.gather(
        store.take_partitions(wanted, "a", True), other_store.take_partitions(wanted, "b", True)
    )
    assert sorted(first + second) == [PartitionLease(p, epoch + 1) for p, epoch in wanted]


async def test_rows_that_fell_back_are_reasserted_above_the_lease(store: Store) -> None:
    """A fail-over that lost commits shows rows below what an owner holds; those at or above are left alone."""
    await own_all(store, "you")
    leases = [PartitionLease(0, 5), PartitionLease(1, 1), PartitionLease(2, 0)]
    assert await store.reassert_partitions(leases, "me") == [PartitionLease(0, 6)]
    rows = await store.read_partitions()
    assert rows[:3] == [PartitionRow(0, 6, "me"), PartitionRow(1, 1, "you"), PartitionRow(2, 1, "you")]
    assert await store.reassert_partitions(leases, "me") == []


async def test_the_clock_is_utc_microseconds_and_does_not_go_back(store: Store) -> None:
    first, second = await store.database_time(), await store.database_time()
    assert first <= second
    # The database runs on this machine or is meant to be in step with it.
    assert abs(first - time.time_ns() // 1000) < 60_000_000
