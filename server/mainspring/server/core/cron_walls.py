"""The set of wall times that a cron expression means, and walks over it.

A *wall* is what a local clock shows, in seconds since 1970-01-01 00:00 as if it were UTC (see `time_zone`). Nothing
here knows of zones: each day has 86,400 walls. All of it is integer arithmetic on tables made once by `cron_fields`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from typing import Final

NO_SUCCESSOR: Final = 255
_DAY: Final = 86_400
UNIX_DAY: Final = date(1970, 1, 1).toordinal()
"""The ordinal of day 0: days are counted from 1970-01-01."""
LAST_DAY: Final = date.max.toordinal() - UNIX_DAY
"""9999-12-31."""


@dataclass(frozen=True, slots=True, eq=False)
class CronWalls:
    """The wall times of one cron expression, as sets of values of each field. Compared by identity.

    Attributes:
        expression: the normalised text: upper case, single blanks, aliases as they are.
        wildcard_hour: the hour field starts with `*`; `wall_fires` treats those apart when clocks change.
        seconds, minutes, hours: sorted values, at least one each.
        months: months 1-12 as bits.
        days: matching days of a month as bits 1-31, for each of 28 month shapes: weekday of the 1st (Monday 0)
            times 4, plus length minus 28.
        second_from, minute_from, hour_from: for each number the smallest value of the field that is not below
            it, or NO_SUCCESSOR.
    """

    expression: str
    wildcard_hour: bool
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: int
    days: tuple[int, ...]
    second_from: bytes
    minute_from: bytes
    hour_from: bytes

    def next_wall(self, after: int) -> int | None:
        """The first matching wall strictly after `after`, or None up to the end of year 9999."""
        day, second = divmod(after + 1, _DAY)
        found = self.next_day(day)
        if found == day:
            time = self._next_time(second)
            if time is not None:
                return day * _DAY + time
            found = self.next_day(day + 1)
        if found is None:
            return None
        return found * _DAY + self.hours[0] * 3600 + self.minutes[0] * 60 + self.seconds[0]

    def next_day(self, day: int) -> int | None:
        """The first matching day that is not before `day`, as days since 1970, or None up to the end of year 9999.

        Never walks more than 4,801 months: matching days repeat after 400 years.
        """
        if not -UNIX_DAY < day <= LAST_DAY:
            return None
        civil = date.fromordinal(day + UNIX_DAY)
        year, month, day_of_month = civil.year, civil.month, civil.day
        first = day - day_of_month
        mask = self.days_of(year, month, first) & -1 << day_of_month
        for _ in range(4_801):
            if mask:
                return first + (mask & -mask).bit_length() - 1
            month += 1
            if month == 13:
                month, year = 1, year + 1
                if year > 9999:
                    return None
            if self.months >> month & 1:
                first = date(year, month, 1).toordinal() - UNIX_DAY - 1
                mask = self.days_of(year, month, first)
        return None

    def has_day(self, civil: date) -> bool:
        """Whether a local date matches."""
        first = civil.toordinal() - UNIX_DAY - civil.day
        return bool(self.days_of(civil.year, civil.month, first) >> civil.day & 1)

    def days_of(self, year: int, month: int, before_first: int) -> int:
        """The matching days of a month as bits 1-31. `before_first` is the day number of its day 0."""
        if not self.months >> month & 1:
            return 0
        return self.days[(before_first + 4) % 7 * 4 + month_length(year, month) - 28]

    def count_walls(self, start: int, end: int) -> int:
        """How many walls match in [start, end). Costs a step a month, however many match."""
        if end <= start:
            return 0
        start_day, start_time = divmod(start, _DAY)
        end_day, end_time = divmod(end, _DAY)
        civil = date.fromordinal(start_day + UNIX_DAY)
        year, month, first = civil.year, civil.month, start_day - civil.day
        days = 0
        mask = self.days_of(year, month, first)
        before_start = self._rank(start_time) if mask >> (start_day - first) & 1 else 0
        mask &= -1 << civil.day
        while first + 32 <= end_day or first + month_length(year, month) < end_day:
            days += mask.bit_count()
            first += month_length(year, month)
            month += 1
            if month == 13:
                month, year = 1, year + 1
            mask = self.days_of(year, month, first)
        days += (mask & ((1 << (end_day - first)) - 1)).bit_count()
        after_end = self._rank(end_time) if mask >> (end_day - first) & 1 else 0
        per_day = len(self.hours) * len(self.minutes) * len(self.seconds)
        return days * per_day - before_start + after_end

    def _next_time(self, second: int) -> int | None:
        """The first matching second of a day that is >= `second`."""
        hour, rest = divmod(second, 3600)
        if self.hour_from[hour] == hour:
            minute, rest = divmod(rest, 60)
            if self.minute_from[minute] == minute and (found := self.second_from[rest]) != NO_SUCCESSOR:
                return hour * 3600 + minute * 60 + found
            if (found := self.minute_from[minute + 1]) != NO_SUCCESSOR:
                return hour * 3600 + found * 60 + self.seconds[0]
            hour += 1
        if (found := self.hour_from[hour]) != NO_SUCCESSOR:
            return found * 3600 + self.minutes[0] * 60 + self.seconds[0]
        return None

    def _rank(self, second: int) -> int:
        """How many matching seconds of a day are smaller than `second`."""
        hour, rest = divmod(second, 3600)
        minute, rest = divmod(rest, 60)
        count = bisect_left(self.hours, hour) * len(self.minutes) * len(self.seconds)
        if self.hour_from[hour] == hour:
            count += bisect_left(self.minutes, minute) * len(self.seconds)
            if self.minute_from[minute] == minute:
                count += bisect_left(self.seconds, rest)
        return count


def month_length(year: int, month: int) -> int:
    """Days in a month."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
