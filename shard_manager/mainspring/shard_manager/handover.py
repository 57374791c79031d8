"""A change of a partition's owner: why, from whom, and what is kept of it. PURE."""

import enum
from collections.abc import Iterable
from typing import NamedTuple

from mainspring.shard_manager.lease import PartitionLease


class ChangeReason(enum.IntEnum):
    """Why a partition changed hands, in the words of operators. The numbers are stored, and are the proto's."""

    FREE = 1
    """Nobody had it: the first owner of a new cluster, or it was freed by somebody who did not say so."""
    REBALANCED = 2
    """Its owner gave it to another node for the sake of balance: one has joined."""
    LEAVING = 3
    """Its owner was told to stop."""
    DRAINED = 4
    """Its owner was told to give everything away."""
    STEPPED_ASIDE = 5
    """Its owner found that it could not do its job."""
    OWNER_GONE = 6
    """Its owner is no member any more: it died, or was cut off."""
    FORCED = 7
    """Its owner is alive and did not let go in time."""
    RETAKEN = 8
    """Its own owner took it again: the outcome of a take or release was unknown."""
    REASSERTED = 9
    """Its own owner took it again: the database had lost commits and showed an old epoch."""


class Release(NamedTuple):
    """A partition whose owner has let go of it, as it tells its successor."""

    partition_id: int
    epoch: int
    """Of the owner before: the successor takes the next one."""
    released_by: str
    released_at: int
    """When it stopped firing, microseconds of cluster time."""


class OwnerChange(NamedTuple):
    """A take that was won, as the new owner knows it at that moment. Instants are microseconds of cluster time."""

    lease: PartitionLease
    from_node: str | None
    """The owner before; None when there was none."""
    reason: ChangeReason
    released_at: int | None
    """When the last owner stopped firing; None when it did not say."""
    noticed_at: int | None
    """When the new owner noticed that nobody fires, or took by force; None when it was released."""


class Handover(NamedTuple):
    """A change of owner, from the last owner's end to the new owner's begin. Instants are microseconds of cluster time."""

    partition_id: int
    epoch: int
    """The new owner's."""
    reason: ChangeReason
    from_node: str | None
    to_node: str
    released_at: int | None
    """When the last owner stopped firing; None when it did not say."""
    noticed_at: int | None
    """When the new owner noticed that the last one was gone, or decided to take by force; only without `released_at`."""
    firing_at: int
    """When the new owner began to fire."""
    late_count: int
    """Due tasks whose due time passed while nobody fired; without `released_at`, everything overdue at `firing_at`."""
    max_lateness_us: int
    """The greatest lateness among them at `firing_at`; 0 when there are none."""

    @property
    def gap_us(self) -> int | None:
        """How long nobody fired, as far as is known; None for a first owner."""
        began_at = self.noticed_at if self.released_at is None else self.released_at
        return None if began_at is None else max(0, self.firing_at - began_at)


def handover_of(change: OwnerChange, to_node: str, *, firing_at: int, due_at: Iterable[int]) -> Handover:
    """Return the record of a change whose new owner fires.

    Args:
        change: What was known when the partition was taken.
        to_node: The new owner.
        firing_at: When the new owner began to fire.
        due_at: The due times of the partition's tasks that were not claimed then, in any order; those due later, and
            those that the last owner could have claimed and did not (nothing runs them), do not count as late.
    """
    late_from_at = change.released_at
    late = [at for at in due_at if at < firing_at and (late_from_at is None or at >= late_from_at)]
    return Handover(
        partition_id=change.lease.partition_id,
        epoch=change.lease.epoch,
        reason=change.reason,
        from_node=change.from_node,
        to_node=to_node,
        released_at=change.released_at,
        noticed_at=change.noticed_at,
        firing_at=firing_at,
        late_count=len(late),
        max_lateness_us=firing_at - min(late, default=firing_at),
    )
