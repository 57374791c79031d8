"""The summary of a run: how much was scheduled and ran, how late, and where the time went.

Figures come from the ledger; runs per executor and their lateness come from the executors' own logs, so that
both can be compared. Pure; Rich is imported by `render` alone. Durations are in microseconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainspring.testing.checker import Verdict
from mainspring.testing.history import History, LedgerRow, Run

if TYPE_CHECKING:
    from rich.console import RenderableType

STAGES: tuple[tuple[str, str, str], ...] = (
    ("claimed - due", "due_at", "claimed_at"),
    ("dispatched - claimed", "claimed_at", "dispatched_at"),
    ("picked up - dispatched", "dispatched_at", "picked_up_at"),
    ("finished - picked up", "picked_up_at", "finished_at"),
    ("saved - finished", "finished_at", "saved_at"),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles (nearest rank) of some durations, all 0 when there are none."""

    count: int
    p50_us: int
    p99_us: int
    max_us: int

    @classmethod
    def of(cls, values: Iterable[int]) -> "Spread":
        """The spread of `values`, in any order."""
        ordered = sorted(values)
        if not ordered:
            return cls(0, 0, 0, 0)
        return cls(len(ordered), _percentile(ordered, 50), _percentile(ordered, 99), ordered[-1])

    def to_json(self) -> dict[str, int]:
        """The fields by name."""
        return {"count": self.count, "p50_us": self.p50_us, "p99_us": self.p99_us, "max_us": self.max_us}


def _percentile(ordered: Sequence[int], percent: int) -> int:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers of a run.

    Attributes:
        scheduled: Scheduled times that had to be recorded, and those at the edges that were.
        executed: Those of them that ran at least once.
        missing: Those without a row, or without the run that their row tells of.
        duplicated: Those that ran again without being a retry.
        by_kind: Executed scheduled times per kind of schedule.
        lateness: Pick-up minus due, from the ledger.
        started: The executor's start minus due, from the run logs: the cross-check of `lateness`.
        stages: Spread per stage, in the order of `STAGES`.
        nodes: Lateness per node that decided the attempt.
        executors: Start minus due per executor.
        violations: One line each, at most `LISTED_VIOLATIONS`.
    """

    scheduled: int
    executed: int
    missing: int
    duplicated: int
    skipped: int
    failed: int
    by_kind: dict[str, int]
    lateness: Spread
    started: Spread
    stages: dict[str, Spread]
    nodes: dict[str, Spread]
    executors: dict[str, Spread]
    is_ok: bool
    violation_count: int
    violations: tuple[str, ...]
    vacuous: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values of everything, for `json.dumps`."""
        return {
            "is_ok": self.is_ok,
            "scheduled": self.scheduled,
            "executed": self.executed,
            "missing": self.missing,
            "duplicated": self.duplicated,
            "skipped": self.skipped,
            "failed": self.failed,
            "by_kind": self.by_kind,
            "lateness": self.lateness.to_json(),
            "started": self.started.to_json(),
            "stages": _to_json(self.stages),
            "nodes": _to_json(self.nodes),
            "executors": _to_json(self.executors),
            "violation_count": self.violation_count,
            "violations": list(self.violations),
            "vacuous": list(self.vacuous),
        }


LISTED_VIOLATIONS = 20


