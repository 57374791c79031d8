"""I1 (early, lost), I3, I6, I7 and I8 on hand-made histories, one mistake each."""

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
    ONCE,
    ONCE_AT,
    TINY,
    S,
    again,
    found,
    messages,
    run,
    with_faults,
    with_row,
    with_runs,
    with_task,
)

from mainspring.testing.checker import check
from mainspring.testing.history import Fault

HERE = "default/once", ONCE_AT


def test_a_planted_lost_run_is_found() -> None:
    history = with_runs(TINY, ONCE, ONCE_AT)
    assert found(history) == {("I1", *HERE)}
    assert check(history).counts["missing"] == 1
    assert found(with_faults(history, EXECUTOR_KILLED)) == {("I1", *HERE)}


def test_a_planted_double_run_is_found() -> None:
    history = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT), run(ONCE, ONCE_AT, executor_id="executor-1"))
    assert found(history) == {("I6", *HERE), ("I7", *HERE)}
    assert check(history).counts["duplicated"] == 1
    # No fault excuses the same attempt twice.
    assert found(with_faults(history, EXECUTOR_KILLED)) == {("I6", *HERE)}


def test_a_second_attempt_after_success_needs_a_fault_of_the_first_executor() -> None:
    history = again({}, {})
    assert found(history) == {("I7", *HERE)}
    assert found(with_faults(history, NODE_KILLED)) == {("I7", *HERE)}
    assert found(with_faults(history, DATABASE_AWAY)) == {("I7", *HERE)}
    assert found(with_faults(history, replace(EXECUTOR_KILLED, target="executor-1"))) == {("I7", *HERE)}
    assert found(with_faults(history, EXECUTOR_KILLED)) == set()
    assert found(with_faults(history, replace(EXECUTOR_KILLED, target="executors"))) == set()
    long_ago = replace(EXECUTOR_KILLED, from_at=ONCE_AT - 20 * S, until_at=ONCE_AT - 15 * S)
    assert found(with_faults(history, long_ago)) == {("I7", *HERE)}


def test_a_run_cut_short_is_run_again() -> None:
    history = again({"ended_at": None, "outcome": None}, {})
    assert found(with_faults(history, EXECUTOR_KILLED)) == set()
    assert found(history) == {("I7", *HERE)}


def test_at_most_once_is_never_run_twice() -> None:
    history = with_task(with_faults(again({}, {}), EXECUTOR_KILLED), ONCE, delivery="at-most-once")
    assert found(history) == {("I7", *HERE)}


def test_starting_early_or_before_the_claim_is_i1() -> None:
    early = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, started_at=ONCE_AT - 100_001))
    assert ("I1", *HERE) in found(early)
    within = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, started_at=ONCE_AT - 50_000))
    assert found(within) == set()
    unclaimed = with_row(TINY, ONCE, ONCE_AT, claimed_at=ONCE_AT + 200_000)
    assert "before its row was claimed" in messages(unclaimed)[0]


def test_starting_before_the_due_time_with_jitter_is_i1() -> None:
    jittered = with_task(TINY, ONCE, due_offset_max_us=5 * S)
    assert found(jittered) == set()
    assert ("I1", *HERE) in found(with_row(jittered, ONCE, ONCE_AT, due_at=ONCE_AT + 2 * S))


def test_an_earlier_attempt_that_never_started_needs_a_fault() -> None:
    history = with_runs(again({}, {}), ONCE, ONCE_AT, again({}, {}).runs[-1])
    assert found(history) == {("I1", *HERE)}
    assert found(with_faults(history, NODE_KILLED)) == set()


def test_an_attempt_beyond_the_ledgers_is_i6() -> None:
    history = with_row(again({}, {}), ONCE, ONCE_AT, attempt=1)
    assert ("I6", *HERE) in found(with_faults(history, EXECUTOR_KILLED))


def test_attempts_out_of_order_are_i6_unless_their_executor_was_frozen() -> None:
    history = again({"started_at": ONCE_AT + 5 * S, "ended_at": ONCE_AT + 6 * S}, {})
    assert ("I6", *HERE) in found(history)
    frozen = replace(EXECUTOR_KILLED, kind="freeze", until_at=ONCE_AT + 5 * S)
    assert found(with_faults(history, frozen)) == set()
    # Long after it went on, it would not have begun with it only then.
    assert found(with_faults(history, EXECUTOR_KILLED)) == {("I7", *HERE)}


def test_an_attempt_that_a_cut_held_up_on_its_way_may_start_behind_the_next() -> None:
    history = again({"started_at": ONCE_AT + 5 * S, "ended_at": ONCE_AT + 6 * S}, {})
    cut = Fault("cut", "executor-0", ONCE_AT, ONCE_AT + 5 * S, peer="nodes")
    assert ("I6", *HERE) not in found(with_faults(history, cut))
    assert ("I6", *HERE) in found(with_faults(history, replace(cut, target="executor-5")))
    assert ("I6", *HERE) in found(with_faults(history, replace(cut, until_at=ONCE_AT + 4 * S)))


