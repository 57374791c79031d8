"""What faults excuse and what they do not: doubles, LOST, cancels; how late each fault made things; whether it happened."""

from dataclasses import replace

import pytest
from unit.checker.tiny import (
    AUDITED,
    CRON,
    CRON_AT,
    DATABASE_AWAY,
    EVERY,
    EXECUTOR_KILLED,
    NODE_KILLED,
    NOW,
    ONCE,
    ONCE_AT,
    OWNER,
    TINY,
    UNTIL,
    S,
    found,
    messages,
    run,
    with_faults,
    with_row,
    with_runs,
    with_task,
    without_row,
)

from mainspring.testing.checker import Limits, check, lateness_by_fault
from mainspring.testing.history import Deadlocks, Fault, History

HERE = "default/once", ONCE_AT
CRON_HERE = "default/cron", CRON_AT
# Without the database's own witness, which would miss the next owner when that node goes.
FROM_NODE_1 = replace(AUDITED, audit=None)


def fault(kind: str, target: str, **fields: object) -> Fault:
    """From a moment before ONCE is due."""
    return Fault(kind, target, **({"from_at": ONCE_AT - S, "until_at": ONCE_AT + 3 * S} | fields))  # type: ignore[arg-type]


def ran_twice(history: History = AUDITED) -> History:
    """ONCE on executor-0, and four seconds later on executor-1; the ledger agrees with the second attempt."""
    runs = (
        run(ONCE, ONCE_AT, ended_at=None, outcome=None),
        run(
            ONCE,
            ONCE_AT,
            attempt=2,
            executor_id="executor-1",
            started_at=ONCE_AT + 4 * S,
            ended_at=ONCE_AT + 5 * S,
        ),
    )
    return with_row(
        with_runs(history, ONCE, ONCE_AT, *runs),
        ONCE,
        ONCE_AT,
        attempt=2,
        executor_id="executor-1",
        picked_up_at=ONCE_AT + 4 * S + 2_000,
        finished_at=ONCE_AT + 5 * S,
        saved_at=ONCE_AT + 5 * S,
    )


@pytest.mark.parametrize(
    "excuse",
    [
        fault("kill -9", "executor-0"),
        fault("freeze", "executor-0"),
        fault("freeze", "executors"),
        fault("cut", "executor-0"),
        fault("cut", "executor-0", peer="nodes"),
        fault("cut", "nodes", peer="executor-0"),
        # Its own node alone could not reach it any more, and had others to turn to.
        fault("cut", "node-1", peer="executor-0"),
        fault("cut", "executor-0", peer="node-1"),
    ],
)
def test_a_dead_frozen_or_cut_off_executor_explains_a_second_run(excuse: Fault) -> None:
    assert found(ran_twice()) == {("I7", *HERE)}
    assert found(with_faults(ran_twice(), excuse)) == set()


@pytest.mark.parametrize(
    "excuse",
    [
        # The node is replaced as owner, and the new one asks the executor before it sends anything again.
        fault("cut", "node-1", peer="executors"),
        fault("cut", "executors", peer="node-1"),
        fault("cut", "node-2", peer="executor-0"),
        fault("cut", "node-1", peer="executor-1"),
        fault("cut", "node-1", peer="zookeeper"),
        fault("cut", "node-1"),
        fault("freeze", "node-1"),
        fault("kill", "node-3"),
        fault("kill", "executor-1"),
        fault("stop", "MariaDB", is_outage=True),
        fault("slow", "executor-0"),
        fault("stop", "executor-0"),
        fault("join", "executor-0"),
    ],
)
def test_any_other_fault_explains_no_second_run(excuse: Fault) -> None:
    assert ("I7", *HERE) in found(with_faults(ran_twice(), excuse))


def test_a_run_that_began_after_the_heal_is_no_victim_of_the_fault() -> None:
    healed_at = ONCE_AT - S // 4
    frozen = fault("freeze", "executor-0", from_at=ONCE_AT - 8 * S, until_at=healed_at)
    # The run began at 20 ms after ONCE was due; the giving up, 4 s later, lies in the tail.
    assert found(with_faults(ran_twice(), frozen)) == {("I7", *HERE)}
    assert found(with_faults(ran_twice(), replace(frozen, until_at=healed_at + 20_000))) == set()


