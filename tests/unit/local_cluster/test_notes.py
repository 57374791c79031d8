"""Notes of runs: tables that stay whole when one row is written anew."""

from pathlib import Path

from mainspring.testing.chaos import note_chaos
from mainspring.testing.demo import Judgement, judge
from mainspring.testing.history import AcknowledgedTask, Fault, History, LedgerRow, Run

SECOND_US = 1_000_000
AT = 1_800_000_000 * SECOND_US


def run_of_one_task(
    *, late_us: int = 1_000, faults: tuple[Fault, ...] = (), has_run: bool = True
) -> Judgement:
    task = AcknowledgedTask("n", "t", "one-time", "noop", AT - 9 * SECOND_US, AT - 8 * SECOND_US, at=AT)
    started_at = AT + late_us
    run = Run("n", "t", AT, 1, 1, 0, "executor-1", "noop", started_at, started_at + 10, "succeeded")
    row = LedgerRow(
        "n",
        "t",
        AT,
        AT,
        "SUCCEEDED",
        1,
        1,
        "executor-1",
        "node-1",
        AT,
        AT,
        started_at,
        started_at,
        started_at,
    )
    history = History(
        (task,),
        (run,) if has_run else (),
        (row,),
        faults,
        AT - 10 * SECOND_US,
        AT + SECOND_US,
        AT + 60 * SECOND_US,
    )
    return judge(history)


def cells(path: Path, name: str) -> list[str]:
    [row] = [line for line in path.read_text().splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_run_replaces_its_own_row_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "chaos.md"
    note_chaos(path, "first", run_of_one_task())
    note_chaos(path, "second", run_of_one_task())
    note_chaos(path, "first", run_of_one_task(has_run=False))
    assert cells(path, "second")[1] == "ok"
    assert "I1" in cells(path, "first")[1]
    assert path.read_text().count("| fault |") == 1


def test_lateness_counts_from_the_heal_of_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "chaos.md"
    away = Fault("stop", "MariaDB", AT - SECOND_US, AT + 4 * SECOND_US, is_outage=True)
    note_chaos(path, "away", run_of_one_task(late_us=5 * SECOND_US, faults=(away,)))
    assert cells(path, "away")[7:10] == ["5.0", "5,000.0", "1,000.0"]


def test_the_demo_is_stricter_than_the_checker_about_what_never_ran() -> None:
    assert run_of_one_task().complaints == ()
    assert any("did not run" in complaint for complaint in run_of_one_task(has_run=False).complaints)
