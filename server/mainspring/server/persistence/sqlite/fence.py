"""The fence: comparing (epoch, owner) with the partitions' rows, inside the transaction that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

READ_OWNED = "SELECT 1 FROM partitions WHERE partition_id = ? AND epoch = ? AND owner_id = ?"


def lost_terms(
    connection: sqlite3.Connection, owner_id: str, terms: Iterable[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Which (partition, epoch) are not this owner's.

    The transaction has begun with BEGIN IMMEDIATE, so nobody takes a partition between this and its commit.
    """
    return {
        term
        for term in sorted(set(terms))
        if connection.execute(READ_OWNED, (*term, owner_id)).fetchone() is None
    }
