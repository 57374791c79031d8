"""Results: names with units, medians with their spread, files, and the page made of them."""

from pathlib import Path

import pytest
from benchmarks.circumstances import note_run, read_runs
from benchmarks.page import BEGIN, END, figures_text
from benchmarks.results import Results
from benchmarks.targets import Target

from mainspring.testing.run_note import replace_part


def test_a_figure_needs_a_unit() -> None:
    with pytest.raises(ValueError, match="tells no unit"):
        Results().put("burst drain", 1.0)


def test_several_measurements_are_a_median_with_least_and_greatest() -> None:
    results = Results()
    assert results.spread("burst drain (executions/s)", [300.0, 100.0, 200.0]) == 200.0
    assert dict(results) == {
        "burst drain (executions/s)": 200.0,
        "burst drain, least (executions/s)": 100.0,
        "burst drain, greatest (executions/s)": 300.0,
    }
    assert results.rows("burst") == [("burst drain", 200.0, "executions/s", 100.0, 300.0)]


def test_a_figure_measured_again_replaces_all_of_its_name_and_no_other() -> None:
    results = Results({"burst 5 drain (executions/s)": 1.0, "bursts (count)": 2.0})
    results.drop("burst")
    assert list(results) == ["bursts (count)"]


def test_a_ratio_needs_both_sides() -> None:
    results = Results({"a (x/s)": 3.0, "b (x/s)": 4.0})
    results.ratio("a to b", "a (x/s)", "b (x/s)")
    results.ratio("a to c", "a (x/s)", "c (x/s)")
    assert results["a to b (ratio)"] == 0.75
    assert "a to c (ratio)" not in results


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    results = Results({"a (x/s)": 3.0})
    results.save(tmp_path / "results.json")
    assert dict(Results.load(tmp_path / "results.json")) == {"a (x/s)": 3.0}
    assert not Results.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("value", "verdict"), [(900.0, "missed"), (1_000.0, "must"), (1_999.0, "must"), (2_000.0, "aim")]
)
def test_a_floor_is_missed_below_its_must(value: float, verdict: str) -> None:
    assert Target("drain", "a (x/s)", 1_000, 2_000).row({"a (x/s)": value})[-1] == verdict


@pytest.mark.parametrize(("value", "verdict"), [(61.0, "missed"), (60.0, "must"), (30.0, "aim")])
def test_a_ceiling_is_missed_above_its_must(value: float, verdict: str) -> None:
    target = Target("p99", "a (ms)", 60, 30, is_ceiling=True)
    assert target.row({"a (ms)": value}) == ("p99", f"{value:g} ms", "≤ 60", "≤ 30", verdict)


def test_what_was_not_measured_is_told() -> None:
    assert Target("drain", "a (x/s)", 1, 2).row({})[1] == "not measured"


def test_the_page_changes_between_its_marks_only(tmp_path: Path) -> None:
    results = Results({"limit (executions/s)": 12_345.0})
    note_run(tmp_path / "results.json", "limit")
    text = figures_text(results, read_runs(tmp_path / "results.json"))
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    replace_part(path, BEGIN, END, text)
    page = path.read_text()
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "| limit | 12,345 | executions/s |  |  |" in page
    assert "old" not in page
    path.write_text("no marks")
    with pytest.raises(ValueError, match="must hold"):
        replace_part(path, BEGIN, END, text)
    assert path.read_text() == "no marks"
