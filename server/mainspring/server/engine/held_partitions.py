"""Which partitions this node holds, under which epoch, and which of them may fire. PURE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from mainspring.shard_manager.lease import PartitionLease


class HeldPartitions:
    """The node's own belief about its ownership; the fence in the database has the last word.

    A partition is *held* from the moment its row was taken, and *firing* once what its last owner left open is loaded.
    One that is *closing* fires no more and is about to be handed over.
    Units of work that are under way under a partition's lease are counted, so that a surrender can wait for them.
    """

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}
        self._firing: set[int] = set()
        self._closing: set[int] = set()
        self._unsettled: dict[int, float] = {}
        self._under_way: Counter[int] = Counter()

    def hold(self, lease: PartitionLease, *, settled_at_s: float = 0.0) -> None:
        """Adds a partition, not firing yet.

        Args:
            settled_at_s: until when its last owner may be sending what it recorded, monotonic seconds: it did not let go.
        """
        self._epochs[lease.partition_id] = lease.epoch
        self._unsettled[lease.partition_id] = settled_at_s
        self._firing.discard(lease.partition_id)
        self._closing.discard(lease.partition_id)

    def fire(self, lease: PartitionLease) -> bool:
        """Lets a partition fire if it is still held under this very epoch, and not about to be handed over already."""
        if self._epochs.get(lease.partition_id) != lease.epoch or lease.partition_id in self._closing:
            return False
        self._firing.add(lease.partition_id)
        return True

    def stop_firing(self, partition_ids: Collection[int]) -> None:
        """Stops new claims of these partitions, for good; what is under way goes on."""
        self._firing.difference_update(partition_ids)
        self._closing.update(partition_ids)

    def drop(self, lease: PartitionLease) -> bool:
        """Forgets a partition if it is held under this epoch or a lower one."""
        held = self._epochs.get(lease.partition_id)
        if held is None or held > lease.epoch:
            return False
        del self._epochs[lease.partition_id]
        self._unsettled.pop(lease.partition_id, None)
        self._firing.discard(lease.partition_id)
        self._closing.discard(lease.partition_id)
        return True

    def epoch_of(self, partition_id: int) -> int | None:
        """The epoch under which a partition is held; None when it is not."""
        return self._epochs.get(partition_id)

    def is_settled(self, partition_id: int, now_s: float) -> bool:
        """Whether a partition is held and its last owner sends nothing any more."""
        return self._unsettled.get(partition_id, now_s + 1) <= now_s

    def is_firing(self, partition_id: int) -> bool:
        """Whether new claims of this partition may begin."""
        return partition_id in self._firing

    def is_closing(self, partition_id: int) -> bool:
        """Whether nothing new may begin in this partition, although it is held."""
        return partition_id in self._closing

    def firing(self) -> list[int]:
        """The partitions that may fire, by id."""
        return sorted(self._firing)

    def held(self) -> list[int]:
        """Every partition held, by id."""
        return sorted(self._epochs)

    def __len__(self) -> int:
        return len(self._epochs)

    def begin_work(self, partition_ids: Iterable[int]) -> None:
        """Counts a unit of work (a transaction and what follows from it) that begins under these partitions."""
        self._under_way.update(partition_ids)

    def end_work(self, partition_ids: Iterable[int]) -> None:
        """Counts the end of that unit."""
        for partition_id in partition_ids:
            self._under_way[partition_id] -= 1
            if self._under_way[partition_id] <= 0:
                del self._under_way[partition_id]

    @property
    def firing_count(self) -> int:
        """How many partitions may fire."""
        return len(self._firing)

    @property
    def is_working(self) -> bool:
        """Whether any unit of work is under way."""
        return bool(self._under_way)

    def has_work(self, partition_ids: Iterable[int]) -> bool:
        """Whether any unit of work is under way in these partitions."""
        return any(partition_id in self._under_way for partition_id in partition_ids)
