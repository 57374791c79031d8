"""How late executions were because of each fault: the figure of its line in a table, and I10 where it has a bound."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mainspring.testing.checker.case import Case, Evidence
from mainspring.testing.checker.verdict import Limits, Violation, violation_of
from mainspring.testing.expected import FOR_EVER_AT
from mainspring.testing.history import Fault, History

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class FaultLateness:
    """What was due from a fault's begin until it was healed and had settled, or the next one began. In microseconds.

    What starts after the next fault begins is late because of this one only until then.

    Attributes:
        due: Executions that fell due then and were to run; without a row too, when they must exist.
        late_us: The greatest lateness, by the later of both witnesses; what was due while an outage lasted counts from
            its heal. 0 when nothing was late or due.
        late_from_due_us: The same, counted from the due time whatever was away.
        never: Those that nothing had started when the ledger was read; they count as late until then, whatever came next.
        latest: The scheduled time with the greatest lateness.
    """

    fault: Fault
    due: int
    late_us: int
    late_from_due_us: int
    never: int
    latest: Case | None


def lateness_by_fault(history: History, limits: Limits | None = None) -> tuple[FaultLateness, ...]:
    """The figures of every fault of a history, in its order."""
    return lateness_of_faults(Evidence(history, limits or Limits()))


def lateness_of_faults(evidence: Evidence) -> tuple[FaultLateness, ...]:
    """See `lateness_by_fault`."""
    cases = sorted(
        (case for case in evidence.cases if _counts(case)), key=lambda case: (case.due_at, case.key)
    )
    dues = [case.due_at for case in cases]
    figures: list[FaultLateness] = []
    for fault in evidence.history.faults:
        following = [other.from_at for other in evidence.history.faults if other.from_at >= fault.until_at]
        next_at = min(following, default=FOR_EVER_AT)
        end_at = min(fault.until_at + evidence.limits.settle_us, next_at)
        span = slice(bisect_left(dues, fault.from_at), bisect_left(dues, end_at))
        figures.append(_figures(evidence, fault, cases[span], next_at))
    return tuple(figures)


def _counts(case: Case) -> bool:
    if case.is_skipped or case.is_made_up_for:
        return False
    if case.row is None:
        return case.is_must and (bool(case.runs) or not case.is_removed)
    return bool(case.runs) or case.row.state not in ("CANCELLED", "LOST")


def _figures(evidence: Evidence, fault: Fault, cases: list[Case], next_at: int) -> FaultLateness:
    worst: tuple[int, Case | None] = (0, None)
    late_from_due_us = never = 0
    for case in cases:
        due_at, started_at = evidence.since(case), _started_at(case)
        if started_at is None:
            never += 1
            started_at = max(evidence.history.ledger_read_at, due_at)
        else:
            started_at = min(started_at, next_at)
        late_from_due_us = max(late_from_due_us, started_at - due_at)
        # What was started before an outage has nothing to do with it.
        base_at = min(evidence.counted_from(due_at, case.key), max(started_at, due_at))
        if started_at - base_at > worst[0]:
            worst = (started_at - base_at, case)
    return FaultLateness(fault, len(cases), worst[0], late_from_due_us, never, worst[1])


def _started_at(case: Case) -> int | None:
    """The first start, by the later word of executor and owner."""
    row, first = case.row, min(case.runs, key=lambda run: run.started_at, default=None)
    if first is None:
        return None if row is None else row.picked_up_at
    if row is not None and first.attempt == row.attempt and row.picked_up_at is not None:
        return max(first.started_at, row.picked_up_at)
    return first.started_at


def bounds_of_faults_hold(evidence: Evidence) -> Iterator[Violation]:
    """I10: nothing that fell due in a fault was later than the bound which that fault names."""
    if all(fault.bound_us is None for fault in evidence.history.faults):
        return
    for figures in lateness_of_faults(evidence):
        fault, latest = figures.fault, figures.latest
        if fault.bound_us is None or latest is None or figures.late_us <= fault.bound_us:
            continue
        name = f"{fault.kind} of {fault.target}"
        message = (
            f"{'/'.join(latest.key)} at {latest.scheduled_at} was {figures.late_us / SECOND_US:.3f} s late, "
            f"{fault.bound_us / SECOND_US:g} s are promised"
        )
        evidence_of_it = [record for record in (latest.row or latest.task,) if record is not None]
        yield violation_of("I10", ("fault", name), None, message, fault, *evidence_of_it)


WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (bounds_of_faults_hold,)
