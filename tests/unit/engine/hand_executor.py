"""An executor whose handlers are the test: real session, real book of attempts, no stream between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mainspring.executor.attempts import AttemptBook, AttemptKey, Ending, Verdict
from mainspring.executor.attempts import Knowledge as BookKnowledge
from mainspring.executor.attempts import Outcome as BookOutcome
from mainspring.server.core.model import ExecutionRef
from mainspring.server.dispatch.executor_session import ExecutorSession, Outbox
from mainspring.server.dispatch.frames import (
    AttemptId,
    AttemptResult,
    Cancellation,
    Knowledge,
    Outcome,
    ProgressReport,
    ReconcileReply,
    WorkItem,
)

if TYPE_CHECKING:
    from unit.engine.engine_bench import EngineBench

NODE = "node"
REPEAT_S = 1.0
"""After this an executor repeats a result that was not answered."""


class RecordedSession(ExecutorSession):
    """Tells the bench of each piece of work in the moment in which the engine lets go of it."""

    bench: EngineBench

    def send_work(self, items: Iterable[WorkItem]) -> None:
        sent = list(items)
        for item in sent:
            self.bench.work_sent(self.executor_id, item)
        super().send_work(sent)

    def take_unsent(self) -> list[WorkItem]:
        unsent = super().take_unsent()
        self.bench.work_taken_back(unsent)
        return unsent


class HandExecutor:
    """One executor process. It takes what is sent, answers questions and beats by itself; the rest is up to the test.

    Args:
        credit: what to grant on the first connection; later ones grant what is free.
        is_automatic: ends everything well as soon as it arrives.
    """

    def __init__(
        self,
        bench: EngineBench,
        executor_id: str,
        handlers: Iterable[str],
        *,
        capacity: int,
        credit: int,
        is_automatic: bool,
    ) -> None:
        self._bench = bench
        self.executor_id = executor_id
        self.handlers = tuple(handlers)
        self.capacity = capacity
        self.is_automatic = is_automatic
        self.is_reading = True
        """While False nothing leaves the session's outbox: the network is slow."""
        self.is_beating = True
        """While False the node hears nothing: heartbeats are lost."""
        self.regrants = True
        """Whether room that becomes free is granted again."""
        self.work: list[WorkItem] = []
        """Everything that arrived, in order."""
        self.running: dict[AttemptId, WorkItem] = {}
        self.saved: list[AttemptId] = []
        self.cancellations: list[Cancellation] = []
        """What it was asked to stop, in order; nothing stops by itself."""
        self.disowned: set[AttemptId] = set()
        """What any process of this id answered to be not its."""
        self.refused: set[AttemptId] = set()
        self.was_away = False
        """Whether its stream ever broke, or its heartbeats were lost."""
        self.held = 0
        """Credit of the present session that it has neither spent nor returned, as far as this executor knows."""
        self.book = AttemptBook()
        self.session: RecordedSession | None = None
        self._life: asyncio.Task[None] | None = None
        self.connect(credit)

    def __repr__(self) -> str:
        return f"{self.executor_id}({len(self.running)} running, {self.held} credit)"

    @property
    def cancels(self) -> list[AttemptId]:
        """Which attempts it was asked to stop."""
        return [cancellation.attempt_id for cancellation in self.cancellations]

    @property
    def is_connected(self) -> bool:
        return self.session is not None and not self.session.is_closed

    @property
    def live_session(self) -> RecordedSession:
        assert self.session is not None
        return self.session

    # --- the test's side -----------------------------------------------------------------------------------------

    def connect(self, credit: int | None = None) -> None:
        """Opens a session; an open one breaks."""
        clock = self._bench.clock
        session = RecordedSession(
            self.executor_id,
            self.handlers,
            self.capacity,
            version="",
            connected_at=clock.now(),
            heard_at_s=clock.lease_time(),
        )
        session.bench = self._bench
        self.was_away |= self._life is not None
        self._end_life()
        self.session = session
        self.held = 0
        self.book.make_due_for(NODE)
        self._bench.engine.executor_connected(session)
        self._life = asyncio.create_task(self._serve(session))
        self.grant(self.capacity - len(self.running) if credit is None else credit)

    def drop(self, *, orderly: bool = False) -> None:
        """The stream breaks; what runs goes on."""
        if self.session is not None:
            self.was_away = True
            self._end_life()
            self._bench.engine.executors.disconnect(self.session, orderly=orderly)
            self.session = None
            self.held = 0

    def restart(self) -> None:
        """The process is another one: nothing of what it did is left."""
        self.drop()
        self.running.clear()
        self.book = AttemptBook()
        self.connect()

    def grant(self, credit: int) -> None:
        if self.is_connected and credit > 0:
            self.held += credit
            self._bench.engine.executors.add_credit(self.live_session, credit)

    def start(self, *attempt_ids: AttemptId) -> None:
        """Acknowledges the start of these; of everything when none is named."""
        self._bench.engine.reaper.started(attempt_ids or list(self.running))

    def report(self, attempt_id: AttemptId, progress: bytes) -> None:
        """Tells how far an attempt is."""
        if self.is_connected and self.is_beating:
            attempt = self.book.get(_key(attempt_id))
            assert attempt is not None
            self._bench.engine.accept_progress([ProgressReport(attempt_id, attempt.epoch, progress)])

    def end(
        self, *attempt_ids: AttemptId, outcome: Outcome = Outcome.SUCCEEDED, kind: str = "", error: str = ""
    ) -> None:
        """Ends these, or everything, and tells the node."""
        for attempt_id in attempt_ids or list(self.running):
            del self.running[attempt_id]
            attempt = self.book.get(_key(attempt_id))
            assert attempt is not None
            if outcome is Outcome.REFUSED:
                self.refused.add(attempt_id)
            self.book.finish(attempt, Ending(BookOutcome(outcome), error=error, error_kind=kind))
            self._regrant()
        self._send_results()

    def stop(self) -> None:
        self._end_life()

    # --- the stream's side ---------------------------------------------------------------------------------------

    def _end_life(self) -> None:
        if self._life is not None:
            self._life.cancel()
            self._life = None

    async def _serve(self, session: RecordedSession) -> None:
        beat_s = self._bench.settings.heartbeat_interval_s
        while not session.is_closed:
            if self.is_reading:
                outbox = await session.outgoing(asyncio.timeout(beat_s))
            else:
                outbox = None
                await asyncio.sleep(beat_s / 10)
            if session.is_closed:
                return  # what was on its way is lost with the stream
            self.was_away |= not self.is_beating
            if self.is_beating:
                self._bench.engine.executors.heard(session, self._bench.clock.lease_time())
            if outbox is not None:
                self._take(outbox)
            self._send_results()

    def _take(self, outbox: Outbox) -> None:
        self.held -= outbox.credit_returned
        for attempt_id in outbox.saved:
            self.saved.append(attempt_id)
            self.book.saved(_key(attempt_id))
        if outbox.questions:
            asked = [(_key(question.attempt_id), question.epoch) for question in outbox.questions]
            answers = self.book.reconcile(asked, NODE)
            self.disowned |= {_attempt_id(a.key) for a in answers if a.knowledge is BookKnowledge.NOT_MINE}
            self._bench.engine.reaper.reconciled(
                self.executor_id,
                [ReconcileReply(_attempt_id(a.key), Knowledge(a.knowledge)) for a in answers],
            )
        for item in outbox.work:
            self._receive(item)
        self.cancellations += outbox.cancels

    def _receive(self, item: WorkItem) -> None:
        self.work.append(item)
        self.held -= 1
        if self.held < 0:
            self._bench.complain(f"{self.executor_id} got more work than it granted credit for: {item}")
        key = _key(item.attempt_id)
        verdict, _ = self.book.receive(key, item.epoch, NODE)
        if verdict is Verdict.NEW:
            self.book.accept(key, item.epoch, NODE).knowledge = BookKnowledge.RUNNING
            self.running[item.attempt_id] = item
            if self.is_automatic:
                self.start(item.attempt_id)
                self.end(item.attempt_id)
        elif verdict in (Verdict.STALE, Verdict.DISOWNED):
            self.book.refuse(key, item.epoch, NODE, verdict.value, "")
            self.refused.add(item.attempt_id)
            self._regrant()
        else:
            self._bench.complain(f"{self.executor_id} got an attempt again: {item}")

    def _regrant(self) -> None:
        if self.regrants:
            self.grant(1)

    def _send_results(self) -> None:
        """Hands over what is due, repetitions too."""
        if not self.is_connected or not self.is_beating:
            return
        now_s = self._bench.clock.monotonic()
        due = self.book.due(now_s, REPEAT_S, 1_000)
        results: list[AttemptResult] = []
        for attempt in due:
            assert attempt.ending is not None
            self.book.mark_sent(attempt, now_s, NODE)
            results.append(
                AttemptResult(
                    _attempt_id(attempt.key),
                    attempt.epoch,
                    Outcome(attempt.ending.outcome),
                    attempt.ending.output,
                    attempt.ending.error,
                    attempt.ending.error_kind,
                )
            )
        if results:
            self._bench.engine.accept_results(self.executor_id, results, self.live_session.send_saved)


def _key(attempt_id: AttemptId) -> AttemptKey:
    ref = attempt_id.ref
    return ref.partition_id, ref.task_key, ref.scheduled_at, attempt_id.attempt


def _attempt_id(key: AttemptKey) -> AttemptId:
    partition_id, task_key, scheduled_at, attempt = key
    return AttemptId(ExecutionRef(partition_id, scheduled_at, task_key), attempt)
