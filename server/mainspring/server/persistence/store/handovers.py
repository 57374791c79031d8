"""The record of changes of owner, as a database keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mainspring.shard_manager.handover import Handover


class HandoverCursor(NamedTuple):
    """A place in the list of hand-overs, which is in descending order of these."""

    firing_at: int
    partition_id: int
    epoch: int


class HandoverStore(Protocol):
    """The record of changes of owner: for people, so nothing else depends on it."""

    async def record_handovers(self, records: Sequence[Handover], *, keep: int) -> None:
        """Writes records, each once (partition and epoch name it), and deletes those of their partitions that are
        `keep` or more epochs older. Idempotent. Two autocommit statements: the second may fail without the first."""
        ...

    async def list_handovers(
        self, *, node_id: str | None, since_at: int | None, before: HandoverCursor | None, limit: int
    ) -> list[Handover]:
        """Reads up to `limit` records behind `before`, newest first.

        `node_id`: only those from or to this node. `since_at`: only those that fired at or after this instant.
        """
        ...
