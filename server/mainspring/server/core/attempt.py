"""What is written of attempts after the claim: given to an executor, ended, failed, still alive. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from mainspring.server.core.model import Delivery, ExecutionOrigin, ExecutionRef, ExecutionState


@dataclass(slots=True)
class Dispatchable:
    """An attempt that is recorded under the fence and may be sent; or, without an executor, one that waits."""

    ref: ExecutionRef
    epoch: int
    attempt: int
    executor_id: str | None
    """None: the execution is recorded as WAITING (attempt 0)."""
    namespace: str
    task_id: str
    handler: str
    payload: bytes
    due_at: int
    task_version: int
    claimed_at: int
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    """The task's, as the recording transaction read it."""
    policies: str = ""
    """The same of its policies."""
    origin: ExecutionOrigin = ExecutionOrigin.SCHEDULE
    wake_at: int | None = None
    """As `ClaimRun.wake_at`."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Gives an open execution to an executor: its first attempt when it waited, or the next after a lost one."""

    ref: ExecutionRef
    epoch: int
    expected_attempt: int
    """The attempt that the row must show now; the new one is this plus 1."""
    executor_id: str
    task_version: int
    """That the row shows. When nothing was sent yet and the task is at another one, the execution ends as CANCELLED."""


@dataclass(frozen=True, slots=True)
class AssignOutcome:
    """What an assignment did. Executions in neither list are final already or moved on: forget them."""

    dispatchable: list[Dispatchable]
    cancelled: list[ExecutionRef]
    """Their task was paused, cancelled or changed meanwhile: they ended as CANCELLED instead."""
    refused: frozenset[int]


@dataclass(slots=True)
class Completion:
    """The end of an attempt, to be written when it is still the execution's latest."""

    ref: ExecutionRef
    epoch: int
    """The epoch of the owner that writes, not necessarily that of the attempt."""
    attempt: int
    state: ExecutionState
    """A final one."""
    reason: str
    result: bytes
    dispatched_at: int | None
    picked_up_at: int | None
    finished_at: int
    error_kind: str = ""
    """The kind of the failure. An end as FAILED counts as one more failure."""
    is_waiting: bool = False
    """Whether the row has to be WAITING, or must not be: a result that comes late never ends what waits for a retry."""


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """The failure of an attempt that another one follows."""

    ref: ExecutionRef
    epoch: int
    """As in `Completion`."""
    attempt: int
    reason: str
    error_kind: str
    retry_at: int
    """Not before this the next attempt is given to an executor."""
    dispatched_at: int | None
    picked_up_at: int | None


@dataclass(frozen=True, slots=True)
class Extension:
    """A sign of life of a long execution: recorded as RUNNING, looked at again at `wake_at`."""

    ref: ExecutionRef
    epoch: int
    attempt: int
    state: ExecutionState
    """RUNNING, or WAITING for one that still waits for an executor."""
    wake_at: int
    dispatched_at: int | None
    picked_up_at: int | None
    progress: bytes = b""
    progress_at: int | None = None
    """When that progress was heard of; None: there is none to write."""
    stop_reason: str = ""
    """Why the attempt is to be stopped; kept in the row's reason until the execution ends. Empty: nothing to write."""
