"""Namespaces as the client sees them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mainspring.client.checks import require
from mainspring.client.policies import MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts, require_policies
from mainspring.client.task import Delivery
from mainspring.client.unchanged import UNCHANGED, LeftAlone, Unchanged, changed_fields


@dataclass(frozen=True, slots=True)
class TaskDefaults:
    """What a task gets that is created in a namespace and does not say it itself, each as a whole.

    It is stored in the task when that is created: a later change of the namespace changes no task. A task that wants
    none of it says so: `retry=RetryPolicy()`, `timeouts=Timeouts()`.

    Attributes:
        delivery, misfire, overlap, retry, timeouts, lateness_objective, keep_executions: As in `NewTask`. None: as for all
            tasks. The overlap is for recurring tasks.

    Raises:
        TypeError: One is of another type.
        ValueError: keep_executions is below 1.
    """

    delivery: Delivery | None = None
    misfire: MisfirePolicy | None = None
    overlap: OverlapPolicy | None = None
    retry: RetryPolicy | None = None
    timeouts: Timeouts | None = None
    lateness_objective: timedelta | None = None
    keep_executions: int | None = None

    def __post_init__(self) -> None:
        require("delivery", self.delivery, Delivery, type(None))
        require_policies(self)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A set of tasks with names of its own. Instants are aware, in UTC, on cluster time.

    Attributes:
        name: 1 to 200 characters.
        retention: How long executions are kept after their end, and tasks after theirs.
        task_defaults: What tasks get that are created in it; None is what is as for all tasks.
        create_time: When it was created; None when nobody did: it has the defaults.
        update_time: When it last changed.
        etag: Changes with each change; handed to `update_namespace` it makes that apply to this state only.
    """

    name: str
    retention: timedelta
    task_defaults: TaskDefaults = TaskDefaults()
    create_time: datetime | None = None
    update_time: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceUpdate:
    """The fields of a namespace to change, and their new values; what is not said stays as it is.

        NamespaceUpdate(retention=timedelta(days=7), retry=None)      # a week, and no retries for new tasks any more

    Attributes:
        retention: None is 30 days.
        delivery, misfire, overlap, retry, timeouts, lateness_objective, keep_executions: As in `TaskDefaults`.

    Raises:
        TypeError: One is of another type.
        ValueError: keep_executions is below 1.
    """

    retention: timedelta | LeftAlone | None = UNCHANGED
    delivery: Delivery | LeftAlone | None = UNCHANGED
    misfire: MisfirePolicy | LeftAlone | None = UNCHANGED
    overlap: OverlapPolicy | LeftAlone | None = UNCHANGED
    retry: RetryPolicy | LeftAlone | None = UNCHANGED
    timeouts: Timeouts | LeftAlone | None = UNCHANGED
    lateness_objective: timedelta | LeftAlone | None = UNCHANGED
    keep_executions: int | LeftAlone | None = UNCHANGED

    def __post_init__(self) -> None:
        require("retention", self.retention, timedelta, type(None), Unchanged)
        require("delivery", self.delivery, Delivery, type(None), Unchanged)
        require_policies(self, Unchanged)

    def changed(self) -> tuple[str, ...]:
        """Return the names of the fields that change."""
        return changed_fields(self)
