"""Which fields of a task change, and to what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from mainspring.client.checks import text_map
from mainspring.client.policies import MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts, require_policies
from mainspring.client.schedules import Schedule
from mainspring.client.task import Delivery
from mainspring.client.unchanged import UNCHANGED, LeftAlone, Unchanged, changed_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUpdate:
    """New values for some fields of a task: what is not named stays as it is.

        TaskUpdate(schedule=Cron("0 8 * * *"), retry=None)      # another schedule, and no retries any more

    A policy is replaced as a whole, and labels are: `dataclasses.replace(task.retry, max_attempts=5)` keeps the rest.

    Attributes:
        handler, payload, schedule, delivery, labels, misfire, overlap, retry, timeouts, lateness_objective,
            keep_executions: As in `NewTask`; None, where that allows it, goes back to the default: that of the namespace
            comes first if it has one.

    Raises:
        TypeError: The labels or a policy are of another type.
        ValueError: keep_executions is below 1.
    """

    handler: str | LeftAlone = UNCHANGED
    payload: bytes | str | LeftAlone = UNCHANGED
    schedule: Schedule | LeftAlone = UNCHANGED
    delivery: Delivery | LeftAlone | None = UNCHANGED
    labels: Mapping[str, str] | LeftAlone = UNCHANGED
    misfire: MisfirePolicy | LeftAlone | None = UNCHANGED
    overlap: OverlapPolicy | LeftAlone | None = UNCHANGED
    retry: RetryPolicy | LeftAlone | None = UNCHANGED
    timeouts: Timeouts | LeftAlone | None = UNCHANGED
    lateness_objective: timedelta | LeftAlone | None = UNCHANGED
    keep_executions: int | LeftAlone | None = UNCHANGED

    def __post_init__(self) -> None:
        if self.labels is not UNCHANGED:
            object.__setattr__(self, "labels", text_map("labels", self.labels))
        require_policies(self, Unchanged)

    def changed(self) -> tuple[str, ...]:
        """Return the names of the fields that change, which are those of the API."""
        return changed_fields(self)
