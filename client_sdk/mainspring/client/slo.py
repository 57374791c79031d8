"""How late executions were, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum


class LatenessCause(Enum):
    """Where an execution's lateness came from: the first that fits."""

    UNSPECIFIED = 0
    """A cause that this client does not know."""
    STEADY = 1
    """None of the others: everyday work, less than a second late."""
    HERD = 2
    """200 or more were due in the same second."""
    HANDOVER = 3
    """Its partition changed its owner in order."""
    FAILOVER = 4
    """Its partition had no owner, for that had died, was cut off or did not let go."""
    NO_EXECUTOR = 5
    """No executor offered the handler, or those that did were busy all the time."""
    OVERLOAD = 6
    """More work than executors, nodes or the database could do."""


@dataclass(frozen=True, slots=True)
class SloFigures:
    """How late a number of executions were: pick-up minus due time.

    Attributes:
        count: How many executions.
        kept_count: How many of them kept the objective of their task.
        p50: Of the execution in the middle; None when there are none, as with the others.
        p99: What 99 of 100 did not exceed.
        max: The greatest.
    """

    count: int
    kept_count: int
    p50: timedelta | None
    p99: timedelta | None
    max: timedelta | None

    @property
    def kept_share(self) -> float | None:
        """The share that kept the objective, 0 to 1; None when there are none."""
        return self.kept_count / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Slo:
    """How late executions of a namespace were in a stretch of time.

    Attributes:
        total: Of all executions that were looked at.
        by_cause: The same by cause, for the causes that occurred.
        partitions_looked_at: How many partitions were looked at as a whole: at most 20,000 rows of the ledger are.
        partition_count: How many there are.
        not_run_count: Scheduled times that did not run at all: skipped or expired. Not part of the figures.
    """

    total: SloFigures
    by_cause: Mapping[LatenessCause, SloFigures] = field(hash=False)
    partitions_looked_at: int
    partition_count: int
    not_run_count: int
