"""I7: which runs follow a failed one as the retry policy allows; failures count that the owner must have heard of."""

from dataclasses import replace

import pytest
from unit.checker.tiny import (
    EXECUTOR_KILLED,
    ONCE,
    ONCE_AT,
    TINY,
    S,
    again,
    found,
    run,
    with_faults,
    with_row,
    with_runs,
    with_task,
)

from mainspring.testing.checker import check
from mainspring.testing.history import Fault, History, Run

HERE = "default/once", ONCE_AT
DOUBLE = {("I7", *HERE)}
OTHER = "executor-9"


def failed(
    attempt: int, executor_id: str, from_s: float, *, for_s: float = 0.001, outcome: str = "failed"
) -> Run:
    """A run of ONCE, so long after its due time."""
    started_at = ONCE_AT + int(from_s * S)
    return run(
        ONCE,
        ONCE_AT,
        attempt=attempt,
        executor_id=executor_id,
        started_at=started_at,
        ended_at=started_at + int(for_s * S),
        outcome=outcome,
    )


def retried(runs: list[Run], *, max_attempts: int, fault: Fault | None, **task: object) -> History:
    """ONCE with these runs, and a ledger that agrees with the last attempt."""
    last = max(runs, key=lambda each: each.attempt)
    assert last.ended_at is not None
    history = with_task(TINY, ONCE, max_attempts=max_attempts, **task)
    history = with_row(
        history if fault is None else with_faults(history, fault),
        ONCE,
        ONCE_AT,
        attempt=last.attempt,
        state="FAILED",
        reason="told by the handler",
        executor_id=last.executor_id,
        dispatched_at=last.started_at,
        picked_up_at=last.started_at,
        finished_at=last.ended_at,
        saved_at=last.ended_at + 1_000,
    )
    return with_runs(history, ONCE, ONCE_AT, *runs)


def test_a_retry_of_a_failed_attempt_needs_no_fault_but_a_policy() -> None:
    history = again({"outcome": "failed"}, {})
    assert found(history) == DOUBLE
    assert check(history).counts["duplicated"] == 1
    allowed = with_task(history, ONCE, max_attempts=2)
    assert found(allowed) == set()
    assert check(allowed).counts["duplicated"] == 0


def test_what_a_frozen_executor_ends_after_the_others_is_no_failure_that_they_could_count() -> None:
    """The first attempt waits in a frozen executor; the second fails, and the third is its retry."""
    frozen = replace(EXECUTOR_KILLED, kind="freeze", until_at=ONCE_AT + 8 * S)
    later = [failed(2, OTHER, 3), failed(3, OTHER, 5)]

    def of(first: Run, fault: Fault | None = frozen, **task: object) -> set[tuple[str, str, int | None]]:
        return found(retried([first, *later], max_attempts=2, fault=fault, **task))

    assert of(failed(1, frozen.target, 8)) == set()
    assert of(failed(1, "executor-7", 0.1)) == DOUBLE
    slow = failed(1, frozen.target, 0.1, for_s=7.9, outcome="succeeded")
    assert of(slow, finish_within_us=S) == set(), "silent, and not too slow"
    assert of(failed(1, frozen.target, 8), None) >= DOUBLE


def test_a_failure_that_its_executor_took_down_with_it_counts_for_nobody() -> None:
    """It is written down where it ran, and the executor is killed before it has told of it: two more failures follow."""
    runs = [failed(1, EXECUTOR_KILLED.target, 0.1), failed(2, OTHER, 4), failed(3, OTHER, 5)]
    assert found(retried(runs, max_attempts=2, fault=EXECUTOR_KILLED)) == set()
    assert check(retried(runs, max_attempts=2, fault=EXECUTOR_KILLED)).counts["duplicated"] == 0
    assert found(retried(runs, max_attempts=2, fault=None)) == DOUBLE
    assert found(retried(runs, max_attempts=2, fault=replace(EXECUTOR_KILLED, target="executor-7"))) == DOUBLE
    one_more = [*runs, failed(4, OTHER, 6)]
    assert found(retried(one_more, max_attempts=2, fault=EXECUTOR_KILLED)) == DOUBLE


def test_a_failure_counts_for_no_owner_that_was_cut_off_from_its_executor() -> None:
    """Who sent it is dead, and who took over is cut off: the failure is told to nobody, and two more follow."""
    runs = [failed(1, "executor-0", 0.1), failed(2, OTHER, 4), failed(3, OTHER, 5)]
    cut = Fault("cut", "executor-0", ONCE_AT - S, ONCE_AT + 3 * S, peer="node-7")
    assert found(retried(runs, max_attempts=2, fault=cut)) == set()
    assert found(retried(runs, max_attempts=2, fault=replace(cut, target="executor-5"))) == DOUBLE


@pytest.mark.parametrize("outcome", ["succeeded", "cancelled"])
def test_an_attempt_that_was_too_slow_counts_as_a_failure_and_not_by_its_number(outcome: str) -> None:
    """The first is killed with its executor, the second outlasts its limit, the third is the retry of that."""
    killed = failed(1, EXECUTOR_KILLED.target, 0.1)
    runs = [killed, failed(2, OTHER, 4, for_s=0.95, outcome=outcome), failed(3, OTHER, 6)]
    assert found(retried(runs, max_attempts=2, fault=EXECUTOR_KILLED, finish_within_us=S)) == set()
    assert found(retried(runs, max_attempts=1, fault=EXECUTOR_KILLED, finish_within_us=S)) == DOUBLE
    if outcome == "succeeded":
        assert found(retried(runs, max_attempts=2, fault=EXECUTOR_KILLED, finish_within_us=2 * S)) == set(), (
            "in a fault"
        )
        late = replace(EXECUTOR_KILLED, until_at=ONCE_AT - 9 * S, from_at=ONCE_AT - 10 * S)
        assert found(retried(runs[1:], max_attempts=2, fault=late, finish_within_us=2 * S)) == DOUBLE
