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
from mainspring.client.namespace import Namespace, NamespaceUpdate, TaskDefaults
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
from mainspring.client.slo import LatenessCause, Slo, SloFigures
from mainspring.client.task import Delivery, NewTask, ScheduledTask, Task, TaskState
from mainspring.client.task_json import new_task_from_json
from mainspring.client.task_update import TaskUpdate
from mainspring.client.unchanged import UNCHANGED
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
    "LatenessCause",
    "MainspringClient",
    "MainspringError",
    "MisfireMode",
    "MisfirePolicy",
    "Namespace",
    "NamespaceUpdate",
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
    "Slo",
    "SloFigures",
    "Task",
    "TaskChange",
    "TaskCount",
    "TaskDefaults",
    "TaskFilter",
    "TaskState",
    "TaskUpdate",
    "Timeouts",
    "Unavailable",
    "Unimplemented",
    "Weekday",
    "new_task_from_json",
]
