"""How late and when, and the charts of it, from a small history; what is said when charts cannot be drawn."""

import sys
from pathlib import Path
from typing import Any

import pytest

from mainspring.dev.simulate.charts import CannotPlotError, check_plot, draw
from mainspring.dev.simulate.config import General, Herd, Simulation
from mainspring.dev.simulate.course import Outcome
from mainspring.dev.simulate.figures import Start, distribution, first_starts, time_line
from mainspring.dev.simulate.summary import outcome_json
from mainspring.dev.simulate.timeline import Step
from mainspring.testing.checker import check
from mainspring.testing.history import AcknowledgedTask, History, LedgerRow, Run
from mainspring.testing.report import summarize

SECOND_US = 1_000_000
START_AT = 1_800_000_000 * SECOND_US


def task(number: int, handler: str = "noop") -> AcknowledgedTask:
    return AcknowledgedTask(
        "n", f"t{number}", "one-time", handler, START_AT - 5, START_AT - 4, at=START_AT + number * SECOND_US
    )


def run(number: int, late_us: int, attempt: int = 1) -> Run:
    due_at = START_AT + number * SECOND_US
    return Run("n", f"t{number}", due_at, attempt, 1, 0, f"executor-{attempt}", "noop", due_at + late_us)


def row(number: int, state: str = "SUCCEEDED") -> LedgerRow:
    due_at = START_AT + number * SECOND_US
    return LedgerRow("n", f"t{number}", due_at, due_at, state, attempt=1, picked_up_at=due_at + 1_000)


def history(
    *rows: LedgerRow, runs: tuple[Run, ...] = (), tasks: tuple[AcknowledgedTask, ...] = ()
) -> History:
    return History(tasks, runs, rows, (), START_AT, START_AT + 10 * SECOND_US, START_AT + 30 * SECOND_US)


def outcome_of(evidence: History, steps: tuple[Step, ...] = ()) -> Outcome:
    simulation = Simulation(
        simulation=General(title="T", seconds=10), load=(Herd(name="h", tasks=1, at_s=1),)
    )
    verdict = check(evidence)
    return Outcome(simulation, START_AT, steps, evidence, verdict, summarize(evidence, verdict))


def test_what_ran_again_counts_with_its_first_start() -> None:
    evidence = history(
        row(1), row(0), runs=(run(1, 4_000_000, attempt=2), run(1, 3_000), run(0, 2_000), run(7, 1))
    )
    assert first_starts(evidence) == (
        Start(START_AT, 2_000, "executor-1"),
        Start(START_AT + SECOND_US, 3_000, "executor-1"),
    )


def test_each_start_is_in_one_bin() -> None:
    late_us = (-50, 0, 4_999, 5_000, 9_999_999, 10_000_000, 60_000_000)
    bins = distribution([Start(0, each, "e") for each in late_us])
    assert [(each.from_ms, each.until_ms, each.count) for each in bins if each.count] == [
        (0, 5, 3),
        (5, 10, 1),
        (5_000, 10_000, 1),
        (10_000, None, 2),
    ]
    assert sum(each.count for each in distribution([])) == 0


def test_the_time_line_holds_what_is_due_on_it() -> None:
    starts = [
        Start(START_AT + int(at_s * SECOND_US), int(at_s * 1_000), "e") for at_s in (-1, 0, 0.9, 1, 9.99, 10)
    ]
    slices = time_line(starts, START_AT, 10)
    assert [(each.from_s, each.until_s) for each in slices] == [(n, n + 1) for n in range(10)]
    assert [each.lateness.count for each in slices] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert [(each.from_s, each.until_s) for each in time_line([], START_AT, 5, slice_s=2)] == [
        (0, 2),
        (2, 4),
        (4, 5),
    ]
    assert all(len(time_line([], START_AT, seconds)) <= 16 for seconds in (2, 16.5, 33, 600, 3_600))


def test_whoever_fails_without_being_asked_to_turns_the_verdict_red() -> None:
    tasks = (task(1), task(2, "fail"))
    assert outcome_of(history(row(1), row(2, "FAILED"), tasks=tasks)).unasked == 0
    assert outcome_of(history(row(1, "FAILED"), row(2, "FAILED"), tasks=tasks)).unasked == 1
    assert outcome_of(history(row(1), row(2), tasks=tasks)).unasked == 1
    assert not outcome_of(history(row(1), row(2), tasks=tasks)).is_ok


def test_json_holds_figures_second_by_second() -> None:
    evidence = history(row(1), runs=(run(1, 3_000),), tasks=(task(1),))
    document = outcome_json(
        outcome_of(evidence, (Step(4.0, "node dies", "node-1"),)), file="x.toml", stage="process"
    )
    assert document["events"] == [{"at_s": 4.0, "what": "node dies", "member": "node-1"}]
    assert len(document["time_line"]) == 10
    assert document["time_line"][1]["lateness"]["max_us"] == 3_000
    assert document["distribution"][0] == {"from_ms": 0, "until_ms": 5, "count": 1}
    assert (document["file"], document["stage"], document["seed"]) == ("x.toml", "process", 1)


def test_a_missing_package_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "matplotlib", missing)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(
        CannotPlotError,
        match=r"^matplotlib is not installed; --plot needs: pip install 'mainspring\[plots\]'$",
    ):
        check_plot(Path("run.png"))


def test_another_format_is_refused() -> None:
    with pytest.raises(CannotPlotError, match=r"^run.gif does not end in .png or .svg$"):
        check_plot(Path("run.gif"))


@pytest.mark.parametrize(("name", "begins"), [("run.png", b"\x89PNG"), ("run.svg", b"<?xml")])
@pytest.mark.parametrize("is_empty", [False, True])
def test_charts_are_drawn(tmp_path: Path, name: str, begins: bytes, is_empty: bool) -> None:
    pytest.importorskip("matplotlib")
    runs = () if is_empty else tuple(run(number, number * 1_000 - 2) for number in range(9))
    evidence = history(*map(row, range(9)), runs=runs, tasks=tuple(map(task, range(9))))
    path = tmp_path / name
    check_plot(path)
    draw(outcome_of(evidence, (Step(4.0, "node dies", "node-1"),)), path)
    assert path.read_bytes().startswith(begins)
