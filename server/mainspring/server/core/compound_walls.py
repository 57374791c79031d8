"""Sets of wall times made of several cron expressions: together, without exclusions, in counted periods only.

A day is looked at as a whole: the bits of one int are its wall times, a minute or a second each, so that "all of these
without those" is one operation and its result is remembered for the next day of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Protocol

from mainspring.server.core.cron_walls import CronWalls
from mainspring.server.core.schedule import CalendarUnit

_DAY: Final = 86_400
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
_LAST_DAY: Final = date.max.toordinal() - _UNIX_DAY
MOST_EMPTY_DAYS: Final = 3_000
"""So many days in a row, each named by an expression and emptied by exclusions, and nothing more is looked for.

More than the eight years between two leap days around a century.
"""
_MOST_EMPTY_PERIODS: Final = 400
"""The days of a month repeat after so many years: periods without a day for so long never have one."""


class WallSet(Protocol):
    """A set of walls (`cron_walls`)."""

    def next_wall(self, after: int) -> int | None:
        """The first wall of the set strictly after `after`, or None if there is none up to year 9999."""
        ...

    def count_walls(self, start: int, end: int) -> int:
        """How many walls of the set lie in [start, end)."""
        ...


@dataclass(frozen=True, slots=True)
class CountedPeriods:
    """Every n-th day, week or month of the calendar, from the one of a start day on.

    Attributes:
        every: n, at least 1.
        unit: what is counted.
        start_day: days since 1970; its own period counts, days before it do not.
    """

    every: int
    unit: CalendarUnit
    start_day: int

    def next_day(self, day: int) -> int | None:
        """The first day of a counted period that is not before `day`; None behind year 9999."""
        day = max(day, self.start_day)
        if day > _LAST_DAY:
            return None
        ahead = (self._index(self.start_day) - self._index(day)) % self.every
        return day if ahead == 0 else self._first_day(self._index(day) + ahead)

    def _index(self, day: int) -> int:
        if self.unit is CalendarUnit.DAY:
            return day
        if self.unit is CalendarUnit.WEEK:
            return (day + 3) // 7  # 1970-01-01 was a Thursday
        civil = date.fromordinal(day + _UNIX_DAY)
        return civil.year * 12 + civil.month - 1

    def _first_day(self, index: int) -> int | None:
        if self.unit is CalendarUnit.DAY:
            return index
        if self.unit is CalendarUnit.WEEK:
            return index * 7 - 3
        year, month = divmod(index, 12)
        return date(year, month + 1, 1).toordinal() - _UNIX_DAY if year <= 9999 else None


class CompoundWalls:
    """The walls of any of some expressions, without exclusions, in counted periods only. A `WallSet`.

    Args:
        parts: at least one.
        without: expressions of what is left out.
        without_days: days since 1970 that are left out as a whole.
        periods: None counts every day.
    """

    def __init__(
        self,
        parts: tuple[CronWalls, ...],
        without: tuple[CronWalls, ...] = (),
        without_days: frozenset[int] = frozenset(),
        periods: CountedPeriods | None = None,
    ) -> None:
        self._parts = parts
        self._without = without
        self._without_days = without_days
        self._periods = periods
        self._by_minute = all(p.seconds == (0,) for p in parts) and all(0 in w.seconds for w in without)
        self._step = 60 if self._by_minute else 1

    def next_wall(self, after: int) -> int | None:
        """See `WallSet`. None also behind MOST_EMPTY_DAYS days that exclusions emptied."""
        first_day, second = divmod(after + 1, _DAY)
        day = self._next_day(first_day)
        for _ in range(MOST_EMPTY_DAYS):
            if day is None:
                return None
            bits, _count = self._bits_of(day)
            from_bit = -(-second // self._step) if day == first_day else 0
            if left := bits >> from_bit:
                return day * _DAY + (from_bit + (left & -left).bit_length() - 1) * self._step
            day = self._next_day(day + 1)
        return None

    def count_walls(self, start: int, end: int) -> int:
        """See `WallSet`. Costs a step for each day that an expression names."""
        count = 0
        start_day, start_second = divmod(start, _DAY)
        end_day, end_second = divmod(end, _DAY)
        day = self._next_day(start_day)
        while day is not None and day <= end_day and start < end:
            bits, of_day = self._bits_of(day)
            if start_day < day < end_day:
                count += of_day
            else:
                if day == end_day:
                    bits &= (1 << -(-end_second // self._step)) - 1
                if day == start_day:
                    bits >>= -(-start_second // self._step)
                count += bits.bit_count()
            day = self._next_day(day + 1)
        return count

    def end_of_run(self, wall: int, until: int) -> int:
        """The first wall from `wall` on that is not in the set, at most `until`. Costs a step a day."""
        while wall < until:
            day, second = divmod(wall, _DAY)
            bits, _count = self._bits_of(day)
            position = second // self._step
            absent = ~bits >> position & -1
            run = (absent & -absent).bit_length() - 1
            end = day * _DAY + min((position + run) * self._step, _DAY)
            if run == 0 or end < (day + 1) * _DAY:
                return min(max(wall, end), until)
            wall = end
        return until

    def _next_day(self, day: int) -> int | None:
        """The first day that is not before `day`, that an expression names and that lies in a counted period."""
        for _ in range(_MOST_EMPTY_PERIODS + 1):
            if self._periods is not None:
                counted = self._periods.next_day(day)
                if counted is None:
                    return None
                day = counted
            found = min((d for p in self._parts if (d := p.next_day(day)) is not None), default=None)
            if found is None or found == day or self._periods is None:
                return found
            day = found
        return None

    def _bits_of(self, day: int) -> tuple[int, int]:
        """The walls of a day as bits, and how many."""
        if day in self._without_days:
            return 0, 0
        civil = date.fromordinal(day + _UNIX_DAY)
        return _day_bits(
            tuple(p for p in self._parts if p.has_day(civil)),
            tuple(w for w in self._without if w.has_day(civil)),
            self._by_minute,
        )


@lru_cache(maxsize=2_048)
def _day_bits(
    parts: tuple[CronWalls, ...], without: tuple[CronWalls, ...], by_minute: bool
) -> tuple[int, int]:
    bits = left_out = 0
    for part in parts:
        bits |= _time_bits(part, by_minute)
    for walls in without:
        left_out |= _time_bits(walls, by_minute)
    bits &= ~left_out
    return bits, bits.bit_count()


@lru_cache(maxsize=2_048)
def _time_bits(walls: CronWalls, by_minute: bool) -> int:
    """The times of day of an expression as bits, a minute or a second each."""
    if by_minute:
        of_minute, length = 1, 1
    else:
        of_minute, length = sum(1 << s for s in walls.seconds), 60
    of_hour = sum(of_minute << m * length for m in walls.minutes)
    return sum(of_hour << h * 60 * length for h in walls.hours)
