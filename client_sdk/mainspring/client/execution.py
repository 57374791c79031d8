"""Executions as the client sees them: rows of the ledger."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class ExecutionState(Enum):
    """The life of an execution. Final states never change."""

    UNSPECIFIED = 0
    """A state that this client does not know."""
    WAITING = 1
    """Due and recorded, waiting for an executor with free credit."""
    DISPATCHED = 2
    """An executor was chosen and the attempt recorded."""
    RUNNING = 3
    """An executor acknowledged the start."""
    SUCCEEDED = 4
    """The handler returned. Final."""
    FAILED = 5
    """The handler failed. Final."""
    CANCELLED = 6
    """Ended by a call. Final."""
    SKIPPED = 7
    """Never ran, by a policy. Final."""
    EXPIRED = 8
    """Too late to start. Final."""
    LOST = 9
    """Its executor vanished and it must not run twice. Final."""

    @property
    def is_final(self) -> bool:
        """Whether the state never changes any more."""
        return self.value >= ExecutionState.SUCCEEDED.value


class ExecutionOrigin(Enum):
    """Why there is an execution."""

    UNSPECIFIED = 0
    """An origin that this client does not know, or a server too old to tell."""
    SCHEDULE = 1
    """Its schedule."""
    CATCH_UP = 2
    """Its schedule, made up for after it was missed."""
    TRIGGER = 3
    """`trigger_task`."""
    BACKFILL = 4
    """`backfill_task`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of scheduled times that nothing ran, kept as one row.

    Attributes:
        last_scheduled_time: The last one; the first is the execution's scheduled time.
        count: How many, both ends included.
    """

    last_scheduled_time: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Execution:
    """One scheduled time of one task. Instants are aware, in UTC, on cluster time; None when not reached.

    Attributes:
        namespace: The task's namespace.
        task_id: The task's id.
        scheduled_time: The nominal time; identifies the execution.
        due_time: When to act on it.
        state: Where it is in its life.
        reason: Why, where the state alone does not say it.
        attempt: The latest attempt, numbered from 1; 0 before the first.
        epoch: The fencing number under which the latest attempt was decided.
        task_version: The version of the task that the latest attempt ran.
        executor_id: The executor of the latest attempt; empty before the first.
        node_id: The node that decided the latest attempt.
        result: What the handler returned; lists leave it out.
        claim_time: When the due task became this execution.
        dispatch_time: When the latest attempt was sent.
        pick_up_time: When the owner received the start acknowledgement.
        finish_time: When the owner received the result.
        save_time: When the final state was written.
        gap: Set when this row stands for a stretch of skipped times.
        origin: Why there is this execution.
        failure_count: How many of its attempts failed: what a retry policy counts.
        error_kind: The kind of the latest failure, such as the exception's class name.
        retry_time: Set while it waits for its next attempt: not before this.
        progress: The latest progress that the handler reported, as it gave it.
        progress_time: When the owner heard of that progress.
    """

    namespace: str
    task_id: str
    scheduled_time: datetime
    due_time: datetime | None
    state: ExecutionState
    reason: str
    attempt: int
    epoch: int
    task_version: int
    executor_id: str
    node_id: str
    result: bytes
    claim_time: datetime | None
    dispatch_time: datetime | None
    pick_up_time: datetime | None
    finish_time: datetime | None
    save_time: datetime | None
    gap: Gap | None
    origin: ExecutionOrigin = ExecutionOrigin.UNSPECIFIED
    failure_count: int = 0
    error_kind: str = ""
    retry_time: datetime | None = None
    progress: bytes = b""
    progress_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExecutionStage:
    """One stage of an execution's life.

    Attributes:
        name: "registered", "due", "claimed", "dispatched", "picked up", "finished" or "saved".
        time: When it was reached, in UTC, on cluster time.
        duration: How long after the stage before; None for the first.
    """

    name: str
    time: datetime | None
    duration: timedelta | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an execution went as it did, or why there is none.

    Attributes:
        execution: None when there is none for that scheduled time. A gap row when it lies in one.
        summary: The answer in words.
        stages: Those that it went through, in order.
        lateness_objective: Of the task.
        lateness: Pick-up minus due time; None before the pick-up.
        broken_stage: The stage that took most of a lateness beyond the objective; empty when it was kept.
    """

    execution: Execution | None
    summary: str
    stages: tuple[ExecutionStage, ...]
    lateness_objective: timedelta | None
    lateness: timedelta | None
    broken_stage: str
