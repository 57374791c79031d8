"""Scheduled times that a task owes of earlier schedules: due when those were replaced, and not recorded yet. PURE.

A task that is paused, or has no executor, may be behind when a call gives it another schedule. Up to then the old schedule
counts, with the misfire policy of its time; from then on the new one does, from its first time behind the call. So the
task keeps its next scheduled time, which is the first of those owed, and this text beside it, until claims have recorded
them. Calls may do this again and again, so there may be several such stretches, one after the other.

A one-time task that gets another time is moved: its old time is none any more, and nothing is owed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from mainspring.server.core import adjustments as adjusting
from mainspring.server.core import policies, schedule_text
from mainspring.server.core.misfire import ClaimPlan, first_due_from
from mainspring.server.core.model import DueTask, Task
from mainspring.server.core.next_fire import count_fires
from mainspring.server.core.policies import Misfire, Policies
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.errors import FailedPrecondition

MOST_STRETCHES: Final = 8
"""Schedules replaced while times of each were due and nothing could be recorded."""


@dataclass(frozen=True, slots=True)
class OwedTimes:
    """One stretch.

    Attributes:
        schedule: the one that was replaced.
        misfire: the policy that was replaced with it, or before the next stretch.
        count: how many of its times are owed, from the task's next scheduled time on; at least 1.
        next_at: the scheduled time that follows them.
    """

    schedule: Schedule
    misfire: Misfire
    count: int
    next_at: int


def encode(owed: Sequence[OwedTimes]) -> str | None:
    """The text that is stored; None when nothing is owed."""
    if not owed:
        return None
    return json.dumps(
        [
            [
                schedule_text.encode(one.schedule),
                policies.encode(Policies(one.misfire)),
                one.count,
                one.next_at,
            ]
            for one in owed
        ],
        separators=(",", ":"),
    )


def decode(text: str | None) -> tuple[OwedTimes, ...]:
    """The reverse of `encode`."""
    return () if text is None else _decoded(text)


@lru_cache(maxsize=1_024)
def _decoded(text: str) -> tuple[OwedTimes, ...]:
    return tuple(
        OwedTimes(schedule_text.decode(schedule), policies.decode(policy).misfire, count, next_at)
        for schedule, policy, count, next_at in json.loads(text)
    )


def governing(task: Task | DueTask) -> tuple[Schedule, Misfire]:
    """The schedule that a task's next scheduled time is of, and the misfire policy that counts for it."""
    owed = decode(task.owed)
    if owed:
        return owed[0].schedule, owed[0].misfire
    return schedule_text.decode(task.schedule), policies.decode(task.policies).misfire


def first_of_schedule(task: Task) -> int | None:
    """The first scheduled time to come of a task's present schedule."""
    owed = decode(task.owed)
    return owed[-1].next_at if owed else task.scheduled_at


def with_another_schedule(task: Task, schedule: Schedule, first_at: int, now: int) -> tuple[str | None, int]:
    """What a task owes once it has another schedule, and an instant that lies behind all that is owed.

    Args:
        task: as it is with its present schedule.
        first_at: the first time of the other one.
        now: cluster time.

    Raises:
        FailedPrecondition: times of too many earlier schedules are owed.
    """
    owed = list(decode(task.owed))
    until_at = first_at if not owed else owed[-1].next_at
    present = schedule_text.decode(task.schedule)
    next_at = first_of_schedule(task)
    known = adjusting.decode(task.adjustments)

    def due(at: int) -> int:
        return adjusting.due_at(present, task.ref.task_key, at, known)

    is_moved = isinstance(present.timing, OneTime) and isinstance(schedule.timing, OneTime)
    if next_at is not None and due(next_at) <= now and not is_moved:
        _, until_at = first_due_from(present, due, next_at, now + 1)
        count = 1 + count_fires(present, next_at, until_at)
        if present.max_executions is not None:
            count = min(count, present.max_executions - task.execution_count - sum(one.count for one in owed))
        if count > 0:
            owed.append(OwedTimes(present, policies.decode(task.policies).misfire, count, first_at))
        if len(owed) > MOST_STRETCHES:
            raise FailedPrecondition(
                f"times of {MOST_STRETCHES} earlier schedules of the task are due and not recorded yet: resume it, or start"
                f" an executor for handler {task.handler!r}, before it gets another"
            )
    elif owed:
        owed[-1] = replace(owed[-1], next_at=first_at)
    return encode(owed), until_at


def bounded(owed: OwedTimes, execution_count: int, maximum: int | None) -> Schedule:
    """The schedule of the first stretch with no other times than those owed, within the maximum of the present schedule."""
    last = execution_count + owed.count
    return replace(owed.schedule, max_executions=last if maximum is None else min(last, maximum))


def after_claim(
    owed: Sequence[OwedTimes], plan: ClaimPlan, execution_count: int, maximum: int | None
) -> tuple[int | None, tuple[OwedTimes, ...]]:
    """A task's next scheduled time, and what it owes, behind a plan that was made for the first stretch.

    Args:
        execution_count: as it was for the plan.
        maximum: of executions, of the task's present schedule.
    """
    decided = plan.decided_count
    if maximum is not None and execution_count + decided >= maximum:
        return None, ()
    if plan.next_at is None:
        return owed[0].next_at, tuple(owed[1:])
    return plan.next_at, (replace(owed[0], count=owed[0].count - decided), *owed[1:])