def summarize(history: History, verdict: Verdict) -> Report:
    """The report of a history and the checker's verdict on it."""
    counts = verdict.counts
    dues = {
        (row.namespace, row.task_id, row.scheduled_at): row.due_at
        for row in history.ledger
        if row.gap_until is None and not row.is_made_up_for
    }
    kinds = {task.key: task.kind for task in history.tasks}
    by_kind: dict[str, int] = dict.fromkeys(sorted(set(kinds.values())), 0)
    firsts: dict[tuple[str, str, int], Run] = {}
    for run in sorted(history.runs, key=lambda run: run.started_at):
        firsts.setdefault((run.namespace, run.task_id, run.scheduled_at), run)
    # The pick-up of a later attempt says nothing about lateness: the first start counts.
    picked_up = [
        row
        for row in history.ledger
        if row.picked_up_at is not None
        and not row.is_made_up_for
        and (first := firsts.get((row.namespace, row.task_id, row.scheduled_at))) is not None
        and first.attempt == row.attempt
    ]
    for key in firsts:
        if kind := kinds.get(key[:2]):
            by_kind[kind] += 1
    starts = [(run.executor_id, run.started_at - dues[key]) for key, run in firsts.items() if key in dues]
    return Report(
        scheduled=counts["scheduled"],
        executed=counts["executed"],
        missing=counts["missing"],
        duplicated=counts["duplicated"],
        skipped=counts["skipped"],
        failed=counts["failed"],
        by_kind=by_kind,
        lateness=Spread.of(_lateness(row) for row in picked_up),
        started=Spread.of(lateness_us for _, lateness_us in starts),
        stages={name: _stage(history.ledger, begin, end) for name, begin, end in STAGES},
        nodes=_grouped((row.node_id or "unknown", _lateness(row)) for row in picked_up),
        executors=_grouped(starts),
        is_ok=verdict.is_ok,
        violation_count=len(verdict.violations),
        violations=tuple(map(str, verdict.violations[:LISTED_VIOLATIONS])),
        vacuous=verdict.vacuous,
    )


def _lateness(row: LedgerRow) -> int:
    return (row.picked_up_at or 0) - row.due_at


def _stage(rows: Iterable[LedgerRow], begin: str, end: str) -> Spread:
    pairs = ((getattr(row, begin), getattr(row, end)) for row in rows)
    return Spread.of(after - before for before, after in pairs if before is not None and after is not None)


def _grouped(pairs: Iterable[tuple[str, int]]) -> dict[str, Spread]:
    groups: dict[str, list[int]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return {name: Spread.of(groups[name]) for name in sorted(groups)}


def _to_json(spreads: dict[str, Spread]) -> dict[str, dict[str, int]]:
    return {name: spread.to_json() for name, spread in spreads.items()}


def render(report: Report) -> "RenderableType":
    """The report for a terminal; needs the package `rich` (extra `server`)."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    numbers = Table(
        "scheduled", "executed", "missing", "duplicated", "skipped", "failed", title="Scheduled times"
    )
    for column in numbers.columns:
        column.justify = "right"
    numbers.add_row(
        *(
            f"{number:,}"
            for number in (
                report.scheduled,
                report.executed,
                report.missing,
                report.duplicated,
                report.skipped,
                report.failed,
            )
        )
    )

    def table(title: str, first: str, spreads: Iterable[tuple[str, Spread]]) -> Table:
        made = Table(first, title=title)
        for name in ("count", "p50 ms", "p99 ms", "max ms"):
            made.add_column(name, justify="right")
        for name, spread in spreads:
            made.add_row(
                name, f"{spread.count:,}", _ms(spread.p50_us), _ms(spread.p99_us), _ms(spread.max_us)
            )
        return made

    lateness = [("picked up - due (ledger)", report.lateness), ("started - due (executors)", report.started)]
    parts: list[RenderableType] = [
        numbers,
        Text("executed: " + ", ".join(f"{number:,} {kind}" for kind, number in report.by_kind.items())),
        table("Lateness", "witness", lateness),
        table("Stages", "stage", report.stages.items()),
        table("Lateness per node", "node", report.nodes.items()),
        table("Lateness per executor", "executor", report.executors.items()),
    ]
    parts += [Text(line, style="red") for line in report.violations]
    if report.violation_count > len(report.violations):
        parts.append(Text(f"... and {report.violation_count - len(report.violations):,} more", style="red"))
    parts += [Text(f"proves nothing: {reason}", style="yellow") for reason in report.vacuous]
    parts.append(
        Text("verdict: ok", style="bold green") if report.is_ok else Text("verdict: NOT OK", style="bold red")
    )
    return Group(*parts)


def _ms(duration_us: int) -> str:
    return f"{duration_us / 1000:,.1f}"
