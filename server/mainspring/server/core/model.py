"""The value types of the domain. PURE.

All instants are integer microseconds since 1970 UTC on cluster time and end in `_at`. A task is named by
`(partition_id, task_key)` inside the server and by `(namespace, task_id)` outside; an execution by
`(partition_id, scheduled_at, task_key)`.

Nobody changes a value once it is made. Those of which each execution needs some of its own are not frozen all the same: that
would more than double what making them costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class TaskState(IntEnum):
    """The life of a task. The numbers are those of the proto and of the database."""

    ACTIVE = 1
    PAUSED = 2
    COMPLETED = 3
    CANCELLED = 4


class ExecutionState(IntEnum):
    """The life of an execution; docs/design.md draws it. The numbers are those of the proto and of the database.

    Everything from `SUCCEEDED` on is final: `is_final` compares, and so does the SQL (`state < 4` is open).
    """

    WAITING = 1
    DISPATCHED = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5
    CANCELLED = 6
    SKIPPED = 7
    EXPIRED = 8
    LOST = 9

    @property
    def is_final(self) -> bool:
        """Whether this state never changes any more."""
        return self >= ExecutionState.SUCCEEDED


class Delivery(IntEnum):
    """How often an execution may be sent when executors fail (`core.delivery` decides).

    The numbers are those of the proto and of the database.
    """

    AT_LEAST_ONCE = 1
    AT_MOST_ONCE = 2


class ExecutionOrigin(IntEnum):
    """Why there is an execution. The numbers are those of the proto and of the database."""

    SCHEDULE = 1
    CATCH_UP = 2
    TRIGGER = 3
    BACKFILL = 4


class TaskRef(NamedTuple):
    """Names a task."""

    partition_id: int
    task_key: bytes


class ExecutionRef(NamedTuple):
    """Names an execution: one scheduled time of one task. Field order is the ledger's key order."""

    partition_id: int
    scheduled_at: int
    task_key: bytes


@dataclass(slots=True)
class NewTask:
    """A validated registration, ready to be written."""

    ref: TaskRef
    namespace: str
    task_id: str
    handler: str
    payload: bytes
    schedule: str
    """`core.schedule.encode` of the resolved schedule (a delay has become an instant)."""
    definition_hash: bytes
    """16 bytes over the definition as the caller gave it: the same id with the same hash is the same call."""
    scheduled_at: int
    due_at: int
    created_at: int
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    policies: str = ""
    """`core.policies.encode`; empty: everything has its default."""
    labels: str = ""
    """A JSON object of strings, keys sorted, without spaces; empty: none."""


@dataclass(slots=True)
class Task:
    """A task as stored."""

    ref: TaskRef
    namespace: str
    task_id: str
    handler: str
    payload: bytes
    schedule: str
    definition_hash: bytes
    state: TaskState
    version: int
    scheduled_at: int | None
    """The next scheduled time; None when none is left or the task is cancelled."""
    due_at: int | None
    last_scheduled_at: int | None
    """The scheduled time of the latest ledger row; the head of the chain of `previous_scheduled_at`."""
    execution_count: int
    """How many scheduled times the ledger holds, run or skipped; those of a gap row count each. What was recorded
    before the ledger was counted (schema 3) is left out."""
    created_at: int
    updated_at: int
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    policies: str = ""
    """As `NewTask.policies`."""
    labels: str = ""
    """As `NewTask.labels`."""
    note: str = ""
    """What was noted with the latest change of the state by a call."""
    changed_by: str = ""
    """Who made that change, as the call said."""
    adjustments_version: int = 0
    """How often scheduled times of it were adjusted: a claim that was planned before is dropped, as with `version`. A number
    of its own, for what waits of the task goes on."""
    adjustments: str | None = None
    """`core.adjustments.encode` of its adjusted times to come."""
    adjusted_payloads: bytes | None = None
    """`core.adjustments.encode_payloads` of theirs, and of times that have passed; None too where payloads are not read."""
    owed: str | None = None
    """`core.owed_times.encode` of what it owes of earlier schedules; then its next scheduled time is the first of these."""


class DueTask(NamedTuple):
    """What the timing wheel's owner remembers of a task that is due soon: enough to plan its claim."""

    due_at: int
    partition_id: int
    task_key: bytes
    scheduled_at: int
    version: int
    handler: str
    schedule: str
    execution_count: int
    """As `Task.execution_count`: what is left of a schedule's `max_executions` follows from it."""
    policies: str = ""
    """As `NewTask.policies`."""
    adjustments_version: int = 0
    """As `Task.adjustments_version`."""
    adjustments: str | None = None
    """As `Task.adjustments`."""
    owed: str | None = None
    """As `Task.owed`."""

    @property
    def ref(self) -> TaskRef:
        """The task's name."""
        return TaskRef(self.partition_id, self.task_key)

    @property
    def order(self) -> tuple[int, int, int]:
        """Of two states of one task the one that came later has the greater of these."""
        return self.version, self.scheduled_at, self.adjustments_version