def test_a_cut_of_a_pair_counts_for_work_of_that_node_without_an_audit_too() -> None:
    # The ledger's node is that of the second attempt, under the same epoch.
    history = replace(ran_twice(), audit=None)
    assert found(with_faults(history, fault("cut", "node-1", peer="executor-0"))) == set()
    assert found(with_faults(history, fault("cut", "node-2", peer="executor-0"))) == {("I7", *HERE)}
    under_another = replace(
        history,
        runs=tuple(
            replace(each, epoch=3) if each.attempt == 1 and each.key == ONCE.key else each
            for each in history.runs
        ),
    )
    assert ("I7", *HERE) in found(with_faults(under_another, fault("cut", "node-1", peer="executor-0")))


# --- at most once ---------------------------------------------------------------------------------------------------


def lost(history: History = TINY, *, has_run: bool = True, **outcome: object) -> History:
    """ONCE, at most once, ended as LOST, with the run that was begun, or with none."""
    history = with_task(history, ONCE, delivery="at-most-once")
    runs = [run(ONCE, ONCE_AT, **({"ended_at": None, "outcome": None} | outcome))] if has_run else []
    fields = {
        "state": "LOST",
        "saved_at": ONCE_AT + 4 * S,
        "finished_at": ONCE_AT + 4 * S,
        "reason": "silent",
    }
    if not has_run:
        fields["picked_up_at"] = None
    return with_row(with_runs(history, ONCE, ONCE_AT, *runs), ONCE, ONCE_AT, **fields)


def test_at_most_once_never_runs_twice_whatever_happened() -> None:
    history = with_faults(with_task(ran_twice(), ONCE, delivery="at-most-once"), fault("kill", "executor-0"))
    assert found(history) == {("I7", *HERE)}
    # Not even as a retry of a failed attempt.
    failed = with_task(ran_twice(), ONCE, delivery="at-most-once", max_attempts=2)
    failed = replace(
        failed,
        runs=tuple(
            replace(each, ended_at=ONCE_AT + S, outcome="failed") if each.ended_at is None else each
            for each in failed.runs
        ),
    )
    assert found(failed) == {("I7", *HERE)}


def test_lost_with_a_run_needs_a_fault_of_the_executor_that_had_it() -> None:
    assert found(lost()) == {("I7", *HERE)}
    for excuse in (fault("kill", "executor-0"), fault("freeze", "executor-0"), fault("cut", "executor-0")):
        assert found(with_faults(lost(), excuse)) == set()
        # Its result came too late to count.
        assert found(with_faults(lost(ended_at=ONCE_AT + 6 * S, outcome="succeeded"), excuse)) == set()
    for other in (fault("kill", "node-0"), fault("kill", "executor-1"), fault("slow", "executor-0")):
        assert found(with_faults(lost(), other)) == {("I7", *HERE)}


