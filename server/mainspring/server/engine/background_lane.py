"""The lane of executions that are made up for: how fast they begin, and how much of the executors they may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.open_attempts import OpenAttempt, OpenAttempts
from mainspring.server.engine.settings import EngineSettings


class BackgroundLane:
    """Lets what is due now go first: a backlog gets a bounded rate, and the credit that nothing else wants.

    Args:
        waiting_for: how many tasks that are due want one of these handlers and have not been claimed yet.
    """

    def __init__(
        self,
        settings: EngineSettings,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        waiting_for: Callable[[Iterable[str]], int],
    ) -> None:
        self._executors = executors
        self._attempts = attempts
        self._waiting_for = waiting_for
        self._share = settings.catch_up_share
        self._step_us = int(1_000_000 / settings.catch_up_per_s)
        self._next_at = 0

    def begin_at(self, attempt: OpenAttempt, now: int) -> int:
        """When an execution whose wake time has come may queue: at once, or when the node's rate allows it."""
        if not (attempt.is_background and attempt.attempt == 0):
            return now
        if not attempt.begin_at:
            attempt.begin_at = max(now, self._next_at)
            self._next_at = attempt.begin_at + self._step_us
        return max(now, attempt.begin_at)

    def room(self, handler: str) -> int:
        """How many executions of a handler may begin now, of those that are made up for."""
        sessions = self._executors.offering(handler)
        free = sum(session.credit for session in sessions)
        if free == 0:
            return 0
        others = {other for session in sessions if session.credit for other in session.handlers}
        if self._waiting_for(others) or any(self._attempts.queued_count(other) for other in others):
            return 0
        at_executors = sum(self._attempts.count_at(session.executor_id) for session in sessions)
        in_background = sum(self._attempts.background_at(session.executor_id) for session in sessions)
        return max(0, min(free, max(1, int(self._share * (free + at_executors))) - in_background))

    def waiting_at(self, handlers: Iterable[str]) -> int:
        """What to tell an executor as waiting: one a handler, for a backlog claims no more credit than what is due."""
        return sum(self._attempts.background_count(handler) > 0 for handler in handlers)
