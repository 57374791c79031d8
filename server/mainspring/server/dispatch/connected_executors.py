"""All executors connected to this node: who has room for which handler, and who has not been heard of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.dispatch.frames import WorkItem


class ConnectedExecutors:
    """The registry of executor sessions.

    An executor whose stream broke keeps its lease: it may come back with what it runs. Only when the lease has passed
    without a sign of life is it lapsed, and its work anyone's.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._sessions: dict[str, ExecutorSession] = {}
        self._by_handler: dict[str, list[ExecutorSession]] = {}
        self._heard_at_s: dict[str, float] = {}
        self.on_credit: Callable[[], None] = lambda: None
        """Called when credit arrived."""
        self.on_unsent: Callable[[list[WorkItem]], None] = lambda unsent: None
        """Called with what a session that ended has not sent, and never will."""

    def connect(self, session: ExecutorSession) -> None:
        """Adds a session; an older one of the same executor is closed."""
        older = self._sessions.get(session.executor_id)
        if older is not None:
            self._remove(older)
            self._close(older)
        self._sessions[session.executor_id] = session
        self._heard_at_s[session.executor_id] = session.heard_at_s
        for handler in session.handlers:
            self._by_handler.setdefault(handler, []).append(session)

    def disconnect(self, session: ExecutorSession, *, orderly: bool) -> None:
        """Removes a session whose stream ended; an orderly goodbye ends the lease at once."""
        self._close(session)
        if self._sessions.get(session.executor_id) is session:
            self._remove(session)
            if orderly:
                self._heard_at_s[session.executor_id] = float("-inf")

    def _close(self, session: ExecutorSession) -> None:
        session.close()
        if unsent := session.take_unsent():
            self.on_unsent(unsent)

    def _remove(self, session: ExecutorSession) -> None:
        del self._sessions[session.executor_id]
        for handler in session.handlers:
            remaining = [s for s in self._by_handler[handler] if s is not session]
            if remaining:
                self._by_handler[handler] = remaining
            else:
                del self._by_handler[handler]

    def sessions(self) -> list[ExecutorSession]:
        """Every connected executor's session."""
        return list(self._sessions.values())

    def get(self, executor_id: str) -> ExecutorSession | None:
        """The session of an executor, if it is connected."""
        return self._sessions.get(executor_id)

    def heard(self, session: ExecutorSession, at_s: float) -> None:
        """Notes a sign of life (monotonic seconds)."""
        session.heard_at_s = at_s
        self._heard_at_s[session.executor_id] = at_s
        if session.is_quiet:
            session.is_quiet = False
            self.on_credit()

    def look_who_is_quiet(self, now_s: float) -> None:
        """Gives no new work to executors that were not heard of for half a lease: it might go into a void."""
        for session in self._sessions.values():
            session.is_quiet = now_s - session.heard_at_s > self._lease_s / 2

    def expect(self, executor_id: str, at_s: float) -> None:
        """Gives an executor that this node has not met a full lease from now: it holds work of a partition taken over."""
        if executor_id not in self._sessions:
            self._heard_at_s[executor_id] = max(at_s, self._heard_at_s.get(executor_id, at_s))

    def restart_leases(self, at_s: float) -> None:
        """Gives everybody a full lease from now: this process stood still, so silence proves nothing."""
        for executor_id, heard_at_s in self._heard_at_s.items():
            if heard_at_s != float("-inf"):
                self._heard_at_s[executor_id] = at_s

    def left(self) -> set[str]:
        """The executors that said goodbye and are not taken out by `lapsed` yet."""
        return {e for e, heard_at_s in self._heard_at_s.items() if heard_at_s == float("-inf")}

    def lapsed(self, now_s: float) -> list[str]:
        """Takes out and answers the executors that were not heard of for the lease; their sessions are closed."""
        lapsed = [e for e, heard_at_s in self._heard_at_s.items() if now_s - heard_at_s > self._lease_s]
        for executor_id in lapsed:
            del self._heard_at_s[executor_id]
            session = self._sessions.get(executor_id)
            if session is not None:
                self._remove(session)
                self._close(session)
        return lapsed

    def lease_ends_s(self, executor_id: str) -> float | None:
        """When the lease of an executor lapses if nothing more is heard of it, seconds; None when none runs."""
        heard_at_s = self._heard_at_s.get(executor_id)
        return None if heard_at_s is None else heard_at_s + self._lease_s

    def has_lapsed(self, now_s: float) -> bool:
        """Whether `lapsed` would answer any."""
        return any(now_s - heard_at_s > self._lease_s for heard_at_s in self._heard_at_s.values())

    def is_alive(self, executor_id: str) -> bool:
        """Whether an executor's lease runs."""
        return executor_id in self._heard_at_s

    def add_credit(self, session: ExecutorSession, granted: int) -> None:
        """Takes a grant in."""
        if not session.is_closed:
            session.credit += granted
            self.on_credit()

    def offering(self, handler: str) -> list[ExecutorSession]:
        """The sessions of the executors that take new work for a handler, with or without credit."""
        return [s for s in self._by_handler.get(handler, ()) if s.takes_work]

    def free_credit(self, handler: str) -> int:
        """How much work for a handler could be reserved now."""
        return sum(s.credit for s in self._by_handler.get(handler, ()) if s.takes_work)

    def reserve(self, handler: str, count: int) -> list[ExecutorSession]:
        """Reserves credit for up to `count` attempts, spread towards who has most; answers a session for each."""
        candidates = [s for s in self._by_handler.get(handler, ()) if s.credit > 0 and s.takes_work]
        reserved: list[ExecutorSession] = []
        while candidates and len(reserved) < count:
            candidates.sort(key=lambda s: -s.credit)
            first = candidates[0]
            floor = candidates[1].credit if len(candidates) > 1 else 0
            take = min(max(1, first.credit - floor), first.credit, count - len(reserved))
            first.credit -= take
            reserved.extend([first] * take)
            if first.credit == 0:
                candidates = candidates[1:]
        return reserved

    def give_back(self, reserved: Iterable[ExecutorSession]) -> None:
        """Undoes reservations that were not used. One of a session that ended is gone with it."""
        has_credit = False
        for session in reserved:
            if not session.is_closed:
                session.credit += 1
                has_credit = True
        if has_credit:
            self.on_credit()
