"""What to do with the scheduled times of a task that are due: the misfire policy as a decision.

A due scheduled time is fresh while it has been due for no longer than the grace, and missed after that. Fresh ones run,
under each policy. Of the missed ones

- NONE runs none;
- LATEST runs the latest, if nothing fresher is due;
- ALL makes up for the latest `limit` of those that became due within the window.

All others become one gap, which the ledger records as (from, to, count). Missed times lie before fresh ones, and what is
made up for behind the gap, so every time has one place.

A scheduled time is due at its due time (`due_time`): with jitter the latest one that passed may not be due yet, and is
then the task's next. Of a schedule with a maximum the times beyond it do not exist: skipped times count, and the latest
one is the latest within the maximum.

One call decides however long the outage was: missed times are counted by arithmetic, and only those that are made up for
are named one by one. The decision is a function of its arguments; the claim carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mainspring.server.core import due_time
from mainspring.server.core.next_fire import count_fires, last_fire, next_fire
from mainspring.server.core.nth_fire import nth_fire
from mainspring.server.core.policies import Misfire, MisfireMode
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
    """The decision. Each scheduled time from the given one up to `next_at` is in one of `runs`, `gap` and `catch_up`.

    Attributes:
        runs: scheduled times to run now, ascending.
        gap: the times before all others that are skipped, or None.
        next_at: the task's next scheduled time; None when it has none left. It is due already when `max_runs` was
            reached: claim again.
        catch_up: missed times to be made up for, ascending, all before `runs`.
    """

    runs: tuple[int, ...]
    gap: Gap | None
    next_at: int | None
    catch_up: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Missed:
    """The missed times: `count` of them from the given time to `last`. `following`: the first that is not missed."""

    count: int
    last: int
    following: int | None


def plan_claim(
    schedule: Schedule,
    scheduled_at: int,
    now: int,
    *,
    misfire: Misfire,
    due_at: int,
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
        misfire: the task's policy.
        due_at: when that next time is due, as stored. It counts for a one-time task alone, which may be due later than its
            schedule says: it was registered or resumed late.
        task_key: decides about the due times of a schedule with jitter.
        execution_count: how many scheduled times of the task are in the ledger; they count towards its maximum.
        grace_us: a time that was due no longer ago than this is fresh. Not negative.
        max_runs: at most so many runs in one plan, at least 1.

    Returns:
        The plan; without runs and gap if `scheduled_at` is not due, or the maximum is reached.
    """
    left = _NO_MAXIMUM if schedule.max_executions is None else schedule.max_executions - execution_count

    def due(time: int) -> int:
        at = due_time.due_at(schedule, task_key, time)
        return max(at, due_at) if isinstance(schedule.timing, OneTime) else at

    if left <= 0:
        return ClaimPlan((), None, None)
    if due(scheduled_at) > now:
        return ClaimPlan((), None, scheduled_at)
    fresh_at = now - grace_us
    missed = _missed(schedule, due, scheduled_at, fresh_at, left)
    first: int | None = scheduled_at
    if missed is not None:
        left -= missed.count
        first = missed.following if left > 0 else None
    runs: list[int] = []
    time = first
    while time is not None and due(time) <= now and len(runs) < max_runs:
        runs.append(time)
        time = next_fire(schedule, time) if len(runs) < left else None
    if missed is None:
        return ClaimPlan(tuple(runs), None, time)
    if misfire.mode is MisfireMode.LATEST and not runs:
        return ClaimPlan(
            (missed.last,), _gap_before(schedule, scheduled_at, missed.last, missed.count - 1), time
        )
    catch_up = _catch_up(schedule, due, scheduled_at, missed, misfire, now)
    gap = _gap_before(
        schedule,
        scheduled_at,
        catch_up[0] if catch_up else None,
        missed.count - len(catch_up),
        missed.last,
    )
    return ClaimPlan(tuple(runs), gap, time, catch_up)


def _missed(
    schedule: Schedule, due: Callable[[int], int], scheduled_at: int, fresh_at: int, left: int
) -> _Missed | None:
    """The missed times from `scheduled_at` on, at most `left` of them; None when there are none."""
    if due(scheduled_at) >= fresh_at:
        return None
    last, count = scheduled_at, 1
    while count < left and count <= _WALK:
        following = next_fire(schedule, last)
        if following is None or due(following) >= fresh_at:
            return _Missed(count, last, following)
        last, count = following, count + 1
    if count == left:
        return _Missed(count, last, None)
    following = _first_due_from(schedule, due, last, fresh_at)
    until_at = fresh_at if following is None else following
    count = 1 + count_fires(schedule, scheduled_at, until_at)
    if count <= left:
        latest = last_fire(schedule, last, until_at)
        return _Missed(count, last if latest is None else latest, following)
    latest = nth_fire(schedule, scheduled_at, left - 1)
    if latest is None:
        # Exclusions leave nothing for so long that the walk gives up: then one is decided about at a time.
        return _Missed(1, scheduled_at, next_fire(schedule, scheduled_at))
    return _Missed(left, latest, None)


def _first_due_from(
    schedule: Schedule, due: Callable[[int], int], passed_at: int, from_at: int
) -> int | None:
    """The first fire that is due at `from_at` or later, given that the one at `passed_at` is due before."""
    if schedule.jitter_us:
        # Of the times before `from_at` only the last can be due at or after it: the others are due before the next one.
        last = last_fire(schedule, passed_at, from_at)
        if last is not None and due(last) >= from_at:
            return last
    return next_fire(schedule, from_at - 1)


def _catch_up(
    schedule: Schedule,
    due: Callable[[int], int],
    scheduled_at: int,
    missed: _Missed,
    misfire: Misfire,
    now: int,
) -> tuple[int, ...]:
    """Which of the missed times are made up for: the latest ones within the limit and the window."""
    if misfire.mode is not MisfireMode.ALL:
        return ()
    first: int | None = scheduled_at
    if missed.count > misfire.limit:
        first = nth_fire(schedule, scheduled_at, missed.count - misfire.limit)
        first = missed.last if first is None else first  # as above: one at a time
    window_at = now - misfire.window_us
    if first is not None and due(first) < window_at:
        first = _first_due_from(schedule, due, first, window_at)
    times: list[int] = []
    while first is not None and first <= missed.last:
        times.append(first)
        first = next_fire(schedule, first)
    return tuple(times)


def _gap_before(
    schedule: Schedule, scheduled_at: int, kept: int | None, count: int, last: int = 0
) -> Gap | None:
    """The gap of `count` missed times from `scheduled_at` to the one before `kept`; to `last` when none is kept."""
    if count == 0:
        return None
    if kept is not None:
        before = last_fire(schedule, scheduled_at, kept)
        last = scheduled_at if before is None else before
    return Gap(scheduled_at, last, count)
