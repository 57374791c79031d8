"""From wall times to instants: what clock changes do to the fires of a schedule.

Fires follow the local clock of a time zone. A wall time is plain almost always; in a *gap* (the clock is put forward)
it does not exist, in a *repeat* (the clock is put back) it comes twice. Two kinds of expressions differ there:

- One whose hour field begins with `*` follows elapsed time: it fires at every instant whose wall time matches. In a
  repeat it fires in both passes, in a gap it has nothing to make up.
- Any other names fixed wall times, and the task's policies decide about them.
  Gap: FIRE_AFTER (vixie cron's way) fires once at the first instant after the gap, however many wall times the gap
  holds, and that instant is no second fire when it is one of the schedule anyway; SKIP does not fire. A gap of a day
  or more is a date that the zone left out (Pacific/Apia had no 2011-12-30): nothing is made up for it, so that a
  Friday task does not run on the Saturday.
  Repeat: FIRST (vixie cron's way), LAST, or BOTH.

For fixed walls under FIRST: fire(w) = min {t: wall(t) >= w}; under LAST: fire(w) = the last t with wall(t) = w, else the
same. Both never decrease as w grows, which makes one walk along the walls find the next fire. BOTH is the two together.

Instants here are UTC seconds, walls are seconds of the local clock (`time_zone`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from mainspring.server.core.compound_walls import CompoundWalls, CountedPeriods, WallSet
from mainspring.server.core.cron_fields import parse_cron, parse_exclusion
from mainspring.server.core.cron_walls import UNIX_DAY, CronWalls
from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Cron,
    Exclusions,
    GapPolicy,
    RepeatPolicy,
)
from mainspring.server.core.time_zone import DAY, LAST_SECONDS, TimeZone, time_zone

_MOST_GAPS: Final = 400
"""So many gaps in a row that swallow the next wall time, and nothing more is looked for: "30 2 * 3 0L" where the clock
is put forward on just that Sunday, every year.
"""
_CRON_WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


@dataclass(frozen=True, slots=True)
class WallFires:
    """The fires of wall times in a zone.

    Attributes:
        zone: whose clock it is.
        gap, repeat: the policies for `fixed`.
        fixed: fixed wall times, or None.
        elapsed: wall times that follow elapsed time, or None. One of the two is there.
        all: both together.
    """

    zone: TimeZone
    gap: GapPolicy
    repeat: RepeatPolicy
    fixed: WallSet | None
    elapsed: WallSet | None
    all: WallSet

    def next_fire(self, after: int) -> int | None:
        """The first fire strictly after an instant, or None up to LAST_SECONDS."""
        found = None
        if self.elapsed is not None:
            found = _next_elapsed(self.elapsed, self.zone, after)
        if self.fixed is not None:
            found = _earlier(found, self._next_fixed(self.fixed, after))
        return found if found is not None and found <= LAST_SECONDS else None

    def count_fires(self, low: int, high: int) -> int:
        """How many fires lie in [low, high). Goes through stretches of one offset."""
        count = 0
        start = low
        seen = _walls_seen(self.zone, low - 1)
        while start < high:
            offset, before = self.zone.offset_at(start), self.zone.offset_at(start - 1)
            change = self.zone.next_change(start, high + DAY)
            end = high if change is None else min(change, high)
            first, last = start + offset, end + offset
            # What of the stretch is for fixed walls to fire in.
            begin, until = first, last
            if self.repeat is RepeatPolicy.FIRST:
                begin = max(first, min(seen, last))
            elif self.repeat is RepeatPolicy.LAST and change is not None:
                until = max(first, min(last, change + self.zone.offset_at(change)))
            seen = max(seen, last)
            count += self._count_stretch(first, begin, until, last)
            if self._makes_up(first - (offset - before), first) and not self._has(first, begin, until):
                count += 1
            start = end
        return count

    def _next_fixed(self, walls: WallSet, after: int) -> int | None:
        is_last = self.repeat is RepeatPolicy.LAST
        found = _next_fixed(
            walls, self.zone, after, is_last=is_last, makes_up=self.gap is GapPolicy.FIRE_AFTER
        )
        if self.repeat is RepeatPolicy.BOTH:
            found = _earlier(found, _next_elapsed(walls, self.zone, after))
        return found

    def _count_stretch(self, first: int, begin: int, until: int, last: int) -> int:
        """The fires at walls in [first, last), fixed ones only in [begin, until)."""
        if self.elapsed is None:
            return self.all.count_walls(begin, until)
        aside = self.elapsed.count_walls(first, begin) + self.elapsed.count_walls(until, last)
        return aside + self.all.count_walls(begin, until)

    def _makes_up(self, gap_start: int, gap_end: int) -> bool:
        """Whether something fires at the end of a gap for walls within it."""
        return (
            self.gap is GapPolicy.FIRE_AFTER
            and self.fixed is not None
            and 0 < gap_end - gap_start < DAY
            and self.fixed.count_walls(gap_start, gap_end) > 0
        )

    def _has(self, wall: int, begin: int, until: int) -> bool:
        """Whether the wall at the beginning of a stretch fires by itself."""
        walls = self.all if begin <= wall < until else self.elapsed
        return walls is not None and walls.count_walls(wall, wall + 1) > 0


@lru_cache(maxsize=4_096)
def wall_fires(timing: Cron | CalendarInterval, exclusions: Exclusions | None) -> WallFires:
    """The fires of a cron or calendar interval schedule without what it excludes.

    Raises:
        BadCronExpression, UnknownTimeZone: a schedule that was never checked, or whose zone the installed tzdata
            no longer has.
    """
    periods = None
    if isinstance(timing, Cron):
        parts = tuple(parse_cron(expression) for expression in timing.expressions)
    else:
        parts = tuple(parse_cron(expression) for expression in _calendar_expressions(timing))
        periods = CountedPeriods(timing.every, timing.unit, _day_number(timing.start_date))
    if timing.gap is GapPolicy.SKIP and timing.repeat is RepeatPolicy.BOTH:
        elapsed_parts = parts  # that is what it means to follow elapsed time
    else:
        elapsed_parts = tuple(part for part in parts if part.wildcard_hour)
    fixed_parts = tuple(part for part in parts if part not in elapsed_parts)

    def walls(of: tuple[CronWalls, ...]) -> WallSet | None:
        if not of:
            return None
        if len(of) == 1 and exclusions is None and periods is None:
            return of[0]
        return CompoundWalls(of, excluded_walls(exclusions), excluded_days(exclusions), periods)

    fixed, elapsed = walls(fixed_parts), walls(elapsed_parts)
    everything = walls(parts) if fixed is not None and elapsed is not None else fixed or elapsed
    assert everything is not None
    return WallFires(time_zone(timing.time_zone), timing.gap, timing.repeat, fixed, elapsed, everything)


def excluded_walls(exclusions: Exclusions | None) -> tuple[CronWalls, ...]:
    """The walls that exclusion expressions name; those of five fields cover whole minutes."""
    expressions = exclusions.expressions if exclusions is not None else ()
    return tuple(parse_exclusion(expression) for expression in expressions)


def excluded_days(exclusions: Exclusions | None) -> frozenset[int]:
    """The excluded dates as days since 1970."""
    return frozenset(_day_number(day) for day in exclusions.dates) if exclusions is not None else frozenset()


def _calendar_expressions(timing: CalendarInterval) -> list[str]:
    """A calendar interval's days and times in the words of cron; its periods are counted beside them."""
    days, weekdays = "*", "*"
    if timing.unit is CalendarUnit.WEEK:
        weekdays = ",".join(_CRON_WEEKDAYS[day - 1] for day in timing.weekdays)
    elif timing.unit is CalendarUnit.MONTH:
        days = ",".join(str(d) if d > 0 else "L" if d == -1 else f"L-{-d - 1}" for d in timing.days_of_month)
    return [f"{time % 60} {time // 60 % 60} {time // 3600} {days} * {weekdays}" for time in timing.times]


