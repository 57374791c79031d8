"""What this executor knows of its attempts. PURE: time is an argument.

    receive ──> NEW ──accept──> QUEUED ──start──> RUNNING ──finish──> FINISHED ──saved──> settled
                 └────refuse (stale epoch, no room, ...)────────────────^

A finished attempt is kept and its result repeated until a node says that it is saved. Settled attempts leave
a short memory of their outcome, so that a late duplicate is answered instead of run again. An attempt that was
answered NOT_MINE is remembered too, for it must never start afterwards. Both memories are bounded by count;
what they forget is still refused by its epoch, because whoever asked or saved has announced a newer one or is
the present owner, who counts attempts up.

Of each partition the highest epoch seen is kept; new work under a lower one is refused.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

AttemptKey = tuple[int, bytes, int, int]
"""Partition, task key, scheduled time in microseconds UTC, attempt number."""

REMEMBERED = 20_000
"""How many settled, and how many disowned, attempts are remembered."""


class Outcome(IntEnum):
    """How an attempt ended. The numbers are those of ResultOutcome."""

    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3
    REFUSED = 4


class Knowledge(IntEnum):
    """What is known of an attempt. The numbers are those of AttemptKnowledge."""

    NOT_MINE = 1
    RUNNING = 2
    QUEUED = 3
    FINISHED = 4


class Verdict(Enum):
    """What to do with an attempt that arrived."""

    NEW = "new"
    """Never seen: accept or refuse it."""
    DUPLICATE = "duplicate"
    """It is queued or runs: ignore it."""
    FINISHED = "finished"
    """It has ended: repeat its result."""
    STALE = "stale"
    """Its epoch is lower than one seen of its partition: refuse it."""
    DISOWNED = "disowned"
    """A node was told that it is not here: refuse it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one attempt ended.

    Attributes:
        outcome: The kind of end.
        output: What the handler returned.
        error: Why it failed, for people.
        error_kind: The kind of the error.
    """

    outcome: Outcome
    output: bytes = b""
    error: str = ""
    error_kind: str = ""


class Attempt:
    """One attempt that is open here.

    Attributes:
        key: Identifies it.
        epoch: Of its work item.
        node: The node that its result goes to first.
        knowledge: QUEUED, RUNNING or FINISHED.
        ending: Set when it has ended.
        sends: How often its result was handed to a session.
        sent_to: The node whose session that was last.
        sent_at_s: When that was last, monotonic seconds; minus infinity when never or in vain.
        started_at_s: When it began to run, monotonic seconds; None when it has not.
        progress_at_s: When its progress was last handed to a session, monotonic seconds; minus infinity when never.
    """

    __slots__ = (
        "ending",
        "epoch",
        "key",
        "knowledge",
        "node",
        "progress_at_s",
        "sends",
        "sent_at_s",
        "sent_to",
        "started_at_s",
    )

    def __init__(self, key: AttemptKey, epoch: int, node: str) -> None:
        self.key = key
        self.epoch = epoch
        self.node = node
        self.knowledge = Knowledge.QUEUED
        self.ending: Ending | None = None
        self.sends = 0
        self.sent_to = ""
        self.sent_at_s = float("-inf")
        self.started_at_s: float | None = None
        self.progress_at_s = float("-inf")

    def since_start_us(self, now_s: float) -> int:
        """How long ago it began to run, microseconds, at least 1; 0 when it has not."""
        return 0 if self.started_at_s is None else max(1, round((now_s - self.started_at_s) * 1e6))

    @property
    def result_bytes(self) -> int:
        """What its result holds in memory, about."""
        return len(self.ending.output) + len(self.ending.error) if self.ending else 0


class Answer(NamedTuple):
    """What is known of an attempt that a node asked about."""

    key: AttemptKey
    knowledge: Knowledge
    attempt: Attempt | None
    """None when it is not here."""


class AttemptBook:
    """Every open attempt of the process, over all nodes. For one task at a time.

    Args:
        remembered: How many settled, and how many disowned, attempts are remembered.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._epochs: dict[int, int] = {}
        self._open: dict[AttemptKey, Attempt] = {}
        # In the order of `sent_at_s`: what is due for repetition is always at the front.
        self._unsaved: OrderedDict[AttemptKey, Attempt] = OrderedDict()
        self._settled: OrderedDict[AttemptKey, Outcome] = OrderedDict()
        self._disowned: OrderedDict[AttemptKey, None] = OrderedDict()
        self.unsaved_bytes = 0

    @property
    def unsaved_count(self) -> int:
        """How many ended attempts wait to be saved."""
        return len(self._unsaved)

    @property
    def unfinished_count(self) -> int:
        """How many attempts are queued or run."""
        return len(self._open) - len(self._unsaved)

    def epoch(self, partition_id: int) -> int:
        """Return the highest epoch seen of a partition; 0 when none was."""
        return self._epochs.get(partition_id, 0)

    def raise_epoch(self, partition_id: int, epoch: int) -> None:
        """Refuse new work of the partition under a lower epoch from here on."""
        if epoch > self._epochs.get(partition_id, 0):
            self._epochs[partition_id] = epoch

    def get(self, key: AttemptKey) -> Attempt | None:
        """Return the open attempt, or None."""
        return self._open.get(key)

    def receive(self, key: AttemptKey, epoch: int, node: str) -> tuple[Verdict, Attempt | None]:
        """Judge an attempt that arrived from a node; the attempt is answered when it is known.

        What is known comes before the epoch: refusing a duplicate of an attempt that runs would let another
        executor start it.
        """
        attempt = self._open.get(key)
        if attempt is None and (outcome := self._settled.pop(key, None)) is not None:
            attempt = self._insert_finished(
                key, epoch, node, Ending(outcome, error="settled before; details are no longer kept")
            )
        if attempt is not None:
            self.raise_epoch(key[0], epoch)
            return (Verdict.FINISHED if attempt.ending else Verdict.DUPLICATE), attempt
        if epoch < self._epochs.get(key[0], 0):
            return Verdict.STALE, None
        self.raise_epoch(key[0], epoch)
        return (Verdict.DISOWNED if key in self._disowned else Verdict.NEW), None

    def accept(self, key: AttemptKey, epoch: int, node: str) -> Attempt:
        """Take in a NEW attempt, as queued."""
        attempt = self._open[key] = Attempt(key, epoch, node)
        return attempt

    def refuse(self, key: AttemptKey, epoch: int, node: str, kind: str, error: str) -> Attempt:
        """Keep a refusal as the attempt's result: it was never started here and never will be."""
        return self._insert_finished(key, epoch, node, Ending(Outcome.REFUSED, error=error, error_kind=kind))

    def finish(self, attempt: Attempt, ending: Ending) -> None:
        """Keep the result of an attempt that was queued or ran."""
        attempt.ending = ending
        attempt.knowledge = Knowledge.FINISHED
        self._unsaved[attempt.key] = attempt
        self._unsaved.move_to_end(attempt.key, last=False)
        self.unsaved_bytes += attempt.result_bytes

    def saved(self, key: AttemptKey) -> Attempt | None:
        """Forget an ended attempt whose result need not be repeated. Returns it, or None when it was not open."""
        attempt = self._unsaved.pop(key, None)
        if attempt is None or attempt.ending is None:
            return None
        del self._open[key]
        self.unsaved_bytes -= attempt.result_bytes
        self._settled[key] = attempt.ending.outcome
        while len(self._settled) > self._remembered:
            self._settled.popitem(last=False)
        return attempt

    def reconcile(self, asked: Sequence[tuple[AttemptKey, int]], node: str) -> list[Answer]:
        """Answer what is known of attempts, and take the node that asks for their owner.

        Args:
            asked: Attempts with the epoch of their partition now, which is announced thereby.
            node: Who asks; results go there from here on.
        """
        answers: list[Answer] = []
        for key, epoch in asked:
            self.raise_epoch(key[0], epoch)
            attempt = self._open.get(key)
            if attempt is None:
                self._disown(key)
                answers.append(Answer(key, Knowledge.NOT_MINE, None))
                continue
            attempt.node, attempt.sends = node, 0
            answers.append(Answer(key, attempt.knowledge, attempt))
            if attempt.ending:
                self._make_due(attempt)
        return answers

    def mark_sent(self, attempt: Attempt, now_s: float, node: str) -> None:
        """Note that the result was handed to the session of a node."""
        attempt.sends += 1
        attempt.sent_to = node
        attempt.sent_at_s = now_s
        if attempt.key in self._unsaved:
            self._unsaved.move_to_end(attempt.key)

    def due(self, now_s: float, repeat_after_s: float, limit: int) -> list[Attempt]:
        """Return ended attempts whose result was not handed out within the last `repeat_after_s`."""
        return list(self._take_due(now_s - repeat_after_s, limit))

    def make_due_for(self, node: str) -> None:
        """Make the results that a node was sent due at once: its stream has ended, or has come back."""
        for attempt in [
            attempt for attempt in self._unsaved.values() if node in (attempt.node, attempt.sent_to)
        ]:
            self._make_due(attempt)

    def has_open(self, node: str) -> bool:
        """Return whether an attempt that came from a node is queued, runs or waits to be saved."""
        return any(attempt.node == node for attempt in self._open.values())

    def _take_due(self, sent_before_s: float, limit: int) -> Iterator[Attempt]:
        for count, attempt in enumerate(self._unsaved.values()):
            if count >= limit or attempt.sent_at_s > sent_before_s:
                return
            yield attempt

    def _make_due(self, attempt: Attempt) -> None:
        attempt.sent_at_s = float("-inf")
        self._unsaved.move_to_end(attempt.key, last=False)

    def _insert_finished(self, key: AttemptKey, epoch: int, node: str, ending: Ending) -> Attempt:
        attempt = self._open[key] = Attempt(key, epoch, node)
        self.finish(attempt, ending)
        return attempt

    def _disown(self, key: AttemptKey) -> None:
        self._disowned[key] = None
        self._disowned.move_to_end(key)
        while len(self._disowned) > self._remembered:
            self._disowned.popitem(last=False)


def route(attempt: Attempt, live: Sequence[str]) -> str | None:
    """Return the node that gets the result next: the attempt's own, or in turn any other.

    Its own node is tried twice; after that every node gets its turn, for the own one may be alive and yet
    unable to save.

    Args:
        attempt: One that has ended.
        live: Nodes with a session, in a stable order.
    """
    if not live:
        return None
    if attempt.sends < 2 and attempt.node in live:
        return attempt.node
    return live[attempt.sends % len(live)]
