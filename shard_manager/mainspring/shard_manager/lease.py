"""What owning a partition looks like: the right an owner holds, and the row everybody reads."""

from typing import NamedTuple


class PartitionLease(NamedTuple):
    """The right to write to one partition, handed to every store write of its owner.

    It has no time limit: it holds until a higher epoch of the partition exists in the database, which checks
    partition, epoch and owner id inside the transaction that writes.
    """

    partition_id: int
    epoch: int


class PartitionRow(NamedTuple):
    """One partition's row as it was read: the only authority on ownership."""

    partition_id: int
    epoch: int
    """The fencing number: +1 at each change of owner; 0 before the first owner."""
    owner_id: str | None
    """The node id (unique per process start) of the owner, or None while the partition is free."""
    released_at: int | None = None
    """While it is free: when the last owner stopped firing, microseconds of cluster time; None when it did not say."""
    released_by: str | None = None
    """While it is free: that owner."""
