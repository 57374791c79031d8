"""After a commit that took long, the world may have moved on: look again before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import structlog

from mainspring.server.engine.context import OwnerContext
from mainspring.server.errors import StoreError

log = structlog.get_logger(__name__)

RETRY_S = 0.1


class StillHeld(NamedTuple):
    """What was found out, and as of when."""

    partitions: set[int]
    as_of_s: float
    """Monotonic seconds."""


class FenceCheck:
    """Tells which partitions' work may still be sent."""

    def __init__(self, context: OwnerContext) -> None:
        self._context = context

    async def still_held(self, epochs: Mapping[int, int], begun_at_s: float) -> StillHeld:
        """The partitions of `epochs` still held under these epochs, re-read when the commit began too long ago.

        Args:
            epochs: the epochs under which the work was recorded.
            begun_at_s: when the recording transaction began, monotonic seconds.
        """
        held = {p for p, epoch in epochs.items() if self._context.held.epoch_of(p) == epoch}
        while held and self._context.clock.monotonic() - begun_at_s > self._context.settings.stale_commit_s:
            begun_at_s = self._context.clock.monotonic()
            try:
                rows = {row.partition_id: row for row in await self._context.store.read_partitions()}
            except StoreError as error:
                # Recorded and not sent: whoever gives up here leaves it to the sweep, which is seconds later.
                log.warning("fence_read_failed", reason=error.reason, error=str(error))
                await self._context.clock.sleep(RETRY_S)
                begun_at_s = -math.inf
                held = {p for p in held if self._context.held.epoch_of(p) == epochs[p]}
                continue
            fenced = {
                p for p in held if (rows[p].epoch, rows[p].owner_id) != (epochs[p], self._context.node_id)
            }
            self._context.refused(fenced, epochs)
            held = {p for p in held - fenced if self._context.held.epoch_of(p) == epochs[p]}
        return StillHeld(held, begun_at_s)
