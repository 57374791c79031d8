"""What to do with the scheduled times of a task that are due: the misfire policy as a decision.

Policy LATEST. Of the due scheduled times of a recurring task, those due not longer ago than the grace run (they are
merely a little late), and the latest one runs however old it is. All older ones become one gap, which the ledger
records as (from, to, count). A one-time task always runs.

A scheduled time is due at its due time (`due_time`): with jitter the latest one that passed may not be due yet, and is
then the task's next. Of a schedule with a maximum the times beyond it do not exist: skipped times count, and the latest
one that runs is the latest within the maximum.

One call decides however long the outage was: the gap is counted by arithmetic. The decision is a function of its
arguments; the claim carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from mainspring.server.core.due_time import due_at
from mainspring.server.core.next_fire import count_fires, last_fire, next_fire
from mainspring.server.core.nth_fire import nth_fire
from mainspring.server.core.schedule import OneTime, Schedule

_WALK: Final = 32
"""Due times looked at one by one, from memory shared with other tasks, before arithmetic takes over."""
_NO_MAXIMUM: Final = 2**63


@dataclass(frozen=True, slots=True)
class Gap:
    """Scheduled times that are passed over in one step, reason misfire.

    Attributes:
        from_at: the first of them.
        to_at: the last of them; the same when there is one.
        count: how many, at least 1.
    """

    from_at: int
    to_at: int
    count: int


@dataclass(frozen=True, slots=True)
class ClaimPlan:
    """The decision. Each scheduled time from the given one up to `next_at` is in `runs` or in `gap`, never in both.

    Attributes:
        runs: scheduled times to run now, ascending.
        gap: the times before all of them that are skipped, or None.
        next_at: the task's next scheduled time; None when it has none left. It is due already when `max_runs` was
            reached: claim again.
    """

    runs: tuple[int, ...]
    gap: Gap | None
    next_at: int | None


def plan_claim(
    schedule: Schedule,
    scheduled_at: int,
    now: int,
    *,
    task_key: bytes,
    execution_count: int,
    grace_us: int,
    max_runs: int,
) -> ClaimPlan:
    """Decide about the scheduled times of a task from its next one up to the last that is due.

    Args:
        schedule: the task's schedule.
        scheduled_at: the task's next scheduled time as stored. It need not be a fire of the schedule (a moved
            one); the times that follow it are.
        now: cluster time.
        task_key: decides about the due times of a schedule with jitter.
        execution_count: how many scheduled times of the task are in the ledger; they count towards its maximum.
        grace_us: a time that was due no longer ago than this runs whatever follows it. Not negative.
        max_runs: at most so many runs in one plan, at least 1.

    Returns:
        The plan; without runs and gap if `scheduled_at` is not due, or the maximum is reached.
    """
    left = _NO_MAXIMUM if schedule.max_executions is None else schedule.max_executions - execution_count
    due = partial(due_at, schedule, task_key)
    if left <= 0:
        return ClaimPlan((), None, None)
    if due(scheduled_at) > now:
        return ClaimPlan((), None, scheduled_at)
    if isinstance(schedule.timing, OneTime):
        return ClaimPlan((scheduled_at,), None, None)
    fresh_at = now - grace_us
    skipped = 0
    previous = first = scheduled_at  # `first` is the first time to run, `previous` the one before it
    while due(first) < fresh_at and skipped + 1 < left:
        following = next_fire(schedule, first)
        if following is None or due(following) > now:
            break
        if skipped == _WALK:
            first = _first_run(schedule, due, first, fresh_at, now)
            skipped = 1 + count_fires(schedule, scheduled_at, first)
            if skipped >= left:
                last_left = nth_fire(schedule, scheduled_at, left - 1)
                # None where exclusions leave nothing for so long that the walk gives up: then nothing is leapt over.
                first, skipped = (scheduled_at, 0) if last_left is None else (last_left, left - 1)
            last = last_fire(schedule, scheduled_at, first)
            previous = scheduled_at if last is None else last
            break
        previous, first = first, following
        skipped += 1
    gap = Gap(scheduled_at, previous, skipped) if skipped else None
    left -= skipped
    runs: list[int] = []
    time: int | None = first
    while time is not None and due(time) <= now and len(runs) < max_runs:
        runs.append(time)
        time = next_fire(schedule, time) if len(runs) < left else None
    return ClaimPlan(tuple(runs), gap, time)


def _first_run(schedule: Schedule, due: Callable[[int], int], passed_at: int, fresh_at: int, now: int) -> int:
    """The first fresh fire, or the latest one that is due, given that the one at `passed_at` is due and not fresh."""
    fresh = next_fire(schedule, fresh_at - 1)
    if schedule.jitter_us:
        # Of the times before `fresh_at` only the last can be due at or after it: the others are due before the next one.
        last = last_fire(schedule, passed_at, fresh_at)
        if last is not None and due(last) >= fresh_at:
            fresh = last
    if fresh is not None and due(fresh) <= now:
        return fresh
    latest = last_fire(schedule, passed_at, fresh_at if fresh is None else min(fresh, fresh_at))
    return passed_at if latest is None else latest
