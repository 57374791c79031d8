"""Sets of wall times made of several cron expressions: together, without exclusions, in counted periods only.

A day is looked at as a whole: the bits of one int are its wall times, a minute or a second each, so that "all of these
without those" is one operation and its result is remembered for the next day of the same kind. Which days of a month
exclusions leave anything of is remembered too, by the month and its shape: emptied days cost nothing to pass over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Protocol

from mainspring.server.core.cron_walls import LAST_DAY, UNIX_DAY, CronWalls, month_length
from mainspring.server.core.schedule import CalendarUnit

_DAY: Final = 86_400
_MOST_MONTHS: Final = 4_801
"""Months and their shapes repeat after 400 years: days that are not found by then are never found."""
_MOST_MISSES: Final = 3_000
"""So many counted periods in a row that begin on no day of the set, and nothing more is looked for."""


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
        if day > LAST_DAY:
            return None
        ahead = (self._index(self.start_day) - self._index(day)) % self.every
        return day if ahead == 0 else self._first_day(self._index(day) + ahead)

    def _index(self, day: int) -> int:
        if self.unit is CalendarUnit.DAY:
            return day
        if self.unit is CalendarUnit.WEEK:
            return (day + 3) // 7  # 1970-01-01 was a Thursday
        civil = date.fromordinal(day + UNIX_DAY)
        return civil.year * 12 + civil.month - 1

    def _first_day(self, index: int) -> int | None:
        if self.unit is CalendarUnit.DAY:
            return index
        if self.unit is CalendarUnit.WEEK:
            return index * 7 - 3
        year, month = divmod(index, 12)
        return date(year, month + 1, 1).toordinal() - UNIX_DAY if year <= 9999 else None


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
        self._days_left: dict[tuple[int, int, int], int] = {}
        self._is_empty = False

    def next_wall(self, after: int) -> int | None:
        """See `WallSet`."""
        first_day, second = divmod(after + 1, _DAY)
        day = self._next_day(first_day)
        if day == first_day:
            from_bit = -(-second // self._step)
            if left := self._bits_of(day)[0] >> from_bit:
                return day * _DAY + (from_bit + _lowest(left)) * self._step
            day = self._next_day(day + 1)
        return None if day is None else day * _DAY + _lowest(self._bits_of(day)[0]) * self._step

    def count_walls(self, start: int, end: int) -> int:
        """See `WallSet`. Costs a step for each day that has walls."""
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

    def bits_between(self, start: int, end: int) -> int:
        """The walls in [start, end) as bits, bit 0 is `start`; within one day, and a bit is a second.

        For sets one of whose expressions names seconds.
        """
        day, second = divmod(start, _DAY)
        return self._bits_of(day)[0] >> second & (1 << end - start) - 1

    def _next_day(self, day: int) -> int | None:
        """The first day that is not before `day`, has walls, and lies in a counted period."""
        if self._periods is None:
            return self._next_day_left(day)
        for _ in range(_MOST_MISSES):
            counted = self._periods.next_day(day)
            found = None if counted is None else self._next_day_left(counted)
            if found is None or found == counted:
                return found
            day = found
        return None

    def _next_day_left(self, day: int) -> int | None:
        """The first day not before `day` of which exclusions leave something, whatever the periods."""
        if self._is_empty or not -UNIX_DAY < day <= LAST_DAY:
            return None
        civil = date.fromordinal(day + UNIX_DAY)
        year, month, first = civil.year, civil.month, day - civil.day
        days = self._days_left_of(year, month, first) & -1 << civil.day
        for _ in range(_MOST_MONTHS):
            while days:
                if (found := first + _lowest(days)) not in self._without_days:
                    return found
                days &= days - 1
            first += month_length(year, month)
            month += 1
            if month == 13:
                month, year = 1, year + 1
                if year > 9999:
                    return None
            days = self._days_left_of(year, month, first)
        # Every shape of every month was seen by now.
        self._is_empty = not any(self._days_left.values())
        return None

    def _days_left_of(self, year: int, month: int, before_first: int) -> int:
        """The days of a month that have walls, as bits 1-31; excluded dates are not looked at.

        `before_first` is the day number of its day 0.
        """
        shape = (month, before_first % 7, month_length(year, month))
        if (left := self._days_left.get(shape)) is None:
            parts = [(p, p.days_of(year, month, before_first)) for p in self._parts]
            without = [(w, w.days_of(year, month, before_first)) for w in self._without]
            left = 0
            for day in range(1, shape[2] + 1):
                of_day = tuple(p for p, days in parts if days >> day & 1)
                if of_day:
                    left_out = tuple(w for w, days in without if days >> day & 1)
                    left |= bool(_day_bits(of_day, left_out, self._by_minute)[0]) << day
            self._days_left[shape] = left
        return left

    def _bits_of(self, day: int) -> tuple[int, int]:
        """The walls of a day as bits, and how many."""
        if day in self._without_days:
            return 0, 0
        civil = date.fromordinal(day + UNIX_DAY)
        return _day_bits(
            tuple(p for p in self._parts if p.has_day(civil)),
            tuple(w for w in self._without if w.has_day(civil)),
            self._by_minute,
        )


def _lowest(bits: int) -> int:
    """The position of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


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
