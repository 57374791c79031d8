"""The next fire time of a schedule: a pure function of the schedule and an instant.

Cron fires follow the local clock of a time zone. When that clock changes, the policy is vixie cron's:

- An expression whose hour field starts with `*` follows elapsed time: it fires at every instant whose wall time
  matches. In a repeated hour it fires in both repetitions, in a gap it has nothing to make up.
- Any other expression names fixed wall times. A wall time in a gap fires once, at the first instant after the gap;
  several in one gap are one fire, and so is one that meets a fire of that very instant. A repeated wall time
  fires once, the first time it comes.
- A gap of a day or more is a date the zone left out (Pacific/Apia had no 2011-12-30): its wall times never were,
  and nothing is made up for them, so that a Friday task does not run on the Saturday.

A fire is identified by its UTC instant, and the fires of a schedule strictly increase. Formally, for fixed wall
times: fire(w) = min {instant t: wall(t) >= w}, which never decreases as w grows.

All instants are int microseconds UTC; cron fires are on whole seconds. Functions here are safe to call from any
thread. Cost: 6-17 us for a cold walk, 0.2 us when remembered (tests/benchmarks/bench_next_fire.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from mainspring.server.core.cron_fields import parse_cron
from mainspring.server.core.cron_walls import CronWalls
from mainspring.server.core.schedule import Cron, Interval, OneTime, Schedule
from mainspring.server.core.time_zone import DAY, FIRST_SECONDS, LAST_SECONDS, TimeZone, time_zone
from mainspring.server.errors import InvalidField

SECOND_US: Final = 1_000_000
LAST_FIRE_AT: Final = LAST_SECONDS * SECOND_US
"""9999-12-30T00:00:00Z: the last instant at which anything recurring fires."""


def first_fire(schedule: Schedule, registered_at: int) -> int:
    """The first scheduled time of a task that is registered at an instant.

    One time: its instant, past or not. Recurring: the first fire strictly after `registered_at`; an interval
    anchored at its registration therefore first fires one interval later.

    Raises:
        InvalidField: field "schedule"; a recurring schedule has no fire any more before year 9999 ends.
    """
    if isinstance(schedule.timing, OneTime):
        return schedule.timing.at
    fire = next_fire(schedule, registered_at)
    if fire is None:
        raise InvalidField("schedule", "has no fire time up to the end of year 9999")
    return fire


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

    By arithmetic: the cost depends on the months and the clock changes in between (0.5 us a day), not on the count.
    """
    before_at = min(before_at, LAST_FIRE_AT + 1)
    if before_at - after_at <= 1:
        return 0
    timing = schedule.timing
    if isinstance(timing, OneTime):
        return int(after_at < timing.at < before_at)
    if isinstance(timing, Interval):
        return _intervals_before(timing, before_at) - _intervals_before(timing, after_at + 1)
    assert isinstance(timing, Cron)
    low = max(after_at // SECOND_US + 1, FIRST_SECONDS)
    high = -(-before_at // SECOND_US)
    return _count_cron(parse_cron(timing.expressions[0]), time_zone(timing.time_zone), low, high)


def last_fire(schedule: Schedule, after_at: int, before_at: int) -> int | None:
    """The last fire in (after_at, before_at), or None. At worst about 100 cold walks."""
    before_at = min(before_at, LAST_FIRE_AT + 1)
    timing = schedule.timing
    if isinstance(timing, Interval):
        fire = timing.anchor_at + (_intervals_before(timing, before_at) - 1) * timing.every_us
        return fire if fire >= timing.anchor_at and fire > after_at else None
    found = _next(schedule, after_at)
    if found is None or found >= before_at:
        return None
    # Look back from the end in doubling steps until a fire is in sight, then keep halving the span behind it.
    span = SECOND_US
    while (low := before_at - span) > found:
        later = _next(schedule, low)
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


def _next(schedule: Schedule, after_at: int) -> int | None:
    timing = schedule.timing
    if isinstance(timing, Cron):
        second = max(after_at // SECOND_US, FIRST_SECONDS)
        if second >= LAST_SECONDS:
            return None
        walls, zone = parse_cron(timing.expressions[0]), time_zone(timing.time_zone)
        follow = _next_elapsed if walls.wildcard_hour else _next_fixed
        found = follow(walls, zone, second)
        return found * SECOND_US if found is not None and found <= LAST_SECONDS else None
    if isinstance(timing, Interval):
        fire = timing.anchor_at + _intervals_before(timing, after_at + 1) * timing.every_us
        return fire if fire <= LAST_FIRE_AT else None
    assert isinstance(timing, OneTime)
    return timing.at if timing.at > after_at else None


def _intervals_before(schedule: Interval, before_at: int) -> int:
    """How many times of the interval are earlier than `before_at`."""
    return max(0, -(-(before_at - schedule.anchor_at) // schedule.every_us))


def _next_fixed(walls: CronWalls, zone: TimeZone, after: int) -> int | None:
    """The next fire of fixed wall times, in seconds."""
    seen = _walls_seen(zone, after)
    while (wall := walls.next_wall(seen - 1)) is not None:
        first, second = zone.offsets_of_wall(wall)
        if first >= second:
            return wall - first
        change = zone.change_between(wall - second, wall - first)
        if second - first < DAY:
            return change
        seen = change + second
    return None


def _next_elapsed(walls: CronWalls, zone: TimeZone, after: int) -> int | None:
    """The next instant whose wall time matches, in seconds. Goes through stretches of one offset."""
    start = after + 1
    while start <= LAST_SECONDS:
        offset = zone.offset_at(start)
        wall = walls.next_wall(start + offset - 1)
        if wall is None:
            return None
        fire = wall - offset
        near = min(fire, start + DAY)
        if zone.offset_at(near) != offset:
            start = zone.change_between(start, near)
        elif near == fire:
            return fire
        else:
            # Nothing matches before `wall`, and walls that a later repeat brings back are later than start + DAY
            # minus a day: leap to shortly before.
            start = max(near, fire - 3 * DAY)
    return None


def _count_cron(walls: CronWalls, zone: TimeZone, low: int, high: int) -> int:
    """How many fires lie in [low, high), in seconds. Goes through stretches of one offset."""
    count = 0
    start = low
    seen = None if walls.wildcard_hour else _walls_seen(zone, low - 1)
    while start < high:
        offset = zone.offset_at(start)
        change = zone.next_change(start, high)
        end = high if change is None else change
        first, last = start + offset, end + offset
        if seen is not None:
            in_gap = 0 < first - seen < DAY and walls.count_walls(seen, first) > 0
            count += in_gap and not walls.count_walls(first, first + 1)
            first = max(first, seen)
            seen = last
        count += walls.count_walls(first, last)
        start = end
    return count


def _walls_seen(zone: TimeZone, at: int) -> int:
    """The smallest wall that the local clock has not shown up to and including an instant, in seconds."""
    wall = at + zone.offset_at(at)
    first, second = zone.offsets_of_wall(wall)
    if first > second and wall - second == at:
        # The second pass of a repeat: every wall up to its end was shown in the first.
        return zone.change_between(wall - first, at) + first
    return wall + 1
