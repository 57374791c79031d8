"""What a namespace says of the tasks that are created in it and leave it open. PURE.

Each policy is taken as a whole, or not at all. It is resolved once, when a task is created or a call puts a field of it back
to its default, and stored in the task.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from mainspring.server.core.model import Delivery
from mainspring.server.core.policies import DEFAULT, Policies
from mainspring.server.core.schedule import OneTime, Schedule

DELIVERY: Final = "delivery"
OVERLAP: Final = "overlap"
RETRY: Final = "retry"
FIELDS: Final = (DELIVERY, "misfire", OVERLAP, RETRY, "timeouts", "objective_us", "keep")
"""What a task may leave open: the delivery, and the fields of `Policies`."""


@dataclass(frozen=True, slots=True)
class TaskDefaults:
    """What is not said here either is as it is for all tasks.

    Attributes:
        delivery: of what an executor fails.
        policies: an overlap of None is the default of the task's kind of schedule.
    """

    delivery: Delivery = Delivery.AT_LEAST_ONCE
    policies: Policies = DEFAULT


NO_DEFAULTS: Final = TaskDefaults()


def resolved(
    delivery: Delivery, own: Policies, left_open: Collection[str], schedule: Schedule, defaults: TaskDefaults
) -> tuple[Delivery, Policies]:
    """The delivery and the policies of a task, with those of its namespace where it left them open.

    What a task says rules: a default that does not go with it is left out. So a task that is to be sent at most once takes
    no retries from its namespace, and one that retries no delivery at most once. A one-time task takes no overlap policy: it
    has nothing to overlap with.

    Args:
        delivery, own: what the task says, with what holds for all tasks where it says nothing.
        left_open: those of `FIELDS` that it says nothing of.
    """
    taken = set(left_open)
    if isinstance(schedule.timing, OneTime):
        taken.discard(OVERLAP)
    if DELIVERY not in taken and delivery is Delivery.AT_MOST_ONCE:
        taken.discard(RETRY)
    if RETRY not in taken and own.retry.max_attempts > 1:
        taken.discard(DELIVERY)
    if DELIVERY in taken:
        delivery = defaults.delivery
    changed: dict[str, Any] = {
        field: getattr(defaults.policies, field) for field in taken if field != DELIVERY
    }
    if changed.get(OVERLAP) is DEFAULT.overlap_of(schedule):
        changed[OVERLAP] = None
    return delivery, replace(own, **changed)
