"""What the checker tolerates, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mainspring.testing.history import Kind, Record, TaskKey, to_dict


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds and margins of a check. Durations in microseconds.

    Attributes:
        lateness_us: Greatest lateness (I10).
        clock_margin_us: Greatest difference of the client's or the harness's clock and the cluster's time.
        executor_clock_margin_us: The same for the executors' clocks.
        stale_send_us: For how long after a change of owner what the old one committed may still be sent, and
            for how long after an acknowledged cancel a run may still start: what was sent travels, and a
            send follows its commit without another look at the epoch for up to 2 s.
        started_us: For how long after an acknowledged call what was on its way may still start where no fault is
            near: the call waits up to 0.5 s for it.
        stuck_after_us: How long a state that is not final may stand after its last sign of life (I9).
        ownerless_us: For how long a partition may have no living owner while database and coordinator are there (I8).
        settle_us: For how long after its heal what falls due still belongs to a fault.
        write_us: How long a result may take to be written without any fault: until then its execution counts as open.
        unknown_end_us: For how long, in the middle of a fault, a write may be on its way, or an owner may not know that an
            execution has ended: the answer was lost.
        fault_tail_us: For how long after its heal a fault still excuses what it excuses.
        required_kinds: Kinds of schedule that must have fired; None: those of the acknowledged tasks.
        required_cancels: Cancels that must have been acknowledged before the window's end.
        required_calls: Of calls by their kind, and of those that met a fire ("raced_pause"), so many at least.
        unknown_share: Greatest share of registrations whose outcome nobody knows: whatever becomes of those tasks
            is right, so too many of them prove nothing.
    """

    lateness_us: int = 10_000_000
    clock_margin_us: int = 250_000
    executor_clock_margin_us: int = 100_000
    stale_send_us: int = 2_500_000
    started_us: int = 1_000_000
    stuck_after_us: int = 30_000_000
    ownerless_us: int = 15_000_000
    settle_us: int = 10_000_000
    write_us: int = 750_000
    unknown_end_us: int = 5_000_000
    fault_tail_us: int = 10_000_000
    required_kinds: frozenset[Kind] | None = None
    required_cancels: int = 0
    required_calls: Mapping[str, int] = field(default_factory=dict)
    unknown_share: float = 0.2


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise.

    Attributes:
        invariant: "I1" to "I11", as numbered in docs/design.md; "deadlocks" when one was not retried.
        task: "namespace/task_id"; "partition/17" when a partition is meant, "fault/kill of node-1" when a fault is.
        scheduled_at: The scheduled time, or None when the task or partition as a whole is meant.
        message: What is wrong, with the numbers.
        evidence: The records that show it; never empty.
    """

    invariant: str
    task: str
    scheduled_at: int | None
    message: str
    evidence: tuple[Record, ...]

    @property
    def order(self) -> int:
        """The invariant's number; what is none comes last."""
        number = self.invariant[1:]
        return int(number) if number.isdigit() else 99

    def __str__(self) -> str:
        """One line for people, without the evidence."""
        when = "" if self.scheduled_at is None else f" at {self.scheduled_at}"
        return f"{self.invariant} {self.task}{when}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, the evidence with its kinds."""
        return {
            "invariant": self.invariant,
            "task": self.task,
            "scheduled_at": self.scheduled_at,
            "message": self.message,
            "evidence": [{"record": type(record).__name__, **to_dict(record)} for record in self.evidence],
        }


def violation_of(
    invariant: str, key: TaskKey, scheduled_at: int | None, message: str, *evidence: Record
) -> Violation:
    """A violation by a task, or by one scheduled time of it."""
    return Violation(invariant, "/".join(key), scheduled_at, message, evidence)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: violations, counts, and reasons why the history proves nothing (`vacuous`)."""

    violations: tuple[Violation, ...]
    counts: dict[str, int] = field(default_factory=dict)
    vacuous: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Nothing broken, and something proven."""
        return not self.violations and not self.vacuous

    def to_json(self) -> dict[str, Any]:
        """Plain values of everything."""
        return {
            "is_ok": self.is_ok,
            "counts": self.counts,
            "vacuous": list(self.vacuous),
            "violations": [violation.to_json() for violation in self.violations],
        }
