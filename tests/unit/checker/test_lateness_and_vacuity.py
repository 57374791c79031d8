"""I10 by both witnesses, outages, and the refusal of runs that prove nothing."""

from dataclasses import replace

import pytest
from unit.checker.tiny import (
    CRON,
    DATABASE_AWAY,
    EVERY,
    EVERY_AT,
    NODE_KILLED,
    NOW,
    ONCE,
    ONCE_AT,
    READ_AT,
    TINY,
    UNTIL,
    S,
    found,
    run,
    with_faults,
    with_row,
    with_runs,
)

from mainspring.testing.checker import Limits, check
from mainspring.testing.history import Fault, History

HERE = "default/once", ONCE_AT


def late(by_us: int) -> History:
    """ONCE picked up so long after it was due, by both witnesses."""
    history = with_row(TINY, ONCE, ONCE_AT, picked_up_at=ONCE_AT + by_us, finished_at=ONCE_AT + by_us + S)
    started = {"started_at": ONCE_AT + by_us - 1_000, "ended_at": ONCE_AT + by_us + S}
    return with_runs(history, ONCE, ONCE_AT, run(ONCE, ONCE_AT, **started))


def test_ten_seconds_are_in_time_and_one_microsecond_more_is_not() -> None:
    assert found(late(10 * S)) == set()
    assert found(late(10 * S + 1)) == {("I10", *HERE)}
    assert found(late(10 * S + 1), Limits(lateness_us=11 * S)) == set()
    assert found(late(2 * S), Limits(lateness_us=S)) == {("I10", *HERE)}


def test_only_an_outage_lets_lateness_count_from_the_heal() -> None:
    assert found(with_faults(late(15 * S), NODE_KILLED)) == {("I10", *HERE)}
    assert found(with_faults(late(15 * S), DATABASE_AWAY)) == set()
    healed_after_us = DATABASE_AWAY.until_at - ONCE_AT
    assert found(with_faults(late(healed_after_us + 10 * S), DATABASE_AWAY)) == set()
    assert found(with_faults(late(healed_after_us + 10 * S + 1), DATABASE_AWAY)) == {("I10", *HERE)}


def test_outages_in_a_row_count_from_the_last_heal() -> None:
    second = replace(
        DATABASE_AWAY, from_at=DATABASE_AWAY.until_at + S, until_at=DATABASE_AWAY.until_at + 5 * S
    )
    second_heal_us = second.until_at - ONCE_AT
    history = replace(late(second_heal_us + 10 * S), ledger_read_at=READ_AT)
    assert found(with_faults(history, DATABASE_AWAY)) == {("I10", *HERE)}
    assert found(with_faults(history, DATABASE_AWAY, second)) == set()


def test_a_late_start_is_found_by_the_executors_log_alone() -> None:
    started = {"started_at": ONCE_AT + 11 * S, "ended_at": ONCE_AT + 12 * S}
    assert found(with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, **started))) == {("I10", *HERE)}


def test_a_pick_up_before_the_start_is_a_contradiction() -> None:
    history = with_runs(
        TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, started_at=ONCE_AT + S, ended_at=ONCE_AT + 2 * S)
    )
    assert found(history) == {("I10", *HERE)}


def test_a_run_without_a_pick_up_instant_is_not_in_time() -> None:
    assert found(with_row(TINY, ONCE, ONCE_AT, picked_up_at=None)) == {("I10", *HERE)}


def test_what_was_never_picked_up_is_late() -> None:
    waiting = {"state": "WAITING", "attempt": 0, "picked_up_at": None, "finished_at": None, "saved_at": None}
    history = with_runs(with_row(TINY, ONCE, ONCE_AT, **waiting), ONCE, ONCE_AT)
    assert found(history) == {("I10", *HERE), ("I9", *HERE)}


