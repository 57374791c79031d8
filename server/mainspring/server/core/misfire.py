"""What to do with the scheduled times of a task that have passed: the misfire policy as a decision.

Policy LATEST. Of the passed scheduled times of a recurring task, those not older than the grace run (they are
merely a little late), and the latest one runs however old it is. All older ones become one gap, which the ledger
records as (from, to, count). A one-time task always runs.

One call decides however long the outage was: the gap is counted by arithmetic. The decision is a function of its
arguments; the claim carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mainspring.server.core.next_fire import count_fires, last_fire, next_fire
from mainspring.server.core.schedule import OneTime, Schedule

_WALK: Final = 32
"""Passed times looked at one by one, from memory shared with other tasks, before arithmetic takes over."""


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
        next_at: the task's next scheduled time; None when it has none left. It is not after `now` when `max_runs`
            was reached: claim again.
    """

    runs: tuple[int, ...]
    gap: Gap | None
    next_at: int | None


def plan_claim(schedule: Schedule, scheduled_at: int, now: int, *, grace_us: int, max_runs: int) -> ClaimPlan:
    """Decide about the scheduled times of a task from its next one up to now.

    Args:
        schedule: the task's schedule.
        scheduled_at: the task's next scheduled time as stored. It need not be a fire of the schedule (a moved
            one); the times that follow it are.
        now: cluster time.
        grace_us: a time that passed no longer ago than this runs whatever follows it. Not negative.
        max_runs: at most so many runs in one plan, at least 1.

    Returns:
        The plan; without runs and gap if `scheduled_at` is after `now`.
    """
    if scheduled_at > now:
        return ClaimPlan((), None, scheduled_at)
    if isinstance(schedule.timing, OneTime):
        return ClaimPlan((scheduled_at,), None, None)
    fresh_at = now - grace_us
    skipped = 0
    previous = first = scheduled_at  # `first` is the first time to run, `previous` the one before it
    while first < fresh_at:
        following = next_fire(schedule, first)
        if following is None or following > now:
            break
        if skipped == _WALK:
            first = _first_run(schedule, first, fresh_at, now)
            skipped = 1 + count_fires(schedule, scheduled_at, first)
            last = last_fire(schedule, scheduled_at, first)
            previous = scheduled_at if last is None else last
            break
        previous, first = first, following
        skipped += 1
    gap = Gap(scheduled_at, previous, skipped) if skipped else None
    runs: list[int] = []
    time: int | None = first
    while time is not None and time <= now and len(runs) < max_runs:
        runs.append(time)
        time = next_fire(schedule, time)
    return ClaimPlan(tuple(runs), gap, time)


def _first_run(schedule: Schedule, passed_at: int, fresh_at: int, now: int) -> int:
    """The first fresh fire, or the latest passed one, given that one at `passed_at` has passed and is not fresh."""
    fresh = next_fire(schedule, fresh_at - 1)
    if fresh is not None and fresh <= now:
        return fresh
    latest = last_fire(schedule, passed_at, fresh_at)
    return passed_at if latest is None else latest
