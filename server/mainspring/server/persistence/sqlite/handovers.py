"""The record of changes of owner. Nothing here is fenced: an epoch has one owner, who alone writes its record, once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mainspring.server.persistence.sqlite.database import Units
from mainspring.server.persistence.store.handovers import HandoverCursor
from mainspring.shard_manager.handover import ChangeReason, Handover

INSERT_HANDOVER = """INSERT INTO handovers (partition_id, epoch, reason, from_node, to_node, released_at, noticed_at,
  firing_at, late_count, max_lateness_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""

DELETE_HANDOVERS = "DELETE FROM handovers WHERE partition_id = :partition_id AND epoch <= :epoch"

LIST_HANDOVERS = """SELECT partition_id, epoch, reason, from_node, to_node, released_at, noticed_at, firing_at,
  late_count, max_lateness_us
FROM handovers INDEXED BY firing
WHERE firing_at >= :since_at AND (firing_at, partition_id, epoch) < (:firing_at, :partition_id, :epoch)
  AND (:node_id IS NULL OR from_node = :node_id OR to_node = :node_id)
ORDER BY firing_at DESC, partition_id DESC, epoch DESC LIMIT :limit"""

_NEWEST = HandoverCursor(2**63 - 1, 0, 0)


class HandoverUnits(Units):
    """Implements `HandoverStore`. Each unit is one transaction."""

    async def record_handovers(self, records: Sequence[Handover], *, keep: int) -> None:
        """See `HandoverStore.record_handovers`."""
        if not records:
            return

        def body(connection: sqlite3.Connection) -> None:
            connection.executemany(INSERT_HANDOVER, [(*r[:2], int(r.reason), *r[3:]) for r in records])
            connection.executemany(
                DELETE_HANDOVERS,
                [
                    {"partition_id": r.partition_id, "epoch": r.epoch - keep}
                    for r in records
                    if r.epoch > keep
                ],
            )

        await self._write(body)

    async def list_handovers(
        self, *, node_id: str | None, since_at: int | None, before: HandoverCursor | None, limit: int
    ) -> list[Handover]:
        """See `HandoverStore.list_handovers`."""
        cursor = _NEWEST if before is None else before
        values = {
            "since_at": 0 if since_at is None else since_at,
            **cursor._asdict(),
            "node_id": node_id,
            "limit": limit,
        }
        rows = await self._read(lambda connection: connection.execute(LIST_HANDOVERS, values).fetchall())
        return [
            Handover(row[0], row[1], ChangeReason(row[2]), *row[3:])  # the columns are in the record's order
            for row in rows
        ]
