"""What passes between a node and an executor, as domain values. PURE; `rpc` turns them into frames and back."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from mainspring.server.core.model import ExecutionRef


class Outcome(IntEnum):
    """How an attempt ended; the numbers are the proto's."""

    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3
    REFUSED = 4


class Knowledge(IntEnum):
    """What an executor knows of an attempt; the numbers are the proto's."""

    NOT_MINE = 1
    RUNNING = 2
    QUEUED = 3
    FINISHED = 4


class AttemptId(NamedTuple):
    """Names one attempt of one execution."""

    ref: ExecutionRef
    attempt: int


class WorkItem(NamedTuple):
    """An attempt on its way to an executor."""

    attempt_id: AttemptId
    epoch: int
    namespace: str
    task_id: str
    handler: str
    payload: bytes
    due_at: int
    as_of_s: float
    """Monotonic seconds: the epoch and the version are known to have ruled at this instant."""
    task_version: int = 0

    @property
    def ref(self) -> ExecutionRef:
        """The execution."""
        return self.attempt_id.ref


class AttemptResult(NamedTuple):
    """The end of an attempt as its executor tells it."""

    attempt_id: AttemptId
    epoch: int
    outcome: Outcome
    output: bytes
    error: str
    error_kind: str
    since_start_us: int = 0
    """How long ago the attempt began to run when its executor said so; 0: never, or not known."""


class Cancellation(NamedTuple):
    """Asks an executor to stop an attempt."""

    attempt_id: AttemptId
    error: str = ""
    """Set with `error_kind` when it has failed for its slowness; its result repeats both."""
    error_kind: str = ""


class ProgressReport(NamedTuple):
    """A sign of progress of a running attempt."""

    attempt_id: AttemptId
    epoch: int
    progress: bytes
    """In the handler's own words, at most 1 KiB."""


class ReconcileQuestion(NamedTuple):
    """Asks whether an executor has an attempt, announcing the epoch of the partition's present owner."""

    attempt_id: AttemptId
    epoch: int


class ReconcileReply(NamedTuple):
    """What the executor knows of it."""

    attempt_id: AttemptId
    knowledge: Knowledge
    since_start_us: int = 0
