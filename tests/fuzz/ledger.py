"""Compares the ledger of one task with the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fuzz.messages import short, stamp
from fuzz.model import Known, Taken

from mainspring.v1 import execution_pb2, task_pb2

WAITING: Final = execution_pb2.EXECUTION_STATE_WAITING
DISPATCHED: Final = execution_pb2.EXECUTION_STATE_DISPATCHED
RUNNING: Final = execution_pb2.EXECUTION_STATE_RUNNING
SUCCEEDED: Final = execution_pb2.EXECUTION_STATE_SUCCEEDED
FAILED: Final = execution_pb2.EXECUTION_STATE_FAILED
CANCELLED: Final = execution_pb2.EXECUTION_STATE_CANCELLED
SKIPPED: Final = execution_pb2.EXECUTION_STATE_SKIPPED
EXPIRED: Final = execution_pb2.EXECUTION_STATE_EXPIRED
LOST: Final = execution_pb2.EXECUTION_STATE_LOST
DID_NOT_RUN: Final = (SKIPPED, EXPIRED, CANCELLED)
STAGES: Final = ("claim_time", "dispatch_time", "pick_up_time", "finish_time", "save_time")
"""In the order in which an execution goes through them."""


def is_final(row: execution_pb2.Execution) -> bool:
    """Whether its state never changes."""
    return row.state >= SUCCEEDED


class Ledger:
    """The rows of one task at an instant.

    Args:
        rows: by scheduled time.
        check: raises with the message unless it is so.
    """

    def __init__(
        self,
        known: Known,
        rows: Sequence[execution_pb2.Execution],
        now: int,
        check: Callable[[bool, str], None],
    ) -> None:
        self._known = known
        self._rows = rows
        self._now = now
        self._check = check
        self._where = f"the ledger of {short(known.task)}"

    def compare(self) -> None:
        """Exactly the scheduled times of the stretches in which it was active, each once, in states that can be."""
        at = {row.scheduled_time.ToMicroseconds(): row for row in self._rows}
        self._check(len(at) == len(self._rows), f"{self._where} has a time twice")
        for time, row in at.items():
            self._check_state(row)
            self._check_unchanged(time, row)
        for taken in self._known.taken:
            self._take(taken, at)
        for time, extra in self._known.extra.items():
            found = at.pop(time, None)
            is_so = found is not None and found.origin == extra.origin
            self._check(is_so, f"{self._where} has {found} at {time}, not {extra.origin}")
        self._check(not at, f"{self._where} has times that never were: {list(at.values())[:3]}")

    def _take(self, taken: Taken, at: dict[int, execution_pb2.Execution]) -> None:
        """One part of the ledger; takes its rows out of `at`."""
        gap = taken.gap
        if gap:
            row = at.pop(gap[0], None)
            self._check(row is not None, f"{self._where} lacks a gap row at {gap[0]}")
            assert row is not None
            span = (row.gap.last_scheduled_time.ToMicroseconds(), row.gap.count)
            wanted = (gap[-1], len(gap))
            self._check(span == wanted, f"{self._where} has the gap {row} instead of {gap[0], *wanted}")
            self._check(row.state == SKIPPED, f"{self._where} ran a gap")
        for time in taken.times[len(gap) :]:
            row = at.pop(time, None)
            self._check(row is not None, f"{self._where} lacks {stamp(time).ToJsonString()}")
            assert row is not None
            self._check(not row.HasField("gap"), f"{self._where} has a gap that should have run: {row}")
            origin = 2 if time in taken.catch_up else 1
            self._check(
                row.origin == origin, f"{self._where} has the origin {row.origin}, not {origin}: {row}"
            )
            adjustment = self._known.adjusted.get(time)
            if adjustment is not None and adjustment.is_skipped:
                self._check(row.state == SKIPPED, f"{self._where} runs what is left out: {row}")

    def _check_unchanged(self, at: int, row: execution_pb2.Execution) -> None:
        """A final state never changes, and attempts only rise."""
        before = self._known.ended.get(at)
        if before is not None:
            self._check(row == before, f"{self._where} has changed what had ended: {before} to {row}")
        elif is_final(row):
            self._known.ended[at] = row

    def _check_state(self, row: execution_pb2.Execution) -> None:
        """The state goes with what the row says of how it came to be, and with the task."""

        def check(is_so: bool, message: str) -> None:
            self._check(is_so, f"{self._where} {message}: {row}")

        versions = self._known.versions
        times = [getattr(row, stage).ToMicroseconds() for stage in STAGES if row.HasField(stage)]
        check(all(time <= self._now for time in times), "tells of the future")
        if row.attempt:
            check(row.task_version in versions, "ran a version that never was")
            check(times == sorted(times), "has stages in another order")
            is_early = row.HasField("dispatch_time") and times[1] < row.due_time.ToMicroseconds()
            check(not is_early, "sends before it is due")
        if row.state == SUCCEEDED:
            check(row.attempt > 0 and versions[row.task_version].handler != "fail", "succeeded")
        elif row.state == FAILED:
            self._check_failed(row, check)
        elif row.state == SKIPPED:
            check(bool(row.reason) and not row.attempt, "skips without a reason, or what was sent")
        elif row.state == EXPIRED:
            has_limit = any(task.timeouts.HasField("schedule_to_start") for task in versions.values())
            check(has_limit and bool(row.reason), "ends as too late what may be late")
        elif row.state == LOST:
            modes = {task.delivery for task in versions.values()}
            check(task_pb2.DELIVERY_MODE_AT_MOST_ONCE in modes, "has lost what is delivered at least once")
        elif row.state in (DISPATCHED, RUNNING):
            check(versions[row.task_version].handler == "sleep", "has at its executor what takes no time")
        elif row.state == WAITING:
            self._check_waiting(row, check)

    def _check_failed(self, row: execution_pb2.Execution, check: Callable[[bool, str], None]) -> None:
        versions = self._known.versions
        check(bool(row.reason) and bool(row.error_kind), "fails without a reason")
        check(versions[row.task_version].handler in ("fail", "sleep"), "fails what cannot fail")
        most = max(max(1, task.retry.max_attempts) for task in versions.values())
        check(0 < row.failure_count <= most, "fails more often than its policy allows")
        if len(versions) == 1:
            (only,) = versions.values()
            is_retried = (
                row.error_kind not in only.retry.non_retryable_error_kinds and row.failure_count < most
            )
            check(not is_retried or only.delivery == 2, "gives up early")

    def _check_waiting(self, row: execution_pb2.Execution, check: Callable[[bool, str], None]) -> None:
        """Nothing waits for ever: for its time, for another execution of the task, or for an executor."""
        waits_for_time = max(row.due_time.ToMicroseconds(), row.retry_time.ToMicroseconds()) > self._now
        is_behind = any(not is_final(other) for other in self._rows if other is not row)
        is_offered = self._known.task.handler != "nobody"
        check(waits_for_time or is_behind or not is_offered, "waits for nothing")
