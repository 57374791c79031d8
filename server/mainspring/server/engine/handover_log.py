"""Keeps a record of each partition that came here: metrics at once, the table a moment later and off the critical path."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import structlog

from mainspring.server.engine.context import OwnerContext
from mainspring.server.errors import Contention, StoreError, StoreUnavailable, UnknownOutcome
from mainspring.shard_manager.handover import Handover, OwnerChange, handover_of

log = structlog.get_logger(__name__)

GATHER_S = 0.5
"""The steps of one rebalancing share a statement."""
BATCH = 500
QUEUE = 5_000
"""More than the partitions of the largest cluster. Beyond it the oldest records are dropped."""
KEEP = 100
"""Epochs of a partition that are kept."""
RETRY_S = 1.0


class HandoverLog:
    """Takes what is known of changes of owner. Best effort: nothing waits for it and nothing depends on it."""

    def __init__(self, context: OwnerContext) -> None:
        self._context = context
        self._queue: deque[Handover] = deque()
        self._wake = asyncio.Event()

    def add(self, change: OwnerChange, *, firing_at: int, due_at: Iterable[int]) -> Handover:
        """Notes that a partition fires here from `firing_at` on; `due_at` as for `handover_of`."""
        metrics = self._context.metrics
        record = handover_of(change, self._context.node_id, firing_at=firing_at, due_at=due_at)
        if record.gap_us is not None:
            metrics.handover_gap.labels(record.reason.name).observe(record.gap_us / 1_000_000)
        metrics.handover_late.labels(record.reason.name).inc(record.late_count)
        self._queue.append(record)
        if len(self._queue) > QUEUE:
            self._queue.popleft()
            log.warning("handover_record_dropped", waiting=QUEUE)
        self._wake.set()
        return record

    async def run_round(self) -> None:
        """Writes one batch; waits when there is none."""
        await self._wake.wait()
        await self._context.clock.sleep(GATHER_S)
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        if not self._queue:
            self._wake.clear()
        try:
            await self._context.store.record_handovers(batch, keep=KEEP)
        except (StoreUnavailable, UnknownOutcome, Contention) as error:
            log.warning("handovers_not_recorded", reason=error.reason, error=str(error), records=len(batch))
            self._queue.extendleft(reversed(batch))
            self._wake.set()
            await self._context.clock.sleep(RETRY_S)
        except StoreError as error:
            # Tried again it would be refused again, and hold up what comes after it.
            log.error("handovers_refused", reason=error.reason, error=str(error), records=len(batch))
