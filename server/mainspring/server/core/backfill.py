"""Which scheduled times of a range a backfill runs. PURE.

A scheduled time that ran, or may have run, is left alone. One that did not has either no execution or one that is final
(SKIPPED, within a gap, EXPIRED, CANCELLED), which never changes. So a backfill's execution has a scheduled time of its own,
the microsecond behind the one that it stands for: the same again finds it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mainspring.server.core.model import Execution, ExecutionState

DID_NOT_RUN = frozenset({ExecutionState.SKIPPED, ExecutionState.EXPIRED, ExecutionState.CANCELLED})


def backfilled_at(scheduled_at: int) -> int:
    """The scheduled time of the execution that stands for one in a backfill."""
    return scheduled_at + 1


def to_backfill(times: Sequence[int], ledger: Iterable[Execution]) -> list[int]:
    """Those of `times`, fires of the task's schedule, that did not run and were not backfilled.

    Args:
        ledger: the task's executions from the first of `times` to the microsecond behind the last.
    """
    rows = {execution.ref.scheduled_at: execution.state for execution in ledger}
    return [
        at
        for at in times
        if rows.get(at, ExecutionState.SKIPPED) in DID_NOT_RUN and backfilled_at(at) not in rows
    ]
