"""What the shard manager tells about partitions: here they come, begin to fire, and go."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import structlog

from mainspring.server.core.model import Delivery, DueTask
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.claimer import Claimer
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.handover_log import HandoverLog
from mainspring.server.engine.open_attempts import OpenAttempts
from mainspring.server.engine.window_loader import WindowLoader
from mainspring.server.errors import StoreError
from mainspring.shard_manager.handover import ChangeReason, OwnerChange
from mainspring.shard_manager.lease import PartitionLease

log = structlog.get_logger(__name__)

SURRENDER_POLL_S = 0.005
ACKNOWLEDGE_S = 0.1
"""How long a surrender waits for the starts of what is on its way to executors. The gap grows by it at most."""
LONGEST_DELIVERY_S = 0.5
"""The same for at-most-once work: the next owner's question might overtake it, and what an executor disowns is lost."""


class EnginePartitionHost:
    """The engine as the shard manager sees it: implements its `PartitionHost`, whose order of calls it relies on."""

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        loader: WindowLoader,
        claimer: Claimer,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        handovers: HandoverLog,
    ) -> None:
        self._context = context
        self._window = window
        self._loader = loader
        self._claimer = claimer
        self._executors = executors
        self._attempts = attempts
        self._handovers = handovers
        self._adoptions: set[asyncio.Task[None]] = set()

    @property
    def is_adopting(self) -> bool:
        """Whether partitions that came here are still being loaded."""
        return bool(self._adoptions)

    async def stop(self) -> None:
        """Ends the adoptions under way."""
        for adoption in self._adoptions:
            adoption.cancel()
        await asyncio.gather(*self._adoptions, return_exceptions=True)

    async def prepare(self, partition_ids: Sequence[int]) -> None:
        """Warms the database's memory with what is due soon; it is read again, in no time, once the row is taken."""
        await self._loader.read(partition_ids, self._window.backlog_before, self._window.frontier)

    def discard(self, partition_ids: Sequence[int]) -> None:
        """Nothing to forget: `prepare` keeps nothing."""

    def adopt(self, leases: Sequence[PartitionLease], changes: Sequence[OwnerChange] = ()) -> None:
        """Takes partitions over. They fire once their open executions and due tasks are loaded under the new epoch."""
        let_go = {change.lease for change in changes if _has_let_go(change)}
        settled_at_s = self._context.clock.monotonic() + self._context.settings.stale_commit_s
        for lease in leases:
            self._context.held.hold(lease, settled_at_s=0.0 if lease in let_go else settled_at_s)
        self._attempts.begin_loading([lease.partition_id for lease in leases])
        adoption = asyncio.create_task(self._adopt(list(leases), changes), name="adopt")
        self._adoptions.add(adoption)
        adoption.add_done_callback(self._adoptions.discard)

    def adopt_missing(self, holds: Mapping[int, int]) -> None:
        """Adopts again what the shard manager holds and the engine does not: whatever went wrong, it does not stay so."""
        held = self._context.held
        missing = [PartitionLease(p, epoch) for p, epoch in holds.items() if held.epoch_of(p) is None]
        if missing:
            log.warning("partitions_missing", partitions=sorted(lease.partition_id for lease in missing))
            self.adopt(missing)

    async def _adopt(self, leases: list[PartitionLease], changes: Sequence[OwnerChange]) -> None:
        held, clock = self._context.held, self._context.clock
        pause_s = 0.05
        while leases := [lease for lease in leases if held.epoch_of(lease.partition_id) == lease.epoch]:
            try:
                tasks = await self._read_for_adoption([lease.partition_id for lease in leases])
            except Exception as error:
                # Whatever it is: a partition that is held and does not fire would be nobody's.
                is_bug = not isinstance(error, StoreError)
                log.warning("adopt_failed", error=repr(error), partitions=len(leases), exc_info=is_bug)
                await clock.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
                continue
            firing = {lease.partition_id for lease in leases if held.fire(lease)}
            firing_at = clock.now()
            self._attempts.end_loading(firing)
            self._loader.merge([task for task in tasks if task.partition_id in firing])
            self._loader.read_backlog()
            self._claimer.wake()
            records = [
                self._handovers.add(
                    change,
                    firing_at=firing_at,
                    due_at=[t.due_at for t in tasks if t.partition_id == change.lease.partition_id],
                )
                for change in changes
                if change.lease.partition_id in firing
            ]
            log.info(
                "partitions_firing",
                count=len(firing),
                partitions=sorted(firing),
                gap_ms=max((r.gap_us / 1000 for r in records if r.gap_us is not None), default=None),
                late_executions=sum(record.late_count for record in records),
            )
            return

    async def _read_for_adoption(self, partition_ids: Sequence[int]) -> list[DueTask]:
        """Takes the open executions in and reads what is due up to the frontier, both at once.

        A partition claims nothing before it knows what its last owner left open: it fires after both. The frontier may
        move until the last statement is answered, and is caught up with.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._loader.load_open(partition_ids, None), name="adopt-open")
                # What has been due for long comes behind, however much that is.
                reading = group.create_task(
                    self._read_due(partition_ids, self._window.backlog_before), name="adopt-due"
                )
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        tasks, read_until = reading.result()
        while read_until < self._window.frontier:
            more, read_until = await self._read_due(partition_ids, read_until)
            tasks += more
        return tasks

    async def _read_due(self, partition_ids: Sequence[int], from_at: int) -> tuple[list[DueTask], int]:
        """Reads what is due from an instant to the frontier; answers it and where the frontier was."""
        until_at = self._window.frontier
        tasks, is_complete = await self._loader.read(partition_ids, from_at, until_at)
        if not is_complete:
            # No room for all: what is due later is loaded again in its time, what is overdue the sweep brings.
            self._window.frontier = until_at = min(self._window.frontier, self._context.clock.now())
            self._loader.sweep_soon()
        return tasks, until_at

    async def surrender(self, leases: Sequence[PartitionLease]) -> None:
        """Stops claiming at once; returns when no transaction is under way under these leases, and forgets them.

        What was put on executors' streams has its start acknowledged by then, unless that takes too long: the successor
        asks over another stream, and its question must not overtake the work.
        """
        partition_ids = {lease.partition_id for lease in leases}
        self._context.held.stop_firing(partition_ids)
        await self._until_idle(partition_ids)
        await self._until_acknowledged(partition_ids)
        await self._until_idle(partition_ids)
        self.revoke(leases)

    async def _until_idle(self, partition_ids: Collection[int]) -> None:
        while self._context.held.has_work(partition_ids):
            await self._context.clock.sleep(SURRENDER_POLL_S)

    async def _until_acknowledged(self, partition_ids: Collection[int]) -> None:
        """Waits for the starts of what is on its way; not for executors that are not connected: they answer nobody."""
        clock = self._context.clock
        begun_s = clock.monotonic()
        sent = self._attempts.of_partitions(partition_ids)
        while sent := [
            attempt
            for attempt in sent
            if self._attempts.is_on_its_way(attempt)
            and self._executors.get(attempt.executor_id or "") is not None
        ]:
            is_dear = any(attempt.delivery is Delivery.AT_MOST_ONCE for attempt in sent)
            if clock.monotonic() - begun_s >= (LONGEST_DELIVERY_S if is_dear else ACKNOWLEDGE_S):
                log.warning("surrender_in_doubt", executions=len(sent), partitions=sorted(partition_ids))
                return
            await clock.sleep(SURRENDER_POLL_S)

    def revoke(self, leases: Sequence[PartitionLease]) -> None:
        """Drops these at once, with everything in memory about them."""
        dropped = {lease.partition_id for lease in leases if self._context.held.drop(lease)}
        if dropped:
            self._window.forget_partitions(dropped)
            self._attempts.forget_partitions(dropped)
            self._context.notes.forget_partitions(dropped)
            for session in self._executors.sessions():
                session.drop_work(dropped)
            self._claimer.wake()
            self._context.signals.demand_changed()


def _has_let_go(change: OwnerChange) -> bool:
    """Whether the owner before, if it was another one, has said that it sends nothing any more."""
    own = (ChangeReason.FREE, ChangeReason.RETAKEN, ChangeReason.REASSERTED)
    return change.released_at is not None or change.reason in own
