"""Claims what is due: has batches formed, carries the claim transaction out, has the work sent.

A task is claimed only when an executor has credit for it. One that nothing can run therefore stays in the due index,
where it costs nothing, and its later times fold into it by the misfire policy instead of piling up as waiting rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from mainspring.server.core.claim import ClaimItem, ClaimOutcome
from mainspring.server.core.model import DueTask, ExecutionRef, ExecutionState
from mainspring.server.core.policies import decode
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.claim_former import ClaimFormer
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.lanes import Lanes
from mainspring.server.engine.open_attempts import OpenAttempts
from mainspring.server.engine.pace import Pace
from mainspring.server.engine.planning import following
from mainspring.server.engine.sender import Reservations, Sender
from mainspring.server.engine.timer_driver import TimerDriver
from mainspring.server.errors import StoreError, UnknownOutcome

log = structlog.get_logger(__name__)

RETRY_S = 0.2
LONGEST_RETRY_S = 1.0
MOST_CRASHES = 3
SOONEST_US = 25_000
"""What a claim dropped is not claimed again sooner than this."""
SHRINK = 8
CEILING_S = 10.0
HARMLESS = 16
"""Tasks whose payloads, however large, are no reason for a claim to fail: at most 4 MiB by default."""


class Claimer:
    """Turns ready tasks into recorded executions, batch by batch, a few batches at a time."""

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        driver: TimerDriver,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        sender: Sender,
        fence_check: FenceCheck,
    ) -> None:
        self._context = context
        self._window = window
        self._driver = driver
        self._executors = executors
        self._attempts = attempts
        self._sender = sender
        self._fence_check = fence_check
        self._former = ClaimFormer(context, window, driver, executors, attempts)
        self._lanes = Lanes("claim", context.settings.claim_lanes)
        self._pace = Pace(context.clock, context.settings.claim_distance_s)
        self._limit = context.settings.claim_batch
        self._ceiling = self._limit
        self._ceiling_until_s = float("-inf")
        self._failures = 0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """To be called when tasks became ready or credit arrived."""
        self._wake.set()

    async def run_round(self) -> None:
        """Forms one batch and starts its claim; waits when there is nothing to claim."""
        await self._wake.wait()
        await self._pace.wait()
        await self._lanes.wait_free()
        self._wake.clear()
        batch = self._former.form(self._limit)
        if batch.taken:
            self._wake.set()
            self._context.signals.demand_changed()
            if self._attempts.background_handlers():
                self._context.signals.queued()  # what is due was in the way of what is made up for
        if batch.items:
            self._pace.begin()
            await self._lanes.run(self._claim(batch.items, batch.reserved))

    async def stop(self) -> None:
        """Ends the claims under way. Their rows are found by whoever owns the partitions next."""
        await self._lanes.cancel()

    def waiting_for(self, handlers: Iterable[str]) -> int:
        """How many ready tasks want one of these handlers."""
        return sum(self._window.ready_count(handler) for handler in handlers)

    async def _claim(self, items: list[ClaimItem], reserved: Reservations) -> None:
        partitions = {item.due.partition_id for item in items}
        epochs = {p: e for p in partitions if (e := self._context.held.epoch_of(p)) is not None}
        refs = [
            ExecutionRef(item.due.partition_id, run.scheduled_at, item.due.task_key)
            for item in items
            for run in item.runs
        ]
        self._context.held.begin_work(partitions)
        self._attempts.begin_claiming(refs)
        try:
            held = [item for item in items if item.due.partition_id in epochs]
            pause_s = await self._claim_held(held, reserved, epochs) if held else 0.0
        finally:
            self._attempts.end_claiming(refs)
            for item in items:
                self._attempts.end_claim(item.due.ref, [run.scheduled_at for run in item.runs])
            self._context.held.end_work(partitions)
            self._executors.give_back(reserved.values())
        if pause_s:
            # Behind the end of its notes: the same times may be claimed again meanwhile, with notes of that claim.
            await self._context.clock.sleep(pause_s)
            self._wake.set()

    async def _claim_held(
        self, items: list[ClaimItem], reserved: Reservations, epochs: dict[int, int]
    ) -> float:
        clock = self._context.clock
        begun_at, begun_at_s = clock.now(), clock.monotonic()
        wake_at = begun_at + int(self._context.settings.claim_wake_s * 1_000_000)
        try:
            outcome = await self._context.store.claim(
                self._context.node_id, epochs, items, now=begun_at, wake_at=wake_at
            )
        except Exception as error:
            if isinstance(error, StoreError) and not isinstance(error, UnknownOutcome):
                return self._return(items, error)
            if not isinstance(error, UnknownOutcome):
                log.exception("claim_crashed", tasks=len(items))
            outcome = await self._recover(items, epochs, now=begun_at, wake_at=wake_at)
        else:
            self._grow()
            self._failures = 0
        self._context.metrics.batch("claim", len(items))
        await self._settle(items, reserved, outcome, epochs, begun_at, begun_at_s, wake_at)
        return 0.0

    def _return(self, items: list[ClaimItem], error: StoreError) -> float:
        """Nothing was claimed: the tasks are ready again, and the next batch is smaller, should this have been too large.

        The lane pauses; without that a database that is away would be asked without end.
        """
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th, 8th ... in a row
            log.warning(
                "claim_failed",
                reason=error.reason,
                error=str(error),
                tasks=len(items),
                in_a_row=self._failures,
            )
        self._shrink(len(items))
        for item in items:
            self._window.return_claim(item.due)
        self._driver.inserted()
        self._context.signals.demand_changed()
        return min(LONGEST_RETRY_S, RETRY_S * self._failures)

    def _shrink(self, failed_size: int) -> None:
        """A batch failed, perhaps for its size (payloads): a failure may cost seconds, so the next one is much smaller."""
        self._limit = max(1, min(self._limit, failed_size) // SHRINK)
        self._ceiling = max(HARMLESS, failed_size // 2)
        self._ceiling_until_s = self._context.clock.monotonic() + CEILING_S

    def _grow(self) -> None:
        """A batch went well: the next may be twice as large, but not soon again as large as one that failed."""
        ceiling = self._context.settings.claim_batch
        if self._context.clock.monotonic() < self._ceiling_until_s:
            ceiling = min(ceiling, self._ceiling)
        self._limit = min(ceiling, self._limit * 2)

    async def _recover(
        self, items: list[ClaimItem], epochs: dict[int, int], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """Asks until the database says what became of the claim, or the partitions are no longer this node's."""
        pause_s = RETRY_S
        crashes = 0
        while crashes < MOST_CRASHES:
            mine = {p: e for p, e in epochs.items() if self._context.held.epoch_of(p) == e}
            if not mine:
                break
            try:
                outcome = await self._context.store.recover_claim(
                    self._context.node_id,
                    mine,
                    [item for item in items if item.due.partition_id in mine],
                    now=now,
                    wake_at=wake_at,
                )
            except StoreError as error:
                log.warning("claim_unknown", reason=error.reason, error=str(error), tasks=len(items))
            except Exception:
                log.exception("recovery_crashed", tasks=len(items))
                crashes += 1
            else:
                log.info("claim_recovered", claimed=len(outcome.claimed), dropped=len(outcome.dropped))
                return outcome
            await self._context.clock.sleep(pause_s)
            pause_s = min(1.0, pause_s * 2)
        return ClaimOutcome([], [], list(items), frozenset())

    def _note_expired(self, item: ClaimItem) -> None:
        """Tells of what a claim recorded as too late to start: nobody else sees it end."""
        for run in item.runs:
            if run.is_expired:
                ref = ExecutionRef(item.due.partition_id, run.scheduled_at, item.due.task_key)
                self._context.metrics.ended(ExecutionState.EXPIRED.name)
                self._context.signals.ended(ref, decode(item.due.policies))

    def _look_again(self, dropped: Iterable[DueTask]) -> None:
        """Lets tasks be claimed again that were dropped, until they are as late as what the sweep finds.

        A call that has one locked is done in no time, mostly. Each claim comes when the task is twice as late as at the
        one before.
        """
        now = self._context.clock.now()
        for task in dropped:
            again_at = now + max(SOONEST_US, now - task.due_at)
            if again_at < task.due_at + int(self._context.settings.sweep_grace_s * 1_000_000):
                self._window.look_again(task, again_at)
            else:
                self._window.settle_claim(task, None)
        self._driver.inserted()

    async def _settle(
        self,
        items: list[ClaimItem],
        reserved: Reservations,
        outcome: ClaimOutcome,
        epochs: dict[int, int],
        begun_at: int,
        begun_at_s: float,
        wake_at: int,
    ) -> None:
        self._context.refused(outcome.refused, epochs)
        now = self._context.clock.now()
        moved = {id(item) for item in outcome.moved}
        parked = {id(item) for item in outcome.parked}
        again = {id(item): item.due for item in outcome.dropped if id(item) not in parked}
        for item in items:
            if id(item) in moved:
                if not item.is_expired:
                    self._context.metrics.stage("claimed", item.due.due_at, now)
                self._window.settle_claim(item.due, following(item))
                if item.due.policies:
                    self._note_expired(item)
            elif id(item) not in again:
                self._window.settle_claim(item.due, None)
        self._driver.inserted()
        if outcome.dropped:
            self._context.signals.slipped()
        try:
            still_held = await self._fence_check.still_held(epochs, begun_at_s, outcome.claimed)
        finally:
            # No sooner: what this claim has noted of its tasks is in the way.
            if again:
                self._look_again(again.values())
        sendable = [c for c in outcome.claimed if c.ref.partition_id in still_held.partitions]
        self._sender.send(sendable, reserved, begun_at=begun_at, wake_at=wake_at, as_of_s=still_held.as_of_s)
        outdated = [c for c in outcome.outdated if c.ref.partition_id in still_held.partitions]
        self._sender.end_outdated(outdated, wake_at=wake_at)
        replaced = [ref for item in outcome.moved for ref in item.replaced]
        if replaced:
            self._context.signals.replaced(replaced)
