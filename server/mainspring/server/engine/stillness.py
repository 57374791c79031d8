"""Whether anything that is due is unfinished here, and what comes next: for a clock that is moved by hand.

Exact knowledge, part by part, and no look at the event loop: each step of an execution's life is accounted for by the part
that has it in hand, and hands it on before it lets go. In the order of that life:

    registrar ──> wheel ──> ready ──> claiming ──> open attempts ──> pending results ──> ledger
                                         └── work under way (`HeldPartitions.begin_work`) ──┘

What is left may wait for time (handlers asleep on the clock, leases of executors that are gone, pauses) or for somebody
outside (a task whose handler no executor offers): neither holds time up.
"""

from __future__ import annotations

from collections.abc import Iterable

from mainspring.server.core.model import ExecutionRef
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.engine.background_lane import BackgroundLane
from mainspring.server.engine.completer import Completer
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.open_attempts import OpenAttempts
from mainspring.server.engine.partition_host import EnginePartitionHost
from mainspring.server.engine.reaper import Reaper
from mainspring.server.engine.registrar import Registrar
from mainspring.server.engine.timer_driver import TimerDriver
from mainspring.server.engine.window_loader import WindowLoader

LEASE_MARGIN_US = 1_000
"""A lease lapses behind its end, and that is computed in floating point."""


class Stillness:
    """Reads the engine's parts; changes nothing but through their own methods."""

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        driver: TimerDriver,
        loader: WindowLoader,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        completer: Completer,
        reaper: Reaper,
        registrar: Registrar,
        host: EnginePartitionHost,
        lane: BackgroundLane,
    ) -> None:
        self._context = context
        self._window = window
        self._driver = driver
        self._loader = loader
        self._executors = executors
        self._attempts = attempts
        self._completer = completer
        self._reaper = reaper
        self._registrar = registrar
        self._host = host
        self._lane = lane

    @property
    def finished(self) -> int:
        """How many executions reached a final state here since the start."""
        return self._context.metrics.ended_count

    def is_started(self, ref: ExecutionRef, attempt: int) -> bool:
        """Whether an execution is open with this attempt, and its start was acknowledged."""
        known = self._attempts.get(ref)
        return known is not None and known.attempt == attempt and known.picked_up_at is not None

    @property
    def open_count(self) -> int:
        """How many executions are open."""
        return len(self._attempts)

    def unfinished(self, asleep: int) -> str | None:
        """What is due and goes on by itself, for people; None when only time or somebody outside can go on.

        Args:
            asleep: how many open, started attempts are known to wait for time and nothing else.
        """
        attempts, window, held = self._attempts, self._window, self._context.held
        waiting = asleep + attempts.paused_count + attempts.held_count
        if len(attempts) > waiting:
            for handler in attempts.queued_handlers():
                if not self._executors.free_credit(handler):
                    waiting += attempts.queued_count(handler)
            for handler in attempts.background_handlers():
                if not self._lane.room(handler):
                    waiting += attempts.background_count(handler)
            for executor_id in attempts.executors():
                if self._executors.get(executor_id) is None:
                    waiting += attempts.count_at(executor_id)
            if len(attempts) > waiting:
                return f"{len(attempts) - waiting} executions are at work"
        if window.is_claiming or held.is_working or self._completer.is_busy:
            return "transactions are under way"
        deadline = window.next_deadline()
        if window.has_expired or (deadline is not None and deadline <= self._context.clock.now()):
            return "tasks are due"
        if self._reaper.is_busy:
            return "executors are looked after"
        if self._reaper.is_due():
            self._reaper.wake()  # it would look by itself, but up to a quarter of a real second later
            return "executors are looked after"
        if self._registrar.is_busy:
            return "registrations are being written"
        if self._loader.is_loading:
            return "what is due later is being loaded"
        if self._loader.is_sweep_asked:
            return "what slipped is being looked for"
        if (
            self._host.is_adopting
            or len(held) < self._context.store.partition_count
            or held.firing_count < len(held)
        ):
            return "partitions are being taken"
        return self._about_to_start()

    def _about_to_start(self) -> str | None:
        for handler in self._attempts.background_handlers():
            if self._lane.room(handler):
                return f"executions of handler {handler!r} are about to start"
        for handler in {*self._window.ready_handlers(), *self._attempts.queued_handlers()}:
            if self._executors.free_credit(handler):
                return f"executions of handler {handler!r} are about to start"
            for session in self._executors.sessions():
                # One with nothing to do owes credit: it has just connected, or its grant is on its way.
                if (
                    handler in session.handlers
                    and not session.is_draining
                    and not session.credit
                    and not self._attempts.count_at(session.executor_id)
                ):
                    return f"executor {session.executor_id!r} has not granted credit yet"
        return None

    def next_at(self) -> int | None:
        """The next instant at which something may happen, by what is in memory; never too late, perhaps too early."""
        candidates = [self._window.next_deadline()]
        if self._attempts.paused_count or self._attempts.has_deadlines:
            candidates.append(self._attempts.next_wake())
        absent = [e for e in self._attempts.executors() if self._executors.get(e) is None]
        for executor_id in absent:
            ends_s = self._executors.lease_ends_s(executor_id)
            candidates.append(
                self._attempts.next_wake() if ends_s is None else int(ends_s * 1_000_000) + LEASE_MARGIN_US
            )
        return min((at for at in candidates if at is not None), default=None)

    async def look_ahead(self, until_at: int) -> bool:
        """Loads what is due until `until_at`, or as far as it takes to know what is due next; answers whether anything is.

        Raises:
            StoreError: the store could not be read.
        """
        return await self._loader.look_ahead(until_at)

    @property
    def frontier(self) -> int:
        """Everything due before this instant is in memory. Meaningful after `look_ahead`."""
        return self._window.frontier

    def time_moved(self) -> bool:
        """To be called after each move of the clock; answers whether anything has become due.

        Executors that are connected were heard of all the time: it was not they who were silent.
        """
        lease_s = self._context.clock.lease_time()
        for session in self._executors.sessions():
            self._executors.heard(session, lease_s)
        is_due = self._driver.advance()
        if self._reaper.is_due():
            self._reaper.wake()
            is_due = True
        return is_due

    def without_executor(self, handlers: Iterable[str]) -> set[str]:
        """Those of the handlers that no connected executor offers."""
        offered = {handler for session in self._executors.sessions() for handler in session.handlers}
        return set(handlers) - offered
