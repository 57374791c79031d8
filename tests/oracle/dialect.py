"""A naive reader of cron expressions: which walls an expression names.

    5 fields                minute hour day-of-month month day-of-week; 6 fields have seconds first
    aliases                 @hourly @daily @midnight @weekly @monthly @yearly @annually
    in each field           *  a  */n  a/n (from a to the end)  a-b  a-b/n  and lists of these with commas
    ranges                  may wrap: 22-2 is 22, 23, 0, 1, 2, and a step goes on counting across the end
    names                   JAN-DEC, SUN-SAT; 0 and 7 are Sunday
    day-of-month            L the last day; L-3 three days before it; LW the last working day; 15W the working day
                            nearest to the 15th, of the same month; ? is *
    day-of-week             5#2 the second Friday; 5L or L5 the last Friday; ? is *
    day and weekday         if either starts with * (or is ?) both must match, otherwise one is enough

It believes what it reads: refusing nonsense is the business of others.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from typing import Final

import numpy as np
from oracle.local_clock import Flags, Walls
from oracle.zones import DAY, HOUR, MINUTE

_ALIASES: Final = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_MONTHS: Final = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS: Final = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()

_IsDay = Callable[[date], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A set of walls: some seconds of every day, on some days.

    Attributes:
        times: for each second of a day, whether it is one.
        is_day: whether a local date is one.
        is_elapsed: the hour field begins with `*`: the expression follows elapsed time.
        needs_seconds: it names a second other than the first of a minute.
    """

    times: Flags
    is_day: _IsDay
    is_elapsed: bool
    needs_seconds: bool

    def among(self, walls: Walls) -> Flags:
        """Which of these walls are named."""
        if not len(walls.days):
            return np.zeros(0, np.bool_)
        first, last = int(walls.days.min()), int(walls.days.max())
        days = np.array([self.is_day(date.fromordinal(_UNIX_DAY + day)) for day in range(first, last + 1)])
        named: Flags = days[walls.days - first] & self.times[walls.times]
        return named


@lru_cache(maxsize=4_096)
def read_cron(expression: str, *, whole_minutes: bool = False) -> Named:
    """What an expression names. With `whole_minutes`, one of 5 fields names each second of its minutes."""
    text = expression.upper()
    fields = _ALIASES.get(text, text).split()
    seconds = fields.pop(0) if len(fields) == 6 else "*" if whole_minutes else "0"
    minute, hour, day, month, weekday = ("*" if field == "?" else field for field in fields)
    times = np.zeros(DAY, np.bool_)
    for h in _values(hour, 0, 23):
        for m in _values(minute, 0, 59):
            for s in _values(seconds, 0, 59):
                times[h * HOUR + m * MINUTE + s] = True
    return Named(
        times,
        _day_rule(day, month, weekday),
        is_elapsed=hour.startswith("*"),
        needs_seconds=_values(seconds, 0, 59) != {0},
    )


def _day_rule(day: str, month: str, weekday: str) -> _IsDay:
    months = _values(month, 1, 12)
    need_both = day.startswith("*") or weekday.startswith("*")

    @cache
    def is_day(when: date) -> bool:
        if when.month not in months:
            return False
        by_day = any(_is_day_of_month(term, when) for term in day.split(","))
        by_weekday = any(_is_weekday(term, when) for term in weekday.split(","))
        return by_day and by_weekday if need_both else by_day or by_weekday

    return is_day


def _is_day_of_month(term: str, when: date) -> bool:
    length = monthrange(when.year, when.month)[1]
    working = [d for d in range(1, length + 1) if date(when.year, when.month, d).isoweekday() <= 5]
    if term == "L":
        return when.day == length
    if term == "LW":
        return when.day == working[-1]
    if term.startswith("L-"):
        return when.day == length - int(term[2:])
    if term.endswith("W"):
        return when.day == min(working, key=lambda d: abs(d - int(term[:-1])))
    return when.day in _values(term, 1, 31)


def _is_weekday(term: str, when: date) -> bool:
    number = when.isoweekday() % 7
    if "#" in term:
        name, _, rank = term.partition("#")
        return number == _number(name) % 7 and (when.day - 1) // 7 + 1 == int(rank)
    if "L" in term:
        length = monthrange(when.year, when.month)[1]
        return number == _number(term.replace("L", "")) % 7 and when.day + 7 > length
    return number in _weekday_values(term)


def _weekday_values(term: str) -> set[int]:
    """Like `_values`, with Sunday both before Monday and, at the end of a range, after Saturday."""
    span, slash, step = term.partition("/")
    low, dash, high = span.partition("-")
    if dash and high == "7" and _number(low) != 7:
        return {value % 7 for value in range(_number(low), 8, int(step or 1))}
    if span != "*":
        span = dash.join(str(_number(end) % 7) for end in span.split("-"))
    return _values(span + slash + step, 0, 6)


def _values(field: str, lowest: int, highest: int) -> set[int]:
    values: set[int] = set()
    for term in field.split(","):
        span, slash, step = term.partition("/")
        low, dash, high = span.partition("-")
        if low == "*":
            first, last = lowest, highest
        elif dash:
            first, last = _number(low), _number(high)
        else:
            first, last = _number(low), highest if slash else _number(low)
        count = highest - lowest + 1
        if last < first:  # the range goes on at the beginning
            last += count
        for value in range(first, last + 1, int(step or 1)):
            values.add(lowest + (value - lowest) % count)
    return values


def _number(text: str) -> int:
    if text in _MONTHS:
        return _MONTHS.index(text) + 1
    if text in _WEEKDAYS:
        return _WEEKDAYS.index(text)
    return int(text)
