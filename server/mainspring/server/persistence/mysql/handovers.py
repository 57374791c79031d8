"""The record of changes of owner. Nothing here is fenced: an epoch has one owner, who alone writes its record, once."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.literals import integer, text
from mainspring.server.persistence.store.handovers import HandoverCursor
from mainspring.shard_manager.handover import ChangeReason, Handover

INSERT_HANDOVERS = """INSERT INTO handovers (partition_id, epoch, reason, from_node, to_node, released_at, noticed_at,
  firing_at, late_count, max_lateness_us)
VALUES %(rows)s ON DUPLICATE KEY UPDATE handovers.epoch = handovers.epoch"""

# One range of the key a partition, and the hint: while the table is small MySQL would rather read all of it.
DELETE_HANDOVERS = "DELETE h FROM handovers h FORCE INDEX (PRIMARY) WHERE %(ranges)s"

LIST_HANDOVERS = """SELECT partition_id, epoch, reason, from_node, to_node, released_at, noticed_at, firing_at,
  late_count, max_lateness_us
FROM handovers FORCE INDEX (firing)
WHERE %(conditions)s
ORDER BY firing_at DESC, partition_id DESC, epoch DESC LIMIT %(limit)s"""


class HandoverUnits(Units):
    """Implements `HandoverStore`."""

    async def record_handovers(self, records: Sequence[Handover], *, keep: int) -> None:
        """See `HandoverStore.record_handovers`."""
        if not records:
            return
        rows = ",".join(_values(record) for record in sorted(records))
        await self._db.write(self._db.query, INSERT_HANDOVERS % {"rows": rows})
        oldest = {r.partition_id: r.epoch - keep for r in sorted(records) if r.epoch > keep}
        if oldest:
            ranges = [f"h.partition_id = {p:d} AND h.epoch <= {epoch:d}" for p, epoch in oldest.items()]
            await self._db.write(self._db.query, DELETE_HANDOVERS % {"ranges": " OR ".join(ranges)})

    async def list_handovers(
        self, *, node_id: str | None, since_at: int | None, before: HandoverCursor | None, limit: int
    ) -> list[Handover]:
        """See `HandoverStore.list_handovers`.

        A node's are found by walking over the others': the table holds 100 a partition at most.
        """
        conditions = ["firing_at >= 0" if since_at is None else f"firing_at >= {since_at:d}"]
        if before is not None:
            at, partition_id, epoch = before
            conditions.append(
                f"firing_at <= {at:d} AND (firing_at < {at:d} OR partition_id < {partition_id:d}"
                f" OR (partition_id = {partition_id:d} AND epoch < {epoch:d}))"
            )
        if node_id is not None:
            conditions.append(f"(from_node = {text(node_id)} OR to_node = {text(node_id)})")
        sql = LIST_HANDOVERS % {"conditions": " AND ".join(conditions), "limit": int(limit)}
        rows = await self._db.read(self._db.query, sql)
        return [
            Handover(row[0], row[1], ChangeReason(row[2]), *row[3:])  # the columns are in the record's order
            for row in rows
        ]


def _values(record: Handover) -> str:
    return (
        f"({record.partition_id:d},{record.epoch:d},{int(record.reason)},{text(record.from_node)},"
        f"{text(record.to_node)},{integer(record.released_at)},{integer(record.noticed_at)},{record.firing_at:d},"
        f"{record.late_count:d},{record.max_lateness_us:d})"
    )
