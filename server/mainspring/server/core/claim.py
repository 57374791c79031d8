"""What a claim is asked to write, decided before its transaction begins, and what it answers. PURE."""

from __future__ import annotations

from dataclasses import dataclass, field

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.model import DueTask, ExecutionOrigin, ExecutionRef


@dataclass(frozen=True, slots=True)
class ClaimGap:
    """A stretch of scheduled times to be recorded as skipped in one row."""

    from_at: int
    to_at: int
    count: int
    reason: str


@dataclass(slots=True)
class ClaimRun:
    """One execution that a claim records."""

    scheduled_at: int
    due_at: int
    executor_id: str | None
    """Where credit was reserved; None leaves the execution WAITING."""
    origin: ExecutionOrigin = ExecutionOrigin.SCHEDULE
    wake_at: int | None = None
    """For one that waits: not to be given to an executor before this. None: as soon as it may, and looked at again when
    the claim says."""
    skip_reason: str = ""
    """Set: it never runs, and is recorded as SKIPPED for this reason, or as EXPIRED."""
    is_expired: bool = False
    """Whether it never runs for it is too late to start."""
    has_payload: bool = False
    """Whether it gets a payload of its own, from its task's `adjusted_payloads`."""


@dataclass(slots=True)
class ClaimItem:
    """One due task with everything decided before the transaction begins."""

    due: DueTask
    runs: tuple[ClaimRun, ...]
    """Ascending: those that are made up for, then those that are due now, run or skipped."""
    gap: ClaimGap | None
    """Recorded before the runs; all its times lie before theirs."""
    next_scheduled_at: int | None
    """None: nothing is left, the task becomes COMPLETED."""
    next_due_at: int | None
    replaced: tuple[ExecutionRef, ...] = ()
    """Open executions of the task that are to be cancelled once this is recorded."""
    next_adjustments: str | None = None
    """What is left of the task's adjustments then."""
    next_owed: str | None = None
    """What the task owes of earlier schedules then."""

    @property
    def is_expired(self) -> bool:
        """Whether all that it asks for is too late to start."""
        return bool(self.runs) and all(run.is_expired for run in self.runs)


@dataclass(frozen=True, slots=True)
class ClaimOutcome:
    """What a claim did. Tasks neither claimed nor in `dropped` belonged to a refused partition."""

    claimed: list[Dispatchable]
    moved: list[ClaimItem]
    """The items whose task moved on to its next time."""
    dropped: list[ClaimItem]
    """Locked by somebody, changed, cancelled or already claimed: the sweep finds what is still due, however it came."""
    refused: frozenset[int]
    """Partitions whose row shows another owner or epoch: stop them at once."""
    parked: list[ClaimItem] = field(default_factory=list)
    """Those of `dropped` whose rows the database does not take: they are due a minute later now."""
    outdated: list[Dispatchable] = field(default_factory=list)
    """Recorded, and their tasks were changed before that was known: to be ended, never to be sent. Without payload."""
