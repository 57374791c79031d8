"""Gives waiting executions to executors with credit: each send follows a committed, fenced record of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from mainspring.server.core.attempt import Assignment
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.background_lane import BackgroundLane
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.lanes import Lanes
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import OpenAttempt, OpenAttempts, Place
from mainspring.server.engine.sender import Reservations, Sender
from mainspring.server.errors import StoreError

log = structlog.get_logger(__name__)


class Assigner:
    """Records the next attempt of queued executions as credit allows, and has it sent."""

    def __init__(
        self,
        context: OwnerContext,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        mishaps: Mishaps,
        lane: BackgroundLane,
        sender: Sender,
        fence_check: FenceCheck,
    ) -> None:
        self._context = context
        self._executors = executors
        self._attempts = attempts
        self._mishaps = mishaps
        self._lane = lane
        self._sender = sender
        self._fence_check = fence_check
        self._lanes = Lanes("assign", 1)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """To be called when executions were queued or credit arrived."""
        self._wake.set()

    async def run_round(self) -> None:
        """Forms one batch and records it; waits when there is nothing to assign."""
        await self._wake.wait()
        await self._lanes.wait_free()
        self._wake.clear()
        batch, reserved = self._form_batch()
        if batch:
            self._wake.set()
            self._context.signals.demand_changed()
            await self._lanes.run(self._assign(batch, reserved))

    async def stop(self) -> None:
        """Ends the assignments under way."""
        await self._lanes.cancel()

    def waiting_for(self, handlers: Iterable[str]) -> int:
        """How many queued executions want one of these handlers; what is made up for counts little."""
        wanted = list(handlers)
        queued = sum(self._attempts.queued_count(handler) for handler in wanted)
        return queued + self._lane.waiting_at(wanted)

    def _form_batch(self) -> tuple[list[tuple[OpenAttempt, Assignment]], Reservations]:
        batch: list[tuple[OpenAttempt, Assignment]] = []
        reserved: Reservations = {}
        most = self._context.settings.assign_batch
        for handler in self._attempts.queued_handlers():
            limit = min(self._executors.free_credit(handler), most - len(batch))
            if limit > 0:
                batch += self._reserve(self._attempts.begin_assigning(handler, limit), reserved)
        if batch:
            return batch, reserved
        # What is made up for comes when nothing else can be given away, a handler at a time: what it takes counts then.
        for handler in self._attempts.background_handlers():
            limit = min(self._lane.room(handler), most)
            if limit > 0:
                taken = self._attempts.begin_assigning(handler, limit, is_background=True)
                batch = self._reserve(taken, reserved)
                if batch:
                    break
        return batch, reserved

    def _reserve(
        self, taken: list[OpenAttempt], reserved: Reservations
    ) -> list[tuple[OpenAttempt, Assignment]]:
        """Reserves credit for executions in the assigning state; those without are queued again."""
        batch: list[tuple[OpenAttempt, Assignment]] = []
        now = self._context.clock.now()
        for attempt in taken:
            epoch = self._context.held.epoch_of(attempt.ref.partition_id)
            if epoch is None or self._context.held.is_closing(attempt.ref.partition_id):
                self._attempts.end(attempt.ref)  # the next owner finds the row
                continue
            if attempt.is_too_late_to_start(now):
                self._mishaps.expire([attempt])
                continue
            sessions = self._executors.reserve(attempt.handler, 1)
            if not sessions:
                self._attempts.queue(attempt)
                continue
            reserved[attempt.ref] = sessions[0]
            executor_id = sessions[0].executor_id
            batch.append(
                (
                    attempt,
                    Assignment(attempt.ref, epoch, attempt.attempt, executor_id, attempt.task_version),
                )
            )
        return batch

    async def _assign(self, batch: list[tuple[OpenAttempt, Assignment]], reserved: Reservations) -> None:
        partitions = {a.ref.partition_id for _, a in batch}
        self._context.held.begin_work(partitions)
        try:
            await self._assign_held(batch, reserved)
        finally:
            self._context.held.end_work(partitions)
            self._executors.give_back(reserved.values())
            for attempt, _ in batch:
                # Whatever went wrong: none stays on its way for ever.
                if attempt.place is Place.ASSIGNING and self._attempts.get(attempt.ref) is attempt:
                    self._attempts.queue(attempt)
            self._wake.set()
            self._context.signals.demand_changed()

    async def _assign_held(self, batch: list[tuple[OpenAttempt, Assignment]], reserved: Reservations) -> None:
        clock, held = self._context.clock, self._context.held
        begun_at, begun_at_s = clock.now(), clock.monotonic()
        wake_at = begun_at + int(self._context.settings.claim_wake_s * 1_000_000)
        items = [assignment for _, assignment in batch]
        pause_s = 0.1
        while True:
            try:
                outcome = await self._context.store.assign(
                    self._context.node_id, items, now=begun_at, wake_at=wake_at
                )
                break
            except StoreError as error:
                # Idempotent under the same arguments, so an unknown outcome is simply asked for again.
                log.warning("assign_failed", reason=error.reason, error=str(error), executions=len(items))
                await clock.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
                items = [a for a in items if held.epoch_of(a.ref.partition_id) == a.epoch]
                if not items:
                    return
        self._context.metrics.batch("assign", len(items))
        epochs = {a.ref.partition_id: a.epoch for a in items}
        self._context.refused(outcome.refused, epochs)
        recorded = {d.ref for d in outcome.dispatchable}
        for attempt, _ in batch:
            if attempt.ref not in recorded and self._attempts.get(attempt.ref) is attempt:
                self._attempts.end(attempt.ref)
        still_held = await self._fence_check.still_held(epochs, begun_at_s, outcome.dispatchable)
        sendable = [d for d in outcome.dispatchable if d.ref.partition_id in still_held.partitions]
        self._sender.send(sendable, reserved, begun_at=begun_at, wake_at=wake_at, as_of_s=still_held.as_of_s)
