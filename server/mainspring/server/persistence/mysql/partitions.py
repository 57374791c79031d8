"""Ownership rows: the fence, and the database's clock. All writes are single autocommit statements.

A statement that took several partitions from somebody would hold the ones it has while it waits for one that a frozen
owner's claim still locks; one statement each waits for that one alone. Rows that their owner frees, and free ones, have
no such claims: they share a statement, and a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from mainspring.server.errors import StoreError
from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.literals import integer, text
from mainspring.shard_manager.lease import PartitionLease, PartitionRow

_log = structlog.get_logger("mainspring.store")

DATABASE_TIME = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"

READ_PARTITIONS = """SELECT partition_id, epoch, owner_id, released_at, released_by
FROM partitions ORDER BY partition_id"""

TAKE_PARTITION = """UPDATE partitions
SET epoch = epoch + 1, owner_id = %(owner_id)s, released_at = NULL, released_by = NULL
WHERE partition_id = %(partition_id)s AND epoch = %(epoch)s"""

# What was freed in order is locked by nobody, so that these may name several rows: one commit for all of them. The hint:
# the table is small, and the server would rather read, and lock, all of it.
TAKE_FREE_PARTITIONS = """UPDATE partitions FORCE INDEX (PRIMARY)
SET epoch = epoch + 1, owner_id = %(owner_id)s, released_at = NULL, released_by = NULL
WHERE owner_id IS NULL AND (%(terms)s)"""

READ_TAKEN = """SELECT partition_id, epoch FROM partitions FORCE INDEX (PRIMARY)
WHERE owner_id = %(owner_id)s AND (%(terms)s)"""

RELEASE_PARTITIONS = """UPDATE partitions FORCE INDEX (PRIMARY) SET owner_id = NULL, released_by = %(owner_id)s,
  released_at = COALESCE(%(released_at)s, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)))
WHERE owner_id = %(owner_id)s AND (%(terms)s)"""

REASSERT_PARTITION = """UPDATE partitions
SET epoch = %(epoch)s + 1, owner_id = %(owner_id)s, released_at = NULL, released_by = NULL
WHERE partition_id = %(partition_id)s AND epoch < %(epoch)s"""


class PartitionUnits(Units):
    """Implements `PartitionStore` and `OwnerStore.database_time`."""

    async def database_time(self) -> int:
        """See `OwnerStore.database_time`."""
        rows = await self._db.read(self._db.ownership, DATABASE_TIME)
        return int(rows[0][0])

    async def read_partitions(self) -> list[PartitionRow]:
        """See `PartitionStore.read_partitions`."""
        rows = await self._db.read(self._db.ownership, READ_PARTITIONS)
        return [PartitionRow(*row) for row in rows]

    async def take_partitions(
        self, takes: Sequence[tuple[int, int]], owner_id: str, are_free: bool = False
    ) -> list[PartitionLease]:
        """See `PartitionStore.take_partitions`.

        When the database fails in the middle, what was won until then is answered and the rest is left for the next
        round; a take whose answer was lost shows in the row (owner = me), which every round reads first.
        """
        if are_free:
            return await self._take_free(takes, owner_id)
        changed = await self._each(TAKE_PARTITION, takes, owner_id)
        return [PartitionLease(partition_id, epoch + 1) for partition_id, epoch in changed]

    async def release_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str, released_at: int | None = None
    ) -> None:
        """See `PartitionStore.release_partitions`."""
        if leases:
            values = {
                "owner_id": text(owner_id),
                "terms": _terms(leases),
                "released_at": integer(released_at),
            }
            await self._db.write(self._db.ownership, RELEASE_PARTITIONS % values)

    async def _take_free(self, takes: Sequence[tuple[int, int]], owner_id: str) -> list[PartitionLease]:
        if not takes:
            return []
        values = {"owner_id": text(owner_id), "terms": _terms(takes)}
        changed = await self._db.write(self._db.ownership, TAKE_FREE_PARTITIONS % values)
        won = [PartitionLease(partition_id, epoch + 1) for partition_id, epoch in sorted(takes)]
        if changed == len(takes) or not changed:
            return won if changed else []
        # Which ones: nobody else can have written this epoch with this owner.
        values["terms"] = _terms(won)
        return [PartitionLease(*row) for row in await self._db.read(self._db.ownership, READ_TAKEN % values)]

    async def reassert_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str
    ) -> list[PartitionLease]:
        """See `PartitionStore.reassert_partitions`."""
        changed = await self._each(REASSERT_PARTITION, leases, owner_id)
        return [PartitionLease(partition_id, epoch + 1) for partition_id, epoch in changed]

    async def _each(
        self, statement: str, terms: Iterable[tuple[int, int]], owner_id: str
    ) -> list[tuple[int, int]]:
        """Runs the statement for each (partition, epoch); answers those it changed.

        Raises only when nothing was changed before the database failed.
        """
        changed: list[tuple[int, int]] = []
        failures: list[StoreError] = []
        queue = iter(list(terms))

        async def work() -> None:
            for partition_id, epoch in queue:
                if failures:
                    return
                values = {
                    "partition_id": int(partition_id),
                    "epoch": int(epoch),
                    "owner_id": text(owner_id),
                }
                try:
                    if await self._db.write(self._db.ownership, statement % values):
                        changed.append((partition_id, epoch))
                except StoreError as error:
                    failures.append(error)

        # As many at once as the lane has connections: their commits share the wait for the disk.
        async with asyncio.TaskGroup() as group:
            for _ in range(self._db.settings.ownership.connections):
                group.create_task(work())
        if failures:
            if not changed:
                raise failures[0]
            _log.warning("store.partitions_cut_short", changed=len(changed), error=failures[0].message)
        return sorted(changed)


def _terms(terms: Iterable[tuple[int, int]]) -> str:
    return " OR ".join(
        f"(partition_id = {partition_id:d} AND epoch = {epoch:d})" for partition_id, epoch in terms
    )
