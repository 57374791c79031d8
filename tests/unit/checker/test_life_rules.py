"""Pauses, updates, deletions, triggers and removals: what the checker says of each, and what it lets pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from unit.checker.tiny import (
    AUDITED,
    CRON,
    CRON_AT,
    EVERY,
    EVERY_AT,
    NOW,
    ONCE,
    ONCE_AT,
    READ_AT,
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
    with_trail,
    without_row,
)

from mainspring.testing.checker import Limits, check
from mainspring.testing.history import (
    AcknowledgedTask,
    CallKind,
    Fault,
    FinalOverwrite,
    History,
    LedgerRow,
    ListedTask,
    RemovedTask,
    TaskCall,
    member_name,
)

NAME = "/".join(EVERY.key)
SECOND_AT = EVERY_AT + 10 * S
LIMITS = Limits()
OLD, NEW = 111, 222


def call(
    kind: CallKind,
    sent_at: int,
    acknowledged_at: int | None,
    task: AcknowledgedTask = EVERY,
    **fields: object,
) -> TaskCall:
    return TaskCall(*task.key, kind, sent_at, acknowledged_at, **fields)  # type: ignore[arg-type]


def with_calls(history: History, *calls: TaskCall) -> History:
    return replace(history, calls=calls)


def started(history: History, at: int, started_at: int, **fields: object) -> History:
    """The interval's execution of a time starts then; all witnesses agree."""
    begun = run(EVERY, at, started_at=started_at, ended_at=started_at + 10_000, **fields)
    told = row(
        EVERY,
        at,
        node_id=AUDITED.ledger[0].node_id,
        claimed_at=started_at - 20_000,
        dispatched_at=started_at - 10_000,
        picked_up_at=started_at + 5_000,
        finished_at=started_at + 12_000,
        saved_at=started_at + 15_000,
    )
    return with_runs(with_row(history, EVERY, at, told), EVERY, at, begun)


# --- pauses -----------------------------------------------------------------------------------------------------------

PAUSE = call("pause", SECOND_AT - 2 * S, SECOND_AT - S)
RESUME = call("resume", SECOND_AT + 3 * S, SECOND_AT + 4 * S)


def test_what_starts_in_a_pause_is_found_by_the_executor_and_by_the_ledger() -> None:
    told = messages(with_calls(AUDITED, PAUSE, RESUME))
    assert any("dispatched" in line and line.startswith(f"I5 {NAME} at {SECOND_AT}") for line in told)
    assert any("started" in line for line in told)
    # Also when the ledger says nothing of the dispatch, and only the executor's log does.
    silent = with_row(AUDITED, EVERY, SECOND_AT, dispatched_at=None)
    assert [line for line in messages(with_calls(silent, PAUSE, RESUME)) if "I5" in line]


def test_a_time_in_a_pause_runs_when_it_has_ended_and_counts_from_there() -> None:
    resumed_at = SECOND_AT + 12 * S
    resume = call("resume", resumed_at - S, resumed_at)
    late = started(replace(AUDITED, ledger_read_at=READ_AT + 60 * S), SECOND_AT, resumed_at + 9 * S)
    late = replace(late, window_until_at=UNTIL + 20 * S)
    assert ("I10", NAME, SECOND_AT) in found(late)
    assert ("I10", NAME, SECOND_AT) not in found(with_calls(late, PAUSE, resume))
    later = started(late, SECOND_AT, resumed_at + 11 * S)
    assert ("I10", NAME, SECOND_AT) in found(with_calls(later, PAUSE, resume))


def test_a_time_in_a_pause_must_be_recorded_once_that_has_ended() -> None:
    history = with_runs(without_row(AUDITED, EVERY, SECOND_AT), EVERY, SECOND_AT)
    assert found(history) == {("I1", NAME, SECOND_AT)}
    assert found(with_calls(history, PAUSE, RESUME)) == {("I1", NAME, SECOND_AT)}
    # One that was ended in the pause says nothing of what came later.
    ended = with_task(history, EVERY, cancel_sent_at=SECOND_AT + S, cancelled_at=SECOND_AT + 2 * S)
    assert found(with_calls(ended, PAUSE)) == set()