@pytest.mark.parametrize(
    "excuse",
    [
        fault("kill -9", "executor-0"),
        fault("freeze", "executor-0"),
        fault("kill -9", "node-1"),
        fault("kill", "nodes", is_outage=True),
        fault("freeze", "node-1"),
        fault("stall", "node-1"),
        fault("cut", "node-1", peer="executors"),
        fault("cut", "node-1", peer="zookeeper"),
        fault("cut", "node-2", peer="executor-0"),
        fault("cut", "executors", peer="nodes"),
        fault("cut", "COMMIT"),
        fault("stop", "MariaDB", is_outage=True),
        fault("freeze", "ZooKeeper"),
    ],
)
def test_who_sends_or_runs_taken_out_explains_lost_without_a_run(excuse: Fault) -> None:
    history = lost(FROM_NODE_1, has_run=False)
    assert found(history) == {("I7", *HERE)}
    assert found(with_faults(history, excuse)) == set()
    before = replace(excuse, from_at=ONCE_AT - 9 * S, until_at=ONCE_AT - S // 2)
    after = replace(excuse, from_at=ONCE_AT + 5 * S, until_at=ONCE_AT + 6 * S)
    for at_another_time in (before, after):
        assert found(with_faults(history, at_another_time)) == {("I7", *HERE)}


ORDERLY = [
    fault("stop", "node-1"),
    fault("stop", "node-1", is_outage=True),
    fault("stop", "executor-0"),
    fault("join", "node-4"),
    fault("join", "executor-0"),
    fault("slow", "executor-0"),
    fault("slow", "MariaDB"),
    fault("clock", "node-1"),
    fault("drain", "node-1"),
]


@pytest.mark.parametrize(
    "other",
    [
        *ORDERLY,
        fault("kill", "node-2"),
        fault("kill", "executor-1"),
        fault("cut", "node-2", peer="executors"),
    ],
)
def test_orderly_changes_and_faults_of_others_lose_nothing(other: Fault) -> None:
    history = lost(FROM_NODE_1, has_run=False)
    assert found(with_faults(history, other)) == {("I7", *HERE)}


@pytest.mark.parametrize("orderly", ORDERLY)
def test_an_orderly_change_may_give_an_attempt_back_when_the_next_one_runs(orderly: Fault) -> None:
    twice = ran_twice(FROM_NODE_1)
    given_back = replace(twice, runs=tuple(each for each in twice.runs if each.ended_at is not None))
    assert found(given_back) == {("I1", *HERE)}
    assert found(with_faults(given_back, orderly)) == set()
    failed = with_runs(FROM_NODE_1, ONCE, ONCE_AT)
    failed = with_row(failed, ONCE, ONCE_AT, state="FAILED", picked_up_at=None)
    assert ("I1", *HERE) in found(with_faults(failed, orderly))
    assert ("I1", *HERE) not in found(with_faults(failed, fault("kill", "executor-0")))


def test_at_least_once_is_never_lost() -> None:
    history = with_task(with_faults(lost(), fault("kill", "executor-0")), ONCE, delivery="at-least-once")
    assert found(history) == {("I7", *HERE)}


def test_lost_is_counted() -> None:
    assert check(lost()).counts["lost"] == 1
    assert check(TINY).counts["lost"] == 0


# --- cancels in the middle of faults --------------------------------------------------------------------------------


def cancelled_row(**fields: object) -> History:
    """CRON's second time was claimed, and cancelled before it was sent."""
    row = {
        "state": "CANCELLED",
        "attempt": 0,
        "picked_up_at": None,
        "dispatched_at": None,
        "reason": "cancelled",
    }
    return with_runs(with_row(TINY, CRON, CRON_AT, **(row | fields)), CRON, CRON_AT)


def test_a_cancelled_row_from_before_the_cancel_is_i5() -> None:
    sent = {"cancel_sent_at": CRON_AT + S, "cancelled_at": CRON_AT + 2 * S}
    early = with_task(cancelled_row(saved_at=CRON_AT + 700_000), CRON, **sent)
    assert found(early) == {("I5", *CRON_HERE)}
    assert "before a client asked for it" in messages(early)[0]
    assert found(with_task(cancelled_row(saved_at=CRON_AT + 800_000), CRON, **sent)) == set()


def test_a_run_that_ended_may_be_cancelled_when_its_executor_was_lost_meanwhile() -> None:
    sent = {"cancel_sent_at": ONCE_AT + S, "cancelled_at": ONCE_AT + 2 * S}
    ended = with_runs(TINY, ONCE, ONCE_AT, run(ONCE, ONCE_AT, ended_at=ONCE_AT + 5 * S))
    history = with_task(ended, ONCE, **sent)
    history = with_row(
        history, ONCE, ONCE_AT, state="CANCELLED", saved_at=ONCE_AT + 4 * S, reason="cancelled"
    )
    assert found(history) == {("I5", *HERE)}
    for excuse in (fault("freeze", "executor-0"), fault("cut", "executor-0"), fault("kill", "executors")):
        assert found(with_faults(history, excuse)) == set()
        before = replace(excuse, from_at=ONCE_AT - 9 * S, until_at=ONCE_AT - S)
        after = replace(excuse, from_at=ONCE_AT + 5 * S, until_at=ONCE_AT + 6 * S)
        for at_another_time in (before, after):
            assert found(with_faults(history, at_another_time)) == {("I5", *HERE)}
    for other in (fault("freeze", "executor-1"), fault("slow", "executor-0"), fault("kill", "node-0")):
        assert found(with_faults(history, other)) == {("I5", *HERE)}


@pytest.mark.parametrize("cancelled_at", [CRON_AT + 30 * S, None], ids=["acknowledged", "unknown"])
@pytest.mark.parametrize("became", ["ran", "cancelled", "nothing"])
def test_a_cancel_sent_in_a_fault_may_have_come_first_or_not(cancelled_at: int | None, became: str) -> None:
    """One-time or recurring, in an outage: until 10 s after its heal the task may or may not have fired."""
    away = Fault("stop", "mysql", CRON_AT - 2 * S, CRON_AT + 6 * S, is_outage=True)
    sent = {"cancel_sent_at": CRON_AT + 15 * S, "cancelled_at": cancelled_at}
    history = {
        "ran": TINY,
        "cancelled": cancelled_row(saved_at=CRON_AT + 15 * S),
        "nothing": with_runs(without_row(TINY, CRON, CRON_AT), CRON, CRON_AT),
    }[became]
    assert found(with_faults(with_task(history, CRON, **sent), away)) == set()
    # Without the outage it had to have run 5 s before the cancel was sent.
    if became == "nothing":
        assert found(with_task(history, CRON, **sent)) == {("I1", *CRON_HERE)}


@pytest.mark.parametrize("cancelled_at", [ONCE_AT + S, None], ids=["acknowledged", "unknown"])
def test_a_one_time_task_cancelled_before_it_was_due_may_be_silent_or_have_run(
    cancelled_at: int | None,
) -> None:
    sent = {"cancel_sent_at": ONCE_AT - S, "cancelled_at": cancelled_at}
    assert found(with_task(TINY, ONCE, **sent)) == set()
    silent = with_runs(without_row(TINY, ONCE, ONCE_AT), ONCE, ONCE_AT)
    assert found(with_task(silent, ONCE, **sent)) == set()


def test_a_one_time_task_whose_cancel_was_acknowledged_before_it_was_due_does_not_run() -> None:
    sent = {"cancel_sent_at": ONCE_AT - 2 * S, "cancelled_at": ONCE_AT - S}
    assert ("I1", *HERE) in found(with_task(TINY, ONCE, **sent))
    assert ("I1", *HERE) in found(with_faults(with_task(TINY, ONCE, **sent), NODE_KILLED, EXECUTOR_KILLED))


def test_what_was_claimed_before_a_cancel_may_be_sent_late_in_a_fault_only() -> None:
    sent = {"cancel_sent_at": CRON_AT, "cancelled_at": CRON_AT + 100_000}
    times = {"dispatched_at": CRON_AT + 2 * S, "picked_up_at": CRON_AT + 2 * S + 20_000}
    late = with_row(TINY, CRON, CRON_AT, **times)
    late = with_runs(
        late, CRON, CRON_AT, run(CRON, CRON_AT, started_at=CRON_AT + 2 * S, ended_at=CRON_AT + 3 * S)
    )
    late = with_task(late, CRON, **sent)
    assert found(late) == {("I5", *CRON_HERE)}
    delayed = Fault("delay", "node-0", CRON_AT - S, CRON_AT + 3 * S)
    assert found(with_faults(late, delayed)) == set()
    # A claim that came after the cancel is no excuse, and neither is a send later than any check of the row allows.
    claimed_late = with_row(late, CRON, CRON_AT, claimed_at=CRON_AT + S)
    assert found(with_faults(claimed_late, delayed)) == {("I5", *CRON_HERE)}
    assert found(with_faults(late, delayed), Limits(stale_send_us=S)) >= {("I5", *CRON_HERE)}


# --- how late -------------------------------------------------------------------------------------------------------


def late(by_us: int, *faults: Fault) -> History:
    """ONCE picked up so long after it was due, by both witnesses."""
    history = with_row(TINY, ONCE, ONCE_AT, picked_up_at=ONCE_AT + by_us, finished_at=ONCE_AT + by_us + S)
    started = {"started_at": ONCE_AT + by_us - 1_000, "ended_at": ONCE_AT + by_us + S}
    return with_faults(with_runs(history, ONCE, ONCE_AT, run(ONCE, ONCE_AT, **started)), *faults)


def test_each_fault_is_told_how_late_what_was_due_in_it_ran() -> None:
    inside, after, far = fault("kill", "node-0"), fault("join", "node-3"), fault("join", "node-4")
    after = replace(after, from_at=ONCE_AT - 12 * S, until_at=ONCE_AT - 9 * S)
    far = replace(far, from_at=ONCE_AT - 14 * S, until_at=ONCE_AT - 10 * S)
    figures = [*lateness_by_fault(late(4 * S, inside)), *lateness_by_fault(late(4 * S, after))]
    figures += lateness_by_fault(late(4 * S, far))
    assert [each.fault for each in figures] == [inside, after, far]
    # Due from a second before ONCE until 13 s after it: ONCE, CRON at +10 s, EVERY at +11 s.
    assert [each.due for each in figures] == [3, 3, 2]
    assert [each.late_us for each in figures] == [4 * S, 4 * S, 22_000]
    assert [each.late_from_due_us for each in figures] == [4 * S, 4 * S, 22_000]
    assert figures[0].latest is not None
    assert figures[0].latest.key == ONCE.key
    assert figures[0].never == 0


def test_the_next_fault_ends_what_is_put_down_to_the_one_before() -> None:
    before = fault("stop", "node-0", from_at=ONCE_AT - 2 * S, until_at=ONCE_AT - S, bound_us=S)
    following = fault("kill", "node-1", from_at=ONCE_AT + 500_000, until_at=ONCE_AT + 3 * S)
    first, second = lateness_by_fault(late(4 * S, before, following))
    assert (first.due, first.late_us) == (2, 500_000)
    assert second.due == 2
    assert found(late(4 * S, before, following)) == set()
    assert found(late(4 * S, before)) == {("I10", "fault/stop of node-0", None)}
    # What was late before the next one began still counts.
    assert found(late(4 * S, replace(before, bound_us=400_000), following)) == {
        ("I10", "fault/stop of node-0", None)
    }
    # One that overlaps ends nothing.
    overlapping = replace(following, from_at=before.until_at - 1)
    assert lateness_by_fault(late(4 * S, before, overlapping))[0].late_us == 4 * S


def test_a_bound_of_its_own_is_held_against_each_fault() -> None:
    bounded = fault("stop", "node-0", bound_us=S)
    here = ("I10", "fault/stop of node-0", None)
    assert found(late(S, bounded)) == set()
    assert found(late(S + 1, bounded)) == {here}
    assert found(late(4 * S, replace(bounded, bound_us=None))) == set()
    assert found(late(4 * S, replace(bounded, bound_us=4 * S))) == set()
    [message] = messages(late(4 * S, bounded))
    assert message == (
        f"I10 fault/stop of node-0: default/once at {ONCE_AT} was 4.000 s late, 1 s are promised"
    )


def test_lateness_of_an_outage_counts_from_its_heal() -> None:
    away = fault("stop", "mysql", is_outage=True, bound_us=2 * S)
    [figures] = lateness_by_fault(late(5 * S, away))
    assert (figures.late_us, figures.late_from_due_us) == (2 * S, 5 * S)
    assert found(late(5 * S, away)) == set()
    assert found(late(5 * S + 1, away)) == {("I10", "fault/stop of mysql", None)}
    # In a pair the other fault's figure counts so too.
    other = fault("kill", "node-0", bound_us=2 * S)
    assert found(late(5 * S, other)) == {("I10", "fault/kill of node-0", None)}
    assert found(late(5 * S, other, away)) == set()
    # What ran before the outage began was not late because of it, and cannot be early either.
    later = replace(away, from_at=ONCE_AT + S, until_at=ONCE_AT + 4 * S)
    [figures] = lateness_by_fault(late(500_000, replace(later, from_at=ONCE_AT - 1)))
    assert figures.late_us <= 500_000


def test_what_never_started_counts_until_the_ledger_was_read() -> None:
    waiting = {"state": "WAITING", "attempt": 0, "picked_up_at": None, "finished_at": None, "saved_at": None}
    history = with_faults(
        with_runs(with_row(TINY, ONCE, ONCE_AT, **waiting), ONCE, ONCE_AT), fault("kill", "node-0")
    )
    [figures] = lateness_by_fault(history)
    assert figures.never == 1
    assert figures.late_us == figures.late_from_due_us == history.ledger_read_at - ONCE_AT
    # Whatever came next, and when nothing recorded it at all.
    following = fault("kill", "node-1", from_at=ONCE_AT + 4 * S, until_at=ONCE_AT + 5 * S)
    never_recorded = without_row(history, ONCE, ONCE_AT)
    for each in (history, never_recorded):
        first, second = lateness_by_fault(with_faults(each, *history.faults, following))
        assert (first.never, first.late_us) == (1, history.ledger_read_at - ONCE_AT)
        assert first.latest is not None
        assert first.latest.key == ONCE.key
        assert second.never == 0
    bounded = with_faults(never_recorded, fault("kill", "node-0", bound_us=S))
    assert ("I10", "fault/kill of node-0", None) in found(bounded)


def test_the_later_of_both_witnesses_counts_and_only_for_the_first_start() -> None:
    [figures] = lateness_by_fault(with_faults(TINY, fault("kill", "node-0")))
    assert figures.late_us == 22_000
    [figures] = lateness_by_fault(with_faults(ran_twice(), fault("kill", "executor-0")))
    assert figures.late_us == 22_000


def test_cancelled_lost_and_skipped_times_are_not_late() -> None:
    for history in (cancelled_row(), lost(has_run=False)):
        figures = lateness_by_fault(with_faults(history, fault("kill", "node-0")))
        assert figures[0].due == 2
        assert figures[0].late_us == 22_000


# --- whether it happened --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"was_alive_before": False}, "its target was not running"),
        ({"sessions_expired": []}, "no session expired"),
        ({"sessions_expired": 0}, "no session expired"),
        ({"epochs_moved": 0}, "no partition moved"),
        ({"commits_cut": 0}, "no COMMIT was cut"),
        ({"something_else": 0}, "something_else is 0"),
    ],
)
def test_a_fault_that_did_not_happen_proves_nothing(facts: dict[str, object], reason: str) -> None:
    verdict = check(with_faults(TINY, fault("kill", "node-0", facts=facts)))
    assert verdict.violations == ()
    assert verdict.vacuous == (f"kill of node-0: {reason}",)


