"""After a commit that took long, the world may have moved on: look again before anything is sent.

Partitions may have another owner, and tasks another definition, or none.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import structlog

from mainspring.server.core.model import ExecutionRef, TaskRef
from mainspring.server.engine.context import OwnerContext
from mainspring.server.errors import StoreError

log = structlog.get_logger(__name__)

RETRY_S = 0.1


class Recorded(Protocol):
    """Work that is recorded and not sent yet."""

    @property
    def ref(self) -> ExecutionRef:
        """Its execution."""
        ...

    @property
    def task_version(self) -> int:
        """The version of its task that it was recorded with."""
        ...


class StillHeld(NamedTuple):
    """What was found out, and as of when."""

    partitions: set[int]
    as_of_s: float
    """Monotonic seconds."""


class FenceCheck:
    """Tells which partitions' work may still be sent; which tasks' may not, it puts down in the notes (`ChangeNotes`)."""

    def __init__(self, context: OwnerContext) -> None:
        self._context = context

    async def still_held(
        self, epochs: Mapping[int, int], begun_at_s: float, recorded: Iterable[Recorded]
    ) -> StillHeld:
        """The partitions of `epochs` still held under these epochs, re-read when the commit began too long ago.

        Args:
            epochs: the epochs under which the work was recorded.
            begun_at_s: when the recording transaction began, monotonic seconds.
            recorded: the work. The versions of its tasks are re-read with the epochs.
        """
        versions = {TaskRef(work.ref.partition_id, work.ref.task_key): work.task_version for work in recorded}
        held = {p for p, epoch in epochs.items() if self._context.held.epoch_of(p) == epoch}
        while held and self._context.clock.monotonic() - begun_at_s > self._context.settings.stale_commit_s:
            begun_at_s = self._context.clock.monotonic()
            try:
                rows = {row.partition_id: row for row in await self._context.store.read_partitions()}
                current = await self._context.store.read_versions(list(versions))
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
            for ref, version in versions.items():
                if (now := current.get(ref, sys.maxsize)) != version:
                    self._context.notes.add(ref, now, is_stopped=False, now_s=begun_at_s)
            held = {p for p in held - fenced if self._context.held.epoch_of(p) == epochs[p]}
        return StillHeld(held, begun_at_s)