def test_only_a_pause_explains_a_gap_without_an_outage() -> None:
    gap = LedgerRow(
        *EVERY.key, SECOND_AT, SECOND_AT, "SKIPPED", gap_until=SECOND_AT, gap_count=1, reason="misfire"
    )
    history = with_runs(with_row(AUDITED, EVERY, SECOND_AT, gap), EVERY, SECOND_AT)
    assert found(history) == {("I1", NAME, SECOND_AT)}
    assert found(with_calls(history, PAUSE, RESUME)) == set()
    elsewhere = [replace(each, task_id="cron") for each in (PAUSE, RESUME)]
    assert ("I1", NAME, SECOND_AT) in found(with_calls(history, *elsewhere))


def test_what_was_on_its_way_when_a_pause_was_acknowledged_may_start() -> None:
    paused_at = SECOND_AT + 18_000
    assert found(with_calls(AUDITED, call("pause", SECOND_AT + 1_000, paused_at))) == set()
    for late_us, fault_is_near, is_fine in (
        (LIMITS.started_us - 100_000, False, True),
        (LIMITS.started_us + 100_000, False, False),
        (LIMITS.started_us + 100_000, True, True),
        (LIMITS.stale_send_us + 100_000, True, False),
    ):
        history = started(AUDITED, SECOND_AT, paused_at + late_us)
        history = with_row(
            history, EVERY, SECOND_AT, claimed_at=SECOND_AT + 10_000, dispatched_at=SECOND_AT + 15_000
        )
        if fault_is_near:
            history = with_faults(history, Fault("slow", "database", SECOND_AT - S, SECOND_AT + S))
        broken = found(with_calls(history, call("pause", SECOND_AT + 1_000, paused_at)))
        assert (broken == set()) is is_fine, (late_us, fault_is_near, broken)


def test_cancelled_is_explained_by_each_call_that_stops_what_was_not_sent_and_by_no_other() -> None:
    kinds: Mapping[CallKind, bool] = {"pause": True, "update": True, "resume": False}
    cancelled = with_row(
        AUDITED, EVERY, SECOND_AT, state="CANCELLED", attempt=0, picked_up_at=None, dispatched_at=None
    )
    cancelled = with_runs(cancelled, EVERY, SECOND_AT)
    for kind, is_fine in kinds.items():
        broken = found(with_calls(cancelled, call(kind, SECOND_AT, SECOND_AT + 10_000)))
        assert (("I5", NAME, SECOND_AT) not in broken) is is_fine, kind
    assert ("I5", NAME, SECOND_AT) in found(cancelled)


# --- updates ----------------------------------------------------------------------------------------------------------


def with_marks(history: History, first: int, second: int) -> History:
    """The interval began with the old payload; its two executions ran these."""
    history = with_task(history, EVERY, payload_mark=OLD)
    history = with_runs(history, EVERY, EVERY_AT, run(EVERY, EVERY_AT, payload_mark=first))
    return with_runs(history, EVERY, SECOND_AT, run(EVERY, SECOND_AT, payload_mark=second))


UPDATE = call("update", SECOND_AT - 5 * S, SECOND_AT - 4 * S, payload_mark=NEW)


def test_an_old_payload_that_starts_after_an_update_is_found() -> None:
    assert found(with_calls(with_marks(AUDITED, OLD, NEW), UPDATE)) == set()
    told = messages(with_calls(with_marks(AUDITED, OLD, OLD), UPDATE))
    assert len(told) == 1
    assert told[0].startswith(f"I5 {NAME} at {SECOND_AT}: ran an old payload")


def test_what_a_cut_held_up_may_start_late_when_it_had_been_sent_before() -> None:
    node_id = AUDITED.ledger[0].node_id or ""
    node, executor_id = member_name(node_id), run(EVERY, SECOND_AT).executor_id
    late = call("update", SECOND_AT + 50_000, SECOND_AT + 60_000, payload_mark=NEW)
    started_at = SECOND_AT + 3 * S
    history = with_marks(AUDITED, OLD, OLD)
    history = with_runs(
        history,
        EVERY,
        SECOND_AT,
        run(EVERY, SECOND_AT, payload_mark=OLD, started_at=started_at, ended_at=started_at + 1_000),
    )
    times = {"picked_up_at": started_at, "finished_at": started_at + 1_000, "saved_at": started_at + 2_000}
    history = with_row(history, EVERY, SECOND_AT, **times)
    cut = Fault("cut", node, SECOND_AT + 10_000, started_at - 10_000, peer=executor_id)
    wrong = {("I5", NAME, SECOND_AT)}
    assert found(with_calls(history, late)) == wrong
    assert found(with_calls(with_faults(history, cut), late)) == set()
    assert found(with_calls(with_faults(history, replace(cut, peer="executors")), late)) == set()
    assert found(with_calls(with_faults(history, replace(cut, peer="another")), late)) == wrong
    assert found(with_calls(with_faults(history, replace(cut, until_at=SECOND_AT + S)), late)) == wrong
    sent_later = with_row(history, EVERY, SECOND_AT, dispatched_at=SECOND_AT + 100_000, **times)
    assert found(with_calls(with_faults(sent_later, cut), late)) == wrong


