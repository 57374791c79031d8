"""The table of the last whole run in docs/time.md."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from oracle import second_oracle
from oracle.run import AROUND_A_CHANGE, AROUND_A_DAY, LONG, Run
from oracle.zones import DAY

from mainspring.testing.cache import repository_root
from mainspring.testing.run_note import replace_part, table

BEGIN, END = "<!-- oracle: written by `make oracle` -->", "<!-- end of oracle -->"

_CALLS = ("fires_between", "next_fire", "count_fires", "last_fire")


def note(run: Run) -> None:
    """Write the table into docs/time.md; nothing outside a checkout."""
    root = repository_root()
    if root is not None:
        write(root / "docs" / "time.md", run)


def write(page: Path, run: Run) -> None:
    """Write the table between its marks; the rest of the page is left as it is."""
    replace_part(page, BEGIN, END, lines_of(run))


def lines_of(run: Run) -> str:
    """The table as Markdown."""
    tally = run.tally
    rows = [
        ("release of tzdata", import_module("tzdata").IANA_VERSION),
        ("distinct offset histories from 2000 to 2039", f"{len(run.histories):,}"),
        ("names that share them", f"{sum(history.names for history in run.histories):,}"),
        ("clock changes", f"{run.changes:,}"),
        ("schedules", f"{run.schedules:,}"),
        (f"windows of {_days(AROUND_A_CHANGE)} around a clock change", f"{tally.windows[AROUND_A_CHANGE]:,}"),
        (f"random windows of {_days(AROUND_A_DAY)}", f"{tally.windows[AROUND_A_DAY]:,}"),
        (f"random windows of {_days(LONG)}", f"{tally.windows[LONG]:,}"),
        *((f"`{call}` against the brute force", f"{tally.made[call]:,}") for call in _CALLS),
        ("fires within `fires_between`", f"{tally.made['fires']:,}"),
        ("cronsim against the brute force", f"{tally.made['cronsim']:,}"),
        *((f"cronsim differs: {rule}", f"{tally.explained[rule]:,}") for rule in second_oracle.RULES),
        ("**differences not explained**", f"**{tally.unexplained:,}**"),
        ("seed", str(run.seed)),
        ("minutes", f"{run.seconds / 60:.1f}"),
    ]
    return table(("", ""), rows)


def _days(reach: int) -> str:
    return f"±{reach // DAY} day{'s' if reach > DAY else ''}"
