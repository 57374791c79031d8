"""Pictures of ledgers: how late, and what happened when. One file a figure, below build/bench."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mainspring.testing.history import LedgerRow
from mainspring.testing.load_run import SECOND_US
from mainspring.testing.report import Spread

_LEAST_MS = 0.1
_SLICES = 120
_LEAST_SLICE_US = 50_000
_STAGES = {"claimed_at": "claimed", "picked_up_at": "picked up", "saved_at": "result recorded"}
Ledgers = Mapping[str, Sequence[LedgerRow]]


def draw(ledgers: Ledgers, path: Path) -> None:
    """A line of pictures for each ledger: the distribution of lateness, and the stages over time.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4 * len(ledgers)), layout="constrained")
    axes = figure.subplots(len(ledgers), 2, squeeze=False)
    for (name, ledger), (left, right) in zip(ledgers.items(), axes, strict=True):
        _draw_lateness(left, name, ledger)
        _draw_time_line(right, ledger)
    figure.savefig(path, dpi=110)


def _draw_lateness(axes: Any, name: str, ledger: Sequence[LedgerRow]) -> None:
    lateness_us = sorted(row.picked_up_at - row.due_at for row in ledger if row.picked_up_at is not None)
    spread = Spread.of(lateness_us)
    axes.set_title(f"{name}: lateness of {spread.count:,} executions")
    axes.set_xlabel("ms, logarithmic")
    axes.set_ylabel("share")
    axes.set_xscale("log")
    values_ms = [max(_LEAST_MS, value / 1_000) for value in lateness_us]
    axes.plot(values_ms, [(number + 1) / spread.count for number in range(spread.count)])
    for percentile, color in (("p50", "C2"), ("p99", "C1"), ("max", "C3")):
        value_ms = max(_LEAST_MS, getattr(spread, f"{percentile}_us") / 1_000)
        axes.axvline(value_ms, color=color, linestyle="--", label=f"{percentile} {value_ms:,.1f} ms")
    axes.legend()


def _draw_time_line(axes: Any, ledger: Sequence[LedgerRow]) -> None:
    from_at = min(row.due_at for row in ledger)
    until_at = max(row.saved_at or row.due_at for row in ledger)
    slice_us = max(_LEAST_SLICE_US, (until_at - from_at) // _SLICES)
    axes.set_title(f"executions a second, in slices of {slice_us / 1_000:,.0f} ms")
    axes.set_xlabel("s after the first due time")
    for field, word in _STAGES.items():
        instants = [instant for row in ledger if (instant := getattr(row, field)) is not None]
        counts = Counter(max(0, instant - from_at) // slice_us for instant in instants)
        slices = range(max(counts, default=0) + 1)
        axes.plot(
            [number * slice_us / SECOND_US for number in slices],
            [counts[number] * SECOND_US / slice_us for number in slices],
            label=word,
        )
    axes.legend()