def test_epochs_that_fall_with_the_attempts_are_i3() -> None:
    history = again({"epoch": 5}, {"epoch": 4}, epoch=5)
    assert ("I3", *HERE) in found(with_faults(history, EXECUTOR_KILLED))
    rising = again({"epoch": 4}, {"epoch": 5}, epoch=5, node_id="node-1")
    rising = replace(rising, runs=tuple(each for each in rising.runs if each.started_at < ONCE_AT + 5 * S))
    assert ("I3", *HERE) not in found(with_faults(rising, EXECUTOR_KILLED))


@pytest.mark.parametrize("epoch", [3, 5])
def test_a_ledger_with_another_epoch_than_the_run_is_i3(epoch: int) -> None:
    assert found(with_row(TINY, ONCE, ONCE_AT, epoch=epoch)) == {("I3", *HERE)}


def test_a_start_under_an_old_epoch_after_a_new_one_is_i3() -> None:
    # EVERY at +1 s runs under epoch 5 of the same partition; what starts 2.5 s later under 4 was sent by a stale owner.
    moved = with_runs(TINY, EVERY, EVERY_AT, run(EVERY, EVERY_AT, epoch=5))
    moved = with_row(moved, EVERY, EVERY_AT, epoch=5, node_id="node-1")
    stale = {violation for violation in found(moved) if violation[0] == "I3"}
    assert stale == {("I3", "default/cron", CRON_AT), ("I3", "default/every", EVERY_AT + 10 * S)}
    assert found(moved) == stale


def test_two_nodes_under_one_epoch_are_i8() -> None:
    assert found(with_row(TINY, ONCE, ONCE_AT, node_id="node-1")) != set()
    assert {invariant for invariant, _, _ in found(with_row(TINY, ONCE, ONCE_AT, node_id="node-1"))} == {"I8"}


def test_a_task_in_two_partitions_is_i8() -> None:
    history = with_runs(TINY, CRON, CRON_AT, run(CRON, CRON_AT, partition_id=2))
    assert found(history) == {("I8", "default/cron", CRON_AT)}


def test_another_handler_is_i5() -> None:
    assert found(with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, handler="echo"))) == {("I5", *HERE)}


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("SUCCEEDED", "failed"),
        ("SUCCEEDED", None),
        ("FAILED", "succeeded"),
        ("FAILED", None),
    ],
)
def test_a_final_state_that_the_executor_contradicts_is_i2(state: str, outcome: str | None) -> None:
    ended_at = None if outcome is None else ONCE_AT + 30_000
    ran = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, outcome=outcome, ended_at=ended_at))
    history = with_row(ran, ONCE, ONCE_AT, state=state, reason="x")
    assert found(history) == {("I2", *HERE)}
    is_excused = outcome is None
    assert (found(with_faults(history, EXECUTOR_KILLED)) == set()) == is_excused


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_a_result_saved_before_its_run_ended_is_that_of_another_attempt(state: str) -> None:
    ended_at = ONCE_AT + 3 * S
    outcome = state.lower()
    ran = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, ended_at=ended_at, outcome=outcome))
    for early_us, expected in ((100_000, set()), (100_001, {("I2", *HERE)})):
        history = with_row(ran, ONCE, ONCE_AT, state=state, reason="x", saved_at=ended_at - early_us)
        assert found(history) == expected
    assert "100001 us before the run of attempt 1 ended" in messages(history)[0]
    # Nobody's result: it may end before the executor does.
    sent = {"cancel_sent_at": ONCE_AT, "cancelled_at": ONCE_AT + S, "cancels_running": True}
    cancelled = with_row(with_task(ran, ONCE, **sent), ONCE, ONCE_AT, state="CANCELLED", saved_at=ONCE_AT + S)
    assert found(cancelled) == set()


def test_failed_and_stopped_runs_are_fine() -> None:
    failed = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, outcome="failed"))
    assert found(with_row(failed, ONCE, ONCE_AT, state="FAILED")) == set()
    stopped = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, outcome="cancelled"))
    assert found(with_row(stopped, ONCE, ONCE_AT, state="FAILED", reason="timed out")) == set()
    assert found(with_row(stopped, ONCE, ONCE_AT, state="FAILED")) == {("I2", *HERE)}


def test_failed_without_a_run_needs_a_fault() -> None:
    history = with_row(with_runs(TINY, ONCE, ONCE_AT), ONCE, ONCE_AT, state="FAILED", picked_up_at=None)
    assert ("I1", *HERE) in found(history)
    assert ("I1", *HERE) not in found(with_faults(history, EXECUTOR_KILLED))