def test_a_payload_that_nobody_had_sent_yet_is_found() -> None:
    told = messages(with_calls(with_marks(AUDITED, NEW, NEW), UPDATE))
    assert [line for line in told if "before a client sent it" in line]
    assert [line for line in messages(with_marks(AUDITED, OLD, 333)) if "nobody gave it" in line]


def test_an_update_that_was_never_answered_allows_both() -> None:
    unknown = replace(UPDATE, acknowledged_at=None)
    for second in (OLD, NEW):
        assert found(with_calls(with_marks(AUDITED, OLD, second), unknown)) == set()


def test_the_payload_of_a_trigger_is_for_its_own_execution() -> None:
    at = NOW + 7 * S
    trigger = call("trigger", at - 1_000, at + 50_000, payload_mark=NEW, scheduled_at=at)
    told = row(EVERY, at, node_id=AUDITED.ledger[0].node_id, origin="TRIGGER")
    history = with_marks(AUDITED, OLD, OLD)
    history = replace(
        history, runs=(*history.runs, run(EVERY, at, payload_mark=NEW)), ledger=(*history.ledger, told)
    )
    assert found(with_calls(history, trigger)) == set()
    wrong = with_runs(history, EVERY, SECOND_AT, run(EVERY, SECOND_AT, payload_mark=NEW))
    assert found(with_calls(wrong, trigger)) == {("I5", NAME, SECOND_AT)}


def test_another_schedule_begins_and_the_old_one_ends() -> None:
    sent_at, answered_at = NOW + 5 * S, NOW + 5 * S + 10_000
    old = with_task(AUDITED, EVERY, cancel_sent_at=sent_at, cancelled_at=answered_at, ended_by="update")
    new = replace(
        EVERY, sent_at=sent_at, acknowledged_at=answered_at, every_us=7 * S, anchor_at=NOW, replaces=True
    )
    history = replace(old, tasks=(*old.tasks, new))
    broken = found(history)
    assert ("I1", NAME, SECOND_AT) in broken  # of the old one, after its end
    assert ("I1", NAME, NOW + 7 * S) in broken  # of the new one, and missing
    times = (NOW + 7 * S, NOW + 14 * S)
    history = with_runs(without_row(history, EVERY, SECOND_AT), EVERY, SECOND_AT)
    history = replace(
        history,
        runs=(*history.runs, *(run(EVERY, at) for at in times)),
        ledger=(*history.ledger, *(row(EVERY, at, node_id=AUDITED.ledger[0].node_id) for at in times)),
    )
    assert found(history) == set()


# --- triggers ---------------------------------------------------------------------------------------------------------


def test_a_trigger_has_one_row_and_a_row_has_a_trigger() -> None:
    at = NOW + 7 * S
    trigger = call("trigger", at - 1_000, at + 50_000, scheduled_at=at)
    told = row(EVERY, at, node_id=AUDITED.ledger[0].node_id, origin="TRIGGER")
    triggered = replace(AUDITED, runs=(*AUDITED.runs, run(EVERY, at)), ledger=(*AUDITED.ledger, told))
    assert found(with_calls(triggered, trigger)) == set()
    assert found(with_calls(AUDITED, trigger)) == {("I4", NAME, at)}
    assert found(triggered) == {("I1", NAME, at)}
    lost_answer = replace(trigger, acknowledged_at=None, scheduled_at=None)
    assert found(with_calls(triggered, lost_answer)) == set()
    twice = replace(
        triggered,
        runs=(*triggered.runs, run(EVERY, at + 1)),
        ledger=(*triggered.ledger, replace(told, scheduled_at=at + 1, due_at=at + 1)),
    )
    assert ("I1", NAME, at) in found(with_calls(twice, lost_answer))


# --- deletions, and what a task or a namespace keeps --------------------------------------------------------------------

DELETE = call("delete", ONCE_AT + S, ONCE_AT + 2 * S, ONCE)
GONE = replace(AUDITED, ledger=tuple(each for each in AUDITED.ledger if each.key != ONCE.key))


