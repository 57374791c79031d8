"""Who owns which partition, as a database records it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mainspring.shard_manager.lease import PartitionLease, PartitionRow


class PartitionStore(Protocol):
    """Ownership rows. The same shape as the shard manager's OwnershipStore."""

    async def read_partitions(self) -> list[PartitionRow]:
        """Reads all rows, by id."""
        ...

    async def take_partitions(
        self, takes: Sequence[tuple[int, int]], owner_id: str, are_free: bool = False
    ) -> list[PartitionLease]:
        """Takes each (partition, expected epoch) by compare-and-set, an autocommit statement each; answers those won.

        With `are_free` only those without an owner, and all in one statement.
        """
        ...

    async def release_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str, released_at: int | None = None
    ) -> None:
        """Frees each row that still shows exactly this epoch and owner.

        The row names the owner as `released_by`, and `released_at`, by default the database's time, in the same
        statement; a take sets both back to None.
        """
        ...

    async def reassert_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str
    ) -> list[PartitionLease]:
        """After the database lost commits: raises rows with an epoch below the lease's to lease epoch + 1, owner = me.

        Answers the new leases of the rows that were behind.
        """
        ...
