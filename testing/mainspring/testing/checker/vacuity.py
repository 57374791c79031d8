"""Reasons why a history without a violation would prove nothing."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from mainspring.testing.checker.case import Evidence
from mainspring.testing.checker.races import counts_of_calls
from mainspring.testing.history import KINDS, Fault

# What a fact says when it did not hold.
_MISSED = {
    "was_alive_before": "its target was not running",
    "sessions_expired": "no session expired",
    "epochs_moved": "no partition moved",
    "commits_cut": "no COMMIT was cut",
}


def vacuous_reasons(evidence: Evidence) -> tuple[str, ...]:
    """Why not to believe a clean verdict; empty when there is no such reason."""
    history = evidence.history
    # A must-time's due time by the client's word: the ledger's would let the scheduler choose.
    dues = sorted(evidence.due_range(case)[0] for case in evidence.cases if case.is_must)
    reasons = [*_of_the_window(evidence), *_of_the_clients(evidence), *_of_the_audit(evidence)]
    for fault in history.faults:
        reasons += [
            f"{fault.kind} of {fault.target}: {reason}" for reason in _of_a_fault(evidence, fault, dues)
        ]
    return tuple(reasons)


def _of_the_window(evidence: Evidence) -> Iterator[str]:
    history, limits = evidence.history, evidence.limits
    if history.window_until_at <= history.window_from_at:
        yield "the window is empty"
    if not any(case.is_must for case in evidence.cases):
        yield "no scheduled time had to run in the window"
    if not history.runs:
        yield "no executor ran anything"
    if history.ledger_read_at < evidence.deadline(history.window_until_at):
        yield "the ledger was read before the last due times of the window had to be picked up"
    kinds = (
        limits.required_kinds if limits.required_kinds is not None else {task.kind for task in history.tasks}
    )
    fired = {
        case.task.kind for case in evidence.cases if case.task is not None and case.is_must and case.runs
    }
    for kind in KINDS:
        if kind in kinds and kind not in fired:
            yield f"no {kind} task fired"


def _of_the_clients(evidence: Evidence) -> Iterator[str]:
    history, limits = evidence.history, evidence.limits
    unknown = sum(task.outcome == "unknown" for task in history.tasks)
    if unknown > limits.unknown_share * len(history.tasks):
        yield f"the outcome of {unknown} of {len(history.tasks)} registrations is unknown"
    # Those after the window are the harness clearing up.
    asked = [
        task
        for task in history.tasks
        if task.cancel_sent_at is not None and task.cancel_sent_at < history.window_until_at
    ]
    acknowledged = sum(
        task.cancelled_at is not None and task.cancelled_at < history.window_until_at for task in asked
    )
    if asked and not acknowledged:
        yield f"none of {len(asked)} cancels was acknowledged"
    elif acknowledged < limits.required_cancels:
        yield f"{acknowledged} cancels were acknowledged, not {limits.required_cancels}"
    counts = counts_of_calls(evidence) if limits.required_calls else {}
    for name, required in limits.required_calls.items():
        if counts.get(name, 0) < required:
            yield f"{name}: {counts.get(name, 0)} of the {required} calls that there should be"


def _of_the_audit(evidence: Evidence) -> Iterator[str]:
    terms = evidence.terms
    if terms is None:
        return
    if not any(
        term.owner_id is not None for of_partition in terms.by_partition.values() for term in of_partition
    ):
        yield "the audit saw no owner of any partition"
    if terms.trail.read_at < evidence.history.window_until_at - evidence.limits.clock_margin_us:
        yield "the audit was read before the window had ended"


def _of_a_fault(evidence: Evidence, fault: Fault, dues: Sequence[int]) -> Iterator[str]:
    if fault.until_at <= fault.from_at:
        yield "its time is empty"
        return
    first = bisect_left(dues, fault.from_at)
    herd_at = fault.facts.get("herd_at")
    if (first == len(dues) or dues[first] >= fault.until_at) and herd_at is None:
        yield "nothing was due while it lasted"
    if herd_at is not None and not _meets_the_herd(evidence, fault, int(herd_at)):
        yield f"no part of the herd due at {herd_at} was left for it"
    for name, value in fault.facts.items():
        if not value and name != "herd_at":
            yield _MISSED.get(name, f"{name} is {value!r}")


def _meets_the_herd(evidence: Evidence, fault: Fault, herd_at: int) -> bool:
    """Whether some of what was due at that instant was still to be started when the fault began."""
    if herd_at >= fault.until_at:
        return False
    starts = [
        min((run.started_at for run in case.runs), default=fault.from_at)
        for case in evidence.cases
        if case.is_must and evidence.due_range(case)[0] == herd_at
    ]
    return any(started_at >= fault.from_at for started_at in starts)