def removal(
    at: int, state: str = "SUCCEEDED", task: AcknowledgedTask = ONCE, scheduled_at: int = ONCE_AT
) -> FinalOverwrite:
    return FinalOverwrite("DELETE", 1, *task.key, scheduled_at, state, None, 1, None, at)


def test_only_an_acknowledged_deletion_lets_a_task_go() -> None:
    name = "/".join(ONCE.key)
    assert ("I4", name, None) in found(GONE)
    listed = (ListedTask(*EVERY.key), ListedTask(*CRON.key))
    gone = replace(GONE, listed_tasks=listed)
    assert found(with_calls(gone, DELETE)) == set()
    assert found(with_calls(replace(gone, listed_tasks=(*listed, ListedTask(*ONCE.key))), DELETE)) == {
        ("I4", name, None)
    }
    assert ("I4", name, ONCE_AT) in found(with_calls(AUDITED, DELETE))
    assert found(with_calls(AUDITED, replace(DELETE, acknowledged_at=None))) == set()


@pytest.mark.parametrize(
    ("write", "is_fine"),
    [
        (removal(ONCE_AT + S + 1), True),
        (removal(ONCE_AT), False),  # before anybody asked
        (removal(ONCE_AT + S + 1, "RUNNING"), False),  # not over
        (removal(ONCE_AT + S + 1, task=EVERY, scheduled_at=EVERY_AT), False),  # another task
    ],
)
def test_rows_go_after_the_deletion_was_sent_and_when_they_are_final(
    write: FinalOverwrite, is_fine: bool
) -> None:
    history = with_trail(with_calls(GONE, DELETE), final_overwrites=(write,))
    assert (found(history) == set()) is is_fine


def test_a_change_of_a_final_row_is_none_of_these() -> None:
    changed = FinalOverwrite("UPDATE", 1, *ONCE.key, ONCE_AT, "SUCCEEDED", "FAILED", 1, 1, ONCE_AT + 2 * S)
    history = with_trail(with_calls(GONE, DELETE), final_overwrites=(changed,))
    assert ("I2", "/".join(ONCE.key), ONCE_AT) in found(history)


def test_what_a_task_does_not_keep_may_go_and_nothing_more() -> None:
    trimmed = with_runs(without_row(AUDITED, EVERY, EVERY_AT), EVERY, EVERY_AT, run(EVERY, EVERY_AT))
    write = removal(SECOND_AT + S, task=EVERY, scheduled_at=EVERY_AT)
    assert {each[0] for each in found(with_trail(trimmed, final_overwrites=(write,)))} == {"I1", "I2"}
    for keep, at, broken in (
        (1, SECOND_AT + S, set()),
        (2, SECOND_AT + S, {"I1", "I2"}),  # there was no second one behind it
        (1, EVERY_AT + S, {"I2"}),  # nothing behind it had ended yet
    ):
        history = with_task(trimmed, EVERY, keep_executions=keep)
        history = with_trail(history, final_overwrites=(replace(write, at=at),))
        assert {each[0] for each in found(history)} == broken, (keep, at)


def test_what_is_old_goes_when_its_namespace_says_so() -> None:
    old_at = NOW - 3_600 * S - S
    write = removal(NOW, scheduled_at=old_at)
    assert ("I2", "/".join(ONCE.key), old_at) in found(with_trail(AUDITED, final_overwrites=(write,)))
    kept = replace(AUDITED, retentions={ONCE.namespace: 3_600 * S})
    assert found(with_trail(kept, final_overwrites=(write,))) == set()
    young = replace(write, scheduled_at=old_at + 10 * S)
    assert ("I2", "/".join(ONCE.key), old_at + 10 * S) in found(with_trail(kept, final_overwrites=(young,)))


def test_a_task_goes_by_a_call_or_when_it_is_old() -> None:
    removed = RemovedTask(1, *ONCE.key, "COMPLETED", UNTIL)
    history = with_trail(AUDITED, removed_tasks=(removed,))
    assert found(history) == {("I4", "/".join(ONCE.key), None)}
    assert found(replace(history, retentions={ONCE.namespace: 10 * S})) == set()
    active = with_trail(history, removed_tasks=(replace(removed, state="ACTIVE"),))
    assert found(replace(active, retentions={ONCE.namespace: 10 * S})) == {("I4", "/".join(ONCE.key), None)}


# --- limits, retries, and runs that prove nothing -------------------------------------------------------------------------


