"""What the ledger must hold: I1 (one row each), I2 (final is final), I4, I5 (cancels), I9 (nothing stuck)."""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Case, Evidence
from mainspring.testing.checker.retries import is_failure, is_heard_of, is_worn_out
from mainspring.testing.checker.verdict import Violation, violation_of
from mainspring.testing.expected import FOR_EVER_AT
from mainspring.testing.history import FINAL_STATES, OPEN_STATES


def exactly_one_row(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I1: a scheduled time that must exist has one row or lies in one gap; no other has a row or a run."""
    number = len(case.rows) + len(case.gaps)
    if number > 1:
        yield case.violation("I1", f"{len(case.rows)} rows and {len(case.gaps)} gap rows, not exactly one")
    has_any = case.key in evidence.rows_by_task or case.key in evidence.gaps_by_task
    if number == 0 and case.is_removed:
        return
    if number == 0 and case.is_must and has_any:
        yield case.violation("I1", "no row for a scheduled time of an acknowledged task")
    if number == 0 and not case.is_must and case.early_runs:
        yield case.violation("I1", f"ran {len(case.early_runs)} times without a row")
    if case.rows and case.task is None:
        definitions = evidence.expected.versions.get(case.key, [])
        why = (
            "not a scheduled time of its task while that was active"
            if definitions
            else "a task nobody registered"
        )
        yield case.violation("I1", f"a row that must not exist: {why}", *definitions, *case.rows)


def due_as_asked(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I1: the ledger's due time is the one that the definition gives, so that lateness cannot be argued away."""
    if case.task is None:
        return
    earliest, latest = evidence.due_range(case)
    for row in case.rows:
        if not earliest <= row.due_at <= latest:
            yield case.violation("I1", f"due at {row.due_at}, not in [{earliest}, {latest}]", case.task, row)


def skipped_with_cause(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I1: a time is skipped only with a reason, while nothing could run it or its predecessor was still open."""
    if case.task is None or not case.is_skipped:
        return
    row = case.gaps[0] if case.gaps else case.rows[0]
    if not row.reason:
        yield case.violation("I1", f"{row.state} without a reason", row)
    if case.runs and (case.gaps or row.state == "SKIPPED"):
        yield case.violation("I1", f"{row.state}, but it ran")
    if row.state == "EXPIRED" and _was_too_late(case, evidence):
        return
    if row.state == "EXPIRED" and case.runs and row.attempt < case.task.max_attempts:
        return  # A failed attempt whose retry came too late: the lateness of the first start is what counts.
    limits = evidence.limits
    is_paused = evidence.lives.pauses_of(
        case.key, case.due_at - limits.clock_margin_us, case.due_at + limits.lateness_us
    )
    if not evidence.outages_at(case.due_at) and not is_paused and not evidence.was_busy(case):
        message = f"{row.state} ({row.reason}), but no outage, no pause and no open execution of the task explains it"
        yield case.violation("I1", message)


def _was_too_late(case: Case, evidence: Evidence) -> bool:
    """Whether its own limit had passed, in a fault: without one nothing is late."""
    row, task = case.row, case.task
    if row is None or task is None or task.start_within_us is None or row.saved_at is None:
        return False
    is_late = row.saved_at >= case.due_at + task.start_within_us - evidence.limits.clock_margin_us
    return is_late and bool(evidence.faults_during(case.due_at, row.saved_at))


def cancelled_by_somebody(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I5: a row is CANCELLED only when a client cancelled or it was replaced, and not over a run that ended by itself.

    Unless the run's executor was lost meanwhile: then nobody could know that it would end, and nothing follows it.
    """
    if case.row is None or case.row.state != "CANCELLED" or case.task is None:
        return
    if evidence.replaced_by(case) is not None:
        return
    versions = evidence.expected.versions[case.key]
    # What had been answered before it was claimed has nothing to do with it.
    begun_at = (case.row.claimed_at or case.due_at) - evidence.limits.clock_margin_us
    calls = evidence.lives.changes_until(case.key, evidence.history.ledger_read_at)
    spans = [(task.cancel_sent_at, task.cancelled_at) for task in versions if task.cancel_sent_at is not None]
    spans += [(call.sent_at, call.acknowledged_at) for call in calls]
    sent = [at for at, answered_at in spans if answered_at is None or answered_at >= begun_at]
    saved_at = case.row.saved_at
    if not sent:
        yield case.violation("I5", "CANCELLED, but no client cancelled, paused or changed the task")
    elif saved_at is not None and saved_at < min(sent) - _margin_of_a_write(evidence, saved_at, min(sent)):
        yield case.violation("I5", f"CANCELLED {min(sent) - saved_at} us before a client asked for it")
    elif not any(task.cancels_running for task in versions) and _is_settled_by_a_run(case, evidence):
        yield case.violation(
            "I5", "CANCELLED, but it ran to its end and the cancel did not ask for running ones"
        )


def _margin_of_a_write(evidence: Evidence, saved_at: int, until_at: int) -> int:
    """How long after `saved_at` a write may have been carried out: it names when it was begun, and faults hold it up."""
    limits = evidence.limits
    if not evidence.faults_during(saved_at, until_at):
        return limits.clock_margin_us
    return evidence.written_by(saved_at) - saved_at + limits.unknown_end_us


def nothing_after_cancel(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I5: once a cancel is acknowledged nothing is dispatched, and nothing starts but what was on its way.

    What was committed before may follow its commit at once. In the middle of a fault that takes longer: the answer to the
    commit is slow, and a send looks at the row again only when the commit began more than 2 s ago.
    """
    if case.task is None or case.task.cancelled_at is None or case.task.ended_by == "update":
        return  # After an update it goes on with the new definition, see `life_rules`.
    cancelled_at, limits = case.task.cancelled_at, evidence.limits
    for row in case.rows:
        if row.dispatched_at is None:
            continue
        late_us = row.dispatched_at - cancelled_at
        if late_us > limits.clock_margin_us:
            was_claimed = (
                row.claimed_at is not None and row.claimed_at <= cancelled_at + limits.clock_margin_us
            )
            if (
                was_claimed
                and late_us <= limits.stale_send_us
                and evidence.faults_during(cancelled_at, row.dispatched_at)
            ):
                continue
            yield case.violation(
                "I5", f"dispatched {late_us} us after its cancel was acknowledged", case.task, row
            )
    for run in case.runs:
        late_us = run.started_at - cancelled_at
        if late_us > limits.stale_send_us and not evidence.executor_faults(
            run.executor_id, cancelled_at, run.started_at
        ):
            yield case.violation(
                "I5", f"started {late_us} us after its cancel was acknowledged", case.task, run
            )


def nothing_stuck(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I9: long after its last sign of life a row due before the window's end is in a final state."""
    if case.row is None or case.row.state not in OPEN_STATES:
        return
    row = case.row
    if row.due_at >= evidence.history.window_until_at:
        return
    instants = [row.due_at, row.claimed_at, row.dispatched_at, row.picked_up_at, row.finished_at]
    for run in case.early_runs:
        instants += [run.started_at, run.ended_at]
    idle_us = evidence.history.ledger_read_at - max(instant for instant in instants if instant is not None)
    if idle_us > evidence.limits.stuck_after_us:
        yield case.violation("I9", f"still {row.state} {idle_us} us after its last sign of life")


def _is_settled_by_a_run(case: Case, evidence: Evidence) -> bool:
    row = case.rows[0]
    run = case.run_of(row.attempt)
    if run is None or case.task is None:
        return False
    until_at = max(row.saved_at or 0, row.finished_at or 0, row.due_at)

    if run.ended_at is None or not is_heard_of(run, evidence, until_at):
        return False
    if run.outcome == "cancelled" and not is_failure(case, run):
        return False
    # What its executor took down with it is an attempt and no failure: the retry policy counts failures.
    return not is_failure(case, run) or is_worn_out(case, evidence, until_at)


def gap_rows_add_up(evidence: Evidence) -> Iterator[Violation]:
    """I1: gap rows of a task do not meet, and each counts the scheduled times it stands for."""
    for key, gaps in evidence.gaps_by_task.items():
        for before, gap in zip([None, *gaps], gaps, strict=False):
            until_at = gap.gap_until if gap.gap_until is not None else gap.scheduled_at
            if before is not None and before.gap_until is not None and before.gap_until >= gap.scheduled_at:
                yield violation_of(
                    "I1", key, gap.scheduled_at, "two gap rows cover the same time", before, gap
                )
            if key not in evidence.expected.versions:
                yield violation_of("I1", key, gap.scheduled_at, "a gap row of a task nobody registered", gap)
                continue
            number = evidence.expected.count(key, gap.scheduled_at, until_at + 1)
            schedules = {
                (t.expression, t.time_zone, t.every_us, t.anchor_at) for t in evidence.expected.versions[key]
            }
            is_right = number == gap.gap_count if len(schedules) == 1 else 0 < gap.gap_count <= number
            if not is_right:
                message = f"a gap row counts {gap.gap_count} scheduled times where there are {number}"
                yield violation_of("I1", key, gap.scheduled_at, message, gap)
            if gap.state != "SKIPPED":
                yield violation_of("I1", key, gap.scheduled_at, f"a gap row in state {gap.state}", gap)


def tasks_count_their_rows(evidence: Evidence) -> Iterator[Violation]:
    """I1: a task counts what the ledger holds of it up to its latest row: 1 for a row, its count for a gap row.

    What calls have added does not count. What was recorded after the task was listed lies behind that row.
    """
    for task in evidence.history.listed_tasks or ():
        if task.execution_count is None or evidence.may_lack_rows(task.key):
            continue
        last_at = -FOR_EVER_AT if task.last_scheduled_at is None else task.last_scheduled_at
        rows = [
            row
            for row in evidence.rows_by_task.get(task.key, ())
            if row.scheduled_at <= last_at and row.origin not in ("TRIGGER", "BACKFILL")
        ]
        gaps = [gap for gap in evidence.gaps_by_task.get(task.key, ()) if gap.scheduled_at <= last_at]
        number = len(rows) + sum(gap.gap_count for gap in gaps)
        if number != task.execution_count:
            message = f"it counts {task.execution_count} executions where the ledger holds {number}"
            yield violation_of("I1", task.key, None, message, task)


def acknowledged_tasks_exist(evidence: Evidence) -> Iterator[Violation]:
    """I4: a task that was acknowledged and had to fire is in the ledger; when tasks were listed, it is listed."""
    tasks = evidence.history.listed_tasks
    listed = None if tasks is None else {task.key for task in tasks}
    for key, versions in evidence.expected.versions.items():
        acknowledged = [task for task in versions if task.outcome == "ok"]
        if not acknowledged or key in evidence.lives.deletions:
            continue
        musts = evidence.expected.must.get(key)
        if musts and key not in evidence.rows_by_task and key not in evidence.gaps_by_task:
            message = f"acknowledged, due {len(musts)} times, and the ledger holds no row of it"
            yield violation_of("I4", key, None, message, acknowledged[0])
        if listed is not None and key not in listed:
            yield violation_of("I4", key, None, "acknowledged, and the API does not list it", acknowledged[0])


def final_is_final(evidence: Evidence) -> Iterator[Violation]:
    """I2, I3, I6: between two readings a final row does not change, none vanishes, no number falls."""
    if not evidence.history.earlier_ledger:
        return
    now = {(row.key, row.scheduled_at): row for row in evidence.history.ledger}
    for before in evidence.history.earlier_ledger:
        row = now.get((before.key, before.scheduled_at))
        if row is None and evidence.may_lack_rows(before.key):
            continue  # What was open at the first reading may have ended since, and its task been deleted.
        if row is None:
            yield violation_of(
                "I2", before.key, before.scheduled_at, "the row vanished between two readings", before
            )
            continue
        if before.state in FINAL_STATES and before != row:
            message = (
                f"final as {before.state} in attempt {before.attempt}, later {row.state} in {row.attempt}"
            )
            yield violation_of("I2", row.key, row.scheduled_at, message, before, row)
        if row.attempt < before.attempt:
            message = f"attempt fell from {before.attempt} to {row.attempt}"
            yield violation_of("I6", row.key, row.scheduled_at, message, before, row)
        if row.epoch < before.epoch:
            yield violation_of(
                "I3", row.key, row.scheduled_at, f"epoch fell from {before.epoch} to {row.epoch}", before, row
            )


CASE_RULES: tuple[Callable[[Case, Evidence], Iterator[Violation]], ...] = (
    exactly_one_row,
    due_as_asked,
    skipped_with_cause,
    cancelled_by_somebody,
    nothing_after_cancel,
    nothing_stuck,
)
WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (
    gap_rows_add_up,
    tasks_count_their_rows,
    acknowledged_tasks_exist,
    final_is_final,
)
