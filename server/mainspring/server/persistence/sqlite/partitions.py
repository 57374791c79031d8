"""Ownership rows: the fence, and the database's clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from mainspring.server.persistence.sqlite.database import Units
from mainspring.shard_manager.lease import PartitionLease, PartitionRow

READ_PARTITIONS = """SELECT partition_id, epoch, owner_id, released_at, released_by
FROM partitions ORDER BY partition_id"""

TAKE_PARTITION = """UPDATE partitions
SET epoch = epoch + 1, owner_id = :owner_id, released_at = NULL, released_by = NULL
WHERE partition_id = :partition_id AND epoch = :epoch"""

TAKE_FREE_PARTITION = f"{TAKE_PARTITION} AND owner_id IS NULL"

RELEASE_PARTITION = """UPDATE partitions SET owner_id = NULL, released_by = :owner_id, released_at = :released_at
WHERE partition_id = :partition_id AND epoch = :epoch AND owner_id = :owner_id"""

REASSERT_PARTITION = """UPDATE partitions
SET epoch = :epoch + 1, owner_id = :owner_id, released_at = NULL, released_by = NULL
WHERE partition_id = :partition_id AND epoch < :epoch"""


class PartitionUnits(Units):
    """Implements `PartitionStore` and `OwnerStore.database_time`. Each unit is one transaction."""

    async def database_time(self) -> int:
        """See `OwnerStore.database_time`: the clock that the store was given."""
        self._require_open()
        return self._db.now()

    async def read_partitions(self) -> list[PartitionRow]:
        """See `PartitionStore.read_partitions`."""
        rows = await self._read(lambda connection: connection.execute(READ_PARTITIONS).fetchall())
        return [PartitionRow._make(row) for row in rows]

    async def take_partitions(
        self, takes: Sequence[tuple[int, int]], owner_id: str, are_free: bool = False
    ) -> list[PartitionLease]:
        """See `PartitionStore.take_partitions`."""
        changed = await self._each(TAKE_FREE_PARTITION if are_free else TAKE_PARTITION, takes, owner_id)
        return [PartitionLease(partition_id, epoch + 1) for partition_id, epoch in changed]

    async def release_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str, released_at: int | None = None
    ) -> None:
        """See `PartitionStore.release_partitions`."""
        at = self._db.now() if released_at is None else released_at
        await self._each(RELEASE_PARTITION, leases, owner_id, released_at=at)

    async def reassert_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str
    ) -> list[PartitionLease]:
        """See `PartitionStore.reassert_partitions`."""
        changed = await self._each(REASSERT_PARTITION, leases, owner_id)
        return [PartitionLease(partition_id, epoch + 1) for partition_id, epoch in changed]

    async def _each(
        self, statement: str, terms: Iterable[tuple[int, int]], owner_id: str, **more: int
    ) -> list[tuple[int, int]]:
        """Runs the statement for each (partition, epoch); answers those it changed."""
        wanted = list(terms)

        def body(connection: sqlite3.Connection) -> list[tuple[int, int]]:
            return [
                (partition_id, epoch)
                for partition_id, epoch in wanted
                if connection.execute(
                    statement,
                    {"partition_id": partition_id, "epoch": epoch, "owner_id": owner_id, **more},
                ).rowcount
            ]

        return await self._write(body)
