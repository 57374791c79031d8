"""Cron expressions, parsed. The one importer of croniter.

The dialect is that of vixie cron, with extensions:

    5 fields                minute hour day-of-month month day-of-week
    6 fields                the same with seconds FIRST
    aliases                 @hourly @daily @midnight @weekly @monthly @yearly @annually
    in each field           *  value  a-b  */n  a/n (from a to the end)  a-b/n  and lists of these with commas
    ranges                  may wrap: 22-2, FRI-MON, NOV-FEB
    names                   JAN-DEC, SUN-SAT in any case; 0 and 7 are Sunday
    day-of-month            L the last day; L-3 three days before it; LW the last working day (Monday to Friday);
                            15W the working day nearest to the 15th within its month; ? is *
    day-of-week             5#2 or FRI#2 the second Friday; 5L or L5 the last Friday; ? is *
    day and weekday         if either *starts* with * (or is ?) both must match, otherwise one is enough
    H                       replaced by values of the task before it comes here (`hashed_fields`)

Refused, with the reason in the message: more than 256 characters, another number of fields, R, @reboot, a range of
one value (5-5: croniter reads "every", cron reads "5"), and an expression that no date can match. croniter's parser
turns fields into values; a grammar of our own stands before it, so that croniter's own additions and mistakes do not
slip into stored schedules. The days that it does not know or not in lists (L, L-n, LW, nW) never reach it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from croniter import croniter

from mainspring.server.core.cron_walls import NO_SUCCESSOR, CronWalls, month_length

MAX_EXPRESSION_LENGTH: Final = 256

_ALIASES: Final = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
# fmt: off
_MONTHS: Final = {
    "JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6,
    "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
}
_WEEKDAYS: Final = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
# fmt: on


class Field(NamedTuple):
    """One field of an expression with seconds: its values run from `lowest` to `highest`."""

    name: str
    lowest: int
    highest: int
    value_names: dict[str, int]


FIELDS: Final = (
    Field("second", 0, 59, {}),
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day-of-month", 1, 31, {}),
    Field("month", 1, 12, _MONTHS),
    Field("day-of-week", 0, 7, _WEEKDAYS),
)
_DAY_OF_MONTH: Final = 3
_DAY_OF_WEEK: Final = 5
_TOKEN: Final = re.compile(r"(?:\*|([A-Z]{3}|\d{1,2})(?:-([A-Z]{3}|\d{1,2}))?)(?:/(\d{1,3}))?")
_NEAREST: Final = re.compile(r"(\d{1,2})W")
_NTH: Final = re.compile(r"([A-Z]{3}|\d)#([1-5])")
_LAST_WEEKDAY: Final = re.compile(r"(?:([0-7])L|L([0-7]))")
_FROM_END: Final = re.compile(r"L(?:-(\d{1,2}))?")
_RANDOM: Final = re.compile(r"R(?:\(.*\))?(?:/.*)?")
_HASHED: Final = re.compile(r"H(?:\(.*\))?(?:/.*)?")


@dataclass(slots=True)
class _SpecialDays:
    """Days of the month that depend on its shape.

    Attributes:
        from_end: days before the last one; 0 is the last.
        workdays: days whose nearest working day is meant.
        last_workday: whether the last working day is meant.
    """

    from_end: set[int]
    workdays: set[int]
    last_workday: bool = False


class BadCronExpression(ValueError):
    """The expression is not in the dialect, or never fires; the message says why, for a person."""


@lru_cache(maxsize=16_384)
def parse_cron(expression: str) -> CronWalls:
    """Parse an expression of the dialect above.

    Raises:
        BadCronExpression: not in the dialect, or no date can ever match.
    """
    normal = normalise_cron(expression)
    fields = split_fields(normal)
    special = _SpecialDays(set(), set())
    words = [_checked(i, f, special) for i, f in enumerate(fields)]
    return _build(normal, fields, words, special)


@lru_cache(maxsize=16_384)
def parse_exclusion(expression: str) -> CronWalls:
    """As `parse_cron`, but an expression of 5 fields, or an alias, covers its minutes as a whole."""
    walls = parse_cron(expression)
    if len(walls.expression.split(" ")) == 6:
        return walls
    every_second = tuple(range(60))
    return replace(walls, seconds=every_second, second_from=_successors(every_second, 60))


def split_fields(normal: str) -> list[str]:
    """The six fields of a normalised expression or alias, seconds first.

    Raises:
        BadCronExpression: an unknown alias, or another number of fields.
    """
    text = normal
    if normal.startswith("@"):
        text = _ALIASES.get(normal, "")
        if not text:
            known = " ".join(_ALIASES).lower()
            raise BadCronExpression(f"{normal.lower()} is not supported; the aliases are {known}")
    fields = text.split(" ") if text else []
    if len(fields) not in (5, 6):
        raise BadCronExpression(
            "needs 5 fields (minute hour day-of-month month day-of-week) or 6 (seconds first), "
            f"not {len(fields)}"
        )
    return ["0", *fields] if len(fields) == 5 else fields


def normalise_cron(expression: str) -> str:
    """The canonical text of an expression: blanks squeezed, names in upper case. Raises BadCronExpression."""
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise BadCronExpression(f"is longer than {MAX_EXPRESSION_LENGTH} characters")
    text = " ".join(expression.upper().split())
    if not expression.isascii() or not text.isprintable():
        raise BadCronExpression("has characters that are not printable ASCII")
    return text


def _checked(index: int, field: str, special: _SpecialDays) -> str:
    """The field in the words of croniter's parser, after a check against the grammar of the dialect.

    Days that depend on the shape of a month go to `special` instead; the field is empty when nothing else is left.
    """
    name = FIELDS[index].name
    if field == "?" and index in (_DAY_OF_MONTH, _DAY_OF_WEEK):
        return "*"
    words: list[str] = []
    plain = 0
    for token in field.split(","):
        if _RANDOM.fullmatch(token):
            raise BadCronExpression(
                f"{name} {token!r}: R (a random value) is not supported; H is a fixed one for each task"
            )
        if _HASHED.fullmatch(token):
            raise BadCronExpression(f"{name} {token!r}: H needs a task whose id gives it a value")
        if index == _DAY_OF_MONTH and _take_special(token, special):
            continue
        if index == _DAY_OF_WEEK and (match := _NTH.fullmatch(token)):
            words.append(f"{_value(index, match[1], token) % 7}#{match[2]}")
            continue
        if index == _DAY_OF_WEEK and (match := _LAST_WEEKDAY.fullmatch(token)):
            words.append(f"L{int(match[1] or match[2]) % 7}")
            continue
        check_range(index, token)
        words.append(_unwrapped(index, token))
        plain += 1
    if index == _DAY_OF_WEEK and 0 < plain < len(words):
        raise BadCronExpression(f"{name} {field!r} mixes plain weekdays with # or L")
    return ",".join(words)


def _take_special(token: str, special: _SpecialDays) -> bool:
    if token == "LW":
        special.last_workday = True
    elif match := _FROM_END.fullmatch(token):
        before = int(match[1] or 0)
        if match[1] and not 1 <= before <= 30:
            raise BadCronExpression(f"day-of-month {token!r} is out of range L-1 to L-30")
        special.from_end.add(before)
    elif match := _NEAREST.fullmatch(token):
        special.workdays.add(_value(_DAY_OF_MONTH, match[1], token))
    else:
        return False
    return True


def check_range(index: int, token: str) -> None:
    """Refuse (BadCronExpression) a token that is not `*`, a value or a range with an optional step."""
    name = FIELDS[index].name
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise BadCronExpression(f"{name} {token!r} is not understood")
    low, high, step = match.groups()
    if step is not None and int(step) == 0:
        raise BadCronExpression(f"{name} {token!r}: a step must be at least 1")
    if low is None:
        return
    first = _value(index, low, token)
    if high is None:
        return
    last = _value(index, high, token)
    whole_week = index == _DAY_OF_WEEK and (first, last) == (0, 7)
    if first == last or (index == _DAY_OF_WEEK and first % 7 == last % 7 and not whole_week):
        raise BadCronExpression(f"{name} {token!r} is a range of one value; write {low} or *")


def _unwrapped(index: int, token: str) -> str:
    """A range that wraps round the end of its field as a list: croniter takes a wrong step there ("20-3/3" as 20,23,3)."""
    match = _TOKEN.fullmatch(token)
    if match is None or match[1] is None or match[2] is None:
        return token
    first, last = _value(index, match[1], token), _value(index, match[2], token)
    lowest = FIELDS[index].lowest
    size = FIELDS[index].highest - lowest + 1
    if index == _DAY_OF_WEEK:
        size = 7
        first %= size
    if first <= last:
        return token
    steps = range(first, last + size + 1, int(match[3] or 1))
    return ",".join(str(lowest + (value - lowest) % size) for value in steps)


def _value(index: int, text: str, token: str) -> int:
    name, low, high, names = FIELDS[index]
    value = names.get(text) if text.isalpha() else int(text)
    if value is None:
        raise BadCronExpression(f"{name} {token!r} is not understood")
    if not low <= value <= high:
        raise BadCronExpression(f"{name} {token!r} is out of range {low}-{high}")
    return value


def _build(normal: str, fields: list[str], words: list[str], special: _SpecialDays) -> CronWalls:
    try:
        text = " ".join(word or "*" for word in words)
        parsed = croniter(text, start_time=0.0, second_at_beginning=True)
    except Exception as error:  # croniter also lets KeyError, TypeError and IndexError out
        raise BadCronExpression(f"is not understood ({error})") from error
    minutes, hours, days, months, weekdays, seconds = parsed.expanded
    hour_field, day_field, weekday_field = fields[2], fields[_DAY_OF_MONTH], fields[_DAY_OF_WEEK]
    both = is_wildcard(day_field) or is_wildcard(weekday_field)
    plain_days = sum(1 << d for d in _values(days, 1, 31)) if words[_DAY_OF_MONTH] else 0
    shapes = tuple(
        _matching_days(weekday, length, plain_days, special, weekdays, parsed.nth_weekday_of_month, both)
        for weekday in range(7)
        for length in (28, 29, 30, 31)
    )
    month_bits = sum(1 << m for m in _values(months, 1, 12))
    if not any(
        shapes[weekday * 4 + length - 28]
        for month in range(1, 13)
        if month_bits >> month & 1
        for length in ((28, 29) if month == 2 else (month_length(2001, month),))
        for weekday in range(7)
    ):
        raise BadCronExpression("never fires: no date matches its day and month")
    second_values, minute_values, hour_values = (
        _values(seconds, 0, 59),
        _values(minutes, 0, 59),
        _values(hours, 0, 23),
    )
    return CronWalls(
        expression=normal,
        wildcard_hour=is_wildcard(hour_field),
        seconds=second_values,
        minutes=minute_values,
        hours=hour_values,
        months=month_bits,
        days=shapes,
        second_from=_successors(second_values, 60),
        minute_from=_successors(minute_values, 60),
        hour_from=_successors(hour_values, 24),
    )


def is_wildcard(field: str) -> bool:
    """Whether a field is `?` or begins with `*`, which makes days and weekdays combine, and hours follow elapsed time."""
    return field == "?" or field.startswith("*")


def _values(parsed: list[int | str], low: int, high: int) -> tuple[int, ...]:
    """croniter's list of one field, with its wildcard spelt out."""
    if "*" in parsed:
        return tuple(range(low, high + 1))
    return tuple(sorted(int(value) for value in parsed))


