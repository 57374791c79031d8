"""The asynchronous Python client of Mainspring.

    async with MainspringClient("localhost:7400") as client:
        await client.create_task("send-email", Delay(timedelta(minutes=5)), payload=b"hello")

Instants are timezone-aware `datetime` values (naive ones are refused), durations are `timedelta`.
"""

from mainspring.client.backoff import Backoff
from mainspring.client.client import MainspringClient
from mainspring.client.cluster import (
    Cluster,
    ConnectedExecutor,
    Handover,
    HandoverReason,
    Node,
    Partition,
)
from mainspring.client.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    MainspringError,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from mainspring.client.execution import Execution, ExecutionState, Gap
from mainspring.client.preview import ClockChangeEffect, ClockChangeNote, FireTime, Preview
from mainspring.client.schedules import (
    At,
    CalendarInterval,
    CalendarUnit,
    Cron,
    Delay,
    Every,
    Exclusions,
    GapPolicy,
    Recurring,
    RepeatPolicy,
    Schedule,
    Weekday,
)
from mainspring.client.task import CreatedTask, Delivery, NewTask, Task, TaskState

__all__ = [
    "Aborted",
    "AlreadyExists",
    "At",
    "Backoff",
    "CalendarInterval",
    "CalendarUnit",
    "ClockChangeEffect",
    "ClockChangeNote",
    "Cluster",
    "ConnectedExecutor",
    "CreatedTask",
    "Cron",
    "DeadlineExceeded",
    "Delay",
    "Delivery",
    "Every",
    "Exclusions",
    "Execution",
    "ExecutionState",
    "FailedPrecondition",
    "FieldViolation",
    "FireTime",
    "Gap",
    "GapPolicy",
    "Handover",
    "HandoverReason",
    "Internal",
    "InvalidArgument",
    "MainspringClient",
    "MainspringError",
    "NewTask",
    "Node",
    "NotFound",
    "Partition",
    "Preview",
    "Recurring",
    "RepeatPolicy",
    "ResourceExhausted",
    "Schedule",
    "Task",
    "TaskState",
    "Unavailable",
    "Unimplemented",
    "Weekday",
]
