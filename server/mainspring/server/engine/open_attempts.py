"""The open executions of the partitions held: where each attempt is, and which wait for an executor. PURE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.model import (
    Delivery,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    OpenExecution,
    TaskRef,
)
from mainspring.server.core.policies import DEFAULT, Overlap, Policies, decode
from mainspring.server.core.time_limits import Deadline, run_deadline, start_deadline
from mainspring.server.core.timing_wheel import TimingWheel
from mainspring.server.engine.task_lines import TaskLines
from mainspring.server.errors import UnreadablePolicies

BACKGROUND = frozenset({ExecutionOrigin.CATCH_UP, ExecutionOrigin.BACKFILL})
"""Executions of these origins are made up for: none begins before its wake time, and what is due now comes first."""


class Place(Enum):
    """Where an open execution is."""

    QUEUED = auto()
    """Waits for an executor with credit: its first, or the next after a lost one."""
    ASSIGNING = auto()
    """A transaction that gives it to an executor is under way."""
    PAUSED = auto()
    """Waits for its wake time before it is queued again."""
    HELD = auto()
    """Waits until nothing else of its task is under way, and for its turn (`core.overlap`)."""
    AT_EXECUTOR = auto()
    """Recorded for an executor and sent, or believed to be there."""
    ENDING = auto()
    """The owner ended this attempt: lost, expired, cancelled, or failed for its slowness. Waits for that to be written."""


WAITING_PLACES = frozenset({Place.QUEUED, Place.PAUSED, Place.HELD})
"""Where no executor has it and no transaction is about it."""


class Decision(NamedTuple):
    """An end that the owner decides, without a result that tells of it."""

    state: ExecutionState
    reason: str
    error_kind: str = ""
    """With FAILED. Another attempt may follow."""


@dataclass(slots=True)
class OpenAttempt:
    """What the owner knows of one open execution."""

    ref: ExecutionRef
    attempt: int
    """The latest recorded one; 0 before the first."""
    executor_id: str | None
    handler: str
    due_at: int
    claimed_at: int
    dispatched_at: int | None
    picked_up_at: int | None
    place: Place
    is_confirmed: bool = True
    """False after a take-over until the executor has answered for it."""
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    policies: Policies = DEFAULT
    origin: ExecutionOrigin = ExecutionOrigin.SCHEDULE
    was_held: bool = False
    """Whether it had to wait for others of its task: its lateness is its policy's."""
    begin_at: int = 0
    """When the lane of what is made up for lets it begin; 0 before its wake time has come."""
    failure_count: int = 0
    """How many attempts failed."""
    is_waiting: bool = False
    """Whether its row is WAITING: no attempt was recorded yet, or the latest one failed and can bring no result any more."""
    may_have_started: bool = False
    """Whether any attempt began to run, or may have, for all that is known."""
    heard_at: int = 0
    """When the handler last reported progress, or since when this node listens."""
    progress: bytes = b""
    progress_at: int | None = None
    is_progress_written: bool = True
    stop_reason: str = ""
    """Why it is to be stopped, when a call asked for that."""
    decision: Decision | None = None
    """Set when ENDING."""
    task_version: int = 0
    """Of the task, when its latest attempt was recorded, or it itself when there is none yet."""
    look_at: int = 0
    """When to look at it in any case; its deadline may come before."""

    @property
    def is_background(self) -> bool:
        """Whether it is made up for."""
        return self.origin in BACKGROUND

    @property
    def has_not_begun(self) -> bool:
        """Whether it was not given to any executor yet, and is not one that a call wants to begin beside all others."""
        return self.attempt == 0 and self.origin is not ExecutionOrigin.TRIGGER

    @property
    def has_turns(self) -> bool:
        """Whether it begins in its turn among those of its task."""
        return self.has_not_begun and self.policies.overlap is not Overlap.ALLOW

    @property
    def replaces_others(self) -> bool:
        """Whether what is under way of its task has to go for it; what is made up for waits for a quiet moment instead."""
        return self.policies.overlap is Overlap.REPLACE and not self.is_background

    def _start_by(self) -> int | None:
        """By when its first attempt has to start; None when it may start at any time, as what is made up for."""
        return None if self.is_background else start_deadline(self.policies.timeouts, self.due_at)

    def is_too_late_to_start(self, now: int) -> bool:
        """Whether its first attempt did not start in time."""
        start_by = self._start_by()
        return start_by is not None and now > start_by and not self.may_have_started

    def run_deadline(self) -> Deadline | None:
        """When its attempt fails for its slowness; None while nobody knows where it is."""
        if self.place is not Place.AT_EXECUTOR or not self.is_confirmed:
            return None
        return run_deadline(self.policies.timeouts, self.picked_up_at, self.heard_at)

    def wake_at(self) -> int:
        """When to look at it: its deadline, or the usual instant when that comes first."""
        deadline = self.run_deadline()
        if deadline is not None:
            return min(self.look_at, deadline.at)
        start_by = self._start_by()
        if start_by is None or self.may_have_started or self.place not in WAITING_PLACES:
            return self.look_at
        return min(self.look_at, start_by + 1)


