"""Looks after what is open: executors that fell silent, attempts to be confirmed after a take-over, long and slow ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from mainspring.server.core.attempt import Extension
from mainspring.server.core.delivery import Mishap
from mainspring.server.core.model import ExecutionState, OpenExecution
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.dispatch.frames import (
    AttemptId,
    Cancellation,
    Knowledge,
    ProgressReport,
    ReconcileQuestion,
    ReconcileReply,
)
from mainspring.server.engine.background_lane import BackgroundLane
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import WAITING_PLACES, Decision, OpenAttempt, OpenAttempts, Place

log = structlog.get_logger(__name__)

ROUND_S = 0.25
STOOD_STILL_S = 2.0
LATE_S = 0.5
"""A round that is later than this lets no lease lapse: signs of life may wait to be read. The next one does."""


class Reaper:
    """Nothing waits for ever unseen (I9): every open execution is looked at again by a deadline."""

    def __init__(
        self,
        context: OwnerContext,
        executors: ConnectedExecutors,
        attempts: OpenAttempts,
        mishaps: Mishaps,
        lane: BackgroundLane,
    ) -> None:
        self._context = context
        self._executors = executors
        self._attempts = attempts
        self._mishaps = mishaps
        self._lane = lane
        self._slept_at_s = context.clock.monotonic()
        self._was_late = False
        self._wake = asyncio.Event()
        self.is_busy = False
        """Whether a round is under way or has just been asked for."""
        self.is_deaf: Callable[[], bool] = lambda: False
        """Whether it may be this node that hears nothing, and not the executors that are silent: then no lease lapses.

        Such a node steps aside, and who takes its partitions over asks the executors.
        """

    def is_due(self) -> bool:
        """Whether a round would find something to do."""
        wake_at = self._attempts.next_wake()
        return (wake_at is not None and wake_at <= self._context.clock.now()) or self._executors.has_lapsed(
            self._context.clock.lease_time()
        )

    def wake(self) -> None:
        """Asks for a round at once."""
        self.is_busy = True
        self._wake.set()

    def absorb(self, rows: Sequence[OpenExecution]) -> None:
        """Takes open rows in that this node did not know: of partitions just taken, or found by the sweep.

        Those at an executor are asked about, announcing the present epoch; one that is not connected gets its lease.
        """
        now, now_s = self._context.clock.now(), self._context.clock.lease_time()
        wake_at = now + int(self._context.settings.lease_s * 1_000_000)
        asked: dict[str, list[OpenAttempt]] = {}
        is_waiting = False
        for row in rows:
            if self._context.held.epoch_of(row.ref.partition_id) is None:
                continue
            attempt = self._attempts.absorb(row, now=now, wake_at=wake_at)
            if attempt is None:
                continue
            if attempt.place is Place.AT_EXECUTOR:
                asked.setdefault(attempt.executor_id or "", []).append(attempt)
            else:
                is_waiting |= attempt.place is Place.QUEUED
        for executor_id, attempts in asked.items():
            session = self._executors.get(executor_id)
            if session is None:
                self._executors.expect(executor_id, now_s)
            else:
                self._ask(session, attempts)
        if is_waiting:
            self._context.signals.queued()

    def connected(self, session: ExecutorSession) -> None:
        """Asks an executor that has just (re)connected about everything believed to be there."""
        now = self._context.clock.now()
        attempts = self._attempts.at_executor(session.executor_id)
        for attempt in attempts:
            attempt.is_confirmed = False
            attempt.heard_at = now  # what it reported meanwhile could not arrive
        self._ask(session, attempts)

    def _ask(self, session: ExecutorSession, attempts: Sequence[OpenAttempt]) -> None:
        questions = [
            ReconcileQuestion(AttemptId(a.ref, a.attempt), epoch)
            for a in attempts
            if (epoch := self._context.held.epoch_of(a.ref.partition_id)) is not None
        ]
        if questions:
            session.ask(questions)
        # Asked for before, and the stream may have broken beneath it; an executor hears it once.
        self.stop([attempt for attempt in attempts if attempt.stop_reason])

    def stop(self, attempts: Sequence[OpenAttempt]) -> None:
        """Tells the executors of these attempts to stop them, as far as they are connected."""
        for attempt in attempts:
            session = self._executors.get(attempt.executor_id or "")
            if session is not None:
                session.cancel([Cancellation(AttemptId(attempt.ref, attempt.attempt))])

    def reconciled(self, executor_id: str, replies: Sequence[ReconcileReply]) -> None:
        """Takes an executor's answers in: what it never had goes to another at once, or is lost."""
        now = self._context.clock.now()
        disowned: list[OpenAttempt] = []
        for reply in replies:
            attempt = self._attempts.get(reply.attempt_id.ref)
            if (
                attempt is None
                or attempt.place is not Place.AT_EXECUTOR
                or attempt.executor_id != executor_id
                or attempt.attempt != reply.attempt_id.attempt
            ):
                continue
            if reply.knowledge is Knowledge.NOT_MINE:
                disowned.append(attempt)
            else:
                attempt.is_confirmed = True
                if attempt.picked_up_at is None and reply.knowledge is not Knowledge.QUEUED:
                    attempt.picked_up_at = now - reply.since_start_us
                self._attempts.deadline_moved(attempt)
        self._mishaps.strike(disowned, Mishap.NOT_MINE)

    def started(self, attempt_ids: Sequence[AttemptId]) -> None:
        """Notes start acknowledgements: the pick-up."""
        now = self._context.clock.now()
        for attempt_id in attempt_ids:
            attempt = self._attempts.get(attempt_id.ref)
            if attempt is None or attempt.attempt != attempt_id.attempt or attempt.picked_up_at is not None:
                continue
            attempt.picked_up_at = now
            attempt.may_have_started = True
            self._attempts.deadline_moved(attempt)
            self._context.metrics.stage("picked_up", attempt.dispatched_at, now)
            if not (attempt.is_background or attempt.was_held):  # those are late by their task's policy
                self._context.metrics.lateness.observe(max(0, now - attempt.due_at) / 1_000_000)

    def progressed(self, reports: Sequence[ProgressReport]) -> None:
        """Notes what handlers report: the attempt goes on, and how far it is."""
        now = self._context.clock.now()
        for report in reports:
            if not self._attempts.is_at_executor(*report.attempt_id):
                continue
            attempt = self._attempts.get(report.attempt_id.ref)
            if attempt is None:
                continue
            attempt.heard_at = attempt.progress_at = now
            attempt.progress = report.progress
            if attempt.is_progress_written:
                attempt.is_progress_written = False
                write_at = now + int(self._context.settings.progress_s * 1_000_000)
                self._attempts.wake_later(attempt, min(attempt.look_at, write_at))

    async def run_round(self) -> None:
        """Reaps lapsed executors and writes signs of life of long executions; then waits a little."""
        self._wake.clear()
        self.is_busy = True
        try:
            await self._look_at_all()
        finally:
            self.is_busy = False
        with contextlib.suppress(TimeoutError):
            async with self._context.clock.timeout(ROUND_S):
                await self._wake.wait()

    async def _look_at_all(self) -> None:
        now_s = self._context.clock.lease_time()
        slept_s = self._context.clock.monotonic() - self._slept_at_s
        has_stood_still = slept_s > STOOD_STILL_S
        self._was_late = slept_s > ROUND_S + LATE_S and not self._was_late
        if has_stood_still or self.is_deaf():
            # Others were not silent, this node was deaf.
            self._executors.restart_leases(now_s)
            self._attempts.listen_anew(self._context.clock.now())
        if not has_stood_still:
            self._executors.look_who_is_quiet(now_s)
        if not self._was_late:
            self._give_up_lapsed(now_s)
        await self._look_after(self._attempts.wake(self._context.clock.now()))
        self._slept_at_s = self._context.clock.monotonic()

    def _give_up_lapsed(self, now_s: float) -> None:
        left = self._executors.left()
        for executor_id in self._executors.lapsed(now_s):
            attempts = self._attempts.at_executor(executor_id)
            if executor_id in left and not attempts:
                log.info("executor_left", executor_id=executor_id)
                continue
            lost = self._mishaps.strike(attempts, Mishap.LEFT if executor_id in left else Mishap.SILENT)
            log.warning("executor_lost", executor_id=executor_id, attempts=len(attempts), lost=lost)

    async def _look_after(self, attempts: Sequence[OpenAttempt]) -> None:
        now = self._context.clock.now()
        soon = now + int(self._context.settings.lease_s * 1_000_000)
        later = now + int(self._context.settings.extension_s * 1_000_000)
        extensions: list[Extension] = []
        progressed: list[OpenAttempt] = []
        is_waiting = False
        for attempt in attempts:
            epoch = self._context.held.epoch_of(attempt.ref.partition_id)
            if epoch is None:
                self._attempts.end(attempt.ref)
                continue
            session = self._executors.get(attempt.executor_id) if attempt.executor_id is not None else None
            if attempt.place is Place.ENDING:
                self._attempts.wake_later(attempt, soon)
                self._context.signals.decided([attempt])
            elif self._ends_for_its_slowness(attempt, session, now, soon):
                continue
            elif now < attempt.look_at:
                self._attempts.deadline_moved(attempt)  # only its deadline was looked at
            elif attempt.place is Place.PAUSED:
                begin_at = self._lane.begin_at(attempt, now)
                if begin_at > now:
                    self._attempts.pause(attempt, begin_at)
                    continue
                self._attempts.queue(attempt)
                # What is made up for may wait long for its turn: its row says so soon, or each sweep would read it again.
                self._attempts.wake_later(attempt, soon if attempt.is_background else later)
                is_waiting = True
            elif attempt.place is Place.HELD and attempt.replaces_others:
                # Asked for again, for the one who asked may be gone.
                self._attempts.wake_later(attempt, soon)
                self._context.signals.replaced(self._attempts.in_the_way_of(attempt))
            elif attempt.place is Place.AT_EXECUTOR and not attempt.is_confirmed:
                self._doubt(attempt, session, soon)
            elif attempt.place is Place.AT_EXECUTOR and not self._executors.is_alive(
                attempt.executor_id or ""
            ):
                self._attempts.wake_later(attempt, later)
                self._mishaps.strike([attempt], Mishap.SILENT)
            elif attempt.place is Place.AT_EXECUTOR and attempt.picked_up_at is None:
                # Sent and never acknowledged: ask rather than wait.
                self._doubt(attempt, session, soon)
            else:
                self._attempts.wake_later(attempt, later)
                is_running = attempt.place is Place.AT_EXECUTOR
                if is_running and attempt.stop_reason:
                    self.stop([attempt])
                if is_running or attempt.attempt == 0:
                    extensions.append(self._extension(attempt, epoch, later))
                if is_running and not attempt.is_progress_written:
                    attempt.is_progress_written = True
                    progressed.append(attempt)
        if is_waiting:
            self._context.signals.queued()
        try:
            await self._extend(extensions)
        except BaseException:
            for attempt in progressed:
                attempt.is_progress_written = False
            raise

    def _extension(self, attempt: OpenAttempt, epoch: int, wake_at: int) -> Extension:
        is_running = attempt.place is Place.AT_EXECUTOR
        has_news = not attempt.is_progress_written
        return Extension(
            attempt.ref,
            epoch,
            attempt.attempt,
            ExecutionState.RUNNING if is_running else ExecutionState.WAITING,
            wake_at,
            attempt.dispatched_at,
            attempt.picked_up_at,
            attempt.progress if has_news else b"",
            attempt.progress_at if has_news else None,
            attempt.stop_reason,
        )

    async def _extend(self, extensions: Sequence[Extension]) -> None:
        for start in range(0, len(extensions), self._context.settings.complete_batch):
            batch = extensions[start : start + self._context.settings.complete_batch]
            self._context.metrics.batch("extend", len(batch))
            refused = await self._context.store.extend(self._context.node_id, batch)
            self._context.refused(refused, {item.ref.partition_id: item.epoch for item in batch})

    def _doubt(self, attempt: OpenAttempt, session: ExecutorSession | None, look_at: int) -> None:
        """Asks the executor of an attempt about it, if it is there, and looks again at an instant should it not answer."""
        attempt.is_confirmed = False
        self._attempts.wake_later(attempt, look_at)
        if session is not None:
            self._ask(session, [attempt])

    def _ends_for_its_slowness(
        self, attempt: OpenAttempt, session: ExecutorSession | None, now: int, soon: int
    ) -> bool:
        """Ends what is too late to start, or stops an attempt that is too slow and counts it as failed.

        Of one whose executor was not heard of since its deadline it asks that first.
        """
        if attempt.place in WAITING_PLACES and attempt.is_too_late_to_start(now):
            self._mishaps.expire([attempt])
            return True
        deadline = attempt.run_deadline()
        if deadline is None or now < deadline.at:
            return False
        if session is None:
            # Its lease decides, or its answer when it is back: it may have reported what could not arrive.
            attempt.is_confirmed = False
            return False
        unheard_s = self._context.clock.lease_time() - session.heard_at_s
        if unheard_s * 1_000_000 > now - deadline.at:
            # Not heard since: the result may be on a way that is cut. What it answers comes behind that.
            self._doubt(attempt, session, soon)
            return True
        # Should this node die before the failure is written, the result brings it to the next owner.
        attempt_id = AttemptId(attempt.ref, attempt.attempt)
        session.cancel([Cancellation(attempt_id, deadline.error, deadline.limit.value)])
        failure = Decision(ExecutionState.FAILED, deadline.words, deadline.limit.value)
        self._mishaps.decide([(attempt, failure)])
        return True
