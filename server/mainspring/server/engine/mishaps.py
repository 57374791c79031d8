"""What befalls attempts at executors, and what follows: another attempt, a pause, or an end that the owner decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mainspring.server.core.delivery import Mishap, lost_reason, may_send_again
from mainspring.server.core.model import ExecutionState
from mainspring.server.core.time_limits import expired_reason
from mainspring.server.dispatch.frames import WorkItem
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.open_attempts import Decision, OpenAttempt, OpenAttempts

FREE_REFUSALS = 3
REFUSAL_PAUSE_US = 1_000_000
CHANGED = "the task was changed before this was sent"


class Mishaps:
    """Carries out what `core.delivery` decides. The only place from which an attempt goes back to the queue (I7)."""

    def __init__(self, context: OwnerContext, attempts: OpenAttempts) -> None:
        self._context = context
        self._attempts = attempts

    def strike(self, struck: Iterable[OpenAttempt], mishap: Mishap, detail: str = "") -> int:
        """Takes open attempts away from their executors; answers how many end as LOST.

        What may be sent again is queued at once, or after a pause when it was refused again and again; or it ends as
        CANCELLED, when a call asked to stop it.

        Args:
            detail: the executor's own words.
        """
        now = self._context.clock.now()
        ending: list[tuple[OpenAttempt, Decision]] = []
        lost = 0
        is_waiting = False
        for attempt in struck:
            if not may_send_again(attempt.delivery, mishap):
                reason = lost_reason(mishap, attempt.executor_id or "", attempt.attempt, detail)
                ending.append((attempt, Decision(ExecutionState.LOST, reason)))
                lost += 1
                continue
            if mishap in (Mishap.SILENT, Mishap.LEFT):
                attempt.may_have_started = True
            if attempt.stop_reason:
                ending.append((attempt, Decision(ExecutionState.CANCELLED, attempt.stop_reason)))
            elif mishap is Mishap.REFUSED and attempt.attempt >= FREE_REFUSALS:
                self._attempts.pause(attempt, now + REFUSAL_PAUSE_US)
            else:
                self._attempts.queue(attempt)
                is_waiting = True
        self.decide(ending)
        if is_waiting:
            self._context.signals.queued()
        return lost

    def never_sent(self, unsent: Iterable[WorkItem]) -> None:
        """Takes back what waited for its turn on the stream of an executor when that ended."""
        struck: list[OpenAttempt] = []
        for item in unsent:
            attempt = self._attempts.get(item.ref)
            if attempt is not None and self._attempts.is_at_executor(*item.attempt_id):
                attempt.dispatched_at = None
                struck.append(attempt)
        self.strike(struck, Mishap.NEVER_SENT)

    def expire(self, late: Sequence[OpenAttempt]) -> None:
        """Ends executions that are too late to start."""
        self.decide(
            (attempt, Decision(ExecutionState.EXPIRED, expired_reason(attempt.policies.timeouts)))
            for attempt in late
        )

    def outdated(self, unsent: Iterable[OpenAttempt]) -> None:
        """Takes attempts back that were not sent, for a call has changed their task since they were recorded.

        What was never sent ends as CANCELLED, and so does all of a task that does not run any more; else what ran before
        goes on with the task as it is now.
        """
        ending: list[tuple[OpenAttempt, Decision]] = []
        for attempt in unsent:
            attempt.dispatched_at = None
            if attempt.attempt <= 1 or self._context.notes.is_stopped(attempt.ref):
                ending.append((attempt, Decision(ExecutionState.CANCELLED, CHANGED)))
            else:
                self.strike([attempt], Mishap.NEVER_SENT)
        self.decide(ending)

    def decide(self, ending: Iterable[tuple[OpenAttempt, Decision]]) -> None:
        """Ends attempts by the owner's decision: out of every queue, and on their way to the ledger."""
        told_again_at = self._context.clock.now() + int(self._context.settings.lease_s * 1_000_000)
        decided: list[OpenAttempt] = []
        for attempt, decision in ending:
            self._attempts.decide(attempt, decision)
            self._attempts.wake_later(attempt, told_again_at)
            decided.append(attempt)
        if decided:
            self._context.signals.decided(decided)

    def failed(self, attempt: OpenAttempt, retry_at: int) -> None:
        """Lets an execution wait for its next attempt: the failure of the one before is recorded."""
        self._attempts.fail(attempt, retry_at)
        if attempt.stop_reason:
            self.decide([(attempt, Decision(ExecutionState.CANCELLED, attempt.stop_reason))])
        elif retry_at <= self._context.clock.now():
            self._attempts.queue(attempt)
            self._context.signals.queued()
