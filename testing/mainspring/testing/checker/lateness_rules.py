"""I10: picked up within the bound, by the ledger's word and by the executor's."""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Case, Evidence, says_it_ran
from mainspring.testing.checker.verdict import Violation


def picked_up_in_time(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """The first start comes within the bound after due (after the heal of an outage), whoever tells of it.

    What was held counts from the end of what was open before it; what is made up for is late on purpose.
    """
    if not case.is_judged or case.row is None or case.is_skipped or case.task is None or case.is_made_up_for:
        return
    row, limits = case.row, evidence.limits
    deadline_at = evidence.deadline(evidence.since(case), case.key)
    first = min(case.runs, key=lambda run: run.started_at, default=None)
    if first is None:
        if (
            row.picked_up_at is None
            and row.state not in ("CANCELLED", "LOST")  # I5 and I7 say when that may be
            and evidence.history.ledger_read_at > deadline_at
        ):
            late_us = evidence.history.ledger_read_at - row.due_at
            yield case.violation("I10", f"{row.state}, and {late_us} us after due nothing had picked it up")
        return
    late_us = first.started_at - row.due_at
    if first.started_at > deadline_at + limits.executor_clock_margin_us:
        yield case.violation("I10", f"started {late_us} us after due, by the executor's log", row, first)
    if first.attempt == row.attempt and row.picked_up_at is not None and row.picked_up_at > deadline_at:
        yield case.violation("I10", f"picked up {row.picked_up_at - row.due_at} us after due", row, first)


def witnesses_agree(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """A pick-up is acknowledged after the executor's start of that attempt, and not long after."""
    row = case.row
    if row is None or not says_it_ran(row):
        return
    run = case.run_of(row.attempt)
    if row.picked_up_at is None:
        if row.attempt > 0:
            yield case.violation(
                "I10", f"{row.state} without a pick-up instant: its lateness is unknown", row
            )
        return
    if run is None:
        return
    before_us = run.started_at - row.picked_up_at
    if before_us > evidence.limits.executor_clock_margin_us:
        message = f"picked up {before_us} us before the executor started it: one of both is wrong"
        yield case.violation("I10", message, row, run)
    if row.picked_up_at > evidence.deadline(run.started_at) and not evidence.faults_during(
        run.started_at, row.picked_up_at
    ):
        message = f"its start was acknowledged {-before_us} us after the executor's start"
        yield case.violation("I10", message, row, run)


CASE_RULES: tuple[Callable[[Case, Evidence], Iterator[Violation]], ...] = (picked_up_in_time, witnesses_agree)
