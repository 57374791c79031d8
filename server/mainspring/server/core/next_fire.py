"""The next fire time of a schedule: a pure function of the schedule and an instant.

Cron and calendar interval schedules follow a local clock: `wall_fires` has the rules of daylight saving. Fixed intervals
count elapsed time (`interval_times`). Here they are put together and bounded by the schedule's start and end; how many
executions a task may have is counted by the claim.

A fire is identified by its UTC instant, and the fires of a schedule strictly increase. All instants are int microseconds
UTC; cron fires are on whole seconds. Functions here are safe to call from any thread, and bounded: where exclusions
leave nothing for 400 years, or of thousands of stretches, a schedule has no fire any more. Costs: `make bench-cron`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.interval_times import count_times, last_time, next_time
from mainspring.server.core.schedule import Interval, OneTime, Schedule
from mainspring.server.core.time_zone import FIRST_SECONDS, LAST_SECONDS
from mainspring.server.core.wall_fires import wall_fires
from mainspring.server.errors import InvalidField

LAST_FIRE_AT: Final = LAST_SECONDS * SECOND_US
"""9999-12-30T00:00:00Z: the last instant at which anything recurring fires."""


def first_fire(schedule: Schedule, registered_at: int) -> int:
    """The first scheduled time of a task that is registered at an instant.

    One time: its instant, past or not. Recurring: the first fire strictly after `registered_at`; an interval
    anchored at its registration therefore first fires one interval later.

    Raises:
        InvalidField: field "schedule"; a recurring schedule has no fire any more.
    """
    if isinstance(schedule.timing, OneTime):
        return schedule.timing.at
    fire = next_fire(schedule, registered_at)
    if fire is None:
        raise InvalidField("schedule", _why_never(schedule, registered_at))
    return fire


def _why_never(schedule: Schedule, registered_at: int) -> str:
    never = "has no scheduled time to come"
    if schedule.end_at is not None and schedule.end_at <= registered_at:
        return f"{never}: its end has passed"
    unbounded = replace(schedule, end_at=None)
    if schedule.end_at is not None and _next(unbounded, registered_at) is not None:
        return f"{never}: its first time would be at or after its end"
    if (
        schedule.exclusions is not None
        and _next(replace(unbounded, exclusions=None), registered_at) is not None
    ):
        return f"{never}: the exclusions leave nothing of it"
    return f"{never} up to the end of year 9999"


@lru_cache(maxsize=65_536)
def next_fire(schedule: Schedule, after_at: int) -> int | None:
    """The first fire strictly after `after_at`, or None if there is none up to LAST_FIRE_AT. Remembered.

    Herds share expressions and scheduled times, so most calls of a busy node are answered from memory.

    Raises:
        BadCronExpression, UnknownTimeZone: a cron schedule that `validate_cron` never saw, or whose zone the
            installed tzdata no longer has.
    """
    return _next(schedule, after_at)


def fires_between(schedule: Schedule, after_at: int, until_at: int, limit: int) -> Iterator[int]:
    """The fires in (after_at, until_at], ascending, at most `limit` of them. Not remembered."""
    fire = _next(schedule, after_at)
    while fire is not None and fire <= until_at and limit > 0:
        yield fire
        limit -= 1
        fire = _next(schedule, fire)


@lru_cache(maxsize=4_096)
def count_fires(schedule: Schedule, after_at: int, before_at: int) -> int:
    """How many fires lie in (after_at, before_at). Remembered.

    By arithmetic: the cost depends on the days and the clock changes in between (0.5 us a day, 2 us with several
    expressions or exclusions), not on the count. Only an interval with exclusions costs a step for each stretch of
    time that they leave.
    """
    low, high = _bounded(schedule, after_at + 1, min(before_at, LAST_FIRE_AT + 1))
    if high <= low:
        return 0
    timing = schedule.timing
    if isinstance(timing, OneTime):
        return int(low <= timing.at < high)
    if isinstance(timing, Interval):
        return count_times(timing, schedule.exclusions, low, high)
    fires = wall_fires(timing, schedule.exclusions)
    return fires.count_fires(max(-(-low // SECOND_US), FIRST_SECONDS), -(-high // SECOND_US))


def last_fire(schedule: Schedule, after_at: int, before_at: int) -> int | None:
    """The last fire in (after_at, before_at), or None. At worst about 100 cold walks."""
    low, before_at = _bounded(schedule, after_at + 1, min(before_at, LAST_FIRE_AT + 1))
    after_at = low - 1
    timing = schedule.timing
    if isinstance(timing, Interval) and schedule.exclusions is None:
        return last_time(timing, low, before_at)
    found = _next(schedule, after_at)
    if found is None or found >= before_at:
        return None
    # Look back from the end in doubling steps until a fire is in sight, then keep halving the span behind it.
    span = SECOND_US
    while (near := before_at - span) > found:
        later = _next(schedule, near)
        if later is not None and later < before_at:
            found = later
            break
        span *= 2
    high = before_at
    while (following := _next(schedule, found)) is not None and following < before_at:
        middle = (following + high) // 2
        later = _next(schedule, middle)
        if later is not None and later < before_at:
            found = later
        else:
            found, high = following, middle
    return found


def _bounded(schedule: Schedule, low: int, high: int) -> tuple[int, int]:
    """[low, high) without what lies outside the schedule's start and end."""
    if schedule.start_at is not None:
        low = max(low, schedule.start_at)
    if schedule.end_at is not None:
        high = min(high, schedule.end_at)
    return low, high


def _next(schedule: Schedule, after_at: int) -> int | None:
    low, high = _bounded(schedule, after_at + 1, LAST_FIRE_AT + 1)
    timing = schedule.timing
    found: int | None
    if isinstance(timing, OneTime):
        found = timing.at if timing.at >= low else None
        high = max(high, timing.at + 1)
    elif isinstance(timing, Interval):
        found = next_time(timing, schedule.exclusions, low, high)
    else:
        second = max((low - 1) // SECOND_US, FIRST_SECONDS)
        if second >= LAST_SECONDS:
            return None
        seconds = wall_fires(timing, schedule.exclusions).next_fire(second)
        found = None if seconds is None else seconds * SECOND_US
    return found if found is not None and found < high else None
