"""After a commit that took long, the world may have moved on: look again before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.server.engine.context import OwnerContext


class FenceCheck:
    """Tells which partitions' work may still be sent."""

    def __init__(self, context: OwnerContext) -> None:
        self._context = context

    async def still_held(self, epochs: Mapping[int, int], begun_at_s: float) -> set[int]:
        """The partitions of `epochs` still held under these epochs, re-read when the commit began too long ago.

        Args:
            epochs: the epochs under which the work was recorded.
            begun_at_s: when the recording transaction began, monotonic seconds.
        """
        held = {p for p, epoch in epochs.items() if self._context.held.epoch_of(p) == epoch}
        while held and self._context.clock.monotonic() - begun_at_s > self._context.settings.stale_commit_s:
            begun_at_s = self._context.clock.monotonic()
            rows = {row.partition_id: row for row in await self._context.store.read_partitions()}
            fenced = {
                p for p in held if (rows[p].epoch, rows[p].owner_id) != (epochs[p], self._context.node_id)
            }
            self._context.refused(fenced, epochs)
            held = {p for p in held - fenced if self._context.held.epoch_of(p) == epochs[p]}
        return held
