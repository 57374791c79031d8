"""I1, I2, I4, I5 and I9 on hand-made histories, one mistake each."""

from dataclasses import replace

import pytest
from unit.checker.tiny import (
    CRON,
    CRON_AT,
    DATABASE_AWAY,
    EVERY,
    EVERY_AT,
    EXECUTOR_KILLED,
    NODE_KILLED,
    NOW,
    ONCE,
    ONCE_AT,
    READ_AT,
    TINY,
    UNTIL,
    S,
    found,
    messages,
    row,
    run,
    with_faults,
    with_row,
    with_runs,
    with_task,
    without_row,
)

from mainspring.testing.checker import check
from mainspring.testing.history import FINAL_STATES, Fault, History, LedgerRow, ListedTask

ONCE_HERE = "default/once", ONCE_AT
CRON_HERE = "default/cron", CRON_AT


def test_the_hand_made_history_is_clean_and_counted() -> None:
    verdict = check(TINY)
    assert verdict.is_ok
    assert verdict.counts["scheduled"] == verdict.counts["executed"] == verdict.counts["must"] == 5
    assert verdict.counts["missing"] == verdict.counts["duplicated"] == verdict.counts["skipped"] == 0


def test_a_missing_row_of_a_task_with_other_rows_is_i1() -> None:
    history = with_runs(without_row(TINY, CRON, CRON_AT), CRON, CRON_AT)
    assert found(history) == {("I1", *CRON_HERE)}
    assert check(history).counts["missing"] == 1


def test_an_acknowledged_task_without_any_row_is_i4() -> None:
    history = with_runs(without_row(TINY, ONCE, ONCE_AT), ONCE, ONCE_AT)
    assert found(history) == {("I4", "default/once", None)}
    assert check(history).counts["missing"] == 1


def test_a_listing_that_lacks_an_acknowledged_task_is_i4() -> None:
    listed = [ListedTask(*task.key) for task in (ONCE, EVERY, CRON)]
    assert found(replace(TINY, listed_tasks=tuple(listed[:2]))) == {("I4", "default/cron", None)}
    assert found(replace(TINY, listed_tasks=tuple(listed))) == set()


def test_a_task_counts_its_rows_up_to_its_latest() -> None:
    def listed(count: int, last_scheduled_at: int | None) -> History:
        task = ListedTask(*EVERY.key, count, last_scheduled_at)
        return replace(TINY, listed_tasks=(ListedTask(*ONCE.key), task, ListedTask(*CRON.key)))

    both = listed(2, EVERY_AT + 10 * S)
    wrong = {("I1", "default/every", None)}
    assert found(both) == set()
    assert found(listed(1, EVERY_AT)) == set(), "listed before the second row was written"
    assert found(listed(3, EVERY_AT + 10 * S)) == wrong
    assert found(listed(1, EVERY_AT + 10 * S)) == wrong
    assert found(listed(2, EVERY_AT)) == wrong
    assert found(listed(1, None)) == wrong
    assert found(listed(0, None)) == set()


def test_a_task_counts_a_gap_row_with_its_count() -> None:
    second = EVERY_AT + 10 * S
    gap = LedgerRow(
        *EVERY.key, EVERY_AT, EVERY_AT, "SKIPPED", gap_until=second, gap_count=2, reason="misfire"
    )
    history = with_faults(without_row(without_row(TINY, EVERY, EVERY_AT), EVERY, second), DATABASE_AWAY)
    history = with_runs(with_runs(history, EVERY, EVERY_AT), EVERY, second)
    history = replace(history, ledger=(*history.ledger, gap))
    tasks = [ListedTask(*task.key) for task in (ONCE, EVERY, CRON)]
    for count, wrong in ((2, set()), (1, {("I1", "default/every", None)})):
        tasks[1] = ListedTask(*EVERY.key, count, EVERY_AT)
        assert found(replace(history, listed_tasks=tuple(tasks))) == wrong


def test_two_rows_of_one_time_are_i1() -> None:
    assert found(with_row(TINY, ONCE, ONCE_AT, row(ONCE, ONCE_AT), row(ONCE, ONCE_AT))) == {
        ("I1", *ONCE_HERE)
    }


def test_a_row_beside_the_schedule_is_i1() -> None:
    stray = row(EVERY, EVERY_AT + 1)
    history = replace(TINY, ledger=(*TINY.ledger, stray), runs=(*TINY.runs, run(EVERY, EVERY_AT + 1)))
    assert found(history) == {("I1", "default/every", EVERY_AT + 1)}


