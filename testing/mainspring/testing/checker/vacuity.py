"""Reasons why a history without a violation would prove nothing."""

from bisect import bisect_left

from mainspring.testing.checker.case import Evidence
from mainspring.testing.history import KINDS


def vacuous_reasons(evidence: Evidence) -> tuple[str, ...]:
    """Why not to believe a clean verdict; empty when there is no such reason."""
    history, limits = evidence.history, evidence.limits
    reasons: list[str] = []
    if history.window_until_at <= history.window_from_at:
        reasons.append("the window is empty")
    if not any(case.is_must for case in evidence.cases):
        reasons.append("no scheduled time had to run in the window")
    if not history.runs:
        reasons.append("no executor ran anything")
    if history.ledger_read_at < evidence.deadline(history.window_until_at):
        reasons.append("the ledger was read before the last due times of the window had to be picked up")
    kinds = (
        limits.required_kinds if limits.required_kinds is not None else {task.kind for task in history.tasks}
    )
    fired = {
        case.task.kind for case in evidence.cases if case.task is not None and case.is_must and case.runs
    }
    reasons += [f"no {kind} task fired" for kind in KINDS if kind in kinds and kind not in fired]
    # A must-time's due time by the client's word: the ledger's would let the scheduler choose.
    dues = sorted(evidence.due_range(case)[0] for case in evidence.cases if case.is_must)
    for fault in history.faults:
        name = f"{fault.kind} of {fault.target}"
        if fault.until_at <= fault.from_at:
            reasons.append(f"{name}: its time is empty")
            continue
        first = bisect_left(dues, fault.from_at)
        if first == len(dues) or dues[first] >= fault.until_at:
            reasons.append(f"{name}: nothing was due while it lasted")
    return tuple(reasons)
