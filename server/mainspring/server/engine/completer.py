"""Writes ends of attempts to the ledger in batches and answers the executors once they are durable.

An attempt that failed ends its execution, or another one follows (`core.retry`): then the row is WAITING again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

import structlog

from mainspring.server.core.attempt import Completion, FailedAttempt
from mainspring.server.core.delivery import Mishap
from mainspring.server.core.model import ExecutionState
from mainspring.server.core.retry import is_retried, wait_us
from mainspring.server.core.time_limits import Limit
from mainspring.server.dispatch.frames import AttemptId, AttemptResult, Outcome
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.lanes import Lanes
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import OpenAttempt, OpenAttempts, Place
from mainspring.server.engine.pace import Pace
from mainspring.server.errors import StoreError

log = structlog.get_logger(__name__)

FINAL_STATE = {
    Outcome.SUCCEEDED: ExecutionState.SUCCEEDED,
    Outcome.FAILED: ExecutionState.FAILED,
    Outcome.CANCELLED: ExecutionState.CANCELLED,
}
SLOWNESS = frozenset(limit.value for limit in Limit)
"""What a cancelled attempt names when an owner, perhaps an earlier one, stopped it for its slowness: it has failed."""
REASON_CHARACTERS = 2_000
MOST_ANSWERS = 8
"""Who waits for one result: the latest few that repeated it."""

Answer = Callable[[Sequence[AttemptId]], None]


@dataclass(slots=True)
class _Pending:
    """The end of an attempt on its way to the ledger, and who waits for the news."""

    attempt_id: AttemptId
    state: ExecutionState
    reason: str
    output: bytes
    picked_up_at: int | None
    """When it began to run, for what the start acknowledgement did not tell."""
    received_at: int
    answers: list[Answer] = field(default_factory=list)
    error_kind: str = ""
    retry_at: int | None = None
    """When another attempt follows; None: the execution ends."""
    is_decision: bool = False
    """Whether the owner decided it, and no executor told it."""


class Completer:
    """Takes results of attempts in the partitions held; each is answered once, settled, applied or not.

    Writes what the owner decides, too, such as a loss: an attempt has one end on its way, the result or the decision,
    whichever came first.

    Args:
        random: jitter of retries.
    """

    def __init__(
        self,
        context: OwnerContext,
        attempts: OpenAttempts,
        mishaps: Mishaps,
        random: Random | None = None,
    ) -> None:
        self._context = context
        self._attempts = attempts
        self._mishaps = mishaps
        self._random = random or Random()
        self._pending: dict[AttemptId, _Pending] = {}
        self._unwritten: dict[AttemptId, None] = {}
        self._lanes = Lanes("complete", context.settings.complete_lanes)
        self._pace = Pace(context.clock, context.settings.complete_distance_s)
        self._wake = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """Whether any end is on its way to the ledger."""
        return bool(self._pending)

    def accept(self, results: Sequence[AttemptResult], answer: Answer) -> None:
        """Takes results in. `answer` is called, once or more, with those that are settled.

        Results of partitions that are not held are ignored: their executors repeat them, to another node.
        """
        now = self._context.clock.now()
        settled: list[AttemptId] = []
        for result in results:
            attempt_id = result.attempt_id
            if self._context.held.epoch_of(attempt_id.ref.partition_id) is None:
                continue
            if (pending := self._pending.get(attempt_id)) is not None:
                if answer not in pending.answers:
                    pending.answers = [*pending.answers[-MOST_ANSWERS:], answer]
                continue
            attempt = self._attempts.get(attempt_id.ref)
            if attempt is not None and (
                attempt.attempt > attempt_id.attempt
                or (attempt.attempt == attempt_id.attempt and attempt.is_waiting)
            ):
                settled.append(
                    attempt_id
                )  # another attempt follows or is recorded: this one changes nothing (I6)
            elif result.outcome is Outcome.REFUSED:
                if attempt is not None and attempt.attempt == attempt_id.attempt:
                    self._refused(attempt, _words(result))
                settled.append(attempt_id)
            elif (
                (state := _state_of(result)) is ExecutionState.FAILED
                and attempt is None
                and not self._context.held.is_firing(attempt_id.ref.partition_id)
            ):
                continue  # what is open here is being read: whether it is retried is known when the result is repeated
            elif len(self._pending) < self._context.settings.unanswered_results:
                self._put(
                    _Pending(
                        attempt_id,
                        state,
                        "" if result.outcome is Outcome.SUCCEEDED else _words(result)[:REASON_CHARACTERS],
                        result.output,
                        now - result.since_start_us,
                        now,
                        [answer],
                        result.error_kind,
                    ),
                    attempt,
                )
        if self._unwritten:
            self._wake.set()
        if settled:
            answer(settled)

    def record(self, attempts: Sequence[OpenAttempt]) -> None:
        """Takes attempts that are ENDING in; one whose result is on its way already ends by that.

        May be told of the same again. What finds no room is told of again by the reaper.
        """
        now = self._context.clock.now()
        for attempt in attempts:
            attempt_id = AttemptId(attempt.ref, attempt.attempt)
            decision = attempt.decision
            if (
                decision is not None
                and attempt_id not in self._pending
                and len(self._pending) < self._context.settings.unanswered_results
            ):
                reason = decision.reason[:REASON_CHARACTERS]
                self._put(
                    _Pending(
                        attempt_id,
                        decision.state,
                        reason,
                        b"",
                        None,
                        now,
                        error_kind=decision.error_kind,
                        is_decision=True,
                    ),
                    attempt,
                )
        if self._unwritten:
            self._wake.set()

    def _put(self, pending: _Pending, attempt: OpenAttempt | None) -> None:
        if attempt is not None and attempt.attempt == pending.attempt_id.attempt:
            if attempt.stop_reason:
                pending.reason = pending.reason or attempt.stop_reason
            elif pending.state is ExecutionState.FAILED:
                pending.retry_at = self._retry_at(attempt, pending)
        self._pending[pending.attempt_id] = pending
        self._unwritten[pending.attempt_id] = None

    def _retry_at(self, attempt: OpenAttempt, pending: _Pending) -> int | None:
        retry, failures = attempt.policies.retry, attempt.failure_count + 1
        if not is_retried(retry, failures, pending.error_kind, attempt.delivery):
            return None
        return pending.received_at + wait_us(retry, failures, self._random.random())

    def _refused(self, attempt: OpenAttempt, words: str) -> None:
        if attempt.place is Place.AT_EXECUTOR:  # else it was given up before: the refusal is no news
            self._mishaps.strike([attempt], Mishap.REFUSED, words)

    async def run_round(self) -> None:
        """Forms one batch and writes it; waits when there is nothing to write."""
        await self._wake.wait()
        await self._pace.wait()
        await self._lanes.wait_free()
        self._wake.clear()
        batch = [
            self._pending[attempt_id]
            for attempt_id, _ in zip(
                self._unwritten, range(self._context.settings.complete_batch), strict=False
            )
        ]
        for pending in batch:
            del self._unwritten[pending.attempt_id]
        if batch:
            if self._unwritten:
                self._wake.set()
            if len(batch) < self._context.settings.complete_batch:
                self._pace.begin()
            await self._lanes.run(self._write(batch))

    async def stop(self) -> None:
        """Ends the writes under way: executors repeat what they were not answered."""
        await self._lanes.cancel()

    async def flush(self) -> None:
        """Waits until everything accepted so far is written or given up."""
        while self._pending:
            self._wake.set()
            await self._context.clock.sleep(0.01)

    async def _write(self, batch: list[_Pending]) -> None:
        partitions = {p.attempt_id.ref.partition_id for p in batch}
        self._context.held.begin_work(partitions)
        try:
            await self._write_held(batch)
        finally:
            self._context.held.end_work(partitions)
            self._forget(batch)

    def _forget(self, batch: Iterable[_Pending]) -> None:
        for pending in batch:
            if self._pending.get(pending.attempt_id) is pending:
                del self._pending[pending.attempt_id]

    async def _write_held(self, batch: list[_Pending]) -> None:
        pause_s = 0.1
        while True:
            written = [(p, end) for p in batch if (end := self._end(p)) is not None]
            if not written:
                return
            ends = [end for _, end in written]
            try:
                refused = await self._store_ends(ends)
                break
            except StoreError as error:
                # Idempotent: an unknown outcome is written again. The executor's repetitions wait beside it.
                log.warning("complete_failed", reason=error.reason, error=str(error), results=len(ends))
                await self._context.clock.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
        self._context.refused(refused, {end.ref.partition_id: end.epoch for end in ends})
        # Before anything follows from it: the next end of the same attempt may be decided at once.
        self._forget(batch)
        self._settle([pending for pending, _ in written], refused)

    async def _store_ends(self, ends: Sequence[Completion | FailedAttempt]) -> frozenset[int]:
        store, node_id = self._context.store, self._context.node_id
        refused: frozenset[int] = frozenset()
        if completions := [end for end in ends if isinstance(end, Completion)]:
            refused |= await store.complete(node_id, completions, now=self._context.clock.now())
            self._context.metrics.batch("complete", len(completions))
        if failed := [end for end in ends if isinstance(end, FailedAttempt)]:
            refused |= await store.retry(node_id, failed)
            self._context.metrics.batch("retry", len(failed))
        return refused

    def _end(self, pending: _Pending) -> Completion | FailedAttempt | None:
        """What to write under the present epoch; None when the partition went meanwhile.

        A decision was made under the epoch of its day: when the partition is back, its executor is asked anew.
        """
        ref, number = pending.attempt_id
        epoch = self._context.held.epoch_of(ref.partition_id)
        if epoch is None:
            return None
        attempt = self._attempts.get(ref)
        known = attempt if attempt is not None and attempt.attempt == number else None
        if pending.is_decision and (known is None or known.place is not Place.ENDING):
            return None
        dispatched_at = known.dispatched_at if known is not None else None
        picked_up_at = pending.picked_up_at
        if known is not None and known.picked_up_at is not None:
            picked_up_at = known.picked_up_at
        if pending.retry_at is not None:
            return FailedAttempt(
                ref,
                epoch,
                number,
                pending.reason,
                pending.error_kind,
                pending.retry_at,
                dispatched_at,
                picked_up_at,
            )
        return Completion(
            ref,
            epoch,
            number,
            pending.state,
            pending.reason,
            pending.output,
            dispatched_at,
            picked_up_at,
            pending.received_at,
            pending.error_kind,
            is_waiting=known is not None and known.is_waiting,
        )

    def _settle(self, batch: list[_Pending], refused: frozenset[int]) -> None:
        saved_at = self._context.clock.now()
        answers: dict[Answer, list[AttemptId]] = {}
        for pending in batch:
            attempt_id = pending.attempt_id
            if (
                attempt_id.ref.partition_id in refused
                or self._context.held.epoch_of(attempt_id.ref.partition_id) is None
            ):
                continue
            attempt = self._attempts.get(attempt_id.ref)
            if attempt is not None and attempt.attempt == attempt_id.attempt:
                self._context.metrics.stage("finished", attempt.picked_up_at, pending.received_at)
                if pending.retry_at is None:
                    self._attempts.end(attempt_id.ref)
                    self._context.signals.ended(attempt_id.ref, attempt.policies)
                elif not attempt.is_waiting:
                    self._mishaps.failed(attempt, pending.retry_at)
            self._context.metrics.stage("saved", pending.received_at, saved_at)
            if pending.retry_at is None:
                self._context.metrics.ended(pending.state.name)
            for answer in pending.answers:
                answers.setdefault(answer, []).append(attempt_id)
        for answer, attempt_ids in answers.items():
            answer(attempt_ids)


def _state_of(result: AttemptResult) -> ExecutionState:
    """What a result makes of its execution, unless another attempt follows. Not of one that was refused."""
    if result.outcome is Outcome.CANCELLED and result.error_kind in SLOWNESS:
        return ExecutionState.FAILED
    return FINAL_STATE[result.outcome]


def _words(result: AttemptResult) -> str:
    """Why it failed, in the executor's words."""
    return f"{result.error_kind}: {result.error}" if result.error_kind else result.error
