"""How many calls about tasks met a fire of their task: what a run with calls proves rests on these."""

from collections import Counter
from collections.abc import Iterator

from mainspring.testing.checker.case import Case, Evidence
from mainspring.testing.history import CallKind, TaskCall, TaskKey

NEAR_US = 250_000
"""So near a call the claim of a time may come before it, meanwhile or after it."""
RACING: tuple[CallKind, ...] = ("pause", "update", "cancel", "delete")


def counts_of_calls(evidence: Evidence) -> dict[str, int]:
    """Calls by kind, those that met a fire, and what they stopped between its claim and its start."""
    by_task: dict[TaskKey, list[Case]] = {}
    for case in evidence.cases:
        if case.key in evidence.lives.calls:
            by_task.setdefault(case.key, []).append(case)
    counts: Counter[str] = Counter()
    for key, calls in evidence.lives.calls.items():
        for call in calls:
            counts[f"calls_{call.kind}"] += 1
            if call.kind in RACING:
                met = list(_met(call, by_task.get(key, ())))
                counts[f"raced_{call.kind}"] += bool(met)
                counts[f"stopped_{call.kind}"] += any(_was_stopped(case, call) for case in met)
    return dict(sorted(counts.items()))


def _met(call: TaskCall, cases: list[Case] | tuple[()]) -> Iterator[Case]:
    until_at = (call.acknowledged_at or call.sent_at) + NEAR_US
    return (
        case
        for case in cases
        if (case.rows or case.runs) and call.sent_at - NEAR_US <= case.due_at <= until_at
    )


def _was_stopped(case: Case, call: TaskCall) -> bool:
    row = case.row
    return row is not None and row.state == "CANCELLED" and (row.saved_at or 0) >= call.sent_at - NEAR_US
