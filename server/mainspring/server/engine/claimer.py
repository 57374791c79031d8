"""Claims what is due: forms batches as large as the executors' credit, carries the claim transaction out, sends.

A task is claimed only when an executor has credit for it. One that nothing can run therefore stays in the due index,
where it costs nothing, and its later times fold into it by the misfire policy instead of piling up as waiting rows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import structlog

from mainspring.server.core.expiry import without_executor
from mainspring.server.core.model import ClaimItem, ClaimOutcome, DueTask, ExecutionRef, ExecutionState
from mainspring.server.core.overlap import OpenOne
from mainspring.server.core.policies import decode
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.lanes import Lanes
from mainspring.server.engine.open_attempts import OpenAttempts
from mainspring.server.engine.pace import Pace
from mainspring.server.engine.planning import claim_item, following, overlap_of, plan_of, too_late_of
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
LONGEST_PLANNING_S = 0.05
"""So long the plans of one batch hold the event loop at most. Most take some 10 us; after an outage those of schedules that
no other task has take up to a millisecond. What finds no time is claimed in the next batch."""
PLANS_A_LOOK = 32
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
        self._lanes = Lanes("claim", context.settings.claim_lanes)
        self._pace = Pace(context.clock, context.settings.claim_distance_s)
        self._limit = context.settings.claim_batch
        self._ceiling = self._limit
        self._ceiling_until_s = float("-inf")
        self._turn = 0
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
        items, reserved, taken = self._form_batch()
        if taken:
            self._wake.set()
            self._context.signals.demand_changed()
            if self._attempts.background_handlers():
                self._context.signals.queued()  # what is due was in the way of what is made up for
        if items:
            self._pace.begin()
            await self._lanes.run(self._claim(items, reserved))

    async def stop(self) -> None:
        """Ends the claims under way. Their rows are found by whoever owns the partitions next."""
        await self._lanes.cancel()

    def waiting_for(self, handlers: Iterable[str]) -> int:
        """How many ready tasks want one of these handlers."""
        return sum(self._window.ready_count(handler) for handler in handlers)

    def _form_batch(self) -> tuple[list[ClaimItem], Reservations, int]:
        """The items of one claim, the credit reserved for them, and how many tasks were taken from the ready queues."""
        now = self._context.clock.now()
        items: list[ClaimItem] = []
        reserved: Reservations = {}
        taken = rows = 0
        most_rows = self._context.settings.claim_rows
        planned_until_s = self._context.clock.monotonic() + LONGEST_PLANNING_S
        handlers = self._window.ready_handlers()
        self._turn += 1  # another handler comes first each time, so that none lives off the others' leavings
        for i in range(len(handlers)):
            handler = handlers[(i + self._turn) % len(handlers)]
            limit = min(self._executors.free_credit(handler), self._limit - len(items))
            if limit <= 0 or rows >= most_rows:
                continue
            while limit > 0 and rows < most_rows and self._context.clock.monotonic() < planned_until_s:
                tasks = deque(self._window.begin_claims(handler, min(limit, PLANS_A_LOOK)))
                if not tasks:
                    break
                while tasks and rows < most_rows:
                    taken += 1
                    limit -= 1
                    item = self._plan(tasks.popleft(), now, reserved)
                    if item is not None:
                        items.append(item)
                        rows += len(item.runs)
                if tasks:
                    while tasks:
                        self._window.return_claim(tasks.pop())
                    self._driver.inserted()  # some may be too late to start by now
            if self._window.relieve(handler):
                self._context.signals.slipped()
        late = self._window.begin_expired(self._limit - len(items)) if rows < most_rows else []
        planned = (self._plan(task, now, reserved, is_late=True) for task in late)
        items += [item for item in planned if item is not None]
        return items, reserved, taken + len(late)

    def _plan(
        self, task: DueTask, now: int, reserved: Reservations, *, is_late: bool = False
    ) -> ClaimItem | None:
        """The item of a task; None when there is none.

        Args:
            is_late: it is too late to start, and may be one of many for which there is no credit: only what needs none.
        """
        if not self._context.held.is_firing(task.partition_id):
            # Handed over, or being taken over: who takes it reads everything that is due before it fires.
            self._window.settle_claim(task, None)
            return None
        self._context.metrics.stage("due", task.due_at, now)
        try:
            plan = plan_of(task, now, self._context.settings)
            too_late = too_late_of(task, plan, now)
            if is_late:
                part = without_executor(plan, too_late)
                if part is None:
                    self._window.return_claim(task, may_expire=False)
                    return None
                plan = part
            beside = overlap_of(
                task, plan, self._attempts.lines.beside(task.ref, task.scheduled_at), too_late
            )
        except Exception:
            # A stored schedule that cannot be evaluated is a bug, and must not hold up the tasks beside it.
            log.exception("plan_failed", partition_id=task.partition_id, task_key=task.task_key.hex())
            self._window.settle_claim(task, None)
            return None
        sessions = self._executors.reserve(task.handler, len(beside.runs))
        for scheduled_at, session in zip(beside.runs, sessions, strict=False):
            reserved[ExecutionRef(task.partition_id, scheduled_at, task.task_key)] = session
        # From here on it counts as open: whatever is decided next about this task has to know of it.
        self._attempts.lines.begin_claim(
            task.ref,
            [
                *(OpenOne(at, is_waiting=False) for at in beside.runs),
                *(OpenOne(at, is_waiting=True) for at in beside.held),
            ],
        )
        executor_ids = [session.executor_id for session in sessions]
        return claim_item(
            task, plan, beside, executor_ids, too_late, now=now, settings=self._context.settings
        )

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
            if held:
                await self._claim_held(held, reserved, epochs)
        finally:
            self._attempts.end_claiming(refs)
            for item in items:
                self._attempts.end_claim(item.due.ref, [run.scheduled_at for run in item.runs])
            self._context.held.end_work(partitions)
            self._executors.give_back(reserved.values())

    async def _claim_held(
        self, items: list[ClaimItem], reserved: Reservations, epochs: dict[int, int]
    ) -> None:
        clock = self._context.clock
        begun_at, begun_at_s = clock.now(), clock.monotonic()
        wake_at = begun_at + int(self._context.settings.claim_wake_s * 1_000_000)
        try:
            outcome = await self._context.store.claim(
                self._context.node_id, epochs, items, now=begun_at, wake_at=wake_at
            )
        except Exception as error:
            if isinstance(error, StoreError) and not isinstance(error, UnknownOutcome):
                await self._return(items, error)
                return
            if not isinstance(error, UnknownOutcome):
                log.exception("claim_crashed", tasks=len(items))
            outcome = await self._recover(items, epochs, now=begun_at, wake_at=wake_at)
        else:
            self._grow()
            self._failures = 0
        self._context.metrics.batch("claim", len(items))
        await self._settle(items, reserved, outcome, epochs, begun_at, begun_at_s, wake_at)

    async def _return(self, items: list[ClaimItem], error: StoreError) -> None:
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
        await self._context.clock.sleep(min(LONGEST_RETRY_S, RETRY_S * self._failures))
        self._wake.set()

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
