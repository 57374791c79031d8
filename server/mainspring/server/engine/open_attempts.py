"""The open executions of the partitions held: where each attempt is, and which wait for an executor. PURE."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from mainspring.server.core.model import Delivery, Dispatchable, ExecutionRef, OpenExecution
from mainspring.server.core.timing_wheel import TimingWheel


class Place(Enum):
    """Where an open execution is."""

    QUEUED = auto()
    """Waits for an executor with credit: its first, or the next after a lost one."""
    ASSIGNING = auto()
    """A transaction that gives it to an executor is under way."""
    PAUSED = auto()
    """Waits for its wake time before it is queued again."""
    AT_EXECUTOR = auto()
    """Recorded for an executor and sent, or believed to be there."""
    LOSING = auto()
    """Ends as LOST, as soon as that is written. Final in all but the ledger: nothing brings it back."""


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
    loss: str = ""
    """Why it is lost; set when LOSING."""


class OpenAttempts:
    """Every open execution of the partitions held, by name, by executor and by the instant to look at it again."""

    def __init__(self, start_at: int) -> None:
        self._open: dict[ExecutionRef, OpenAttempt] = {}
        self._by_executor: dict[str, dict[ExecutionRef, None]] = {}
        self._queued: dict[str, dict[ExecutionRef, None]] = {}
        self._paused: set[ExecutionRef] = set()
        self._claiming: set[ExecutionRef] = set()
        self._wheel: TimingWheel[ExecutionRef] = TimingWheel(start_at, resolution_us=100_000)

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
        attempt = OpenAttempt(
            item.ref,
            item.attempt,
            item.executor_id,
            item.handler,
            item.due_at,
            item.claimed_at,
            dispatched_at if is_sent else None,
            None,
            Place.AT_EXECUTOR if is_sent else Place.QUEUED,
            delivery=item.delivery,
        )
        self._link(attempt, wake_at)
        return attempt

    def begin_claiming(self, refs: Iterable[ExecutionRef]) -> None:
        """Leaves the rows of a claim to it until `end_claiming`, should they be found before it knows its outcome.

        An attempt that the claim is about to send must not be asked about: the executor would disown it.
        """
        self._claiming.update(refs)

    def end_claiming(self, refs: Iterable[ExecutionRef]) -> None:
        """The claim has told what it knows; what it does not know of is found by the sweep."""
        self._claiming.difference_update(refs)

    def absorb(self, row: OpenExecution, *, wake_at: int) -> OpenAttempt | None:
        """Takes in an open row found in the database; None when it is known already, or a claim's of this node."""
        if row.ref in self._open or row.ref in self._claiming:
            return None
        has_executor = row.executor_id is not None
        attempt = OpenAttempt(
            row.ref,
            row.attempt,
            row.executor_id,
            row.handler,
            row.due_at,
            row.claimed_at,
            row.dispatched_at,
            row.picked_up_at,
            Place.AT_EXECUTOR if has_executor else Place.QUEUED,
            is_confirmed=not has_executor,
            delivery=row.delivery,
        )
        self._link(attempt, wake_at)
        return attempt

    def _link(self, attempt: OpenAttempt, wake_at: int) -> None:
        self._open[attempt.ref] = attempt
        self._wheel.insert(attempt.ref, wake_at)
        if attempt.place is Place.QUEUED:
            self._queued.setdefault(attempt.handler, {})[attempt.ref] = None
        elif attempt.executor_id is not None:
            self._by_executor.setdefault(attempt.executor_id, {})[attempt.ref] = None

    def _unlink(self, attempt: OpenAttempt) -> None:
        self._paused.discard(attempt.ref)
        for index, key in ((self._queued, attempt.handler), (self._by_executor, attempt.executor_id or "")):
            refs = index.get(key)
            if refs is not None:
                refs.pop(attempt.ref, None)
                if not refs:
                    del index[key]

    def end(self, ref: ExecutionRef) -> OpenAttempt | None:
        """Forgets an execution that is final, or no longer this node's."""
        attempt = self._open.pop(ref, None)
        if attempt is not None:
            self._unlink(attempt)
            self._wheel.cancel(ref)
        return attempt

    def queue(self, attempt: OpenAttempt) -> None:
        """Makes an execution wait for another executor: its present attempt is lost, was refused, or was never sent.

        `Mishaps` decides whether it may.
        """
        self._unlink(attempt)
        attempt.place = Place.QUEUED
        attempt.is_confirmed = True
        self._queued.setdefault(attempt.handler, {})[attempt.ref] = None

    def pause(self, attempt: OpenAttempt, until_at: int) -> None:
        """Takes an execution out of every queue until its wake time."""
        self._unlink(attempt)
        attempt.place = Place.PAUSED
        self._paused.add(attempt.ref)
        attempt.is_confirmed = True
        self.wake_later(attempt, until_at)

    def lose(self, attempt: OpenAttempt, reason: str) -> None:
        """Takes an execution out of every queue but the wheel: it waits for its end to be written."""
        self._unlink(attempt)
        attempt.place = Place.LOSING
        attempt.is_confirmed = True
        attempt.loss = reason

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

    def begin_assigning(self, handler: str, limit: int) -> list[OpenAttempt]:
        """Takes up to `limit` waiting executions of a handler, longest waiting first, into the assigning state."""
        refs = self._queued.get(handler, {})
        taken = [self._open[ref] for ref, _ in zip(refs, range(limit), strict=False)]
        for attempt in taken:
            self._unlink(attempt)
            attempt.place = Place.ASSIGNING
        return taken

    @property
    def paused_count(self) -> int:
        """How many executions are paused."""
        return len(self._paused)

    def next_wake(self) -> int | None:
        """When to call `wake` again at the latest; None when nothing is open."""
        return self._wheel.next_deadline()

    def wake(self, now: int) -> list[OpenAttempt]:
        """Takes the executions whose wake time has come out of the wheel; the caller sets a new time for each."""
        return [self._open[ref] for ref in self._wheel.advance(now)]

    def wake_later(self, attempt: OpenAttempt, wake_at: int) -> None:
        """Sets the next instant to look at an execution."""
        if attempt.ref in self._open:
            self._wheel.insert(attempt.ref, wake_at)

    def forget_partitions(self, partition_ids: Collection[int]) -> None:
        """Drops everything of these partitions."""
        for ref in [ref for ref in self._open if ref.partition_id in partition_ids]:
            self.end(ref)
        self._claiming = {ref for ref in self._claiming if ref.partition_id not in partition_ids}

    def executors(self) -> Iterable[str]:
        """The executors at which anything is open."""
        return list(self._by_executor)
