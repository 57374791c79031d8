"""How long hand-overs took, in a few numbers. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mainspring.client import Handover

_ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class GapSpread:
    """The gaps of some hand-overs, and what they have caused.

    Attributes:
        count: How many have a gap; a first owner has none.
        p50: Half of the gaps are at most this long.
        p99: 99 of 100 are.
        greatest: The longest.
        late_execution_count: Due tasks that became late by them, in all.
        max_lateness: The greatest lateness of these when their new owner began to fire.
    """

    count: int
    p50: timedelta
    p99: timedelta
    greatest: timedelta
    late_execution_count: int
    max_lateness: timedelta


def gap_spread(handovers: Sequence[Handover]) -> GapSpread:
    """Return the spread; zeros when no hand-over has a gap."""
    gaps = sorted(handover.gap for handover in handovers if handover.gap is not None)
    return GapSpread(
        count=len(gaps),
        p50=_nearest_rank(gaps, 50),
        p99=_nearest_rank(gaps, 99),
        greatest=gaps[-1] if gaps else _ZERO,
        late_execution_count=sum(handover.late_execution_count for handover in handovers),
        max_lateness=max((handover.max_lateness for handover in handovers), default=_ZERO),
    )


def _nearest_rank(ordered: Sequence[timedelta], percent: int) -> timedelta:
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else _ZERO