def test_a_fault_that_happened_is_believed() -> None:
    facts = {"was_alive_before": True, "sessions_expired": ["node-0"], "epochs_moved": 7, "commits_cut": 1}
    assert check(with_faults(TINY, fault("kill", "node-0", facts=facts))).is_ok


def test_a_herd_has_to_meet_its_fault() -> None:
    """ONCE is the herd: it starts 20 ms after it is due."""
    hit = fault("kill", "node-0", from_at=ONCE_AT + 10_000, facts={"herd_at": ONCE_AT})
    assert check(with_faults(TINY, hit)).is_ok
    missed = {
        "over": replace(hit, from_at=ONCE_AT + 30_000),
        "not yet due": replace(hit, from_at=ONCE_AT - 2 * S, until_at=ONCE_AT),
        "no such herd": replace(hit, facts={"herd_at": ONCE_AT + 1}),
    }
    for name, never_met in missed.items():
        verdict = check(with_faults(TINY, never_met))
        assert len(verdict.vacuous) == 1, name
        assert "no part of the herd due at" in verdict.vacuous[0], name


def test_a_workload_whose_cancels_all_failed_proves_nothing_about_them() -> None:
    unknown = with_task(TINY, EVERY, cancel_sent_at=UNTIL - S)
    assert check(unknown).vacuous == ("none of 1 cancels was acknowledged",)
    assert check(unknown).counts["unknown_cancels"] == 1
    assert check(with_task(TINY, EVERY, cancel_sent_at=UNTIL - S, cancelled_at=UNTIL - S // 2)).is_ok
    # Those after the window are the harness clearing up.
    assert check(with_task(TINY, EVERY, cancel_sent_at=UNTIL)).is_ok
    assert check(TINY, Limits(required_cancels=1)).vacuous == ("0 cancels were acknowledged, not 1",)


def test_too_many_unknown_registrations_prove_nothing() -> None:
    strangers = tuple(
        replace(ONCE, task_id=f"unknown-{number}", outcome="unknown", acknowledged_at=None)
        for number in range(2)
    )
    few = replace(TINY, tasks=(*TINY.tasks, *strangers[:1]))
    assert check(few, Limits(unknown_share=0.25)).is_ok
    assert check(few).vacuous == ("the outcome of 1 of 4 registrations is unknown",)
    many = replace(TINY, tasks=(*TINY.tasks, *strangers))
    assert check(many).counts["unknown_registrations"] == 2
    assert not check(many).is_ok


# --- deadlocks ------------------------------------------------------------------------------------------------------


def test_every_deadlock_was_retried() -> None:
    here = {("deadlocks", "database/1213", None)}
    assert found(replace(TINY, deadlocks=Deadlocks(0, 0))) == set()
    assert found(replace(TINY, deadlocks=Deadlocks(3, 3))) == set()
    assert found(replace(TINY, deadlocks=Deadlocks(3, 2))) == here
    assert found(replace(TINY, deadlocks=Deadlocks(3, 2, has_gaps=True))) == set()
    counts = check(replace(TINY, deadlocks=Deadlocks(3, 2))).counts
    assert (counts["deadlocks"], counts["deadlocks_retried"], counts["violations_deadlocks"]) == (3, 2, 1)


def test_the_faults_of_these_tests_meet_what_they_should() -> None:
    assert DATABASE_AWAY.is_outage
    assert OWNER.startswith("node-1-")
    assert NOW < ONCE_AT < CRON_AT < UNTIL