def _matching_days(
    first_weekday: int,
    length: int,
    plain_days: int,
    special: _SpecialDays,
    weekdays: list[int | str],
    nth: dict[int, set[int | str]],
    both: bool,
) -> int:
    """The matching days of a month of one shape, as bits. `first_weekday` counts from Monday = 0."""
    every = (1 << (length + 1)) - 2
    by_date = plain_days
    for before in special.from_end:
        by_date |= 1 << max(0, length - before)
    for day in special.workdays:
        by_date |= 1 << _nearest_workday(day, first_weekday, length)
    if special.last_workday:
        by_date |= 1 << _nearest_workday(length, first_weekday, length)
    by_weekday = 0
    for day in range(1, length + 1):
        weekday = (first_weekday + day) % 7  # as cron counts: Sunday = 0
        if nth:
            ranks = nth.get(weekday, ())
            matches = (day + 6) // 7 in ranks or ("l" in ranks and day + 7 > length)
        else:
            matches = "*" in weekdays or weekday in weekdays
        by_weekday |= matches << day
    return every & (by_date & by_weekday if both else by_date | by_weekday)


def _nearest_workday(day: int, first_weekday: int, length: int) -> int:
    """The working day nearest to `day` within its month; a day behind the end counts as the last.

    For the last day it is the last working day of the month: that lies before it or is it.
    """
    day = min(day, length)
    weekday = (first_weekday + day - 1) % 7
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def _successors(values: tuple[int, ...], size: int) -> bytes:
    """For each number up to `size` the smallest of `values` that is not below it, or NO_SUCCESSOR."""
    return bytes(next((v for v in values if v >= i), NO_SUCCESSOR) for i in range(size + 1))
