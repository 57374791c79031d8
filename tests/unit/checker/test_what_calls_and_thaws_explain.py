"""What explains that an execution was cancelled, and what does not; and what starts when its row has ended."""

from dataclasses import replace

from unit.checker.tiny import (
    EVERY,
    EVERY_AT,
    NODE_KILLED,
    ONCE,
    ONCE_AT,
    TINY,
    S,
    again,
    found,
    row,
    run,
    with_faults,
    with_row,
    with_runs,
    with_task,
    without_row,
)

from mainspring.testing.history import CallKind, Fault, History, TaskCall

HERE = "default/once", ONCE_AT
SECOND_AT = EVERY_AT + 10 * S


def called(kind: CallKind, at: int) -> TaskCall:
    """A call about ONCE, answered 10 ms later."""
    return TaskCall(*ONCE.key, kind, at, at + 10_000)


def stopped_as_slow() -> History:
    """ONCE may run for 1 s; its owner stopped it and died before it had written that, and the next one wrote CANCELLED."""
    history = with_task(with_faults(TINY, NODE_KILLED), ONCE, finish_within_us=S)
    ended_at, saved_at = ONCE_AT + 1_100_000, ONCE_AT + 4 * S
    history = with_runs(history, ONCE, ONCE_AT, run(ONCE, ONCE_AT, ended_at=ended_at, outcome="cancelled"))
    return with_row(history, ONCE, ONCE_AT, state="CANCELLED", finished_at=saved_at, saved_at=saved_at)


def test_what_was_stopped_for_its_slowness_has_failed_and_no_call_of_before_explains_another_end() -> None:
    assert found(stopped_as_slow()) == {("I5", *HERE)}
    for calls in ((called("update", ONCE_AT - 3 * S),), (called("update", ONCE_AT + 2 * S),)):
        assert found(replace(stopped_as_slow(), calls=calls)) == {("I5", *HERE)}


def test_a_write_that_an_outage_held_up_names_when_it_was_begun() -> None:
    """The pause is answered within the outage, and the execution ends for it under a time of before."""
    paused_at, saved_at = ONCE_AT + 8 * S, ONCE_AT + 100_000
    away = Fault("read-only", "MariaDB", ONCE_AT, paused_at + S, is_outage=True)
    history = with_runs(
        with_task(TINY, ONCE, max_attempts=2), ONCE, ONCE_AT, run(ONCE, ONCE_AT, outcome="failed")
    )
    history = with_row(history, ONCE, ONCE_AT, state="CANCELLED", saved_at=saved_at, reason="paused")
    history = replace(history, calls=(called("pause", paused_at),))
    assert found(with_faults(history, away)) == set()
    assert found(history) == {("I5", *HERE)}


def test_work_of_a_frozen_executor_must_not_start_when_its_row_has_ended() -> None:
    frozen = Fault("freeze", "executor-0", ONCE_AT, ONCE_AT + 8 * S)
    late = {"started_at": ONCE_AT + 8 * S + 200_000, "ended_at": ONCE_AT + 10 * S}
    assert found(with_faults(again(late, {}), frozen)) == {("I6", *HERE)}, "attempt 2 had succeeded"
    paused = replace(TINY, calls=(called("pause", ONCE_AT + 2 * S),))
    history = with_runs(with_faults(paused, frozen), ONCE, ONCE_AT, run(ONCE, ONCE_AT, **late))
    history = with_row(
        history,
        ONCE,
        ONCE_AT,
        state="CANCELLED",
        saved_at=ONCE_AT + 3 * S,
        reason="paused",
        picked_up_at=None,
    )
    assert ("I6", *HERE) in found(history)
    cut = Fault("cut", "executor-0", ONCE_AT, ONCE_AT + 8_200_000, peer="nodes")
    assert ("I6", *HERE) not in found(with_faults(history, cut))


def test_an_end_that_was_told_late_explains_a_skip_when_its_row_is_not_kept() -> None:
    killed = Fault("kill", "node-0", SECOND_AT - 2 * S, SECOND_AT + 2 * S)
    history = with_task(TINY, EVERY, keep_executions=1)
    history = with_runs(history, EVERY, EVERY_AT, run(EVERY, EVERY_AT, ended_at=SECOND_AT - 2 * S))
    skipped = row(
        EVERY, SECOND_AT, state="SKIPPED", attempt=0, reason="overlap", claimed_at=SECOND_AT + 2 * S
    )
    skipped = replace(skipped, picked_up_at=None, dispatched_at=None)
    history = with_runs(with_row(history, EVERY, SECOND_AT, skipped), EVERY, SECOND_AT)
    gone = without_row(history, EVERY, EVERY_AT)
    assert found(with_faults(gone, killed)) == set()
    assert found(gone) == {("I1", "default/every", SECOND_AT)}