def test_a_row_and_a_run_of_an_unknown_task_are_i1() -> None:
    stranger = replace(ONCE, task_id="stranger")
    with_both = replace(
        TINY, ledger=(*TINY.ledger, row(stranger, ONCE_AT)), runs=(*TINY.runs, run(stranger, ONCE_AT))
    )
    assert found(with_both) == {("I1", "default/stranger", ONCE_AT)}
    assert found(replace(TINY, runs=(*TINY.runs, run(stranger, ONCE_AT)))) == {
        ("I1", "default/stranger", ONCE_AT)
    }


def test_a_run_without_a_row_at_an_edge_is_i1_unless_it_began_after_the_reading() -> None:
    edge_at = EVERY_AT + 20 * S
    assert found(replace(TINY, runs=(*TINY.runs, run(EVERY, edge_at)))) == {("I1", "default/every", edge_at)}
    after = EVERY_AT + 80 * S
    assert found(replace(TINY, runs=(*TINY.runs, run(EVERY, after)))) == set()


def test_rows_after_the_window_may_be_there_and_half_way() -> None:
    edge = row(EVERY, EVERY_AT + 20 * S, state="WAITING", attempt=0, picked_up_at=None, finished_at=None)
    assert found(replace(TINY, ledger=(*TINY.ledger, edge))) == set()


def test_an_unknown_outcome_may_have_a_row_or_none() -> None:
    unknown = replace(ONCE, task_id="unknown", outcome="unknown", acknowledged_at=None)
    tasks = (*TINY.tasks, unknown)
    assert found(replace(TINY, tasks=tasks)) == set()
    ran = replace(
        TINY,
        tasks=tasks,
        ledger=(*TINY.ledger, row(unknown, ONCE_AT)),
        runs=(*TINY.runs, run(unknown, ONCE_AT)),
    )
    assert found(ran) == set()
    lost = replace(TINY, tasks=tasks, ledger=(*TINY.ledger, row(unknown, ONCE_AT)))
    assert found(lost) == {("I1", "default/unknown", ONCE_AT)}


def test_a_due_time_moved_by_the_scheduler_is_i1() -> None:
    assert ("I1", *ONCE_HERE) in found(with_row(TINY, ONCE, ONCE_AT, due_at=ONCE_AT + 10_000))
    assert (
        found(
            with_task(with_row(TINY, ONCE, ONCE_AT, due_at=ONCE_AT + 10_000), ONCE, due_offset_max_us=20_000)
        )
        == set()
    )


@pytest.mark.parametrize("state", ["SKIPPED", "EXPIRED"])
def test_a_skip_needs_a_reason_and_a_cause(state: str) -> None:
    skipped = with_runs(
        with_row(TINY, EVERY, EVERY_AT + 10 * S, state=state, reason="misfire", attempt=0, picked_up_at=None),
        EVERY,
        EVERY_AT + 10 * S,
    )
    here = ("I1", "default/every", EVERY_AT + 10 * S)
    assert found(skipped) == {here}
    assert found(with_faults(skipped, NODE_KILLED, EXECUTOR_KILLED)) == {here}
    assert found(with_faults(skipped, DATABASE_AWAY)) == set()
    # The execution before it was still running then: overlap.
    busy = with_row(skipped, EVERY, EVERY_AT, finished_at=EVERY_AT + 15 * S, saved_at=EVERY_AT + 15 * S)
    assert found(with_runs(busy, EVERY, EVERY_AT, run(EVERY, EVERY_AT, ended_at=EVERY_AT + 15 * S))) == set()
    silent = with_row(skipped, EVERY, EVERY_AT + 10 * S, reason="")
    assert "without a reason" in messages(with_faults(silent, DATABASE_AWAY))[0]


def test_a_skipped_time_that_ran_is_i1() -> None:
    history = with_row(TINY, EVERY, EVERY_AT, state="SKIPPED", reason="misfire")
    assert any("but it ran" in message for message in messages(with_faults(history, DATABASE_AWAY)))


def gap(first_at: int, last_at: int, count: int, **fields: object) -> LedgerRow:
    given = {
        "state": "SKIPPED",
        "reason": "misfire",
        "gap_until": last_at,
        "gap_count": count,
        "saved_at": UNTIL,
    } | fields
    return LedgerRow("default", "busy", first_at, first_at, **given)  # type: ignore[arg-type]


