"""What is said at the end of a simulation: on the console, and as JSON."""

from dataclasses import replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mainspring.dev.simulate.course import Outcome
from mainspring.dev.simulate.figures import (
    Bin,
    Slice,
    bins_json,
    distribution,
    first_starts,
    slices_json,
    time_line,
)
from mainspring.testing.report import render

_BAR_WIDTH = 40


def render_outcome(outcome: Outcome) -> RenderableType:
    """Lateness by size and over time, then the report with the verdict as its last line."""
    starts = first_starts(outcome.history)
    slices = time_line(starts, outcome.start_at, outcome.simulation.simulation.seconds)
    parts: list[RenderableType] = [
        _distribution(distribution(starts)),
        _time_line(outcome, slices),
        *(Text(sentence) for sentence in _sentences(outcome)),
        render(replace(outcome.report, is_ok=outcome.is_ok)),
    ]
    return Group(*parts)


def outcome_json(outcome: Outcome, *, file: str, stage: str) -> dict[str, Any]:
    """Everything as plain values, for `json.dumps`.

    Args:
        outcome: Of the run.
        file: The simulation's file or example.
        stage: "process" or "cluster".
    """
    general = outcome.simulation.simulation
    starts = first_starts(outcome.history)
    return {
        "file": file,
        "title": general.title,
        "stage": stage,
        "seed": general.seed,
        "seconds": general.seconds,
        "tasks": len(outcome.history.tasks),
        "is_ok": outcome.is_ok,
        "unasked": outcome.unasked,
        "events": [{"at_s": step.at_s, "what": step.what, "member": step.member} for step in outcome.steps],
        "distribution": bins_json(distribution(starts)),
        "time_line": slices_json(time_line(starts, outcome.start_at, general.seconds, slice_s=1)),
        "report": outcome.report.to_json(),
    }


def _sentences(outcome: Outcome) -> list[str]:
    report = outcome.report
    said: list[str] = []
    if report.failed:
        said.append(f"{report.failed:,} failed, as the mock handler 'fail' does each time it runs")
    if report.duplicated and outcome.verdict.is_ok:
        dead = ", ".join(step.member for step in outcome.steps if step.what == "executor dies")
        said.append(
            f"{report.duplicated:,} ran again because {dead} died meanwhile: delivery is at least once"
        )
    if report.skipped and outcome.verdict.is_ok:
        said.append(f"{report.skipped:,} were skipped, each with a reason in the ledger")
    if outcome.unasked:
        said.append(f"{outcome.unasked:,} ended otherwise than their handler was asked to")
    return said


def _distribution(bins: tuple[Bin, ...]) -> Table:
    table = Table("lateness", title="How late")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    total = sum(each.count for each in bins) or 1
    most = max(each.count for each in bins) or 1
    last = max((number for number, each in enumerate(bins) if each.count), default=0)
    for each in bins[: last + 1]:
        label = f"{_ms(each.from_ms)} and more" if each.until_ms is None else f"below {_ms(each.until_ms)}"
        bar = "█" * -(-each.count * _BAR_WIDTH // most)
        table.add_row(label, f"{each.count:,}", f"{each.count / total:.1%}", Text(bar, style="cyan"))
    return table


def _time_line(outcome: Outcome, slices: tuple[Slice, ...]) -> Table:
    table = Table("second", title="When: by due time")
    for name in ("due", "p50 ms", "p99 ms", "max ms"):
        table.add_column(name, justify="right")
    table.add_column("what happened")
    for each in slices:
        spread = each.lateness
        happened = [
            f"{step.member} {step.what.split(' ')[1]}"
            for step in outcome.steps
            if each.from_s <= step.at_s < each.until_s
        ]
        figures = [f"{us / 1_000:,.1f}" for us in (spread.p50_us, spread.p99_us, spread.max_us)]
        table.add_row(
            f"{each.from_s:g}-{each.until_s:g}",
            f"{spread.count:,}",
            *(figures if spread.count else ["", "", ""]),
            Text(", ".join(happened), style="yellow"),
        )
    return table


def _ms(duration_ms: int) -> str:
    return f"{duration_ms} ms" if duration_ms < 1_000 else f"{duration_ms / 1_000:g} s"
