"""Which fields of a task change, and to what."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import Enum
from typing import Final, Literal

from mainspring.client.checks import text_map
from mainspring.client.policies import MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts, require_policies
from mainspring.client.schedules import Schedule
from mainspring.client.task import Delivery


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return self.name


UNCHANGED: Final = Unchanged.UNCHANGED
"""In a `TaskUpdate`: this field stays as it is. None is no such thing: it says the default."""

_Unchanged = Literal[Unchanged.UNCHANGED]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUpdate:
    """New values for some fields of a task: what is not named stays as it is.

        TaskUpdate(schedule=Cron("0 8 * * *"), retry=None)      # another schedule, and no retries any more

    A policy is replaced as a whole, and labels are: `dataclasses.replace(task.retry, max_attempts=5)` keeps the rest.

    Attributes:
        handler, payload, schedule, delivery, labels, misfire, overlap, retry, timeouts, lateness_objective,
            keep_executions: As in `NewTask`; None, where that allows it, goes back to the default.

    Raises:
        TypeError: The labels or a policy are of another type.
        ValueError: keep_executions is below 1.
    """

    handler: str | _Unchanged = UNCHANGED
    payload: bytes | str | _Unchanged = UNCHANGED
    schedule: Schedule | _Unchanged = UNCHANGED
    delivery: Delivery | _Unchanged = UNCHANGED
    labels: Mapping[str, str] | _Unchanged = UNCHANGED
    misfire: MisfirePolicy | _Unchanged | None = UNCHANGED
    overlap: OverlapPolicy | _Unchanged | None = UNCHANGED
    retry: RetryPolicy | _Unchanged | None = UNCHANGED
    timeouts: Timeouts | _Unchanged | None = UNCHANGED
    lateness_objective: timedelta | _Unchanged | None = UNCHANGED
    keep_executions: int | _Unchanged | None = UNCHANGED

    def __post_init__(self) -> None:
        if self.labels is not UNCHANGED:
            object.__setattr__(self, "labels", text_map("labels", self.labels))
        require_policies(self, Unchanged)

    def changed(self) -> tuple[str, ...]:
        """Return the names of the fields that change, which are those of the API."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is not UNCHANGED)
