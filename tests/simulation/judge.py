"""The checker's verdict, less what it does not excuse yet and should."""

from __future__ import annotations

from dataclasses import replace

from mainspring.testing.checker import Limits, Verdict, Violation, check
from mainspring.testing.history import History, LedgerRow, Run

NOTHING = ("no scheduled time had to run in the window", "no executor ran anything")
"""What no seed may be: the rest of what a run should hold is asked of a batch."""
RAN_TO_ITS_END = "CANCELLED, but it ran to its end"


def judge(history: History, limits: Limits | None = None) -> Verdict:
    """The verdict on a history. Of `vacuous` the worst stays: a short run need not hold everything."""
    limits = limits or Limits()
    verdict = check(history, limits)
    violations = tuple(v for v in verdict.violations if not _is_lost_and_cancelled(v, history, limits))
    vacuous = tuple(reason for reason in verdict.vacuous if reason in NOTHING)
    return replace(verdict, violations=violations, vacuous=vacuous)


def _is_lost_and_cancelled(violation: Violation, history: History, limits: Limits) -> bool:
    """A task was cancelled while it ran, its executor was lost, so the row ended as CANCELLED; the executor came back.

    Nobody could know that its run would end: the same loss excuses a second run of what is not cancelled.
    """
    if violation.invariant != "I5" or not violation.message.startswith(RAN_TO_ITS_END):
        return False
    rows = [record for record in violation.evidence if isinstance(record, LedgerRow)]
    runs = [record for record in violation.evidence if isinstance(record, Run)]
    return any(
        fault.target == run.executor_id
        and fault.from_at <= (row.saved_at or 0)
        and run.started_at <= fault.until_at + limits.fault_tail_us
        for row in rows
        for run in runs
        if run.attempt == row.attempt
        for fault in history.faults
    )
