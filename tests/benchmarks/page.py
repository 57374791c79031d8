"""`make bench-page`: writes the figures of the last full run into docs/performance.md, between its two marks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.circumstances import read_runs
from benchmarks.figures import FIGURES
from benchmarks.results import FILE, Results, Row, bench_folder, shown
from benchmarks.rig import BUFFER_POOL_MB, DURABLE, RigSettings
from benchmarks.targets import TARGETS

from mainspring.testing.cache import repository_root
from mainspring.testing.run_note import replace_part, table

PAGE = Path("docs") / "performance.md"
BEGIN, END = "<!-- the figures: written by `make bench-page` -->", "<!-- end of the figures -->"


def figures_text(results: Results, runs: Mapping[str, Mapping[str, str]]) -> str:
    """Circumstances, targets and every figure, as Markdown."""
    parts = [_circumstances(runs), "### Targets", _targets(results)]
    for name in FIGURES:
        rows = [_row(row) for row in results.rows(name)]
        if rows:
            parts += [f"### {name}", table(("", "median", "unit", "least", "greatest"), rows)]
    return "\n\n".join(parts)


def _circumstances(runs: Mapping[str, Mapping[str, str]]) -> str:
    by_run: dict[tuple[str, ...], list[str]] = {}
    for figure, run in runs.items():
        key = (run["commit"], run["when"][:10], run["machine"], run["python"])
        by_run.setdefault(key, []).append(figure)
    rows = [
        (", ".join(figures), *key, ", ".join(runs[figure]["load before"] for figure in figures))
        for key, figures in by_run.items()
    ]
    rig = RigSettings()
    options = ", ".join(["`innodb-flush-log-at-trx-commit=1`", *(f"`{option[2:]}`" for option in DURABLE)])
    settings = (
        f"MariaDB with a buffer pool of {BUFFER_POOL_MB} MiB, {options}; {rig.nodes} node, {rig.executors} executor of "
        f"capacity {rig.executor_capacity:,} that writes a run log; all of it and the callers on this machine. Where a "
        "figure is measured otherwise, the table above says so."
    )
    return (
        settings + "\n\n" + table(("figures", "commit", "day", "machine", "Python", "load before each"), rows)
    )


def _targets(results: Results) -> str:
    return table(("", "reached", "must", "aim", ""), [target.row(results) for target in TARGETS])


def _row(row: Row) -> Sequence[str]:
    name, value, unit, least, greatest = row
    return (name, shown(value), unit, *("" if each is None else shown(each) for each in (least, greatest)))


def main() -> int:
    """Write the page; 1 when there is nothing to write."""
    root, path = repository_root(), bench_folder() / FILE
    results = Results.load(path)
    if root is None or not results:
        print(f"no results in {path}: run `make bench` first", file=sys.stderr)
        return 1
    page = root / PAGE
    replace_part(page, BEGIN, END, figures_text(results, read_runs(path)))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
