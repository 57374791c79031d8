"""Which times a backfill runs."""

from mainspring.server.core.backfill import to_backfill
from mainspring.server.core.model import Execution, ExecutionRef, ExecutionState

S = ExecutionState


def _row(at: int, state: ExecutionState) -> Execution:
    return Execution(
        ref=ExecutionRef(0, at, b""),
        namespace="",
        task_id="",
        due_at=at,
        state=state,
        reason="",
        attempt=0,
        epoch=1,
        task_version=1,
        executor_id=None,
        node_id=None,
        result=b"",
        claimed_at=0,
        dispatched_at=None,
        picked_up_at=None,
        finished_at=None,
        saved_at=None,
        gap_last_scheduled_at=None,
        gap_count=None,
    )


def test_what_ran_or_may_have_run_is_left_alone() -> None:
    times = [10 * (n + 1) for n in range(len(S) + 1)]
    ledger = [_row(at, state) for at, state in zip(times, S, strict=False)]
    wanted = to_backfill(times, ledger)
    assert wanted == [
        *(at for at, state in zip(times, S, strict=False) if state in (S.CANCELLED, S.SKIPPED, S.EXPIRED)),
        times[-1],
    ]


def test_what_was_backfilled_is_not_again() -> None:
    ledger = [_row(10, S.SKIPPED), _row(11, S.FAILED), _row(21, S.WAITING)]
    assert to_backfill([10, 20, 30], ledger) == [30]