class OpenAttempts:
    """Every open execution of the partitions held, by name, by executor and by the instant to look at it again."""

    def __init__(self, start_at: int) -> None:
        self._open: dict[ExecutionRef, OpenAttempt] = {}
        self._by_executor: dict[str, dict[ExecutionRef, None]] = {}
        self._queued: dict[str, dict[ExecutionRef, None]] = {}
        self._background: dict[str, dict[ExecutionRef, None]] = {}
        self._background_at: Counter[str] = Counter()
        self._paused: set[ExecutionRef] = set()
        self._held: set[ExecutionRef] = set()
        self._claiming: set[ExecutionRef] = set()
        self._timed: set[ExecutionRef] = set()
        self._wheel: TimingWheel[ExecutionRef] = TimingWheel(start_at, resolution_us=100_000)
        self.lines = TaskLines()
        self.released: Callable[[], None] = lambda: None
        """Called when one that was held is queued, or there may be room for more of what is made up for."""

    def __len__(self) -> int:
        return len(self._open)

    def get(self, ref: ExecutionRef) -> OpenAttempt | None:
        """The open execution of this name."""
        return self._open.get(ref)

    def add(self, item: Dispatchable, *, dispatched_at: int, wake_at: int) -> OpenAttempt:
        """Takes in an execution that was just recorded: at its executor, or queued when it has none."""
        known = self._open.get(item.ref)
        if known is not None:
            self._unlink(known)
        is_sent = item.executor_id is not None
        is_paused = not is_sent and item.wake_at is not None
        attempt = OpenAttempt(
            item.ref,
            item.attempt,
            item.executor_id,
            item.handler,
            item.due_at,
            item.claimed_at,
            dispatched_at if is_sent else None,
            None,
            Place.AT_EXECUTOR if is_sent else Place.PAUSED if is_paused else Place.QUEUED,
            delivery=item.delivery,
            policies=_policies(item.policies),
            origin=item.origin,
            is_waiting=not is_sent,
            heard_at=dispatched_at,
            task_version=item.task_version,
        )
        if known is not None:
            attempt.origin = known.origin
            attempt.was_held = known.was_held
            attempt.failure_count = known.failure_count
            attempt.may_have_started = known.may_have_started
            attempt.stop_reason = known.stop_reason
        self._link(attempt, wake_at if item.wake_at is None else item.wake_at)
        return attempt

    def begin_claiming(self, refs: Iterable[ExecutionRef]) -> None:
        """Leaves the rows of a claim to it until `end_claiming`, should they be found before it knows its outcome.

        An attempt that the claim is about to send must not be asked about: the executor would disown it.
        """
        self._claiming.update(refs)

    def end_claiming(self, refs: Iterable[ExecutionRef]) -> None:
        """The claim has told what it knows; what it does not know of is found by the sweep."""
        self._claiming.difference_update(refs)

    def end_claim(self, task: TaskRef, scheduled_at: Iterable[int]) -> None:
        """A claim that was noted in `lines` has told what it did."""
        self.lines.end_claim(task, scheduled_at)
        self._release(task)

    def begin_loading(self, partition_ids: Collection[int]) -> None:
        """Holds what has turns in these partitions until all that is open there is known."""
        self.lines.begin_loading(partition_ids)

    def end_loading(self, partition_ids: Collection[int]) -> None:
        """Everything that is open in these partitions was absorbed."""
        for ref in self.lines.end_loading(partition_ids):
            self._queue_if_held(ref)

    def absorb(self, row: OpenExecution, *, now: int, wake_at: int) -> OpenAttempt | None:
        """Takes in an open row found in the database; None when it is known already, or a claim's of this node.

        Args:
            wake_at: when to look at it, unless it has to wait for longer.
        """
        if row.ref in self._open or row.ref in self._claiming:
            return None
        is_waiting = row.state is ExecutionState.WAITING
        # Only these have to wait: others wait for credit, and their wake time says when the sweep looks at them.
        is_held_back = row.failure_count > 0 or row.origin in BACKGROUND
        is_paused = is_waiting and is_held_back and row.wake_at > now
        attempt = OpenAttempt(
            row.ref,
            row.attempt,
            row.executor_id,
            row.handler,
            row.due_at,
            row.claimed_at,
            row.dispatched_at,
            row.picked_up_at,
            Place.PAUSED if is_paused else Place.QUEUED if is_waiting else Place.AT_EXECUTOR,
            is_confirmed=is_waiting,
            delivery=row.delivery,
            policies=_policies(row.policies),
            origin=row.origin,
            failure_count=row.failure_count,
            is_waiting=is_waiting,
            may_have_started=row.attempt > 1 or row.picked_up_at is not None or row.failure_count > 0,
            heard_at=now,
            stop_reason=row.stop_reason,
            task_version=row.task_version,
        )
        self._link(attempt, row.wake_at if is_paused else wake_at)
        return attempt

    def _link(self, attempt: OpenAttempt, wake_at: int) -> None:
        self._open[attempt.ref] = attempt
        if attempt.policies.timeouts != DEFAULT.timeouts:
            self._timed.add(attempt.ref)
        self._put(attempt, attempt.place)
        self.wake_later(attempt, wake_at)

    def _put(self, attempt: OpenAttempt, place: Place) -> None:
        """Puts an execution that is in no index into that of a place; one that has turns is queued in its own only."""
        ref = attempt.ref
        is_waiting = attempt.has_not_begun and place in WAITING_PLACES
        self.lines.put(ref, is_waiting=is_waiting, is_background=attempt.is_background)
        if place is Place.QUEUED and attempt.has_turns and self.lines.next_of(_task_of(ref)) != ref:
            place = Place.HELD
        attempt.place = place
        if place is Place.QUEUED:
            queues = self._background if attempt.is_background else self._queued
            queues.setdefault(attempt.handler, {})[ref] = None
        elif place is Place.PAUSED:
            self._paused.add(ref)
        elif place is Place.HELD:
            self._held.add(ref)
            attempt.was_held = True
        elif place is Place.AT_EXECUTOR and attempt.executor_id is not None:
            self._by_executor.setdefault(attempt.executor_id, {})[ref] = None
            self._background_at[attempt.executor_id] += attempt.is_background

    def _unlink(self, attempt: OpenAttempt) -> None:
        self._paused.discard(attempt.ref)
        self._held.discard(attempt.ref)
        if attempt.place is Place.AT_EXECUTOR and attempt.is_background:
            self._background_at[attempt.executor_id or ""] -= 1
        for index, key in (
            (self._queued, attempt.handler),
            (self._background, attempt.handler),
            (self._by_executor, attempt.executor_id or ""),
        ):
            refs = index.get(key)
            if refs is not None:
                refs.pop(attempt.ref, None)
                if not refs:
                    del index[key]

    def end(self, ref: ExecutionRef) -> OpenAttempt | None:
        """Forgets an execution that is final, or no longer this node's; the next of its task has its turn."""
        attempt = self._open.pop(ref, None)
        if attempt is not None:
            self._unlink(attempt)
            self._timed.discard(ref)
            self._wheel.cancel(ref)
            self.lines.drop(ref)
            self._release(_task_of(ref))
            if attempt.is_background and self._background:
                self.released()
        return attempt

    def _release(self, task: TaskRef) -> None:
        ref = self.lines.next_of(task)
        if ref is not None:
            self._queue_if_held(ref)

    def _queue_if_held(self, ref: ExecutionRef) -> None:
        if ref in self._held:
            self.queue(self._open[ref])
            self.released()

    def queue(self, attempt: OpenAttempt) -> None:
        """Makes an execution wait for another executor: its present attempt is lost, was refused, or was never sent.

        `Mishaps` decides whether it may. One that begins in its task's turn is held when that has not come.
        """
        self._unlink(attempt)
        attempt.is_confirmed = True
        self._put(attempt, Place.QUEUED)
        if attempt.ref in self._timed:
            self.deadline_moved(attempt)

    def pause(self, attempt: OpenAttempt, until_at: int) -> None:
        """Takes an execution out of every queue until its wake time."""
        self._unlink(attempt)
        attempt.is_confirmed = True
        self._put(attempt, Place.PAUSED)
        self.wake_later(attempt, until_at)

    def fail(self, attempt: OpenAttempt, retry_at: int) -> None:
        """Makes an execution whose attempt failed wait for the next one: that is recorded."""
        self.pause(attempt, retry_at)
        attempt.failure_count += 1
        attempt.is_waiting = True
        attempt.may_have_started = True
        attempt.decision = None

    def decide(self, attempt: OpenAttempt, decision: Decision) -> None:
        """Takes an execution out of every queue but the wheel: it waits for its end to be written."""
        self._unlink(attempt)
        attempt.is_confirmed = True
        self._put(attempt, Place.ENDING)
        attempt.decision = decision

    def is_at_executor(self, ref: ExecutionRef, attempt: int) -> bool:
        """Whether this attempt is open and was not given up."""
        known = self._open.get(ref)
        return known is not None and known.attempt == attempt and known.place is Place.AT_EXECUTOR

    def is_on_its_way(self, attempt: OpenAttempt) -> bool:
        """Whether it was sent and its start has not been acknowledged yet."""
        return (
            attempt.place is Place.AT_EXECUTOR
            and attempt.picked_up_at is None
            and self._open.get(attempt.ref) is attempt
        )

    def of_task(self, ref: TaskRef) -> list[OpenAttempt]:
        """What is open of a task."""
        return [self._open[execution] for execution in self.lines.open_of(ref)]

    def claiming_tasks(self) -> set[TaskRef]:
        """The tasks that claims are under way for."""
        return {_task_of(ref) for ref in self._claiming}

    def of_partitions(self, partition_ids: Collection[int]) -> list[OpenAttempt]:
        """What is open in these partitions."""
        return [attempt for ref, attempt in self._open.items() if ref.partition_id in partition_ids]

    def at_executor(self, executor_id: str) -> list[OpenAttempt]:
        """What is open at an executor."""
        return [self._open[ref] for ref in self._by_executor.get(executor_id, ())]

    def count_at(self, executor_id: str) -> int:
        """How much is open at an executor."""
        return len(self._by_executor.get(executor_id, ()))

    def queued_handlers(self) -> list[str]:
        """The handlers for which executions wait."""
        return list(self._queued)

    def queued_count(self, handler: str) -> int:
        """How many executions of a handler wait."""
        return len(self._queued.get(handler, ()))

    def background_handlers(self) -> list[str]:
        """The handlers for which executions wait that are made up for."""
        return list(self._background)

    def background_count(self, handler: str) -> int:
        """How many executions of a handler wait that are made up for."""
        return len(self._background.get(handler, ()))

    def background_at(self, executor_id: str) -> int:
        """How much of what is open at an executor is made up for."""
        return self._background_at[executor_id]

    def begin_assigning(self, handler: str, limit: int, *, is_background: bool = False) -> list[OpenAttempt]:
        """Takes up to `limit` waiting executions of a handler, longest waiting first, into the assigning state.

        Args:
            is_background: of those that are made up for; else of the others.
        """
        refs = (self._background if is_background else self._queued).get(handler, {})
        taken: list[OpenAttempt] = []
        while refs and len(taken) < limit:
            attempt = self._open[next(iter(refs))]
            self._unlink(attempt)
            # What came since it was queued may have the turn now.
            is_turn = not attempt.has_turns or self.lines.next_of(_task_of(attempt.ref)) == attempt.ref
            self._put(attempt, Place.ASSIGNING if is_turn else Place.HELD)
            if is_turn:
                taken.append(attempt)
        return taken

    @property
    def held_count(self) -> int:
        """How many executions are held for others of their tasks."""
        return len(self._held)

    def in_the_way_of(self, attempt: OpenAttempt) -> list[ExecutionRef]:
        """What is under way of the task of an execution that is held."""
        task = _task_of(attempt.ref)
        return self.lines.under_way(task)

    @property
    def paused_count(self) -> int:
        """How many executions are paused."""
        return len(self._paused)

    @property
    def has_deadlines(self) -> bool:
        """Whether anything that is open has a timeout."""
        return bool(self._timed)

    def next_wake(self) -> int | None:
        """When to call `wake` again at the latest; None when nothing is open."""
        return self._wheel.next_deadline()

    def wake(self, now: int) -> list[OpenAttempt]:
        """Takes the executions whose wake time has come out of the wheel; the caller sets a new time for each."""
        return [self._open[ref] for ref in self._wheel.advance(now)]

    def wake_later(self, attempt: OpenAttempt, look_at: int) -> None:
        """Sets the next instant to look at an execution; its deadline may come before."""
        attempt.look_at = look_at
        self.deadline_moved(attempt)

    def deadline_moved(self, attempt: OpenAttempt) -> None:
        """To be called when the deadline of an attempt may have come nearer."""
        if attempt.ref in self._open:
            self._wheel.insert(attempt.ref, attempt.wake_at())

    def listen_anew(self, now: int) -> None:
        """Forgives silence so far: this process heard nothing, whatever was reported."""
        for ref in self._timed:
            attempt = self._open[ref]
            attempt.heard_at = max(attempt.heard_at, now)

    def forget_partitions(self, partition_ids: Collection[int]) -> None:
        """Drops everything of these partitions."""
        self.lines.forget_partitions(partition_ids)
        for ref in [ref for ref in self._open if ref.partition_id in partition_ids]:
            self.end(ref)
        self._claiming = {ref for ref in self._claiming if ref.partition_id not in partition_ids}

    def executors(self) -> Iterable[str]:
        """The executors at which anything is open."""
        return list(self._by_executor)


def _task_of(ref: ExecutionRef) -> TaskRef:
    return TaskRef(ref.partition_id, ref.task_key)


def _policies(text: str) -> Policies:
    """A text that a newer version wrote is no reason to lose sight of what is open: it goes by the defaults here."""
    try:
        return decode(text)
    except UnreadablePolicies:
        return DEFAULT
