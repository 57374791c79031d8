"""The engine: builds its parts, connects them, and runs their loops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from mainspring.server.core.model import DueTask, ExecutionRef, OpenExecution, Task
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.dispatch.frames import AttemptId, AttemptResult, ProgressReport
from mainspring.server.engine.announcer import Announcer
from mainspring.server.engine.assigner import Assigner
from mainspring.server.engine.background_lane import BackgroundLane
from mainspring.server.engine.canceller import Canceller
from mainspring.server.engine.claimer import Claimer
from mainspring.server.engine.completer import Completer
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.extra_runs import ExtraRuns
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.handover_log import HandoverLog
from mainspring.server.engine.late_work import LateWork
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.note_taker import NoteTaker
from mainspring.server.engine.open_attempts import OpenAttempts
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.partition_host import EnginePartitionHost
from mainspring.server.engine.peers import Hint, PeerClient
from mainspring.server.engine.planning import due_task_of
from mainspring.server.engine.post import Post
from mainspring.server.engine.reaper import Reaper
from mainspring.server.engine.registrar import Registrar
from mainspring.server.engine.retention import Retention
from mainspring.server.engine.sender import Sender
from mainspring.server.engine.stillness import Stillness
from mainspring.server.engine.supervision import keep_running
from mainspring.server.engine.timer_driver import TimerDriver
from mainspring.server.engine.window_loader import WindowLoader
from mainspring.server.persistence.store.tasks import Created
from mainspring.shard_manager.lease import PartitionLease

log = structlog.get_logger(__name__)

DEMAND_ROUND_S = 0.02
"""How often the executors are told at most."""
DEMAND_LOOK_S = 0.5
"""And how often it is looked at in any case, for the gauges."""


class Engine:
    """Fires the tasks of the partitions held; which those are, the shard manager tells its `host`.

    Args:
        on_fenced: told when the database gave a partition to somebody else; the shard manager looks at the rows then.
    """

    def __init__(
        self,
        context: OwnerContext,
        executors: ConnectedExecutors,
        router: OwnerRouter,
        peers: PeerClient,
        *,
        on_fenced: Callable[[], None],
    ) -> None:
        clock, settings = context.clock, context.settings
        self._context = context
        self._on_fenced = on_fenced
        self.executors = executors
        self.window = DueWindow(
            clock.now(), settings.window_capacity, backlog_after_us=int(settings.misfire_grace_s * 1_000_000)
        )
        self.attempts = OpenAttempts(clock.now())
        mishaps = Mishaps(context, self.attempts)
        sender = Sender(context, self.attempts, mishaps)
        fence_check = FenceCheck(context)
        self.late_work = LateWork(context, executors, self.attempts, mishaps, fence_check)
        self._driver = TimerDriver(clock, self.window, self._on_due)
        self._claimer = Claimer(
            context, self.window, self._driver, executors, self.attempts, sender, fence_check
        )
        lane = BackgroundLane(settings, executors, self.attempts, self._claimer.waiting_for)
        self._assigner = Assigner(context, executors, self.attempts, mishaps, lane, sender, fence_check)
        self._completer = Completer(context, self.attempts, mishaps)
        self._reaper = Reaper(context, executors, self.attempts, mishaps, lane)
        self._canceller = Canceller(context, self.attempts, mishaps, self._reaper)
        self._loader = WindowLoader(context, self.window, self._driver, self._on_open)
        self._post = Post(context, router, peers, self._on_own_hint)
        notes = NoteTaker(context, self.window, self._loader, executors, self.attempts, mishaps)
        self.take_notes = notes.take
        announcer = Announcer(context, router, peers, notes, self._post)
        self.announce = announcer.announce
        self.extra_runs = ExtraRuns(context, self.attempts, self._reaper, announcer)
        self._registrar = Registrar(clock, context.store, settings, context.metrics, self._on_created)
        self._handovers = HandoverLog(context)
        self._retention = Retention(context, self.window)
        self.host = EnginePartitionHost(
            context, self.window, self._loader, self._claimer, executors, self.attempts, self._handovers
        )
        self._demand_changed = asyncio.Event()
        self._replacements: dict[ExecutionRef, asyncio.Task[None]] = {}
        self.stillness = Stillness(
            context,
            self.window,
            self._driver,
            self._loader,
            executors,
            self.attempts,
            self._completer,
            self._reaper,
            self._registrar,
            self.host,
            lane,
        )
        executors.on_credit = self._on_credit
        executors.on_unsent = mishaps.never_sent
        context.signals.fenced = self._fenced
        self.attempts.released = self._on_queued
        context.signals.queued = self._on_queued
        context.signals.decided = self._completer.record
        context.signals.demand_changed = self._demand_changed.set
        context.signals.replaced = self._replace
        context.signals.slipped = self._loader.sweep_soon
        context.signals.ended = self._retention.ended

    async def run(self) -> None:
        """Runs every loop until cancelled."""
        clock = self._context.clock
        rounds = {
            "load": self._loader.load_round,
            "sweep": self._loader.sweep_round,
            "backlog": self._loader.backlog_round,
            "timer": self._driver.run_round,
            "claim": self._claimer.run_round,
            "assign": self._assigner.run_round,
            "complete": self._completer.run_round,
            "reap": self._reaper.run_round,
            "register": self._registrar.run_round,
            "post": self._post.run_round,
            "demand": self._demand_round,
            "handovers": self._handovers.run_round,
            "retention": self._retention.run_round,
        }
        try:
            async with asyncio.TaskGroup() as group:
                for name, round_of in rounds.items():
                    group.create_task(keep_running(name, round_of, clock), name=name)
        finally:
            for replacement in list(self._replacements.values()):
                replacement.cancel()
            await asyncio.gather(
                *self._replacements.values(),
                self.host.stop(),
                self._claimer.stop(),
                self._assigner.stop(),
                self._completer.stop(),
                self._post.stop(),
                self._registrar.stop(),
                self.late_work.stop(),
                return_exceptions=True,
            )

    # --- between the parts ---------------------------------------------------------------------------------------

    def _on_due(self) -> None:
        self._claimer.wake()
        self._demand_changed.set()

    def _on_queued(self) -> None:
        self._assigner.wake()
        self._demand_changed.set()

    def _on_credit(self) -> None:
        self._assigner.wake()  # before the claimer: what was due longest goes first
        self._claimer.wake()

    def _replace(self, refs: Sequence[ExecutionRef]) -> None:
        for ref in refs:
            if ref not in self._replacements:
                task = asyncio.create_task(self._canceller.replace(ref), name="replace")
                self._replacements[ref] = task
                task.add_done_callback(partial(self._replaced, ref))

    def _replaced(self, ref: ExecutionRef, _: asyncio.Task[None]) -> None:
        del self._replacements[ref]

    def _on_own_hint(self, hint: Hint) -> None:
        self.accept_hints([hint])

    def _on_open(self, rows: Sequence[OpenExecution]) -> None:
        self._reaper.absorb(rows)

    def _fenced(self, leases: Sequence[PartitionLease]) -> None:
        held = self._context.held
        lost = [lease for lease in leases if held.epoch_of(lease.partition_id) == lease.epoch]
        if lost:
            log.warning("fenced", partitions=sorted(lease.partition_id for lease in lost))
            self._context.metrics.fenced.inc(len(lost))
            self.host.revoke(lost)
        self._on_fenced()

    async def _demand_round(self) -> None:
        """Tells the executors how much work waits for them, some times a second rather than at each change."""
        with contextlib.suppress(TimeoutError):
            async with self._context.clock.timeout(DEMAND_LOOK_S):
                await self._demand_changed.wait()
        self._demand_changed.clear()
        for session in self.executors.sessions():
            session.tell_waiting(
                self._claimer.waiting_for(session.handlers) + self._assigner.waiting_for(session.handlers)
            )
        metrics = self._context.metrics
        metrics.window_tasks.set(len(self.window))
        metrics.open_executions.set(len(self.attempts))
        metrics.partitions.set(len(self._context.held))
        metrics.executors.set(len(self.executors.sessions()))
        await self._context.clock.sleep(DEMAND_ROUND_S)

    # --- the API's side ------------------------------------------------------------------------------------------

    @property
    def registrar(self) -> Registrar:
        """Where tasks are registered."""
        return self._registrar

    def _on_created(self, created: Sequence[Created]) -> None:
        own: list[DueTask] = []
        for outcome in created:
            task = outcome.task
            due = due_task_of(task)
            if due is None or outcome.is_conflict:
                continue
            if self._context.held.epoch_of(task.ref.partition_id) is not None:
                own.append(due)
            elif due.due_at < self._context.clock.now() + int(self._context.settings.window_s * 1_000_000):
                self._post.hint(task.ref, due)
        self._loader.accept(own)

    def hint_adjusted(self, task: Task) -> None:
        """Tells the owner of a task that a scheduled time of it was adjusted; what is lost of that the claim notices."""
        due = due_task_of(task)
        if due is None:
            return
        if self._context.held.epoch_of(task.ref.partition_id) is not None:
            self._loader.accept([due])
        else:
            self._post.hint(task.ref, due)

    def accept_hints(self, hints: Sequence[Hint]) -> list[int]:
        """Takes hints in, from other nodes or this one; answers the positions of those whose partition is not held.

        A partition that is held and does not fire yet takes them too: its own load may have come before.
        """
        for hint in hints:
            if hint.due is None:
                self.window.forget(hint.ref)
        self._loader.accept([hint.due for hint in hints if hint.due is not None])
        held = self._context.held
        return [
            position for position, hint in enumerate(hints) if held.epoch_of(hint.ref.partition_id) is None
        ]

    def holds(self, partition_id: int) -> bool:
        """Whether this node owns a partition, as far as it knows."""
        return self._context.held.epoch_of(partition_id) is not None

    async def cancel_execution(self, ref: ExecutionRef, note: str = "") -> bool:
        """Cancels an open execution of a partition held here: see `Canceller.cancel`."""
        return await self._canceller.cancel(ref, note)

    # --- the executors' side -------------------------------------------------------------------------------------

    def executor_connected(self, session: ExecutorSession) -> None:
        """An executor's stream is open: asks it about what is believed to be there."""
        self.executors.connect(session)
        self._reaper.connected(session)
        self._demand_changed.set()

    @property
    def reaper(self) -> Reaper:
        """Where start acknowledgements and answers about open attempts go."""
        return self._reaper

    def accept_results(
        self,
        executor_id: str,
        results: Sequence[AttemptResult],
        answer: Callable[[Sequence[AttemptId]], None],
    ) -> None:
        """Takes results from an executor: writes those of own partitions, forwards the others to their owners."""
        held = self._context.held
        own = [r for r in results if held.epoch_of(r.attempt_id.ref.partition_id) is not None]
        self._completer.accept(own, answer)
        if len(own) < len(results):
            self._post.forward(
                executor_id,
                [r for r in results if held.epoch_of(r.attempt_id.ref.partition_id) is None],
                answer,
            )

    def accept_progress(self, reports: Sequence[ProgressReport]) -> None:
        """Takes signs of progress from an executor: those of own partitions, and forwards the others to their owners."""
        held = self._context.held
        own = [r for r in reports if held.epoch_of(r.attempt_id.ref.partition_id) is not None]
        self._reaper.progressed(own)
        if len(own) < len(reports):
            self._post.forward_progress(
                [r for r in reports if held.epoch_of(r.attempt_id.ref.partition_id) is None]
            )

    def accept_forwarded(
        self, results: Sequence[AttemptResult], answer: Callable[[Sequence[AttemptId]], None]
    ) -> None:
        """Takes results that reached another node: those of own partitions only, so that none goes round in circles."""
        self._completer.accept(results, answer)

    def accept_forwarded_progress(self, reports: Sequence[ProgressReport]) -> None:
        """Takes signs of progress that reached another node: those of own partitions only."""
        self._reaper.progressed(reports)

    async def flush(self) -> None:
        """Returns when every result and hint accepted so far is written, sent or given up."""
        await self._completer.flush()
        await self._post.flush()
