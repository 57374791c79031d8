"""Draws a run as PNG or SVG: how late, and when. matplotlib is imported here alone, and only when asked for."""

import importlib
from pathlib import Path
from typing import Any

from mainspring.dev.simulate.course import Outcome
from mainspring.dev.simulate.figures import first_starts, time_line

SUFFIXES = (".png", ".svg")
INSTALL = "matplotlib is not installed; --plot needs: pip install 'mainspring[plots]'"
_BARS = 40
_LEAST_MS = 0.1
"""Bars are as wide as logarithms have it; what started at once, or before, by some clock, stands in the first."""
_DUE, _P50, _P99, _MAX, _EVENT = "#c9d7e8", "#2a6fb0", "#e08214", "#b2182b", "#555555"


class CannotPlotError(Exception):
    """The charts cannot be drawn; the message says why and what to do."""


def check_plot(path: Path) -> None:
    """See that charts can be drawn there: before a run, not after it.

    Raises:
        CannotPlotError: They cannot.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CannotPlotError(f"{path} does not end in {' or '.join(SUFFIXES)}")
    try:
        importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise CannotPlotError(INSTALL) from None


def draw(outcome: Outcome, path: Path) -> None:
    """Draw the distribution of lateness and the time line into a file.

    Raises:
        OSError: It cannot be written.
    """
    from matplotlib.figure import Figure

    general = outcome.simulation.simulation
    figure = Figure(figsize=(11, 8), layout="constrained")
    verdict = "verdict: ok" if outcome.is_ok else "verdict: NOT OK"
    figure.suptitle(
        f"{general.title}: {outcome.report.executed:,} executions, seed {general.seed}, {verdict}"
    )
    above, below = figure.subplots(2, 1)
    starts = first_starts(outcome.history)
    _draw_distribution(above, [start.lateness_us / 1_000 for start in starts])
    _draw_time_line(below, outcome)
    figure.savefig(path, dpi=120)


def _draw_distribution(axes: Any, lateness_ms: list[float]) -> None:
    axes.set_title("Lateness of the first start")
    axes.set_xlabel("ms, logarithmic")
    axes.set_ylabel("executions")
    if not lateness_ms:
        return
    ordered = sorted(max(_LEAST_MS, each) for each in lateness_ms)
    greatest = max(ordered[-1], _LEAST_MS * 10)
    edges = [_LEAST_MS * (greatest / _LEAST_MS) ** (number / _BARS) for number in range(_BARS + 1)]
    axes.hist(ordered, bins=[*edges[:-1], greatest * 1.0001], color=_P50)
    axes.set_xscale("log")
    for percent, color in ((50, _P50), (99, _P99), (100, _MAX)):
        value = ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
        name = "max" if percent == 100 else f"p{percent}"
        axes.axvline(value, color=color, linestyle="--", label=f"{name} {value:,.1f} ms")
    axes.legend()


def _draw_time_line(axes: Any, outcome: Outcome) -> None:
    general = outcome.simulation.simulation
    slice_s = max(1.0, general.seconds / 120)
    slices = time_line(first_starts(outcome.history), outcome.start_at, general.seconds, slice_s=slice_s)
    axes.set_title("By due time")
    axes.set_xlabel("s of the time line")
    axes.set_ylabel("lateness in ms")
    axes.set_xlim(0, general.seconds)
    counts = axes.twinx()
    counts.set_ylabel(f"due in {slice_s:g} s")
    counts.bar(
        [each.from_s for each in slices],
        [each.lateness.count for each in slices],
        width=[each.until_s - each.from_s for each in slices],
        align="edge",
        color=_DUE,
    )
    # The bars belong behind the lines.
    axes.set_zorder(counts.get_zorder() + 1)
    axes.patch.set_visible(False)
    shown = [each for each in slices if each.lateness.count]
    middles = [(each.from_s + each.until_s) / 2 for each in shown]
    for name, color in (("p50", _P50), ("p99", _P99), ("max", _MAX)):
        values = [max(_LEAST_MS, getattr(each.lateness, f"{name}_us") / 1_000) for each in shown]
        axes.plot(middles, values, color=color, marker=".", label=name)
    axes.set_yscale("log")
    for step in outcome.steps:
        axes.axvline(step.at_s, color=_EVENT, linestyle=":")
        label = f" {step.member} {step.what.split(' ')[1]}"
        axes.text(step.at_s, 0.98, label, transform=axes.get_xaxis_transform(), va="top", color=_EVENT)
    axes.legend(loc="upper right")
