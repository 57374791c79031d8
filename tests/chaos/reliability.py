"""What the campaigns found: rows that stay between runs (docs/runs/reliability.json), the table in docs/reliability.md."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from chaos.judgement import CampaignJudgement, EpisodeFigures

from mainspring.testing.cache import repository_root
from mainspring.testing.report import Spread
from mainspring.testing.run_note import commit, machine, replace_part, table

BEGIN, END = "<!-- the table: written by `make chaos` -->", "<!-- end of the table -->"
_COLUMNS = (
    "fault",
    "times",
    "due",
    "latest ms",
    "of its due ms",
    "promised ms",
    "ran again",
    "lost",
    "registered",
    "hand-overs",
    "gap p99 ms",
    "stale writes",
    "deadlocks",
    "verdict",
    "seeds",
    "when",
    "commit",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a fault, over all its occurrences in one run of the command.

    Attributes:
        late_ms: The greatest lateness as the promise counts it; `late_from_due_ms`: from the due time, always.
        runs_again: Executions that ran more than once, each explained by the fault of its executor.
        lost: At-most-once executions that ended as LOST.
        registered: Tasks acknowledged meanwhile.
        handovers: Partitions handed over in order; `gap_p99_ms`: for how long nobody fired them.
        deadlocks: Of the whole campaign: as the database counted them, and how many of them the nodes retried.
    """

    fault: str
    times: int
    due: int
    late_ms: float
    late_from_due_ms: float
    bound_ms: float
    runs_again: int
    lost: int
    registered: int
    handovers: int
    gap_p99_ms: float
    stale_writes: int
    deadlocks: str
    verdict: str
    seeds: tuple[int, ...]
    when: str
    commit: str

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        return (
            self.fault,
            str(self.times),
            f"{self.due:,}",
            f"{self.late_ms:,.0f}",
            f"{self.late_from_due_ms:,.0f}",
            f"{self.bound_ms:,.0f}",
            str(self.runs_again),
            str(self.lost),
            f"{self.registered:,}",
            f"{self.handovers:,}",
            f"{self.gap_p99_ms:,.0f}" if self.handovers else "",
            str(self.stale_writes),
            self.deadlocks,
            self.verdict,
            ", ".join(map(str, self.seeds)),
            self.when,
            self.commit,
        )


def rows_of(judgement: CampaignJudgement, seed: int, *, suffix: str = "") -> list[Row]:
    """A campaign's rows. Every violation of a campaign stands in each of its rows: they share their evidence."""
    by_fault: dict[str, list[EpisodeFigures]] = {}
    for figures in judgement.figures:
        by_fault.setdefault(figures.episode.name + suffix, []).append(figures)
    violations = sorted({violation.invariant for violation in judgement.verdict.violations})
    audit, deadlocks = judgement.history.audit, judgement.history.deadlocks
    rows: list[Row] = []
    for fault, occurrences in by_fault.items():
        gaps = Spread.of(gap_us for figures in occurrences for gap_us in figures.episode.gaps_us)
        late = [*violations, *judgement.verdict.vacuous]
        if not all(figures.keeps_bound for figures in occurrences):
            late.append("late")
        rows.append(
            Row(
                fault,
                len(occurrences),
                sum(figures.due for figures in occurrences),
                max(figures.late_us for figures in occurrences) / 1_000,
                max(figures.late_from_due_us for figures in occurrences) / 1_000,
                occurrences[0].episode.bound_us / 1_000,
                sum(figures.runs_again for figures in occurrences),
                sum(figures.lost for figures in occurrences),
                sum(figures.registered for figures in occurrences),
                gaps.count,
                gaps.p99_us / 1_000,
                len(audit.stale_writes) if audit else 0,
                "" if deadlocks is None else str(deadlocks),
                ", ".join(late) or "ok",
                (seed,),
                datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
                commit(),
            )
        )
    return rows


def note(rows: Iterable[Row]) -> None:
    """Put rows in the place of earlier ones of their faults, and write the table anew; nothing outside a checkout."""
    root = repository_root()
    if root is None:
        return
    data = root / "docs" / "runs" / "reliability.json"
    earlier = json.loads(data.read_text())["rows"] if data.exists() else []
    names = {field.name for field in fields(Row)}
    kept = {row["fault"]: row for row in earlier if row.keys() == names}  # of other columns nothing is kept
    kept.update({row.fault: asdict(row) for row in rows})
    data.write_text(json.dumps({"machine": machine(), "rows": list(kept.values())}, indent=1) + "\n")
    write_table(root / "docs" / "reliability.md", kept.values())


def write_table(page: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write the table between its marks; the rest of the page is left as it is."""
    lines = table(_COLUMNS, (Row(**{**row, "seeds": tuple(row["seeds"])}).cells() for row in rows))  # type: ignore[arg-type]
    replace_part(page, BEGIN, END, f"Machine: {machine()}.\n\n{lines}")
