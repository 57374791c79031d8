"""What an overlap policy and making up for missed times explain, and what they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.checker.tiny import (
    AUDITED,
    EVERY,
    EVERY_AT,
    EXECUTOR_KILLED,
    NOW,
    READ_AT,
    TINY,
    S,
    row,
    run,
    with_faults,
    with_row,
    with_runs,
    with_task,
    without_row,
)

from mainspring.testing.checker import check
from mainspring.testing.history import Fault, History, Overlap, TaskCall

SECOND_AT = EVERY_AT + 10 * S
SKIPPED = {"state": "SKIPPED", "attempt": 0, "reason": "overlap: the execution of x is still open"}


def with_policy(history: History, overlap: Overlap) -> History:
    return with_task(history, EVERY, overlap=overlap)


def found(history: History) -> list[str]:
    return [f"{violation.invariant} {violation.scheduled_at}" for violation in check(history).violations]


def long_first(history: History, until_at: int) -> History:
    """The first execution of the interval runs until then."""
    changed = with_runs(history, EVERY, EVERY_AT, run(EVERY, EVERY_AT, ended_at=until_at))
    return with_row(changed, EVERY, EVERY_AT, finished_at=until_at, saved_at=until_at)


def skipped_second(history: History) -> History:
    skipped = row(EVERY, SECOND_AT, **SKIPPED, picked_up_at=None, dispatched_at=None)
    return with_runs(with_row(history, EVERY, SECOND_AT, skipped), EVERY, SECOND_AT)


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("allow", [f"I1 {SECOND_AT}"]), ("skip", []), ("buffer-one", []), ("replace", [])],
)
def test_a_skip_beside_an_open_execution_is_explained_by_the_policies_that_do_so(
    overlap: Overlap, expected: list[str]
) -> None:
    assert found(with_policy(skipped_second(long_first(TINY, SECOND_AT + S)), overlap)) == expected


def test_an_owner_may_learn_late_of_an_end_only_in_the_middle_of_a_fault() -> None:
    history = skipped_second(long_first(TINY, SECOND_AT - S))
    assert found(history) == [f"I1 {SECOND_AT}"]
    slow = Fault("slow", "database", SECOND_AT - 2 * S, SECOND_AT)
    assert found(with_faults(history, slow)) == []
    assert found(with_faults(skipped_second(long_first(TINY, SECOND_AT - 6 * S)), slow)) == [
        f"I1 {SECOND_AT}"
    ]


def test_an_end_that_an_outage_kept_from_being_written_is_known_after_it() -> None:
    history = skipped_second(long_first(TINY, SECOND_AT - 9 * S))
    history = with_row(history, EVERY, SECOND_AT, claimed_at=SECOND_AT + S)

    def away(until_at: int) -> Fault:
        return Fault("read-only", "MariaDB", SECOND_AT - 8 * S, until_at, is_outage=True)

    assert found(history) == [f"I1 {SECOND_AT}"]
    assert found(with_faults(history, away(SECOND_AT - S))) == []
    assert found(with_faults(history, away(SECOND_AT - 6 * S))) == [f"I1 {SECOND_AT}"]


def test_what_was_held_counts_from_the_end_of_what_was_open() -> None:
    busy_until = SECOND_AT + 15 * S
    started_at = busy_until + 5 * S
    history = with_runs(
        long_first(replace(TINY, ledger_read_at=READ_AT + 60 * S), busy_until),
        EVERY,
        SECOND_AT,
        run(EVERY, SECOND_AT, started_at=started_at, ended_at=started_at + S),
    )
    history = with_row(history, EVERY, SECOND_AT, picked_up_at=started_at, saved_at=started_at + 2 * S)
    assert found(with_policy(history, "buffer-one")) == []
    assert f"I10 {SECOND_AT}" in found(with_policy(history, "allow"))


def test_what_is_made_up_for_is_late_on_purpose() -> None:
    started_at = EVERY_AT + 15 * S
    history = with_runs(
        TINY, EVERY, EVERY_AT, run(EVERY, EVERY_AT, started_at=started_at, ended_at=started_at + S)
    )
    history = with_row(history, EVERY, EVERY_AT, picked_up_at=started_at, saved_at=started_at + 2 * S)
    assert f"I10 {EVERY_AT}" in found(history)
    assert found(with_row(history, EVERY, EVERY_AT, origin="CATCH_UP")) == []


def test_a_cancel_without_a_client_is_explained_by_a_later_execution_that_replaced_it() -> None:
    history = with_row(long_first(TINY, SECOND_AT + S), EVERY, EVERY_AT, state="CANCELLED")
    history = with_runs(
        history, EVERY, EVERY_AT, run(EVERY, EVERY_AT, ended_at=SECOND_AT - S, outcome="cancelled")
    )
    history = with_row(history, EVERY, EVERY_AT, saved_at=SECOND_AT + S)
    assert found(with_policy(history, "replace")) == []
    assert found(with_policy(history, "skip")) == [f"I5 {EVERY_AT}"]
    too_soon = with_row(history, EVERY, EVERY_AT, saved_at=SECOND_AT - S)
    assert found(with_policy(too_soon, "replace")) == [f"I5 {EVERY_AT}"]


def test_a_trigger_may_be_replaced_by_an_earlier_time_that_is_claimed_after_it() -> None:
    """A call had the task locked when the time was due, so it was claimed late."""
    at, claimed_at = SECOND_AT + 1_000, SECOND_AT + 40_000
    ended_at = claimed_at + 30_000
    history = with_policy(with_row(TINY, EVERY, SECOND_AT, claimed_at=claimed_at), "replace")
    second = run(EVERY, SECOND_AT, started_at=ended_at + 10_000, ended_at=ended_at + S)
    history = with_runs(history, EVERY, SECOND_AT, second)
    history = with_row(history, EVERY, SECOND_AT, picked_up_at=ended_at + 20_000, saved_at=ended_at + 2 * S)

    def triggered(saved_at: int) -> History:
        cancelled = row(EVERY, at, origin="TRIGGER", state="CANCELLED", claimed_at=at, saved_at=saved_at)
        return replace(
            history,
            calls=(TaskCall(*EVERY.key, "trigger", at - 1_000, at + 5_000, scheduled_at=at),),
            runs=(
                *history.runs,
                run(EVERY, at, started_at=at + 1_000, ended_at=saved_at, outcome="cancelled"),
            ),
            ledger=(*history.ledger, cancelled),
        )

    assert f"I5 {at}" not in found(triggered(ended_at))
    assert f"I5 {at}" in found(triggered(claimed_at - 20_000)), "before it was claimed"


@pytest.mark.parametrize("overlap", ["skip", "buffer-one", "replace"])
def test_two_at_a_time_are_explained_by_an_executor_that_was_given_up_alone(overlap: Overlap) -> None:
    history = with_policy(long_first(TINY, SECOND_AT + S), overlap)
    assert found(history) == [f"I11 {SECOND_AT}"]
    killed = replace(EXECUTOR_KILLED, from_at=NOW + 3 * S, until_at=NOW + 6 * S)
    assert f"I11 {SECOND_AT}" not in found(with_faults(history, killed))
    assert found(with_policy(history, "allow")) == []


def test_what_a_call_triggered_runs_beside_the_others() -> None:
    history = long_first(AUDITED, SECOND_AT + S)
    history = with_row(history, EVERY, SECOND_AT, origin="TRIGGER")
    trigger = TaskCall(*EVERY.key, "trigger", SECOND_AT - S, SECOND_AT + S, scheduled_at=SECOND_AT)
    assert found(replace(history, calls=(trigger,))) == []


def test_a_short_run_that_may_have_come_first_by_another_clock_is_no_overlap() -> None:
    """The executor of the first is behind the other by less than both clocks may differ."""
    second = run(EVERY, SECOND_AT, started_at=SECOND_AT + 10_000, ended_at=SECOND_AT + 2 * S)
    history = with_runs(AUDITED, EVERY, SECOND_AT, replace(second, executor_id="executor-1"))

    def after(late_us: int, long_us: int) -> History:
        started_at = SECOND_AT + 10_000 + late_us
        return with_runs(
            history,
            EVERY,
            EVERY_AT,
            run(EVERY, EVERY_AT, started_at=started_at, ended_at=started_at + long_us),
        )

    def overlaps(history: History) -> bool:
        return any(each.startswith("I11") for each in found(history))

    assert not overlaps(after(30_000, 10_000))
    assert overlaps(after(30_000, 300_000))
    assert overlaps(after(300_000, 10_000))


def test_what_waits_for_its_turn_waits_for_what_a_call_triggers_meanwhile_too() -> None:
    at, busy_until = SECOND_AT + S, SECOND_AT + 12 * S
    started_at = busy_until + S
    history = with_runs(
        replace(TINY, ledger_read_at=READ_AT + 60 * S),
        EVERY,
        SECOND_AT,
        run(EVERY, SECOND_AT, started_at=started_at, ended_at=started_at + S),
    )
    history = with_row(history, EVERY, SECOND_AT, picked_up_at=started_at, saved_at=started_at + 2 * S)
    history = replace(
        history,
        calls=(TaskCall(*EVERY.key, "trigger", at - 1_000, at + 50_000, scheduled_at=at),),
        runs=(*history.runs, run(EVERY, at, ended_at=busy_until)),
        ledger=(*history.ledger, row(EVERY, at, origin="TRIGGER", claimed_at=at, saved_at=busy_until)),
    )
    assert found(with_policy(history, "buffer-one")) == []
    assert found(with_policy(history, "allow")) == [f"I10 {SECOND_AT}"] * 2
    after = with_row(history, EVERY, at, claimed_at=started_at + S, saved_at=started_at + 5 * S)
    assert f"I10 {SECOND_AT}" in found(with_policy(after, "buffer-one"))


def test_a_skip_is_explained_by_what_a_call_had_triggered_by_then() -> None:
    """It was decided on late; the trigger came meanwhile."""
    at, decided_at = SECOND_AT + S, SECOND_AT + 2 * S
    history = with_policy(with_row(skipped_second(TINY), EVERY, SECOND_AT, claimed_at=decided_at), "skip")
    assert found(history) == [f"I1 {SECOND_AT}"]

    def triggered(until_at: int) -> History:
        return replace(
            history,
            calls=(TaskCall(*EVERY.key, "trigger", at - 1_000, at + 50_000, scheduled_at=at),),
            runs=(*history.runs, run(EVERY, at, ended_at=until_at)),
            ledger=(*history.ledger, row(EVERY, at, origin="TRIGGER", claimed_at=at, saved_at=until_at)),
        )

    assert found(triggered(decided_at + S)) == []
    assert found(triggered(decided_at - 900_000)) == [f"I1 {SECOND_AT}"]


def test_a_skip_is_explained_by_a_run_whose_row_was_not_kept() -> None:
    def first_until(at: int) -> History:
        history = without_row(skipped_second(long_first(TINY, at)), EVERY, EVERY_AT)
        return with_task(history, EVERY, overlap="skip", keep_executions=1)

    assert found(first_until(SECOND_AT + S)) == []
    assert found(first_until(SECOND_AT - 5 * S)) == [f"I1 {SECOND_AT}"]
