"""What counts as a failed attempt, and which runs follow one as the retry policy allows.

The policy counts failures that the owner of a task knows of. An executor writes down how a run ended before anybody else
hears of it: when it is killed, frozen or cut off in that moment, the failure is in its run log and counts for nobody.
"""

from mainspring.testing.checker.case import Case, Evidence
from mainspring.testing.history import Run

CLOCKS_APART_US = 200_000
"""By so much at most two executors' clocks differ, twice what one may be off."""


def is_failure(case: Case, run: Run) -> bool:
    """Whether it failed, or was too slow, whatever it said in the end: then it is given up."""
    if run.ended_at is None:
        return False
    limit_us = _limit_us(case)
    is_slow = limit_us is not None and (
        run.outcome == "cancelled" or run.ended_at - run.started_at >= limit_us
    )
    return run.outcome == "failed" or is_slow


def may_be_too_slow(case: Case, run: Run, evidence: Evidence) -> bool:
    """Whether its owner may have given it up as too slow: it ran for so long, or a fault held up the word of its end."""
    row, limit_us = case.row, _limit_us(case)
    if row is None or limit_us is None or run.ended_at is None:
        return False
    margin_us = evidence.limits.executor_clock_margin_us
    is_long = run.ended_at - run.started_at >= limit_us - margin_us
    return is_long or bool(evidence.faults_during(run.started_at, row.saved_at or run.ended_at))


def is_retry(case: Case, number: int, evidence: Evidence) -> bool:
    """Whether a run, by its place among all of its case, follows a failed one as the retry policy allows.

    What failed counts, not the number of the attempt: one that its executor took down with it is no failure, nor one
    that a frozen executor brought to its end when others had gone on.
    """
    before, after = case.runs[number - 1], case.runs[number]
    if before.attempt >= after.attempt:
        return False
    at = after.started_at + CLOCKS_APART_US
    has_failed = (
        _has_failed_by(case, before, at)
        or _was_slow_by(case, before, at)
        or may_be_too_slow(case, before, evidence)
    )
    # Of the earlier ones those count of which the owner must know, so that as few as possible do.
    failures = 1 + known_failures(case, evidence, case.runs[: number - 1], at)
    return has_failed and failures < _max_attempts(case)


def is_worn_out(case: Case, evidence: Evidence, until_at: int) -> bool:
    """Whether its owner must know, by an instant, of as many failures as the policy allows."""
    return known_failures(case, evidence, case.runs, until_at) >= _max_attempts(case)


def known_failures(case: Case, evidence: Evidence, runs: list[Run], until_at: int) -> int:
    """How many of these runs have failed by an instant, and their owner must have heard of it by then."""
    return sum(_has_failed_by(case, run, until_at) and is_heard_of(run, evidence, until_at) for run in runs)


def is_heard_of(run: Run, evidence: Evidence, until_at: int) -> bool:
    """Whether its owner must have heard of a run's end: nothing kept its executor silent until then.

    That need not be the node that sent it: the partition may be another's by then.
    """
    return not evidence.mutes(run, until_at)


def is_duplicated(case: Case, evidence: Evidence) -> bool:
    """Whether it ran again although the run before had not failed under a policy that allows retries."""
    return any(not is_retry(case, number, evidence) for number in range(1, len(case.runs)))


def _has_failed_by(case: Case, run: Run, at: int) -> bool:
    return run.ended_at is not None and run.ended_at <= at and is_failure(case, run)


def _was_slow_by(case: Case, run: Run, at: int) -> bool:
    limit_us = _limit_us(case)
    return limit_us is not None and run.started_at + limit_us <= at and is_failure(case, run)


def _limit_us(case: Case) -> int | None:
    return None if case.task is None else case.task.finish_within_us


def _max_attempts(case: Case) -> int:
    return case.task.max_attempts if case.task else 1
