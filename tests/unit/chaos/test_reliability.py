"""The table of docs/reliability.md: written between its marks, the rest of the page stays."""

from dataclasses import asdict, replace
from pathlib import Path

from chaos.campaign import Episode
from chaos.judgement import judge
from chaos.reliability import BEGIN, END, Row, rows_of, write_table

from mainspring.testing.history import AcknowledgedTask, Fault, History, LedgerRow, Run

SECOND_US = 1_000_000
AT = 1_800_000_000 * SECOND_US


def history(*, late_us: int, faults: tuple[Fault, ...] = ()) -> History:
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
    return History((task,), (run,), (row,), faults, AT - 10 * SECOND_US, AT + SECOND_US, AT + 60 * SECOND_US)


def episode(*outages: Fault, bound_us: int = 10 * SECOND_US) -> Episode:
    return Episode("a fault", AT - SECOND_US, AT + 4 * SECOND_US, AT + 9 * SECOND_US, bound_us, outages, {})


def row_of(taken: History, of: Episode) -> Row:
    (row,) = rows_of(judge(taken, [of]), seed=3)
    return row


def test_a_fault_that_kept_its_promise_is_ok() -> None:
    row = row_of(history(late_us=900_000), episode())
    assert (row.verdict, row.times, row.due, row.late_ms) == ("ok", 1, 1, 900.0)


def test_what_is_later_than_promised_for_this_fault_is_late() -> None:
    judgement = judge(history(late_us=2 * SECOND_US), [episode(bound_us=SECOND_US)])
    assert rows_of(judgement, seed=3)[0].verdict == "late"
    assert any("promised are 1 s" in complaint for complaint in judgement.complaints)


def test_lateness_counts_from_the_heal_of_an_outage() -> None:
    away = Fault("stop", "MariaDB", AT - SECOND_US, AT + 4 * SECOND_US, is_outage=True)
    row = row_of(history(late_us=5 * SECOND_US, faults=(away,)), episode(away))
    assert (row.late_ms, row.late_from_due_ms, row.verdict) == (1_000.0, 5_000.0, "ok")


def test_an_episode_in_which_nothing_was_due_proves_nothing() -> None:
    empty = Episode("early", AT - 9 * SECOND_US, AT - 8 * SECOND_US, AT - 7 * SECOND_US, SECOND_US, (), {})
    complaints = judge(history(late_us=1_000), [empty]).complaints
    assert "early: nothing was due" in complaints
    assert "early: no registration was acknowledged" not in complaints


def test_registrations_have_to_go_on_unless_the_database_is_away() -> None:
    deaf = episode()
    assert "a fault: no registration was acknowledged" in judge(history(late_us=1_000), [deaf]).complaints
    away = Fault("stop", "MariaDB", AT - SECOND_US, AT + 4 * SECOND_US, is_outage=True)
    assert judge(history(late_us=1_000), [episode(away)]).complaints == ()


def test_the_table_stands_between_its_marks_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nwords\n")
    rows = [asdict(row_of(history(late_us=1_000), episode()))]
    write_table(page, rows)
    write_table(page, rows)
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nwords\n")
    assert text.count("| a fault |") == 1
    assert "old" not in text


def test_what_never_started_is_late_until_the_ledger_was_read() -> None:
    taken = history(late_us=1_000)
    stuck = replace(taken, runs=(), ledger=(replace(taken.ledger[0], state="DISPATCHED"),))
    (figures,) = judge(stuck, [episode()]).figures
    assert figures.late_us == 60 * SECOND_US


def test_a_registration_that_took_too_long_is_a_complaint_where_that_is_promised() -> None:
    promised = replace(episode(), from_at=AT - 10 * SECOND_US, registers_within_us=SECOND_US // 2)
    assert any(
        "a registration took 1.00 s" in c for c in judge(history(late_us=1_000), [promised]).complaints
    )
