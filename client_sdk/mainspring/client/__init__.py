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
from mainspring.client.execution import (
    Execution,
    ExecutionOrigin,
    ExecutionStage,
    ExecutionState,
    Explanation,
    Gap,
)
from mainspring.client.filters import ChangedTasks, TaskChange, TaskCount, TaskFilter
from mainspring.client.policies import MisfireMode, MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts
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
from mainspring.client.task import Delivery, NewTask, ScheduledTask, Task, TaskState
from mainspring.client.task_update import UNCHANGED, TaskUpdate
from mainspring.client.watch import ExecutionWatch

__all__ = [
    "UNCHANGED",
    "Aborted",
    "AlreadyExists",
    "At",
    "Backoff",
    "CalendarInterval",
    "CalendarUnit",
    "ChangedTasks",
    "ClockChangeEffect",
    "ClockChangeNote",
    "Cluster",
    "ConnectedExecutor",
    "Cron",
    "DeadlineExceeded",
    "Delay",
    "Delivery",
    "Every",
    "Exclusions",
    "Execution",
    "ExecutionOrigin",
    "ExecutionStage",
    "ExecutionState",
    "ExecutionWatch",
    "Explanation",
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
    "MisfireMode",
    "MisfirePolicy",
    "NewTask",
    "Node",
    "NotFound",
    "OverlapPolicy",
    "Partition",
    "Preview",
    "Recurring",
    "RepeatPolicy",
    "ResourceExhausted",
    "RetryPolicy",
    "Schedule",
    "ScheduledTask",
    "Task",
    "TaskChange",
    "TaskCount",
    "TaskFilter",
    "TaskState",
    "TaskUpdate",
    "Timeouts",
    "Unavailable",
    "Unimplemented",
    "Weekday",
]
