"""What calls about tasks promise: I5 (nothing of the old definition is sent), I4 (what was acknowledged is so)."""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Case, Evidence
from mainspring.testing.checker.verdict import Violation, violation_of
from mainspring.testing.history import Run


def runs_what_was_asked_for(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I5: a payload runs from when a client sent it until another one was acknowledged, by the executor's own log.

    What was on its way then may start soon after; what ran goes on.
    """
    payloads = evidence.lives.payloads.get(case.key)
    if payloads is None:
        return
    own = {
        call.payload_mark
        for call in evidence.lives.triggers.get(case.key, ())
        if call.payload_mark is not None and call.scheduled_at in (None, case.scheduled_at)
    }
    margin_us = evidence.limits.executor_clock_margin_us
    for run in case.runs:
        if run.payload_mark is None or run.payload_mark in own:
            continue
        given = [payload for payload in payloads if payload.mark == run.payload_mark]
        if not given:
            yield case.violation("I5", f"ran a payload (mark {run.payload_mark}) that nobody gave it", run)
            continue
        if any(
            payload.from_at - margin_us <= run.started_at
            and not _is_late(case, evidence, run, payload.until_at)
            for payload in given
        ):
            continue
        last = given[-1]
        if run.started_at < last.from_at:
            message = f"ran a payload {last.from_at - run.started_at} us before a client sent it"
        else:
            message = f"ran an old payload {run.started_at - last.until_at} us after another was acknowledged"
        records = [record for record in (last.replaced_by, case.row, run) if record is not None]
        yield case.violation("I5", message, *records)


def nothing_while_paused(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I5: between an acknowledged pause and the call that ends it nothing is dispatched, and nothing starts but what was
    on its way."""
    limits = evidence.limits
    for pause in evidence.lives.pauses.get(case.key, ()):
        paused_at = pause.call.acknowledged_at
        if paused_at is None:
            continue
        until_at = evidence.history.ledger_read_at if pause.resume is None else pause.resume.sent_at
        for row in case.rows:
            if row.dispatched_at is None or not paused_at < row.dispatched_at < until_at:
                continue
            late_us = row.dispatched_at - paused_at
            was_claimed = row.claimed_at is not None and row.claimed_at <= paused_at + limits.clock_margin_us
            is_on_its_way = was_claimed and late_us <= limits.stale_send_us
            if late_us <= limits.clock_margin_us or (
                is_on_its_way and evidence.faults_during(paused_at, row.dispatched_at)
            ):
                continue
            message = f"dispatched {late_us} us after its pause was acknowledged"
            yield case.violation("I5", message, pause.call, row)
        for run in case.runs:
            if run.started_at < until_at - limits.executor_clock_margin_us and _is_late(
                case, evidence, run, paused_at
            ):
                message = f"started {run.started_at - paused_at} us after its pause was acknowledged"
                yield case.violation("I5", message, pause.call, run)


def _is_late(case: Case, evidence: Evidence, run: Run, ended_at: int) -> bool:
    """Whether a run started so long after the acknowledgement of a call that it cannot have been on its way.

    What was sent before may be held up by a cut for as long as neither side takes the other for dead.
    """
    limits = evidence.limits
    late_us = run.started_at - ended_at
    if late_us <= limits.started_us:
        return False
    if late_us <= limits.stale_send_us and evidence.faults_during(ended_at, run.started_at):
        return False
    if evidence.executor_faults(run.executor_id, ended_at, run.started_at):
        return False
    row = case.row
    return not (
        row is not None
        and row.attempt == run.attempt
        and row.dispatched_at is not None
        and row.dispatched_at <= ended_at
        and row.node_id is not None
        and evidence.cuts_between(run.executor_id, row.node_id, ended_at, run.started_at)
    )


def deleted_is_gone(evidence: Evidence) -> Iterator[Violation]:
    """I4: a task whose deletion was acknowledged is neither listed nor in the ledger."""
    listed = {task.key for task in evidence.history.listed_tasks or ()}
    for key, call in evidence.lives.deletions.items():
        if call.acknowledged_at is None:
            continue
        if key in listed:
            yield violation_of("I4", key, None, "its deletion was acknowledged, and it is listed", call)
        rows = [*evidence.rows_by_task.get(key, ()), *evidence.gaps_by_task.get(key, ())]
        if rows:
            message = f"its deletion was acknowledged, and {len(rows)} rows of it are left"
            yield violation_of("I4", key, rows[0].scheduled_at, message, call, rows[0])


def triggered_once(evidence: Evidence) -> Iterator[Violation]:
    """I1, I4: an acknowledged trigger has its one row, an unanswered one at most one, and nobody else triggers."""
    lives = evidence.lives
    triggered = {
        key: rows
        for key, of_task in evidence.rows_by_task.items()
        if (rows := [row for row in of_task if row.origin == "TRIGGER"])
    }
    for key in sorted({*triggered, *lives.triggers}):
        if evidence.may_lack_rows(key):
            continue
        rows, calls = triggered.get(key, []), lives.triggers.get(key, [])
        at = [row.scheduled_at for row in rows]
        named = {call.scheduled_at for call in calls if call.acknowledged_at is not None}
        for call in calls:
            if call.acknowledged_at is not None and call.scheduled_at not in at:
                message = "a trigger was acknowledged, and the ledger does not hold it"
                yield violation_of("I4", key, call.scheduled_at, message, call)
        others = [row for row in rows if row.scheduled_at not in named]
        unanswered = [call for call in calls if call.acknowledged_at is None]
        if len(others) > len(unanswered):
            message = (
                f"{len(others)} triggered beside those acknowledged, of {len(unanswered)} unanswered calls"
            )
            yield violation_of("I1", key, others[0].scheduled_at, message, *others, *unanswered)


CASE_RULES: tuple[Callable[[Case, Evidence], Iterator[Violation]], ...] = (
    runs_what_was_asked_for,
    nothing_while_paused,
)
WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (deleted_is_gone, triggered_once)
