"""How late a run was, and when: what report, JSON and charts share. PURE.

Lateness here is the first start by the executors' own logs minus the ledger's due time, so that what ran again after an
executor's death counts with its first start. Instants are microseconds UTC, durations microseconds unless named.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mainspring.testing.history import History
from mainspring.testing.report import Spread

SECOND_US = 1_000_000
EDGES_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
_SLICES_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
_MOST_SLICES = 16


@dataclass(frozen=True, slots=True)
class Start:
    """The first start of one scheduled time."""

    due_at: int
    lateness_us: int
    executor_id: str


@dataclass(frozen=True, slots=True)
class Bin:
    """How many starts were late by `from_ms` up to, and without, `until_ms`; None: no limit."""

    from_ms: int
    until_ms: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Slice:
    """What was due within a part of the time line; seconds count from its beginning."""

    from_s: float
    until_s: float
    lateness: Spread


def first_starts(history: History) -> tuple[Start, ...]:
    """The first start of every scheduled time that ran, by due time."""
    dues = {
        (row.namespace, row.task_id, row.scheduled_at): row.due_at
        for row in history.ledger
        if row.gap_until is None
    }
    firsts: dict[tuple[str, str, int], Start] = {}
    for run in sorted(history.runs, key=lambda run: run.started_at):
        key = (run.namespace, run.task_id, run.scheduled_at)
        if key in dues and key not in firsts:
            firsts[key] = Start(dues[key], run.started_at - dues[key], run.executor_id)
    return tuple(sorted(firsts.values(), key=lambda start: start.due_at))


def distribution(starts: Sequence[Start]) -> tuple[Bin, ...]:
    """The starts by lateness; one by less than nothing, as clocks may show it, counts into the first bin."""
    counts = [0] * (len(EDGES_MS) + 1)
    for start in starts:
        counts[bisect_right(EDGES_MS, start.lateness_us / 1_000)] += 1
    return tuple(
        Bin(from_ms, until_ms, count)
        for from_ms, until_ms, count in zip((0, *EDGES_MS), (*EDGES_MS, None), counts, strict=True)
    )


def time_line(
    starts: Sequence[Start], start_at: int, seconds: float, *, slice_s: float | None = None
) -> tuple[Slice, ...]:
    """The starts by due time, in slices of equal length (the last may be shorter).

    Args:
        starts: As `first_starts` gives them.
        start_at: When the time line begins; what was due before it is left out, and what was due after its end.
        seconds: How long it is.
        slice_s: Length of a slice; None: such that there are at most 16.
    """
    length_s = slice_s or next((each for each in _SLICES_S if seconds / each <= _MOST_SLICES), _SLICES_S[-1])
    count = max(1, -int(-seconds // length_s))
    groups: list[list[int]] = [[] for _ in range(count)]
    for start in starts:
        at_s = (start.due_at - start_at) / SECOND_US
        if 0 <= at_s < seconds:
            groups[int(at_s // length_s)].append(start.lateness_us)
    return tuple(
        Slice(number * length_s, min(seconds, (number + 1) * length_s), Spread.of(group))
        for number, group in enumerate(groups)
    )


def bins_json(bins: Sequence[Bin]) -> list[dict[str, Any]]:
    """Plain values."""
    return [{"from_ms": each.from_ms, "until_ms": each.until_ms, "count": each.count} for each in bins]


def slices_json(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """Plain values."""
    return [
        {"from_s": each.from_s, "until_s": each.until_s, "lateness": each.lateness.to_json()}
        for each in slices
    ]
