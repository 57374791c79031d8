"""Ends executions that a call or a later execution wants gone: at once what was not sent, through its handler what runs."""

from __future__ import annotations

import structlog

from mainspring.server.core.attempt import Extension
from mainspring.server.core.model import ExecutionRef, ExecutionState
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import WAITING_PLACES, Decision, OpenAttempt, OpenAttempts, Place
from mainspring.server.engine.reaper import Reaper
from mainspring.server.errors import StoreError

log = structlog.get_logger(__name__)

POLL_S = 0.01
CANCELLED = "a call asked to stop it"
REPLACED = "overlap: replaced by a later execution of its task"


class Canceller:
    """The owner's side of CancelExecution."""

    def __init__(
        self, context: OwnerContext, attempts: OpenAttempts, mishaps: Mishaps, reaper: Reaper
    ) -> None:
        self._context = context
        self._attempts = attempts
        self._mishaps = mishaps
        self._reaper = reaper

    async def replace(self, ref: ExecutionRef) -> None:
        """Cancels an execution that a later one of its task replaces; what fails is asked for again by the reaper."""
        try:
            await self._cancel(ref, REPLACED)
        except StoreError as error:
            log.warning("replace_failed", reason=error.reason, error=str(error))

    async def cancel(self, ref: ExecutionRef, note: str = "") -> bool:
        """Cancels an open execution; returns once that survives this process.

        What no executor has ends as CANCELLED, whatever is being done with it. For what an executor has, the wish is
        recorded and the executor told; the execution ends as its handler does, and no other attempt follows.

        Returns:
            False when this node does not hold the partition (any more), or knows of no such open execution: it is final, or
            it was not there.

        Raises:
            StoreError: it could not be recorded. Safe to call again.
        """
        return await self._cancel(ref, f"{CANCELLED} ({note})" if note else CANCELLED)

    async def _cancel(self, ref: ExecutionRef, reason: str) -> bool:
        epoch = self._context.held.epoch_of(ref.partition_id)
        is_known = False
        while epoch is not None and self._context.held.epoch_of(ref.partition_id) == epoch:
            attempt = self._attempts.get(ref)
            if attempt is None:
                return is_known
            is_known = True
            attempt.stop_reason = attempt.stop_reason or reason
            if attempt.place in WAITING_PLACES:
                self._mishaps.decide([(attempt, Decision(ExecutionState.CANCELLED, attempt.stop_reason))])
            elif attempt.place is Place.AT_EXECUTOR and await self._stop(attempt, epoch):
                return True
            # Being assigned, or its end being written: it goes on in a moment.
            await self._context.clock.sleep(POLL_S)
        return False

    async def _stop(self, attempt: OpenAttempt, epoch: int) -> bool:
        """Records the wish to stop and tells the executor; False when the execution moved on meanwhile."""
        number = attempt.attempt
        soon = self._context.clock.now() + int(self._context.settings.lease_s * 1_000_000)
        wish = Extension(
            attempt.ref,
            epoch,
            number,
            ExecutionState.DISPATCHED if attempt.picked_up_at is None else ExecutionState.RUNNING,
            soon,
            attempt.dispatched_at,
            attempt.picked_up_at,
            stop_reason=attempt.stop_reason,
        )
        refused = await self._context.store.extend(self._context.node_id, [wish])
        self._context.refused(refused, {attempt.ref.partition_id: epoch})
        if not self._attempts.is_at_executor(attempt.ref, number):
            return False
        self._attempts.wake_later(attempt, soon)
        self._reaper.stop([attempt])
        return True
