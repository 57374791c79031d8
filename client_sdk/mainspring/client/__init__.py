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
from mainspring.client.schedules import At, Cron, Delay, Every, Schedule
from mainspring.client.task import Delivery, NewTask, Task, TaskState

__all__ = [
    "Aborted",
    "AlreadyExists",
    "At",
    "Backoff",
    "Cluster",
    "ConnectedExecutor",
    "Cron",
    "DeadlineExceeded",
    "Delay",
    "Delivery",
    "Every",
    "Execution",
    "ExecutionState",
    "FailedPrecondition",
    "FieldViolation",
    "Gap",
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
    "ResourceExhausted",
    "Schedule",
    "Task",
    "TaskState",
    "Unavailable",
    "Unimplemented",
]
