"""What befalls attempts at executors, and what follows: another attempt, a pause, or the end as LOST."""

from __future__ import annotations

from collections.abc import Iterable

from mainspring.server.core.delivery import Mishap, lost_reason, may_send_again
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.open_attempts import OpenAttempt, OpenAttempts

FREE_REFUSALS = 3
REFUSAL_PAUSE_US = 1_000_000


class Mishaps:
    """Carries out what `core.delivery` decides. The only place from which an attempt goes back to the queue (I7)."""

    def __init__(self, context: OwnerContext, attempts: OpenAttempts) -> None:
        self._context = context
        self._attempts = attempts

    def strike(self, struck: Iterable[OpenAttempt], mishap: Mishap, detail: str = "") -> int:
        """Takes open attempts away from their executors; answers how many end as LOST.

        What may be sent again is queued at once, or after a pause when it was refused again and again.

        Args:
            detail: the executor's own words.
        """
        now = self._context.clock.now()
        told_again_at = now + int(self._context.settings.lease_s * 1_000_000)
        lost: list[OpenAttempt] = []
        is_waiting = False
        for attempt in struck:
            if not may_send_again(attempt.delivery, mishap):
                reason = lost_reason(mishap, attempt.executor_id or "", attempt.attempt, detail)
                self._attempts.lose(attempt, reason)
                self._attempts.wake_later(attempt, told_again_at)
                lost.append(attempt)
            elif mishap is Mishap.REFUSED and attempt.attempt >= FREE_REFUSALS:
                self._attempts.pause(attempt, now + REFUSAL_PAUSE_US)
            else:
                self._attempts.queue(attempt)
                is_waiting = True
        if lost:
            self._context.signals.lost(lost)
        if is_waiting:
            self._context.signals.queued()
        return len(lost)
