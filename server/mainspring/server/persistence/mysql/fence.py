"""The fence: comparing (epoch, owner) with the partitions' rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mainspring.server.persistence.mysql.database import Database, Rows
from mainspring.server.persistence.mysql.literals import integers

# Without FORCE INDEX, asking for a third of the rows turns into a scan that also locks all the others.
READ_FENCE = """SELECT partition_id, epoch, owner_id FROM partitions FORCE INDEX (PRIMARY)
WHERE partition_id IN (%(ids)s)"""

# A take waits behind this lock, and this behind a take: what is read stays true until the transaction ends. A plain
# read would not wait, and the claim could commit after the take.
LOCK_FENCE = READ_FENCE + " LOCK IN SHARE MODE"


def refused(rows: Rows, owner_id: str, epochs: Mapping[int, int]) -> frozenset[int]:
    """The partitions of `epochs` whose row is missing or shows another epoch or owner."""
    held = {row[0]: row[1] for row in rows if row[2] == owner_id}
    return frozenset(
        partition_id for partition_id, epoch in epochs.items() if held.get(partition_id) != epoch
    )


async def read_refused(database: Database, owner_id: str, terms: Iterable[tuple[int, int]]) -> frozenset[int]:
    """Reads, without a lock, which (partition, epoch) are not this owner's.

    Meant for after a fenced write that changed fewer rows than it named. Epochs only rise, so a row that did not match
    when the write ran does not match now. A row that did match may have changed since: answering its partition as
    refused is true too, only the write has landed before.
    """
    wanted = set(terms)
    if not wanted:
        return frozenset()
    ids = integers(sorted({partition_id for partition_id, _ in wanted}))
    rows = await database.read(database.hot, READ_FENCE % {"ids": ids})
    held = {(row[0], row[1]) for row in rows if row[2] == owner_id}
    return frozenset(term[0] for term in wanted - held)