def test_what_failed_counts_and_not_what_its_executor_took_along() -> None:
    killed = Fault("kill -9", "executor-0", ONCE_AT, ONCE_AT + S)
    lost = run(ONCE, ONCE_AT, ended_at=None, outcome=None)
    failed = run(
        ONCE, ONCE_AT, attempt=2, started_at=ONCE_AT + 4 * S, ended_at=ONCE_AT + 4 * S + 1, outcome="failed"
    )
    last = run(ONCE, ONCE_AT, attempt=3, started_at=ONCE_AT + 5 * S, ended_at=ONCE_AT + 5 * S + 1)
    runs = [replace(each, executor_id="executor-1") for each in (failed, last)]
    history = with_runs(with_faults(AUDITED, killed), ONCE, ONCE_AT, lost, *runs)
    name = "/".join(ONCE.key)
    assert ("I7", name, ONCE_AT) in found(history)
    assert ("I7", name, ONCE_AT) not in found(with_task(history, ONCE, max_attempts=2))


def test_too_slow_is_a_failure_where_there_is_a_limit() -> None:
    ended_at = EVERY_AT + 20_000 + S
    slow = run(EVERY, EVERY_AT, ended_at=ended_at, outcome="cancelled")
    history = with_row(
        AUDITED, EVERY, EVERY_AT, state="FAILED", reason="Timeout", saved_at=ended_at - 500_000
    )
    history = replace(
        history, runs=(slow, *(r for r in history.runs if (r.key, r.scheduled_at) != (EVERY.key, EVERY_AT)))
    )
    assert ("I2", NAME, EVERY_AT) in found(history)
    assert found(with_task(history, EVERY, finish_within_us=S)) == set()


def test_what_was_too_slow_is_tried_again_whatever_it_said_in_the_end() -> None:
    for length_us, is_fine in ((S + 200_000, True), (500_000, False)):
        slow = run(ONCE, ONCE_AT, ended_at=ONCE_AT + 20_000 + length_us)
        again = run(ONCE, ONCE_AT, attempt=2, started_at=ONCE_AT + 3 * S, ended_at=ONCE_AT + 3 * S + 1)
        history = with_runs(AUDITED, ONCE, ONCE_AT, slow, again)
        history = with_row(history, ONCE, ONCE_AT, attempt=2, picked_up_at=ONCE_AT + 3 * S + 5_000)
        limited = with_task(history, ONCE, finish_within_us=S, max_attempts=2)
        assert (found(limited) == set()) is is_fine
        assert ("I7", "/".join(ONCE.key), ONCE_AT) in found(with_task(limited, ONCE, max_attempts=1))


def test_too_late_ends_as_expired_in_a_fault_alone() -> None:
    expired = with_row(
        AUDITED,
        EVERY,
        SECOND_AT,
        state="EXPIRED",
        attempt=0,
        reason="too late",
        picked_up_at=None,
        dispatched_at=None,
        saved_at=SECOND_AT + 5 * S,
    )
    expired = with_runs(expired, EVERY, SECOND_AT)
    limited = with_task(expired, EVERY, start_within_us=5 * S)
    fault = Fault("kill", "node-7", SECOND_AT - S, SECOND_AT + 4 * S)
    assert ("I1", NAME, SECOND_AT) in found(limited)
    assert found(with_faults(limited, fault)) == set()
    assert ("I1", NAME, SECOND_AT) in found(with_faults(expired, fault))
    early = with_row(limited, EVERY, SECOND_AT, saved_at=SECOND_AT + 2 * S)
    assert ("I1", NAME, SECOND_AT) in found(with_faults(early, fault))


def test_calls_that_met_no_fire_prove_nothing() -> None:
    limits = Limits(required_calls={"raced_pause": 1})
    near = call("pause", CRON_AT - 10_000, CRON_AT + 5_000, CRON)
    resumed = call("resume", CRON_AT + 6_000, CRON_AT + 7_000, CRON)
    far = [
        replace(each, sent_at=each.sent_at + 3 * S, acknowledged_at=each.sent_at + 3 * S + 1)
        for each in (near, resumed)
    ]
    assert check(with_calls(AUDITED, near, resumed), limits).vacuous == ()
    assert check(with_calls(AUDITED, near, resumed)).counts["raced_pause"] == 1
    assert check(with_calls(AUDITED, *far), limits).vacuous == (
        "raced_pause: 0 of the 1 calls that there should be",
    )
