"""What a cron expression means, in words: "every 5 minutes from 09:00 to 17:55 on Monday to Friday".

Made from the values that `cron_fields` made of the expression and that fires are computed from, so it says what
Mainspring does. Only days that have no fixed number (L, W, #) are read from the text of their fields. Libraries that
put cron into words know another dialect, and most of them get day of month *and* day of week wrong.

Times are told day by day: an hour field of 22-2 is "from 00:00 to 02:55 and from 22:00 to 23:55", for that is what it
means on the days named after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from mainspring.server.core.cron_fields import (
    is_wildcard,
    normalise_cron,
    parse_cron,
    parse_exclusion,
    split_fields,
)
from mainspring.server.core.cron_walls import CronWalls
from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.plain_english import cut, distance_words, every, listed, ordinal, time_of_day

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
MOST_ITEMS: Final = 8
"""A longer list is cut."""
_MOST_SPECIAL_DAYS: Final = 4
_MOST_SPANS: Final = 3
_RANKED_WEEKDAY: Final = re.compile(r"([A-Z]{3}|\d)(?:#(\d)|L)|L(\d)")


def cron_words(expression: str) -> str:
    """An expression of the dialect in words, without a zone and without a full stop.

    Raises:
        BadCronExpression: not in the dialect.
    """
    return _words(parse_cron(expression))


def exclusion_words(expression: str) -> str:
    """The same for an excluded expression: one of 5 fields covers its minutes as a whole.

    Raises:
        BadCronExpression: not in the dialect.
    """
    return _words(parse_exclusion(expression))


def _words(walls: CronWalls) -> str:
    return _times(walls) + _days(walls)


# --- times of day ------------------------------------------------------------------------------------------------------


def _times(walls: CronWalls) -> str:
    seconds, minutes, hours = walls.seconds, walls.minutes, walls.hours
    number = len(seconds) * len(minutes) * len(hours)
    if number <= 3 or (number <= MOST_ITEMS and not _progression(_smallest_unit(walls))):
        return "at " + listed(_clock_times(walls))
    if len(seconds) > 1:
        return _by_the_second(walls)
    if len(minutes) > 1:
        return _by_the_minute(walls)
    return _by_the_hour(walls)


def _smallest_unit(walls: CronWalls) -> tuple[int, ...]:
    """The values of the smallest unit that has several."""
    return next((v for v in (walls.seconds, walls.minutes) if len(v) > 1), walls.hours)


def _clock_times(walls: CronWalls) -> list[str]:
    with_seconds = walls.seconds != (0,)
    return [
        time_of_day(h * 3600 + m * 60 + s, with_seconds=with_seconds)
        for h in walls.hours
        for m in walls.minutes
        for s in walls.seconds
    ]


def _by_the_hour(walls: CronWalls) -> str:
    hours, past = walls.hours, walls.minutes[0] * 60 + walls.seconds[0]
    if len(hours) == 24:
        return "every hour" + (f" at {distance_words(past * SECOND_US)} past" if past else "")
    step = _progression(hours)
    if step:
        return every(step, "hour") + _spans([(hours[0] * 3600 + past, hours[-1] * 3600 + past)])
    runs = _runs(hours)
    if len(hours) > MOST_ITEMS and len(runs) <= _MOST_SPANS:
        return "every hour" + _spans([(a * 3600 + past, b * 3600 + past) for a, b in runs])
    return "at " + listed(cut(_clock_times(walls), MOST_ITEMS))


def _by_the_minute(walls: CronWalls) -> str:
    minutes, hours, second = walls.minutes, walls.hours, walls.seconds[0]
    at_second = f", at second {second}" if second else ""
    step = _cycle(minutes)
    if step:
        words = every(step, "minute")
        if len(hours) == 24:
            beginning = f" from minute {minutes[0]} of each hour" if minutes[0] else ""
            return words + beginning + at_second
        runs = _runs(hours)
        if len(runs) <= _MOST_SPANS:
            low, high = minutes[0] * 60 + second, minutes[-1] * 60 + second
            return words + _spans([(a * 3600 + low, b * 3600 + high) for a, b in runs])
        words = _values_words(minutes, "minute") if minutes[0] else words
        return f"{words} of {_hour_words(hours)}{at_second}"
    step = _progression(minutes)
    if step and len(hours) <= _MOST_SPANS:
        low, high = minutes[0] * 60 + second, minutes[-1] * 60 + second
        return every(step, "minute") + _spans([(h * 3600 + low, h * 3600 + high) for h in hours])
    return f"{_values_words(minutes, 'minute')} of {_hour_words(hours)}{at_second}"


def _by_the_second(walls: CronWalls) -> str:
    seconds, minutes, hours = walls.seconds, walls.minutes, walls.hours
    spans = _runs([h * 60 + m for h in hours for m in minutes])
    step = _cycle(seconds)
    if step:
        words = every(step, "second")
        if spans == [(0, 1439)]:
            return words + (f" from second {seconds[0]} of each minute" if seconds[0] else "")
        if len(spans) <= _MOST_SPANS:
            return words + _spans(
                [(a * 60 + seconds[0], b * 60 + seconds[-1]) for a, b in spans], seconds=True
            )
        words = _values_words(seconds, "second") if seconds[0] else words
    else:
        words = _values_words(seconds, "second")
        if spans == [(0, 1439)]:
            return f"{words} of every minute"
        if len(spans) <= _MOST_SPANS:
            return f"{words} of every minute" + _spans([(a * 60, b * 60) for a, b in spans])
    return f"{words} of {_minute_words(minutes)} of {_hour_words(hours)}"


def _values_words(values: Sequence[int], noun: str) -> str:
    """ "at minutes 0, 7 and 30", "every 7 minutes from minute 0 to minute 56"."""
    step = _cycle(values) or _progression(values)
    if step:
        return f"{every(step, noun)} from {noun} {values[0]} to {noun} {values[-1]}"
    return f"at {noun}s " + listed(run_words(_runs(values), str))


def _minute_words(minutes: Sequence[int]) -> str:
    if len(minutes) == 60:
        return "every minute"
    if len(minutes) == 1:
        return f"minute {minutes[0]}"
    step = _progression(minutes)
    if step > 1:
        return f"every {ordinal(step)} minute from minute {minutes[0]} to minute {minutes[-1]}"
    return "minutes " + listed(run_words(_runs(minutes), str))


def _hour_words(hours: Sequence[int]) -> str:
    if len(hours) == 24:
        return "every hour"
    if len(hours) == 1:
        return f"the hour from {hours[0]:02}:00"
    step = _progression(hours)
    if step:
        return (
            f"every {'' if step == 1 else ordinal(step) + ' '}hour from {hours[0]:02}:00 to {hours[-1]:02}:59"
        )
    return "the hours " + listed(run_words(_runs(hours), lambda hour: f"{hour:02}"))


def _spans(spans: Sequence[tuple[int, int]], *, seconds: bool = False) -> str:
    """First and last seconds of the day as " from 09:00 to 17:55 and at 20:00"."""
    with_seconds = seconds or any(second % 60 for span in spans for second in span)

    def words(low: int, high: int) -> str:
        first, last = (time_of_day(second, with_seconds=with_seconds) for second in (low, high))
        return f"at {first}" if low == high else f"from {first} to {last}"

    return " " + listed([words(low, high) for low, high in spans])


# --- days --------------------------------------------------------------------------------------------------------------


def _days(walls: CronWalls) -> str:
    """The days in words, beginning with a blank; nothing for every day where the times cover the day."""
    fields = split_fields(normalise_cron(walls.expression))
    day_field, weekday_field = fields[3], fields[5]
    days, weekdays = _day_of_month_words(day_field), _weekday_words(weekday_field)
    months = [m for m in range(1, 13) if walls.months >> m & 1]
    both = is_wildcard(day_field) or is_wildcard(weekday_field)
    if not both and not (days and weekdays):
        days = weekdays = ""  # one of the fields names every day, and one is enough
    has_rank = weekdays.startswith("the ")
    if days and weekdays:
        link = ", but only on" if both else " and also on"
        return (
            f" on {days} of the month{link} {weekdays}{' of the month' * has_rank}{_in_months(months, ', ')}"
        )
    if days or has_rank:
        return f" on {days or weekdays} of {_of_months(months)}"
    if weekdays:
        return f" on {weekdays}{_in_months(months)}"
    return ("" if len(walls.hours) == 24 else " every day") + _in_months(months)


def _day_of_month_words(field: str) -> str:
    """The days as "the 1st and the last day"; nothing for every day of the month."""
    tokens = field.split(",")
    plain = [token for token in tokens if "L" not in token and "W" not in token]
    days = _matching(f"{','.join(plain)} * *", length=31) if plain else []
    if len(days) == 31:
        return ""
    step = _progression(days)
    if step > 1:
        words = [f"every {ordinal(step)} day from the {ordinal(days[0])} to the {ordinal(days[-1])}"]
    else:
        words = run_words(_runs(days), lambda day: f"the {ordinal(day)}")
    special = dict.fromkeys(_special_day_words(token) for token in tokens if token not in plain)
    return listed([*words, *cut(list(special), _MOST_SPECIAL_DAYS, "such day")])


def _special_day_words(token: str) -> str:
    if token == "LW":
        return "the last working day"
    if token.endswith("W"):
        return f"the working day nearest to the {ordinal(int(token[:-1]))}"
    before = int(token[2:] or 0)
    if before == 0:
        return "the last day"
    return f"the {'' if before == 1 else ordinal(before) + ' '}day before the last day"


def _weekday_words(field: str) -> str:
    """The weekdays as "Monday to Friday" or "the 2nd Friday and the last Sunday"; nothing for every day."""
    ranked = [match for token in field.split(",") if (match := _RANKED_WEEKDAY.fullmatch(token))]
    if not ranked:
        return weekday_words(_matching(f"* * {field}", length=7))
    words: dict[str, None] = {}
    for match in ranked:
        name, rank, last = match.groups()
        (day,) = _matching(f"* * {name or last}", length=7)
        words[f"the {ordinal(int(rank)) if rank else 'last'} {WEEKDAYS[day - 1]}"] = None
    return listed(cut(list(words), MOST_ITEMS))


def _matching(day_fields: str, length: int) -> list[int]:
    """The first days that match in a month that begins on a Monday, so that 1 to 7 are ISO weekdays."""
    mask = parse_cron(f"0 0 {day_fields}").days[31 - 28]
    return [day for day in range(1, length + 1) if mask >> day & 1]


def weekday_words(days: Sequence[int]) -> str:
    """Ascending ISO numbers as "Monday to Friday" or "Saturday and Sunday"; nothing for the whole week."""
    if len(days) == 7:
        return ""
    return listed(run_words(_runs_around(days, 1, 7), lambda day: WEEKDAYS[(day - 1) % 7]))


def _in_months(months: Sequence[int], separator: str = " ") -> str:
    """ " in January and July", " from June to August"; nothing for all."""
    if len(months) == 12:
        return ""
    words = run_words(_runs_around(months, 1, 12), lambda month: MONTHS[(month - 1) % 12])
    is_range = len(words) == 1 and len(months) > 1
    return f"{separator}{'from' if is_range else 'in'} {listed(words)}"


def _of_months(months: Sequence[int]) -> str:
    """ "the month", "January and July", "each month from June to August"."""
    words = _in_months(months)
    if words.startswith(" in "):
        return words.removeprefix(" in ")
    return f"each month{words}" if words else "the month"


# --- sets of numbers ---------------------------------------------------------------------------------------------------


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return runs


def _runs_around(values: Sequence[int], lowest: int, highest: int) -> list[tuple[int, int]]:
    """Runs of numbers of which the lowest follows the highest: a longer run over that end counts on beyond it."""
    runs = _runs(values)
    if len(runs) > 1 and runs[0][0] == lowest and runs[-1][1] == highest:
        first, last = runs[-1][0], highest + runs[0][1] - lowest + 1
        if last - first > 1:
            return [*runs[1:-1], (first, last)]
    return runs


def run_words(runs: Sequence[tuple[int, int]], word: Callable[[int], str]) -> list[str]:
    """Each run as "Monday to Friday", but one of two numbers as two words. Of many the first ones and "12 more"."""
    words: list[str] = []
    numbers: list[int] = []
    for first, last in runs:
        if last - first < 2:
            words += [word(number) for number in range(first, last + 1)]
            numbers += [1] * (last - first + 1)
        else:
            words.append(f"{word(first)} to {word(last)}")
            numbers.append(last - first + 1)
    if len(words) <= MOST_ITEMS:
        return words
    return [*words[: MOST_ITEMS - 1], f"{sum(numbers[MOST_ITEMS - 1 :])} more"]


def _progression(values: Sequence[int]) -> int:
    """The step of at least four numbers that are evenly spaced, else 0."""
    if len(values) < 4:
        return 0
    step = values[1] - values[0]
    return step if all(b - a == step for a, b in pairwise(values)) else 0


def _cycle(values: Sequence[int]) -> int:
    """The step of minutes or seconds that are evenly spaced from one hour or minute to the next, else 0."""
    step, rest = divmod(60, len(values))
    if rest or len(values) == 1 or values[0] >= step:
        return 0
    return step if all(b - a == step for a, b in pairwise(values)) else 0
