"""When a stage of an execution takes too long, by the task's timeouts. PURE.

Instants are microseconds on cluster time; None: there is no limit, or it does not run yet.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.policies import Timeouts


class Limit(Enum):
    """Which limit an attempt at an executor has reached; the values are the error kinds that callers see."""

    START_TO_FINISH = "Timeout"
    HEARTBEAT = "HeartbeatTimeout"


class Deadline(NamedTuple):
    """When an attempt fails for its slowness, and by which limit."""

    at: int
    limit: Limit
    limit_us: int

    @property
    def error(self) -> str:
        """What went wrong, for people."""
        seconds = f"{self.limit_us / SECOND_US:g} s"
        if self.limit is Limit.HEARTBEAT:
            return f"no progress was reported for {seconds}"
        return f"it ran for {seconds}"

    @property
    def words(self) -> str:
        """The ledger's words for a failure at this deadline."""
        return f"{self.limit.value}: {self.error}"


def start_deadline(timeouts: Timeouts, due_at: int) -> int | None:
    """Until when the first attempt has to start."""
    return due_at + timeouts.schedule_to_start_us if timeouts.schedule_to_start_us else None


def expired_reason(timeouts: Timeouts) -> str:
    """The ledger's words for an execution that started too late to start at all."""
    return f"it could not start within {timeouts.schedule_to_start_us / SECOND_US:g} s of its due time"


def run_deadline(timeouts: Timeouts, picked_up_at: int | None, heard_at: int) -> Deadline | None:
    """Until when an attempt has to end, or to be heard of again; the earlier of the two.

    Args:
        picked_up_at: its start; None: it has not started.
        heard_at: its latest sign of progress, or when its owner began to listen.
    """
    if picked_up_at is None:
        return None
    deadlines = []
    if limit_us := timeouts.start_to_finish_us:
        deadlines.append(Deadline(picked_up_at + limit_us, Limit.START_TO_FINISH, limit_us))
    if limit_us := timeouts.heartbeat_us:
        deadlines.append(Deadline(max(picked_up_at, heard_at) + limit_us, Limit.HEARTBEAT, limit_us))
    return min(deadlines, key=lambda deadline: deadline.at, default=None)
