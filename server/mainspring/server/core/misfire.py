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

A call may have adjusted times to come (`adjustments`). One that is moved is due then, fresh or missed; one that is left
out is skipped and never made up for, and the policies speak of the others. It is recorded by itself, but within a gap it
is a part of that: a time has one place.

One call decides however long the outage was: missed times are counted by arithmetic, and only those that are made up for
are named one by one. The decision is a function of its arguments; the claim carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mainspring.server.core import adjustments as adjusting
from mainspring.server.core.adjustments import NO_ADJUSTMENTS, Adjustments
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


@dataclass(slots=True)
class ClaimPlan:
    """The decision. Each scheduled time from the given one up to `next_at` is in one of the other four.

    Attributes:
        runs: scheduled times to run now, ascending.
        gap: the times before all others that are skipped, or None.
        next_at: the task's next scheduled time; None when it has none left. It is due already when `max_runs` was
            reached: claim again.
        catch_up: missed times to be made up for, ascending, all before `runs`.
        skipped: times that a call left out, ascending; in between, but behind the gap.
    """

    runs: tuple[int, ...]
    gap: Gap | None
    next_at: int | None
    catch_up: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()

    @property
    def decided_count(self) -> int:
        """How many scheduled times it decides about."""
        in_gap = self.gap.count if self.gap is not None else 0
        return in_gap + len(self.runs) + len(self.catch_up) + len(self.skipped)


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
    adjustments: Adjustments = NO_ADJUSTMENTS,
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
        max_runs: at most so many fresh times in one plan, at least 1.
        adjustments: of times of the task; others than those from `scheduled_at` on change nothing.

    Returns:
        The plan; without runs and gap if `scheduled_at` is not due, or the maximum is reached.
    """
    left = _NO_MAXIMUM if schedule.max_executions is None else schedule.max_executions - execution_count

    def due(time: int) -> int:
        at = adjusting.due_at(schedule, task_key, time, adjustments)
        return max(at, due_at) if isinstance(schedule.timing, OneTime) else at

    if left <= 0:
        return ClaimPlan((), None, None)
    if due(scheduled_at) > now:
        return ClaimPlan((), None, scheduled_at)
    left_out = sorted(at for at, one in adjustments.items() if one.is_skipped and at >= scheduled_at)
    fresh_at = now - grace_us
    missed = _missed(schedule, due, scheduled_at, fresh_at, left)
    first: int | None = scheduled_at
    if missed is not None:
        left -= missed.count
        first = missed.following if left > 0 else None
    fresh: list[int] = []
    time = first
    while time is not None and due(time) <= now and len(fresh) < max_runs:
        fresh.append(time)
        time = next_fire(schedule, time) if len(fresh) < left else None
    runs = tuple(at for at in fresh if at not in left_out)
    skipped = tuple(at for at in fresh if at in left_out)
    if missed is None:
        return ClaimPlan(runs, None, time, (), skipped)
    kept: tuple[int, ...] = ()
    if misfire.mode is MisfireMode.ALL:
        kept = _latest(schedule, due, scheduled_at, missed, left_out, misfire.limit, now - misfire.window_us)
    elif misfire.mode is MisfireMode.LATEST and not runs:
        kept = _latest(schedule, due, scheduled_at, missed, left_out, 1)
    gap, beside = _passed_over(schedule, scheduled_at, missed, left_out, kept)
    if misfire.mode is MisfireMode.ALL:
        return ClaimPlan(runs, gap, time, kept, (*beside, *skipped))
    return ClaimPlan((*kept, *runs), gap, time, (), (*beside, *skipped))


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
    following, until_at = first_due_from(schedule, due, last, fresh_at)
    count = 1 + count_fires(schedule, scheduled_at, until_at)
    if count <= left:
        latest = last_fire(schedule, last, until_at)
        return _Missed(count, last if latest is None else latest, following)
    latest = nth_fire(schedule, scheduled_at, left - 1)
    if latest is None:
        # Exclusions leave nothing for so long that the walk gives up: then one is decided about at a time.
        return _Missed(1, scheduled_at, next_fire(schedule, scheduled_at))
    return _Missed(left, latest, None)


def first_due_from(
    schedule: Schedule, due: Callable[[int], int], passed_at: int, from_at: int
) -> tuple[int | None, int]:
    """The first fire that is due at `from_at` or later, given that the time at `passed_at` is due before.

    Answers an instant, too, that lies behind all fires that are due before, and not behind that one.
    """
    # Due times keep the order of the scheduled times. So of the times before `from_at` only the last can be due at or after
    # it, by jitter or moved, and of those behind it only the first, moved, can be due before it.
    last = last_fire(schedule, passed_at, from_at)
    if last is not None and due(last) >= from_at:
        return last, last
    first = next_fire(schedule, from_at - 1)
    if first is None:
        return None, from_at
    if due(first) >= from_at:
        return first, first
    return next_fire(schedule, first), first + 1


def _latest(
    schedule: Schedule,
    due: Callable[[int], int],
    scheduled_at: int,
    missed: _Missed,
    left_out: Sequence[int],
    limit: int,
    due_from_at: int | None = None,
) -> tuple[int, ...]:
    """The latest missed times that are not left out: at most `limit`, all of them due at `due_from_at` or later."""
    out = [at for at in left_out if at <= missed.last]
    first: int | None = scheduled_at
    wanted = limit
    while wanted < missed.count:
        if wanted == 1:
            first = missed.last
        else:
            first = nth_fire(schedule, scheduled_at, missed.count - wanted)
            first = missed.last if first is None else first  # the walk gave up, as in `_missed`
        more = limit + sum(at >= first for at in out)
        if more == wanted:
            break
        first, wanted = scheduled_at, more
    if first is not None and due_from_at is not None and due(first) < due_from_at:
        first, _ = first_due_from(schedule, due, first, due_from_at)
    times: list[int] = []
    while first is not None and first <= missed.last:
        if first not in out:
            times.append(first)
        first = next_fire(schedule, first)
    return tuple(times)


def _passed_over(
    schedule: Schedule, scheduled_at: int, missed: _Missed, left_out: Sequence[int], kept: Sequence[int]
) -> tuple[Gap | None, tuple[int, ...]]:
    """What becomes of the missed times that are not kept: the gap, and those left out that lie behind it."""
    out = [at for at in left_out if at <= missed.last]
    end_at = kept[0] if kept else None
    count = missed.count - len(kept) - (0 if end_at is None else sum(at > end_at for at in out))
    last: int | None = missed.last
    if end_at is not None:
        last = last_fire(schedule, scheduled_at - 1, end_at) if end_at > scheduled_at else None
        if last is None and end_at > scheduled_at:
            last = scheduled_at  # which need not be a fire
    # What is left out at the end of the stretch is no part of the gap.
    while last is not None and last in out:
        count -= 1
        last = (last_fire(schedule, scheduled_at, last) or scheduled_at) if last > scheduled_at else None
    gap = Gap(scheduled_at, last, count) if last is not None and count > 0 else None
    return gap, tuple(at for at in out if gap is None or at > gap.to_at)
