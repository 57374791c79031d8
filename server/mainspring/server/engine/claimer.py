"""Claims what is due: forms batches as large as the executors' credit, carries the claim transaction out, sends.

A task is claimed only when an executor has credit for it. One that nothing can run therefore stays in the due index,
where it costs nothing, and its later times fold into it by the misfire policy instead of piling up as waiting rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import structlog

from mainspring.server.core.model import ClaimItem, ClaimOutcome, DueTask
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.lanes import Lanes
from mainspring.server.engine.planning import claim_item, following, plan_of
from mainspring.server.engine.sender import Sender
from mainspring.server.engine.timer_driver import TimerDriver
from mainspring.server.errors import StoreError, UnknownOutcome

log = structlog.get_logger(__name__)


class Claimer:
    """Turns ready tasks into recorded executions, batch by batch, a few batches at a time."""

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        driver: TimerDriver,
        executors: ConnectedExecutors,
        sender: Sender,
        fence_check: FenceCheck,
    ) -> None:
        self._context = context
        self._window = window
        self._driver = driver
        self._executors = executors
        self._sender = sender
        self._fence_check = fence_check
        self._lanes = Lanes("claim", context.settings.claim_lanes)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """To be called when tasks became ready or credit arrived."""
        self._wake.set()

    async def run_round(self) -> None:
        """Forms one batch and starts its claim; waits when there is nothing to claim."""
        await self._wake.wait()
        await self._lanes.wait_free()
        self._wake.clear()
        items = self._form_batch()
        if items:
            self._wake.set()
            await self._lanes.run(self._claim(items))

    async def stop(self) -> None:
        """Ends the claims under way. Their rows are found by whoever owns the partitions next."""
        await self._lanes.cancel()

    def waiting_for(self, handlers: Iterable[str]) -> int:
        """How many ready tasks want one of these handlers."""
        return sum(self._window.ready_count(handler) for handler in handlers)

    def _form_batch(self) -> list[ClaimItem]:
        now = self._context.clock.now()
        items: list[ClaimItem] = []
        for handler in self._window.ready_handlers():
            limit = min(self._executors.free_credit(handler), self._context.settings.claim_batch - len(items))
            if limit <= 0:
                continue
            for task in self._window.begin_claims(handler, limit):
                item = self._plan(task, now)
                if item is not None:
                    items.append(item)
        return items

    def _plan(self, task: DueTask, now: int) -> ClaimItem | None:
        if not self._context.held.is_firing(task.partition_id):
            if self._context.held.epoch_of(task.partition_id) is None:
                self._window.settle_claim(task, None)
            else:
                self._window.return_claim(
                    task
                )  # being taken over or handed over: the loop is woken when that is done
            return None
        self._context.metrics.stage("due", task.due_at, now)
        try:
            plan = plan_of(task, now, self._context.settings)
        except Exception:
            # A stored schedule that cannot be evaluated is a bug, and must not hold up the tasks beside it.
            log.exception("plan_failed", partition_id=task.partition_id, task_key=task.task_key.hex())
            self._window.settle_claim(task, None)
            return None
        executor_ids = self._executors.reserve(task.handler, len(plan.runs))
        return claim_item(task, plan, executor_ids)

    async def _claim(self, items: list[ClaimItem]) -> None:
        partitions = {item.due.partition_id for item in items}
        epochs = {p: e for p in partitions if (e := self._context.held.epoch_of(p)) is not None}
        self._context.held.begin_work(partitions)
        try:
            lost = [item for item in items if item.due.partition_id not in epochs]
            held = [item for item in items if item.due.partition_id in epochs]
            self._give_back(lost)
            if held:
                await self._claim_held(held, epochs)
        finally:
            self._context.held.end_work(partitions)

    async def _claim_held(self, items: list[ClaimItem], epochs: dict[int, int]) -> None:
        begun_at, begun_at_s = self._context.clock.now(), self._context.clock.monotonic()
        wake_at = begun_at + int(self._context.settings.claim_wake_s * 1_000_000)
        try:
            outcome = await self._context.store.claim(
                self._context.node_id, epochs, items, now=begun_at, wake_at=wake_at
            )
        except UnknownOutcome:
            outcome = await self._recover(items, epochs, now=begun_at, wake_at=wake_at)
        except StoreError as error:
            log.warning("claim_failed", reason=error.reason, error=str(error), tasks=len(items))
            self._give_back(items)
            for item in items:
                self._window.return_claim(item.due)
            # This lane pauses; without the pause a database that is away would be asked without end.
            await self._context.clock.sleep(0.2)
            self._wake.set()
            return
        self._context.metrics.batch("claim", len(items))
        await self._settle(items, outcome, epochs, begun_at, begun_at_s, wake_at)

    async def _recover(
        self, items: list[ClaimItem], epochs: dict[int, int], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """Asks until the database says what became of the claim, or the partitions are no longer this node's."""
        pause_s = 0.1
        while True:
            mine = {p: e for p, e in epochs.items() if self._context.held.epoch_of(p) == e}
            if not mine:
                return ClaimOutcome([], [], [], frozenset())
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
                await self._context.clock.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
            else:
                log.info("claim_recovered", claimed=len(outcome.claimed), dropped=len(outcome.dropped))
                return outcome

    async def _settle(
        self,
        items: list[ClaimItem],
        outcome: ClaimOutcome,
        epochs: dict[int, int],
        begun_at: int,
        begun_at_s: float,
        wake_at: int,
    ) -> None:
        self._context.refused(outcome.refused, epochs)
        now = self._context.clock.now()
        for item in outcome.moved:
            self._context.metrics.stage("claimed", item.due.due_at, now)
            self._window.settle_claim(item.due, following(item))
        self._driver.inserted()
        moved = {id(item) for item in outcome.moved}
        for item in items:
            if id(item) not in moved:
                self._window.settle_claim(item.due, None)
        if outcome.dropped:
            self._context.signals.slipped()
        self._give_back_unused(items, outcome)
        still_held = await self._fence_check.still_held(epochs, begun_at_s)
        sendable = [c for c in outcome.claimed if c.ref.partition_id in still_held]
        self._sender.send(sendable, begun_at=begun_at, wake_at=wake_at)
        if any(c.executor_id is None for c in sendable):
            self._context.signals.queued()

    def _give_back(self, items: Iterable[ClaimItem]) -> None:
        self._executors.give_back(
            run.executor_id for item in items for run in item.runs if run.executor_id is not None
        )

    def _give_back_unused(self, items: Iterable[ClaimItem], outcome: ClaimOutcome) -> None:
        reserved = Counter(
            run.executor_id for item in items for run in item.runs if run.executor_id is not None
        )
        reserved.subtract(c.executor_id for c in outcome.claimed if c.executor_id is not None)
        self._executors.give_back(reserved.elements())
