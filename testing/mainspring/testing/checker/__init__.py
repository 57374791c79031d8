"""The checker: a verdict on a history that does not trust the scheduler.

`check(history)` joins what the client was acknowledged, what the executors wrote down and what the ledger
says, by (task, scheduled time), sets it against what triggers in the database saw, and tests the invariants
I1-I11 of docs/design.md on it. Pure: the same history gives the same verdict, also when it was loaded from
files.

    verdict.py          Limits (what is tolerated), Violation, Verdict
    case.py             the join: one Case per scheduled time
    excuses.py          what the faults excuse, and what they do not
    lives.py            what calls made of each task
    removals.py         which rows may be removed, and when
    terms.py            who owned what and when, by the database's audit
    ledger_rules.py     I1, I2, I4, I5, I9: what the ledger must hold
    run_rules.py        I1, I3, I6, I7, I8: what the executors may have seen
    ownership_rules.py  I2, I3, I8: what the database itself saw
    lateness_rules.py   I10; fault_lateness.py: the same for each fault
    life_rules.py       I4, I5: pauses, updates, deletions, triggers
    overlap_rules.py    I11: one execution of a task at a time
    deadlock_rules.py   every deadlock was retried
    races.py            how many calls met a fire
    vacuity.py          reasons why a clean history proves nothing
"""

from collections import Counter

from mainspring.testing.checker import (
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
from mainspring.testing.checker.fault_lateness import FaultLateness, lateness_by_fault
from mainspring.testing.checker.races import counts_of_calls
from mainspring.testing.checker.retries import is_duplicated
from mainspring.testing.checker.vacuity import vacuous_reasons
from mainspring.testing.checker.verdict import Limits, Verdict, Violation
from mainspring.testing.history import History

__all__ = ["FaultLateness", "Limits", "Verdict", "Violation", "check", "lateness_by_fault"]

_CASE_RULES = (
    *ledger_rules.CASE_RULES,
    *run_rules.CASE_RULES,
    *life_rules.CASE_RULES,
    *lateness_rules.CASE_RULES,
)
_WHOLE_RULES = (
    *ledger_rules.WHOLE_RULES,
    *run_rules.WHOLE_RULES,
    *life_rules.WHOLE_RULES,
    *ownership_rules.WHOLE_RULES,
    *overlap_rules.WHOLE_RULES,
    *fault_lateness.WHOLE_RULES,
    *deadlock_rules.WHOLE_RULES,
)


def check(history: History, limits: Limits | None = None) -> Verdict:
    """Judge a history.

    Args:
        history: The evidence.
        limits: Bounds and margins; the defaults suit one machine.

    Returns:
        Every violation found, sorted by invariant, and every reason why the run proves nothing. Takes about
        4 s for 100,000 rows.

    Raises:
        CronError: A cron expression is outside the language that the checker knows.
    """
    limits = limits or Limits()
    evidence = Evidence(history, limits)
    violations: list[Violation] = []
    for case in evidence.cases:
        for case_rule in _CASE_RULES:
            violations.extend(case_rule(case, evidence))
    for whole_rule in _WHOLE_RULES:
        violations.extend(whole_rule(evidence))
    violations.sort(key=lambda violation: (violation.order, violation.task, violation.scheduled_at or 0))
    return Verdict(tuple(violations), _counts(evidence, violations), vacuous_reasons(evidence))


def _counts(evidence: Evidence, violations: list[Violation]) -> dict[str, int]:
    history, cases = evidence.history, evidence.cases
    counts = {
        "tasks": len(history.tasks),
        "rows": len(history.ledger),
        "runs": len(history.runs),
        "faults": len(history.faults),
        "must": sum(case.is_must for case in cases),
        "scheduled": sum(case.is_scheduled for case in cases),
        "executed": sum(case.is_scheduled and bool(case.runs) for case in cases),
        "missing": sum(case.is_missing for case in cases),
        "duplicated": sum(is_duplicated(case, evidence) for case in cases),
        "skipped": sum(case.is_scheduled and case.is_skipped for case in cases),
        "failed": sum(case.row is not None and case.row.state == "FAILED" for case in cases),
        "cancelled": sum(case.row is not None and case.row.state == "CANCELLED" for case in cases),
        "lost": sum(case.row is not None and case.row.state == "LOST" for case in cases),
        "unknown_registrations": sum(task.outcome == "unknown" for task in history.tasks),
        "unknown_cancels": sum(
            task.cancel_sent_at is not None and task.cancelled_at is None for task in history.tasks
        ),
    }
    counts.update(counts_of_calls(evidence))
    if history.audit is not None:
        counts["ownership_changes"] = len(history.audit.ownership_changes)
        counts["removed_executions"] = sum(
            write.state_after is None for write in history.audit.final_overwrites
        )
        counts["removed_tasks"] = len(history.audit.removed_tasks)
    if history.deadlocks is not None:
        counts["deadlocks"] = history.deadlocks.on_server
        counts["deadlocks_retried"] = history.deadlocks.retried
        counts["deadlocks_with_gaps"] = int(history.deadlocks.has_gaps)
    for invariant, number in sorted(Counter(violation.invariant for violation in violations).items()):
        counts[f"violations_{invariant}"] = number
    return counts
