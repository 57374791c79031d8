"""Tasks as the client sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from mainspring.client.checks import text_map
from mainspring.client.policies import MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts, require_policies
from mainspring.client.preview import FireTime
from mainspring.client.schedules import Schedule

DEFAULT_NAMESPACE = "default"


class TaskState(Enum):
    """The life of a task."""

    UNSPECIFIED = 0
    """A state that this client does not know."""
    ACTIVE = 1
    """It has a next scheduled time."""
    PAUSED = 2
    """It fires no more until it is resumed."""
    COMPLETED = 3
    """No scheduled time is left. Final."""
    CANCELLED = 4
    """Ended by a call. Final."""


class Delivery(Enum):
    """What becomes of an execution whose executor died, refused it or does not know it."""

    UNSPECIFIED = 0
    """A mode that this client does not know."""
    AT_LEAST_ONCE = 1
    """Another attempt is sent: the handler may run more than once and must bear it."""
    AT_MOST_ONCE = 2
    """It is sent at most once and ends as LOST, whether it ran or not."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to register. Where a policy is None, that of the namespace comes first if it has one (`TaskDefaults`).

    Attributes:
        handler: The name of the code on an executor that runs it.
        schedule: When.
        payload: Handed to the handler as bytes; a string is encoded in UTF-8.
        namespace: The namespace.
        task_id: Unique within the namespace. None: the client makes one, once, so that retries are safe.
        delivery: What becomes of an execution when its executor fails. None: another attempt is sent.
        labels: For people and filters: at most 32, keys of 1 to 63 and values of up to 63 characters.
        misfire: What becomes of missed times. None: the latest one runs.
        overlap: What becomes of a scheduled time while an execution is open. None: recurring tasks skip it.
        retry: Whether and when a failed attempt is followed by another. None: it is not.
        timeouts: How long the stages of an execution may take. None: any time.
        lateness_objective: The lateness that the task is meant to keep. None: 10 s.
        keep_executions: How many final executions are kept at most, the newest. None: as many as its namespace keeps.

    Raises:
        TypeError: The labels, a policy or one of the last two are of another type.
        ValueError: keep_executions is below 1.
    """

    handler: str
    schedule: Schedule
    payload: bytes | str = b""
    namespace: str = DEFAULT_NAMESPACE
    task_id: str | None = None
    delivery: Delivery | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    misfire: MisfirePolicy | None = None
    overlap: OverlapPolicy | None = None
    retry: RetryPolicy | None = None
    timeouts: Timeouts | None = None
    lateness_objective: timedelta | None = None
    keep_executions: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", text_map("labels", self.labels))
        require_policies(self)


@dataclass(frozen=True, slots=True)
class Task:
    """A registered task. Instants are aware, in UTC, on cluster time.

    Attributes:
        namespace: The namespace.
        task_id: Unique within the namespace.
        handler: The name of the code on an executor that runs it.
        payload: For the handler; empty when the call left payloads out.
        schedule: When; a `Delay` comes back as the resulting `At`.
        state: Where it is in its life.
        version: Rises with each change.
        create_time: When it was registered.
        update_time: When a call last changed it.
        next_scheduled_time: None when none is left.
        next_due_time: When that is acted on: later with jitter, or when `adjust_execution` has moved it; None while paused.
        last_scheduled_time: Of the latest execution; None before the first.
        partition_id: The partition that it hashes to.
        delivery: What becomes of an execution when its executor fails.
        execution_count: How many scheduled times the ledger holds, run or skipped: what `max_executions` limits.
        labels, misfire, overlap, retry, timeouts, lateness_objective, keep_executions: As in `NewTask`, with the
            defaults of the server filled in; None is "none".
        etag: Changes with each change of the task; handed to `update_task` and the like it makes them apply to this state
            of the task only.
        note: What was noted with the latest change of the state by a call, such as why it is paused.
        changed_by: Who made that change, as the call said.
    """

    namespace: str
    task_id: str
    handler: str
    payload: bytes
    schedule: Schedule | None
    state: TaskState
    version: int
    create_time: datetime | None
    update_time: datetime | None
    next_scheduled_time: datetime | None
    last_scheduled_time: datetime | None
    partition_id: int
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    execution_count: int = 0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    misfire: MisfirePolicy | None = None
    overlap: OverlapPolicy | None = None
    retry: RetryPolicy | None = None
    timeouts: Timeouts | None = None
    lateness_objective: timedelta | None = None
    keep_executions: int | None = None
    etag: str = ""
    note: str = ""
    changed_by: str = ""
    next_due_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScheduledTask(Task):
    """What `create_task` and `update_task` answer: the task, and what its schedule means.

    A type of its own because only these calls tell: on every `Task` an empty `next_fires` would look as if nothing
    were left to fire.

    Attributes:
        meaning: The schedule in words.
        next_fires: The next scheduled times, at most 5; empty when none is left.
    """

    meaning: str = ""
    next_fires: tuple[FireTime, ...] = ()