def with_gap(*gaps: LedgerRow, fault: Fault = DATABASE_AWAY) -> object:
    """A task each second that fires in seconds 0, 1 and from 12 on, and a gap in between."""
    busy = replace(EVERY, task_id="busy", every_us=S, anchor_at=NOW)
    times = [NOW, NOW + S, *range(NOW + 12 * S, UNTIL, S)]
    return replace(
        TINY,
        tasks=(*TINY.tasks, busy),
        ledger=(*TINY.ledger, *gaps, *(row(busy, at) for at in times)),
        runs=(*TINY.runs, *(run(busy, at) for at in times)),
        faults=(fault,),
    )


def test_a_gap_row_stands_for_its_times() -> None:
    assert found(with_gap(gap(NOW + 2 * S, NOW + 11 * S, 10))) == set()
    assert check(with_gap(gap(NOW + 2 * S, NOW + 11 * S, 10))).counts["skipped"] == 10


def test_gap_rows_that_do_not_add_up_are_i1() -> None:
    wrong_count = found(with_gap(gap(NOW + 2 * S, NOW + 11 * S, 9)))
    assert wrong_count == {("I1", "default/busy", NOW + 2 * S)}
    too_short = found(with_gap(gap(NOW + 2 * S, NOW + 10 * S, 9)))
    assert too_short == {("I1", "default/busy", NOW + 11 * S)}
    over_a_row = found(with_gap(gap(NOW + 2 * S, NOW + 12 * S, 11)))
    assert ("I1", "default/busy", NOW + 12 * S) in over_a_row
    twice = found(with_gap(gap(NOW + 2 * S, NOW + 7 * S, 6), gap(NOW + 7 * S, NOW + 11 * S, 5)))
    assert twice == {("I1", "default/busy", NOW + 7 * S)}
    finished = found(with_gap(gap(NOW + 2 * S, NOW + 11 * S, 10, state="SUCCEEDED")))
    assert ("I1", "default/busy", NOW + 2 * S) in finished


def test_a_gap_without_an_outage_is_i1() -> None:
    history = with_gap(gap(NOW + 2 * S, NOW + 11 * S, 10), fault=NODE_KILLED)
    assert len(found(history)) == 10


def test_a_run_inside_a_gap_is_i1() -> None:
    history = with_gap(gap(NOW + 2 * S, NOW + 11 * S, 10))
    busy = history.tasks[-1]
    assert found(replace(history, runs=(*history.runs, run(busy, NOW + 5 * S)))) == {
        ("I1", "default/busy", NOW + 5 * S)
    }


def test_a_cancelled_row_needs_a_cancel() -> None:
    cancelled = with_runs(
        with_row(TINY, CRON, CRON_AT, state="CANCELLED", attempt=0, picked_up_at=None, dispatched_at=None),
        CRON,
        CRON_AT,
    )
    assert found(cancelled) == {("I5", *CRON_HERE)}
    sent = {"cancel_sent_at": CRON_AT + 10_000, "cancelled_at": CRON_AT + 50_000}
    assert found(with_task(cancelled, CRON, **sent)) == set()


def test_a_row_that_was_cancelled_before_its_cancel_was_written_late_in_a_fault() -> None:
    cancelled = with_runs(
        with_row(TINY, CRON, CRON_AT, state="CANCELLED", attempt=0, picked_up_at=None, dispatched_at=None),
        CRON,
        CRON_AT,
    )
    sent = {"cancel_sent_at": CRON_AT + 2 * S, "cancelled_at": CRON_AT + 3 * S}
    history = with_task(cancelled, CRON, **sent)
    assert ("I5", *CRON_HERE) in found(history)
    slow = Fault("slow", "database", CRON_AT, CRON_AT + 2 * S)
    assert ("I5", *CRON_HERE) not in found(with_faults(history, slow))


def test_a_cancel_does_not_undo_a_run_that_ended() -> None:
    sent = {"cancel_sent_at": CRON_AT + 25_000, "cancelled_at": CRON_AT + 50_000}
    history = with_task(with_row(TINY, CRON, CRON_AT, state="CANCELLED"), CRON, **sent)
    assert found(history) == {("I5", *CRON_HERE)}
    assert found(with_task(TINY, CRON, **sent)) == set()


def test_a_failed_run_may_be_cancelled_while_its_retry_waits_whatever_the_number_of_its_attempt() -> None:
    """The first attempt went down with its executor: the second is the first failure of two."""
    sent = {"max_attempts": 2, "cancel_sent_at": CRON_AT + 25_000, "cancelled_at": CRON_AT + 50_000}
    frozen = with_faults(TINY, Fault("freeze", "executor-1", CRON_AT, CRON_AT + 8 * S))
    history = with_task(with_row(frozen, CRON, CRON_AT, state="CANCELLED", attempt=2), CRON, **sent)
    second = run(CRON, CRON_AT, attempt=2, outcome="failed")
    assert found(with_runs(history, CRON, CRON_AT, second)) == set()
    first = run(CRON, CRON_AT, ended_at=CRON_AT + 21_000, outcome="failed")
    twice = with_runs(history, CRON, CRON_AT, first, replace(second, started_at=CRON_AT + 22_000))
    assert found(twice) == {("I5", *CRON_HERE)}


