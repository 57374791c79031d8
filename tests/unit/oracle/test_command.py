"""The run as a whole, its table, and the frozen corpus that only grows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from oracle import comparison, freeze, page, run
from oracle.run import AROUND_A_CHANGE, Place, Run
from oracle.zones import Change, History

SPRING = Change(1_774_746_000, 3_600, 7_200)
BERLIN = History("Europe/Berlin", 12, 3_600, (SPRING,))
WORK = (1, "bounds", [Place(BERLIN.zone, SPRING.at, AROUND_A_CHANGE, BERLIN.changes)])


def test_a_run_counts_what_it_compared_and_finds_nothing(tmp_path: Path) -> None:
    tally = run.look_at(WORK)
    finished = Run(1, [BERLIN], len(run.corpus("bounds")), tally, 61.0)
    assert (tally.unexplained, tally.smallest) == (0, [])
    assert tally.made["fires_between"] == tally.made["count_fires"] == finished.schedules
    file = tmp_path / "time.md"
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.write(file, finished)
    text = file.read_text()
    assert text.startswith(f"before\n{page.BEGIN}\n\n|")
    assert text.endswith(f"|\n\n{page.END}\nafter\n")
    assert "old" not in text
    assert f"| `fires_between` against the brute force | {finished.schedules} |" in text
    assert "| **differences not explained** | **0** |" in text


def test_a_run_keeps_the_smallest_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "count_fires", lambda schedule, after_at, before_at: -1)
    tally, more = run.look_at(WORK), run.look_at(WORK)
    assert tally.unexplained == tally.made["count_fires"]
    assert {difference.call for difference in tally.smallest} == {"count_fires"}
    tally.add(more)
    assert tally.unexplained == 2 * more.unexplained
    assert tally.smallest[0].size == min(difference.size for difference in more.smallest)


def test_the_page_has_its_marks() -> None:
    text = (Path(__file__).parents[3] / "docs" / "time.md").read_text()
    assert text.index(page.BEGIN) < text.index(page.END)


def test_every_change_and_random_days_are_looked_at() -> None:
    places = list(run.places_of([BERLIN], 1))
    assert [place.middle for place in places if place.reach == AROUND_A_CHANGE] == [SPRING.at]
    assert len(places) == 1 + run.RANDOM_DAYS + 1
    assert places == list(run.places_of([BERLIN], 1)) != list(run.places_of([BERLIN], 2))
    newest = run.end_of_month("Europe/Berlin", int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()))
    assert datetime.fromtimestamp(newest, UTC) == datetime(2026, 3, 31, 22, tzinfo=UTC)


def test_the_frozen_corpus_grows_and_never_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen, second = freeze.read()[:2]
    file = tmp_path / "corpus" / "schedules.tsv"
    monkeypatch.setattr(freeze, "FROZEN", file)
    for made in ([frozen], [frozen, second], [second]):
        monkeypatch.setattr(freeze, "made_lines", lambda made=made: made)
        assert freeze.main() == 0
    assert freeze.read(file) == [frozen, second]
    later = freeze.Line(second.after_at, (*second.fires[1:], second.fires[-1] + 60_000_000), second.text)
    monkeypatch.setattr(freeze, "made_lines", lambda: [later])
    assert freeze.main() == 1
    assert freeze.read(file) == [frozen, second]
