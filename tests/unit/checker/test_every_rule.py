"""No rule is dead: for each one there is a history in which it, asked alone, finds something, and none in a clean one."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain

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
    OTHER,
    OWNER,
    UNTIL,
    S,
    change,
    row,
    run,
    with_changes,
    with_faults,
    with_row,
    with_runs,
    with_task,
    with_trail,
    without_row,
)

from mainspring.testing.checker import (
    Limits,
    check,
    deadlock_rules,
    fault_lateness,
    lateness_rules,
    ledger_rules,
    life_rules,
    overlap_rules,
    ownership_rules,
    run_rules,
)
from mainspring.testing.checker.case import Evidence
from mainspring.testing.checker.verdict import Violation
from mainspring.testing.history import (
    AcknowledgedTask,
    Deadlocks,
    Fault,
    FinalOverwrite,
    History,
    LedgerRow,
    ListedTask,
    RemovedTask,
    StaleWrite,
    TaskCall,
)

CASE_RULES = (
    *ledger_rules.CASE_RULES,
    *run_rules.CASE_RULES,
    *life_rules.CASE_RULES,
    *lateness_rules.CASE_RULES,
)
WHOLE_RULES = (
    *ledger_rules.WHOLE_RULES,
    *run_rules.WHOLE_RULES,
    *life_rules.WHOLE_RULES,
    *ownership_rules.WHOLE_RULES,
    *overlap_rules.WHOLE_RULES,
    *fault_lateness.WHOLE_RULES,
    *deadlock_rules.WHOLE_RULES,
)
STALE = StaleWrite("UPDATE", 1, *ONCE.key, ONCE_AT, 2, 3, OWNER, 4, OWNER, ONCE_AT)
OVERWRITE = FinalOverwrite("UPDATE", 1, *ONCE.key, ONCE_AT, "SUCCEEDED", "FAILED", 1, 1, ONCE_AT)
BOUNDED = Fault("stop", "node-1", ONCE_AT - S, ONCE_AT + S, bound_us=1_000)
GAP = LedgerRow(*EVERY.key, NOW, NOW, "SKIPPED", gap_until=NOW, gap_count=2, reason="misfire")
DELETED = TaskCall(*ONCE.key, "delete", ONCE_AT + S, ONCE_AT + 2 * S)
TRIGGERED = TaskCall(*EVERY.key, "trigger", NOW, NOW + S, scheduled_at=NOW + 1)
PAUSED = TaskCall(*EVERY.key, "pause", NOW - 2 * S, NOW - S)


def listed(task: AcknowledgedTask) -> ListedTask:
    """The task, without a word about its count."""
    return ListedTask(*task.key)


PLANTED: dict[str, tuple[str, History]] = {
    "exactly_one_row": ("I1", without_row(AUDITED, EVERY, EVERY_AT)),
    "due_as_asked": ("I1", with_row(AUDITED, ONCE, ONCE_AT, due_at=ONCE_AT + 1)),
    "skipped_with_cause": ("I1", with_row(AUDITED, EVERY, EVERY_AT, state="SKIPPED")),
    "cancelled_by_somebody": ("I5", with_row(AUDITED, ONCE, ONCE_AT, state="CANCELLED")),
    "nothing_after_cancel": (
        "I5",
        with_row(
            with_task(AUDITED, CRON, cancel_sent_at=CRON_AT, cancelled_at=CRON_AT),
            CRON,
            CRON_AT,
            dispatched_at=UNTIL,
        ),
    ),
    "nothing_stuck": ("I9", with_row(AUDITED, ONCE, ONCE_AT, state="DISPATCHED")),
    "gap_rows_add_up": ("I1", replace(AUDITED, ledger=(*AUDITED.ledger, GAP))),
    "tasks_count_their_rows": (
        "I1",
        replace(AUDITED, listed_tasks=(ListedTask(*ONCE.key, 2, ONCE_AT), *map(listed, (EVERY, CRON)))),
    ),
    "acknowledged_tasks_exist": ("I4", without_row(AUDITED, ONCE, ONCE_AT)),
    "final_is_final": ("I2", replace(AUDITED, earlier_ledger=(replace(AUDITED.ledger[0], state="FAILED"),))),
    "never_early": ("I1", with_runs(AUDITED, ONCE, ONCE_AT, run(ONCE, ONCE_AT, started_at=ONCE_AT - S))),
    "ran_as_told": ("I1", with_runs(AUDITED, ONCE, ONCE_AT)),
    "state_fits_the_run": ("I2", with_row(AUDITED, ONCE, ONCE_AT, state="FAILED")),
    "saved_after_its_run": ("I2", with_row(AUDITED, ONCE, ONCE_AT, saved_at=ONCE_AT - S)),
    "attempts_rise": ("I6", with_runs(AUDITED, ONCE, ONCE_AT, run(ONCE, ONCE_AT), run(ONCE, ONCE_AT))),
    "nothing_starts_after_its_end": (
        "I6",
        with_runs(
            with_row(AUDITED, ONCE, ONCE_AT, state="LOST"),
            ONCE,
            ONCE_AT,
            run(ONCE, ONCE_AT, started_at=ONCE_AT + 2 * S, ended_at=ONCE_AT + 3 * S),
        ),
    ),
    "epochs_rise": ("I3", with_row(AUDITED, ONCE, ONCE_AT, epoch=3)),
    "doubles_are_explained": (
        "I7",
        with_runs(AUDITED, ONCE, ONCE_AT, run(ONCE, ONCE_AT), run(ONCE, ONCE_AT, attempt=2)),
    ),
    "lost_with_cause": ("I7", with_row(AUDITED, ONCE, ONCE_AT, state="LOST")),
    "one_handler": ("I5", with_runs(AUDITED, ONCE, ONCE_AT, run(ONCE, ONCE_AT, handler="other"))),
    "runs_what_was_asked_for": (
        "I5",
        with_runs(
            with_task(AUDITED, ONCE, payload_mark=1), ONCE, ONCE_AT, run(ONCE, ONCE_AT, payload_mark=2)
        ),
    ),
    "nothing_while_paused": ("I5", replace(AUDITED, calls=(PAUSED,))),
    "deleted_is_gone": ("I4", replace(AUDITED, calls=(DELETED,))),
    "triggered_once": ("I4", replace(AUDITED, calls=(TRIGGERED,))),
    "no_task_vanished": (
        "I4",
        with_trail(AUDITED, removed_tasks=(RemovedTask(1, *ONCE.key, "COMPLETED", UNTIL),)),
    ),
    "one_owner_per_epoch": ("I8", with_row(AUDITED, ONCE, ONCE_AT, node_id=OTHER)),
    "nothing_sent_under_an_old_epoch": (
        "I3",
        with_runs(AUDITED, EVERY, EVERY_AT, run(EVERY, EVERY_AT, epoch=5)),
    ),
    "one_partition_per_task": ("I8", with_runs(AUDITED, CRON, CRON_AT, run(CRON, CRON_AT, partition_id=2))),
    "picked_up_in_time": (
        "I10",
        with_runs(AUDITED, ONCE, ONCE_AT, run(ONCE, ONCE_AT, started_at=ONCE_AT + 11 * S, ended_at=UNTIL)),
    ),
    "witnesses_agree": ("I10", with_row(AUDITED, ONCE, ONCE_AT, picked_up_at=None)),
    "no_stale_write": ("I3", with_trail(AUDITED, stale_writes=(STALE,))),
    "no_final_overwritten": ("I2", with_trail(AUDITED, final_overwrites=(OVERWRITE,))),
    "epochs_rise_by_takes": ("I3", with_changes(AUDITED, change(4, 6, OWNER, OTHER, UNTIL))),
    "soon_owned_again": ("I8", with_changes(AUDITED, change(4, 4, OWNER, None, UNTIL))),
    "ledger_agrees_with_owners": ("I8", with_row(AUDITED, ONCE, ONCE_AT, node_id=OTHER)),
    "runs_belong_to_terms": ("I3", with_runs(AUDITED, ONCE, ONCE_AT, run(ONCE, ONCE_AT, epoch=9))),
    "one_at_a_time": ("I11", with_runs(AUDITED, EVERY, EVERY_AT, run(EVERY, EVERY_AT, ended_at=UNTIL))),
    "bounds_of_faults_hold": ("I10", with_faults(AUDITED, BOUNDED)),
    "every_deadlock_was_retried": ("deadlocks", replace(AUDITED, deadlocks=Deadlocks(1, 0))),
}


def asked_alone(rule: Callable[..., Iterable[Violation]], history: History) -> list[Violation]:
    evidence = Evidence(history, Limits())
    if rule in WHOLE_RULES:
        return list(rule(evidence))
    return list(chain.from_iterable(rule(case, evidence) for case in evidence.cases))


def test_there_is_a_plant_for_each_rule_and_no_other() -> None:
    assert sorted(PLANTED) == sorted(rule.__name__ for rule in (*CASE_RULES, *WHOLE_RULES))


def test_every_invariant_can_be_found_broken() -> None:
    assert {f"I{number}" for number in range(1, 11)} <= {invariant for invariant, _ in PLANTED.values()}


@pytest.mark.parametrize("rule", [*CASE_RULES, *WHOLE_RULES], ids=lambda rule: rule.__name__)
def test_each_rule_finds_its_plant_and_leaves_a_clean_history_alone(
    rule: Callable[..., Iterable[Violation]],
) -> None:
    invariant, history = PLANTED[rule.__name__]
    assert asked_alone(rule, AUDITED) == []
    found = asked_alone(rule, history)
    assert invariant in {violation.invariant for violation in found}
    assert all(violation.evidence for violation in found)
    # And so the whole does.
    assert set(found) <= set(check(history).violations)


def test_a_row_of_these_plants_is_what_it_seems() -> None:
    assert row(ONCE, ONCE_AT) == replace(AUDITED.ledger[0], node_id="node-0")
