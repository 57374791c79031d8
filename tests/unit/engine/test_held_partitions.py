"""What a node believes to hold."""

from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.shard_manager.lease import PartitionLease


def test_a_partition_fires_only_under_the_epoch_it_was_loaded_for() -> None:
    held = HeldPartitions()
    held.hold(PartitionLease(1, 5))
    held.hold(PartitionLease(1, 6))
    assert not held.fire(PartitionLease(1, 5))
    assert held.fire(PartitionLease(1, 6))
    assert held.firing() == [1]


def test_a_late_drop_of_an_old_epoch_does_not_take_a_new_one_away() -> None:
    held = HeldPartitions()
    held.hold(PartitionLease(1, 6))
    assert not held.drop(PartitionLease(1, 5))
    assert held.epoch_of(1) == 6
    assert held.drop(PartitionLease(1, 6))
    assert held.epoch_of(1) is None


def test_work_under_way_is_counted_per_partition() -> None:
    held = HeldPartitions()
    held.begin_work({1, 2})
    held.begin_work({2})
    held.end_work({1, 2})
    assert not held.has_work([1])
    assert held.has_work([1, 2])
    held.end_work({2})
    assert not held.has_work([2])