def test_the_first_attempt_counts_not_the_retry() -> None:
    task = replace(ONCE, max_attempts=2)
    runs = (
        run(ONCE, ONCE_AT, outcome="failed"),
        run(ONCE, ONCE_AT, attempt=2, started_at=ONCE_AT + 15 * S, ended_at=ONCE_AT + 15 * S),
    )
    history = replace(TINY, tasks=(task, EVERY, CRON))
    history = with_runs(history, ONCE, ONCE_AT, *runs)
    late_retry = {"attempt": 2, "picked_up_at": ONCE_AT + 15 * S, "finished_at": ONCE_AT + 16 * S}
    assert found(with_row(history, ONCE, ONCE_AT, **late_retry)) == set()


def test_a_time_that_had_passed_at_registration_is_due_at_the_call() -> None:
    past = replace(ONCE, at=NOW - 3_600 * S, sent_at=NOW + 2 * S, acknowledged_at=NOW + 3 * S)
    at = NOW - 3_600 * S
    times = {"due_at": NOW + 2 * S + 5_000, "claimed_at": NOW + 3 * S, "picked_up_at": NOW + 3 * S + 10_000}
    times["saved_at"] = NOW + 4 * S
    base = with_row(TINY, ONCE, ONCE_AT, scheduled_at=at, **times)
    base = replace(base, tasks=(past, EVERY, CRON))
    started = {"started_at": NOW + 3 * S, "ended_at": NOW + 4 * S}
    assert found(with_runs(base, ONCE, ONCE_AT, run(ONCE, at, **started))) == set()
    shifted = with_row(base, ONCE, at, due_at=NOW + 4 * S)
    assert ("I1", "default/once", at) in found(with_runs(shifted, ONCE, ONCE_AT, run(ONCE, at, **started)))


@pytest.mark.parametrize(("task", "kind"), [(ONCE, "one-time"), (EVERY, "interval"), (CRON, "cron")])
def test_a_kind_without_fires_is_refused(task: object, kind: str) -> None:
    history = replace(TINY, runs=tuple(each for each in TINY.runs if each.key != task.key))
    assert f"no {kind} task fired" in check(history).vacuous
    # Even when nothing is broken, because all its times lie beyond the window.
    tasks = tuple(each for each in TINY.tasks if each.key != task.key)
    without = replace(
        TINY,
        tasks=tasks,
        runs=tuple(each for each in TINY.runs if each.key != task.key),
        ledger=tuple(each for each in TINY.ledger if each.key != task.key),
    )
    assert check(without).is_ok
    verdict = check(without, Limits(required_kinds=frozenset({"one-time", "interval", "cron"})))
    assert verdict.violations == ()
    assert verdict.vacuous == (f"no {kind} task fired",)
    assert not verdict.is_ok


def test_an_empty_history_proves_nothing() -> None:
    verdict = check(History((), (), (), (), NOW, NOW, NOW))
    assert not verdict.is_ok
    assert verdict.vacuous == (
        "the window is empty",
        "no scheduled time had to run in the window",
        "no executor ran anything",
        "the ledger was read before the last due times of the window had to be picked up",
    )


def test_a_ledger_read_too_early_proves_nothing() -> None:
    assert check(replace(TINY, ledger_read_at=UNTIL + 10 * S)).is_ok
    verdict = check(replace(TINY, ledger_read_at=UNTIL + 10 * S - 1))
    assert verdict.violations == ()
    assert not verdict.is_ok


@pytest.mark.parametrize(
    ("from_at", "until_at", "why"),
    [
        (NOW + 5 * S, NOW + 5 * S, "its time is empty"),
        (NOW + 5 * S, NOW + 4 * S, "its time is empty"),
        (NOW + 4 * S, NOW + 9 * S, "nothing was due while it lasted"),
        (UNTIL, UNTIL + 30 * S, "nothing was due while it lasted"),
    ],
)
def test_a_fault_that_hit_nothing_is_refused(from_at: int, until_at: int, why: str) -> None:
    verdict = check(with_faults(TINY, Fault("kill -9", "node-0", from_at, until_at)))
    assert verdict.violations == ()
    assert verdict.vacuous == (f"kill -9 of node-0: {why}",)


def test_a_fault_with_something_due_is_accepted() -> None:
    assert check(with_faults(TINY, Fault("join", "node-3", EVERY_AT, EVERY_AT + 1))).is_ok