def _day_number(local_date: str) -> int:
    return date.fromisoformat(local_date).toordinal() - UNIX_DAY


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _next_fixed(walls: WallSet, zone: TimeZone, after: int, *, is_last: bool, makes_up: bool) -> int | None:
    """The next fire of fixed walls, of which repeated ones fire once and those in a gap perhaps at its end."""
    from_wall = _walls_to_come(zone, after) if is_last else _walls_seen(zone, after)
    for _ in range(_MOST_GAPS):
        wall = walls.next_wall(from_wall - 1)
        if wall is None:
            return None
        first, second = zone.offsets_of_wall(wall)
        if first >= second:
            return wall - (second if is_last else first)
        change = zone.change_between(wall - second, wall - first)
        if makes_up and second - first < DAY:
            return change
        from_wall = change + second
    return None


def _next_elapsed(walls: WallSet, zone: TimeZone, after: int) -> int | None:
    """The next instant whose wall time matches. Goes through stretches of one offset."""
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


def _walls_seen(zone: TimeZone, at: int) -> int:
    """The smallest wall that the local clock has not shown up to and including an instant."""
    wall = at + zone.offset_at(at)
    first, second = zone.offsets_of_wall(wall)
    if first > second and wall - second == at:
        # The second pass of a repeat: every wall up to its end was shown in the first.
        return zone.change_between(wall - first, at) + first
    return wall + 1


def _walls_to_come(zone: TimeZone, at: int) -> int:
    """The smallest wall that the local clock shows for the last time after an instant."""
    wall = at + zone.offset_at(at)
    first, second = zone.offsets_of_wall(wall)
    if first > second and wall - first == at:
        # The first pass of a repeat: all of it comes again.
        return zone.change_between(at, wall - second) + second
    return wall + 1
