"""Puts recorded attempts on the streams of their executors."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.delivery import Mishap
from mainspring.server.core.model import ExecutionRef, ExecutionState
from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.dispatch.frames import AttemptId, WorkItem
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import Decision, OpenAttempts

Reservations = MutableMapping[ExecutionRef, ExecutorSession]
"""The session on which credit is reserved for an execution; what is not used is given back by who reserved it."""


class Sender:
    """The only place from which work leaves: everything it is given is committed under the fence."""

    def __init__(self, context: OwnerContext, attempts: OpenAttempts, mishaps: Mishaps) -> None:
        self._context = context
        self._attempts = attempts
        self._mishaps = mishaps

    def end_outdated(self, items: Iterable[Dispatchable], *, wake_at: int) -> None:
        """Ends attempts that are recorded and, for their tasks were changed since, never sent.

        Were they left alone, the sweep would find them seconds later and take them for sent.
        """
        for item in items:
            if self._attempts.get(item.ref) is None:
                self._mishaps.outdated(
                    [self._attempts.add(item, dispatched_at=self._context.clock.now(), wake_at=wake_at)]
                )

    def send(
        self,
        items: Iterable[Dispatchable],
        reserved: Reservations,
        *,
        begun_at: int,
        wake_at: int,
        as_of_s: float,
    ) -> None:
        """Registers the attempts as open, sends those that have an executor, and takes their reservations out.

        One whose executor's session ended by now was never sent: it waits for another at once. What is too late to start, or
        was to be stopped meanwhile, is not sent either, and ends.

        Args:
            begun_at: when the transaction that recorded them began, cluster time.
            wake_at: when the sweep looks at them.
            as_of_s: `StillHeld.as_of_s`.
        """
        now = self._context.clock.now()
        # Not before the stream has carried it: a question that overtakes the work is answered "not mine".
        wake_at = max(wake_at, now + int(self._context.settings.lease_s * 1_000_000))
        by_session: dict[ExecutorSession, list[WorkItem]] = {}
        is_waiting = False
        for item in items:
            known = self._attempts.get(item.ref)
            if known is not None and known.attempt >= item.attempt:
                continue  # the sweep, or an earlier answer, told of the row first: it is taken care of
            attempt = self._attempts.add(item, dispatched_at=now, wake_at=wake_at)
            if attempt.is_too_late_to_start(now):
                self._mishaps.expire([attempt])
                continue
            if attempt.stop_reason:
                self._mishaps.decide([(attempt, Decision(ExecutionState.CANCELLED, attempt.stop_reason))])
                continue
            if self._context.notes.is_outdated(item.ref, item.task_version):
                self._mishaps.outdated([attempt])
                continue
            if item.executor_id is None:
                is_waiting = True
                continue
            session = reserved.get(item.ref)
            if session is None or session.is_closed or session.executor_id != item.executor_id:
                attempt.dispatched_at = None
                self._mishaps.strike([attempt], Mishap.NEVER_SENT)
                continue
            del reserved[item.ref]
            self._context.metrics.stage("dispatched", begun_at, now)
            by_session.setdefault(session, []).append(
                WorkItem(
                    AttemptId(item.ref, item.attempt),
                    item.epoch,
                    item.namespace,
                    item.task_id,
                    item.handler,
                    item.payload,
                    item.due_at,
                    as_of_s,
                    item.task_version,
                )
            )
        for session, work in by_session.items():
            session.send_work(work)
        if is_waiting:
            self._context.signals.queued()