class DueCursor(NamedTuple):
    """Where a page of due tasks ended: keyset paging in the order of the due index."""

    partition_id: int
    due_at: int
    task_key: bytes


@dataclass(frozen=True, slots=True)
class OpenExecution:
    """An execution that is not final, as its owner needs it for take-over and for the sweep."""

    ref: ExecutionRef
    state: ExecutionState
    attempt: int
    epoch: int
    executor_id: str | None
    handler: str
    due_at: int
    wake_at: int
    claimed_at: int
    dispatched_at: int | None
    picked_up_at: int | None
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    policies: str = ""
    """The task's, as `NewTask.policies`."""
    origin: ExecutionOrigin = ExecutionOrigin.SCHEDULE
    failure_count: int = 0
    """How many of its attempts failed."""
    stop_reason: str = ""
    """Why its latest attempt is to be stopped, when a call asked for that."""
    task_version: int = 0
    """Of the task, when its latest attempt was recorded, or it itself when there is none yet."""


@dataclass(frozen=True, slots=True)
class AddedExecution:
    """An execution that a call asks for, beside what the schedule of its task brings. It waits until it is assigned."""

    scheduled_at: int
    due_at: int
    wake_at: int
    origin: ExecutionOrigin
    payload: bytes | None = None
    """Its own; None: the task's."""
    payload_of: int | None = None
    """The scheduled time of an execution of the task whose own payload it gets, if that has one."""
    is_movable: bool = False
    """Whether it may have the next free scheduled time when its own is taken."""
    kept_free: frozenset[int] = frozenset()
    """Times that a movable one never takes: those of the schedule that have no row yet."""
    request_key: bytes = b""
    """16 bytes that stand for the call; empty: it may be added again."""

    def recorded(
        self,
        ref: ExecutionRef,
        *,
        epoch: int,
        now: int,
        handler: str,
        delivery: Delivery,
        policies: str,
        task_version: int,
    ) -> OpenExecution:
        """The execution once it is recorded under a name, with what it has of its task."""
        return OpenExecution(
            ref=ref,
            state=ExecutionState.WAITING,
            attempt=0,
            epoch=epoch,
            executor_id=None,
            handler=handler,
            due_at=self.due_at,
            wake_at=self.wake_at,
            claimed_at=now,
            dispatched_at=None,
            picked_up_at=None,
            delivery=delivery,
            policies=policies,
            origin=self.origin,
            task_version=task_version,
        )


@dataclass(frozen=True, slots=True)
class AddOutcome:
    """What became of executions that were to be added."""

    is_refused: bool
    """The partition's row shows another owner or epoch: nothing was written."""
    state: TaskState | None
    """The task's, as it was then; None: there is no such task. Nothing is added to one that is PAUSED or CANCELLED."""
    added: list[OpenExecution]
    existing: list[int]
    """The scheduled times of those that were there already: of the same call, or with the same scheduled time."""


@dataclass(frozen=True, slots=True)
class RemoveOutcome:
    """How far the removal of a task has come."""

    is_refused: bool
    """The partition's row shows another owner or epoch: nothing was written."""
    is_done: bool
    """Nothing of it is left, or there was nothing."""
    has_open: bool = False
    """An execution is not final: it was left, and nothing older was removed."""


@dataclass(frozen=True, slots=True)
class Execution:
    """A row of the ledger as the API shows it."""

    ref: ExecutionRef
    namespace: str
    task_id: str
    due_at: int
    state: ExecutionState
    reason: str
    attempt: int
    epoch: int
    task_version: int
    executor_id: str | None
    node_id: str | None
    result: bytes
    claimed_at: int
    dispatched_at: int | None
    picked_up_at: int | None
    finished_at: int | None
    saved_at: int | None
    gap_last_scheduled_at: int | None
    gap_count: int | None
    origin: ExecutionOrigin = ExecutionOrigin.SCHEDULE
    failure_count: int = 0
    """How many of its attempts failed."""
    error_kind: str = ""
    """The kind of the latest failure."""
    progress: bytes = b""
    """What the handler reported last."""
    progress_at: int | None = None
    retry_at: int | None = None
    """Set while it waits for another attempt after a failed one: not before this."""
    handler: str = ""
    """The task's, as it is now."""
    policies: str = ""
    """The task's, as `NewTask.policies`."""
