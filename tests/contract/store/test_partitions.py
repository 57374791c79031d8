"""Ownership rows and the database's clock."""

from __future__ import annotations

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
        PartitionRow(0, 1, None),
        PartitionRow(1, 2, "you"),
        PartitionRow(2, 1, "me"),
        PartitionRow(3, 1, "me"),
    ]


async def test_a_freed_partition_is_taken_at_its_epoch(store: Store) -> None:
    await own_all(store, "me")
    await store.release_partitions([PartitionLease(5, 1)], "me")
    assert await store.take_partitions([(5, 1)], "you") == [PartitionLease(5, 2)]


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
