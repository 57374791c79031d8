"""What the executors may have seen: I1 (a run where told, never early), I3 and I8 (epochs), I6 (attempts), I7."""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Case, Evidence, says_it_ran
from mainspring.testing.checker.retries import is_retry, may_be_too_slow
from mainspring.testing.checker.verdict import Violation, violation_of
from mainspring.testing.history import FINAL_STATES, Fault, LedgerRow, Run


def never_early(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I1: nothing starts before it is due, nor before its row was claimed."""
    margin_us = evidence.limits.executor_clock_margin_us
    earliest_at, _ = evidence.due_range(case)
    if case.row is not None:
        earliest_at = max(earliest_at, case.row.due_at)
    for run in case.runs:
        if run.started_at < earliest_at - margin_us:
            yield case.violation(
                "I1", f"started {earliest_at - run.started_at} us before it was due", case.row, run
            )
        if case.row is not None and case.row.claimed_at is not None:
            before_us = case.row.claimed_at - run.started_at
            if before_us > margin_us:
                yield case.violation(
                    "I1", f"started {before_us} us before its row was claimed", case.row, run
                )


def ran_as_told(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I1, I6: every attempt that the row tells of has a run, unless a fault explains why it never started.

    One that another followed may have been given back by any fault, an orderly change too. For the last one, which nothing
    followed, somebody must have been taken out of his work.
    """
    row = case.row
    if row is None:
        return
    seen = {run.attempt for run in case.runs}
    until_at = max(row.saved_at or 0, row.dispatched_at or 0, row.due_at)
    faults = evidence.faults_during(row.due_at, until_at)
    for attempt in range(1, row.attempt):
        if attempt not in seen and not faults:
            message = f"attempt {attempt} of {row.attempt} never ran, and no fault explains it"
            yield case.violation("I1", message, row, *case.runs)
    if row.attempt in seen:
        return
    if says_it_ran(row):
        yield case.violation(
            "I1", f"{row.state} in attempt {row.attempt}, but no executor ran that", row, *case.runs
        )
    elif row.state == "FAILED" and not evidence.breaks(row, until_at):
        message = f"FAILED in attempt {row.attempt} without a run, and no fault explains it"
        yield case.violation("I1", message, row, *case.runs)


def state_fits_the_run(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I2, I6: the final state is the outcome of the run of the row's attempt, as the executor wrote it down."""
    row = case.row
    run = None if row is None else case.run_of(row.attempt)
    if row is None or run is None:
        return
    until_at = max(row.saved_at or 0, row.finished_at or 0, row.due_at)
    if row.state == "SUCCEEDED":
        is_fine = run.outcome == "succeeded" or _log_was_cut(run, until_at, evidence)
    elif row.state == "FAILED":
        is_stopped = (run.outcome == "cancelled" and bool(row.reason)) or may_be_too_slow(case, run, evidence)
        is_fine = run.outcome == "failed" or is_stopped or _log_was_cut(run, until_at, evidence)
    else:
        is_fine = row.state != "EXPIRED" or run.outcome != "succeeded"
    if not is_fine:
        outcome = run.outcome or "no end"
        yield case.violation("I2", f"the ledger says {row.state}, the executor says {outcome}", row, run)


def saved_after_its_run(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I2, I6: a result is saved when the run of its attempt has ended: an earlier one is the result of another attempt."""
    row = case.row
    run = None if row is None else case.run_of(row.attempt)
    if row is None or run is None or row.state not in ("SUCCEEDED", "FAILED"):
        return
    if row.saved_at is None or run.ended_at is None:
        return
    if row.state == "FAILED" and may_be_too_slow(case, run, evidence):
        return  # It was too slow: that is decided first, and then it is stopped.
    early_us = run.ended_at - row.saved_at
    if early_us > evidence.limits.executor_clock_margin_us:
        message = f"{row.state} was saved {early_us} us before the run of attempt {row.attempt} ended"
        yield case.violation("I2", message, row, run)


def _log_was_cut(run: Run, until_at: int, evidence: Evidence) -> bool:
    is_open = run.ended_at is None
    return is_open and bool(
        evidence.executor_faults(run.executor_id, run.started_at, max(until_at, run.started_at))
    )


def attempts_rise(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I6: an attempt runs at most once, attempts start in order, and the ledger's is the last one."""
    for before, after in zip(case.runs, case.runs[1:], strict=False):
        if before.attempt == after.attempt:
            yield case.violation("I6", f"attempt {after.attempt} ran more than once", before, after)
            continue
        is_late = after.started_at < before.started_at - evidence.limits.executor_clock_margin_us
        if is_late and not _was_held_up(case, before, after.started_at, evidence):
            yield case.violation(
                "I6", f"attempt {before.attempt} started after attempt {after.attempt}", before, after
            )
    if case.row is not None and case.early_runs and case.early_runs[-1].attempt > case.row.attempt:
        attempt = case.early_runs[-1].attempt
        message = f"attempt {attempt} ran, the ledger knows of {case.row.attempt}"
        yield case.violation("I6", message, case.row, case.early_runs[-1])


def nothing_starts_after_its_end(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I6: nothing starts once its row is final, but for what a cut held up on its way."""
    row = case.row
    if row is None or row.saved_at is None or row.state not in FINAL_STATES:
        return
    for run in case.early_runs:
        late_us = run.started_at - row.saved_at
        if late_us > evidence.limits.executor_clock_margin_us and not _cuts_on_its_way(
            case, run, row.saved_at, evidence
        ):
            message = (
                f"attempt {run.attempt} started {late_us} us after its execution had ended as {row.state}"
            )
            yield case.violation("I6", message, row, run)


def _was_held_up(case: Case, run: Run, from_at: int, evidence: Evidence) -> bool:
    """Whether an attempt may have started so late: its executor was frozen with it in hand, or a cut held it up."""
    return bool(
        evidence.executor_faults(run.executor_id, from_at, run.started_at)
        or _cuts_on_its_way(case, run, from_at, evidence)
    )


def _cuts_on_its_way(case: Case, run: Run, from_at: int, evidence: Evidence) -> list[Fault]:
    sender = evidence.sender_of(case, run) or ""
    return evidence.cuts_between(run.executor_id, sender, from_at, run.started_at)


def epochs_rise(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I3: epochs do not fall from attempt to attempt, and the ledger's is that of its attempt."""
    for before, after in zip(case.runs, case.runs[1:], strict=False):
        if after.attempt > before.attempt and after.epoch < before.epoch:
            message = f"attempt {after.attempt} has epoch {after.epoch}, attempt {before.attempt} had {before.epoch}"
            yield case.violation("I3", message, before, after)
    if case.row is None:
        return
    for run in case.early_runs:
        is_same = run.attempt == case.row.attempt
        if run.epoch > case.row.epoch or (is_same and run.epoch != case.row.epoch):
            message = f"attempt {run.attempt} ran under epoch {run.epoch}, the ledger says {case.row.epoch}"
            yield case.violation("I3", message, case.row, run)


def doubles_are_explained(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I7: a second run is a retry, or the executor of the first one was dead, frozen or cut off; at-most-once: never."""
    if len(case.runs) < 2:
        return
    if case.task is not None and case.task.delivery == "at-most-once":
        yield case.violation("I7", f"at-most-once, and it ran {len(case.runs)} times", case.task, *case.runs)
        return
    for number, (before, after) in enumerate(zip(case.runs, case.runs[1:], strict=False), start=1):
        if is_retry(case, number, evidence):
            continue
        if not evidence.given_up_for(case, before, after.started_at):
            message = f"ran again on {after.executor_id}, and no fault of {before.executor_id} explains it"
            yield case.violation("I7", message)


def lost_with_cause(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I7: only an at-most-once execution ends as LOST, and only when nobody could tell any more whether it ran.

    That is when the executor that had it was dead, frozen or cut off; or, for one that never started, when its sender, its
    executor or a server was, after the commit that assigned it. Orderly changes lose nothing.
    """
    row = case.row
    if row is None or row.state != "LOST":
        return
    if case.task is not None and case.task.delivery != "at-most-once":
        yield case.violation("I7", "LOST, although it may run again", case.task, row, *case.runs)
        return
    until_at = max(row.saved_at or 0, row.finished_at or 0, row.due_at)
    run = case.run_of(row.attempt)
    if run is None and not evidence.breaks(row, until_at):
        yield case.violation("I7", "LOST without a run, and no fault explains it", row)
    elif run is not None and not evidence.given_up_for(case, run, until_at):
        message = f"LOST, and no fault of {run.executor_id}, which had it, explains it"
        yield case.violation("I7", message, row, run)


def one_handler(case: Case, evidence: Evidence) -> Iterator[Violation]:
    """I5: what ran is the handler of the definition."""
    if case.task is None:
        return
    handlers = {task.handler for task in evidence.expected.versions[case.key]}
    for run in case.runs:
        if run.handler not in handlers:
            yield case.violation("I5", f"ran {run.handler!r}, not {case.task.handler!r}", case.task, run)


def one_owner_per_epoch(evidence: Evidence) -> Iterator[Violation]:
    """I8: whatever was dispatched under one epoch of a partition was dispatched by one node."""
    owners: dict[tuple[int, int], LedgerRow] = {}
    for case in evidence.cases:
        row = case.row
        run = None if row is None else case.run_of(row.attempt)
        if row is None or run is None or row.node_id is None or run.epoch != row.epoch:
            continue
        first = owners.setdefault((run.partition_id, row.epoch), row)
        if first.node_id != row.node_id:
            message = (
                f"partition {run.partition_id}, epoch {row.epoch}: owned by {first.node_id} and {row.node_id}"
            )
            yield violation_of("I8", row.key, row.scheduled_at, message, first, row, run)


def nothing_sent_under_an_old_epoch(evidence: Evidence) -> Iterator[Violation]:
    """I3: soon after the first start under a higher epoch of a partition nothing starts under a lower one."""
    by_partition: dict[int, list[Run]] = {}
    for run in evidence.history.runs:
        by_partition.setdefault(run.partition_id, []).append(run)
    for partition_id, runs in by_partition.items():
        runs.sort(key=lambda run: run.started_at)
        moves: list[Run] = []
        for run in runs:
            moved = next((move for move in moves if move.epoch > run.epoch), None)
            if moved is None:
                if not moves or run.epoch > moves[-1].epoch:
                    moves.append(run)
                continue
            late_us = run.started_at - moved.started_at
            is_late = late_us > evidence.limits.stale_send_us
            if is_late and not evidence.executor_faults(run.executor_id, moved.started_at, run.started_at):
                message = (
                    f"partition {partition_id}: started under epoch {run.epoch}, {late_us} us after "
                    f"the first start under epoch {moved.epoch}"
                )
                yield violation_of("I3", run.key, run.scheduled_at, message, moved, run)


def one_partition_per_task(evidence: Evidence) -> Iterator[Violation]:
    """I8: all runs of a task name the same partition."""
    first_runs: dict[tuple[str, str], Run] = {}
    for run in evidence.history.runs:
        first = first_runs.setdefault(run.key, run)
        if first.partition_id != run.partition_id:
            message = f"ran in partition {first.partition_id} and in {run.partition_id}"
            yield violation_of("I8", run.key, run.scheduled_at, message, first, run)


CASE_RULES: tuple[Callable[[Case, Evidence], Iterator[Violation]], ...] = (
    never_early,
    ran_as_told,
    state_fits_the_run,
    saved_after_its_run,
    attempts_rise,
    nothing_starts_after_its_end,
    epochs_rise,
    doubles_are_explained,
    lost_with_cause,
    one_handler,
)
WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (
    one_owner_per_epoch,
    nothing_sent_under_an_old_epoch,
    one_partition_per_task,
)