def test_a_run_that_was_too_slow_is_a_failed_one_however_it_ended() -> None:
    """Its timeout had passed and another attempt was waiting when the task was cancelled."""
    sent = {"cancel_sent_at": CRON_AT + 25_000, "cancelled_at": CRON_AT + 50_000}
    history = with_row(TINY, CRON, CRON_AT, state="CANCELLED")
    for limit_us, attempts, is_fine in ((10_000, 2, True), (10_000, 1, False), (10_000_000, 2, False)):
        limits = {"finish_within_us": limit_us, "max_attempts": attempts}
        broken = found(with_task(history, CRON, **sent, **limits))
        assert (broken == set()) is is_fine, (limit_us, attempts)


def test_what_is_dispatched_or_starts_after_an_acknowledged_cancel_is_i5() -> None:
    sent = {"cancel_sent_at": CRON_AT - 4 * S, "cancelled_at": CRON_AT - 3 * S}
    assert found(with_task(TINY, CRON, **sent)) == {("I1", *CRON_HERE)}
    sent = {"cancel_sent_at": CRON_AT, "cancelled_at": CRON_AT + 100_000}
    late = with_row(TINY, CRON, CRON_AT, dispatched_at=CRON_AT + 3 * S, picked_up_at=CRON_AT + 3 * S)
    late = with_runs(
        late, CRON, CRON_AT, run(CRON, CRON_AT, started_at=CRON_AT + 3 * S, ended_at=CRON_AT + 4 * S)
    )
    lines = messages(with_task(late, CRON, **sent))
    assert [line.split(":")[0] for line in lines] == [f"I5 default/cron at {CRON_AT}"] * 2


def test_times_shortly_before_a_cancel_may_be_missing_and_long_before_not() -> None:
    history = with_runs(without_row(TINY, EVERY, EVERY_AT), EVERY, EVERY_AT)
    assert found(with_task(history, EVERY, cancel_sent_at=EVERY_AT + 9 * S)) == set()
    assert found(with_task(history, EVERY, cancel_sent_at=EVERY_AT + 11 * S)) == {
        ("I1", "default/every", EVERY_AT)
    }


@pytest.mark.parametrize("state", ["SCHEDULED", "WAITING", "DISPATCHED", "RUNNING"])
def test_a_row_left_open_is_i9(state: str) -> None:
    history = with_row(TINY, ONCE, ONCE_AT, state=state)
    assert ("I9", *ONCE_HERE) in found(history)
    assert ("I9", *ONCE_HERE) not in found(replace(history, ledger_read_at=UNTIL + 11 * S))


@pytest.mark.parametrize("state", sorted(FINAL_STATES - {"SUCCEEDED"}))
def test_a_final_state_that_differs_between_readings_is_i2(state: str) -> None:
    before = replace(TINY.ledger[0], state=state)
    assert found(replace(TINY, earlier_ledger=(before,))) == {("I2", *ONCE_HERE)}


def test_an_open_row_may_become_final_between_readings() -> None:
    before = replace(TINY.ledger[0], state="DISPATCHED", picked_up_at=None, finished_at=None, saved_at=None)
    assert found(replace(TINY, earlier_ledger=(before,))) == set()


def test_numbers_that_fall_and_rows_that_vanish_between_readings() -> None:
    before = replace(TINY.ledger[0], state="DISPATCHED", attempt=2, epoch=5)
    assert found(replace(TINY, earlier_ledger=(before,))) == {("I6", *ONCE_HERE), ("I3", *ONCE_HERE)}
    gone = row(EVERY, EVERY_AT + 20 * S)
    assert found(replace(TINY, earlier_ledger=(gone,))) == {("I2", "default/every", EVERY_AT + 20 * S)}
    for state in ("SUCCEEDED", "DISPATCHED"):  # one that was open may have ended since
        kept = with_task(
            replace(TINY, earlier_ledger=(replace(gone, state=state),)), EVERY, keep_executions=2
        )
        assert found(kept) == set()


def test_the_reading_is_late_enough_for_these_tests() -> None:
    assert READ_AT > UNTIL + 30 * S
