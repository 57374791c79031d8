"""Dates, times of day and days as people write them on a command line. PURE.

What is read is only the form; whether a day of month exists is the server's to say.
"""

import re
from datetime import date, time
from typing import Final

from mainspring.client import CalendarUnit, Weekday

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME_OF_DAY: Final = re.compile(r"\d{2}:\d{2}(:\d{2})?", re.ASCII)
_UNITS: Final = re.compile(r"(?:([1-9]\d{0,8})\s*)?(day|week|month)s?", re.ASCII)
_SHORTEST_NAME: Final = 3


def parse_date(text: str) -> date:
    """Return the date that the text says.

    Raises:
        ValueError: It is none. The message says how to write it.
    """
    if _DATE.fullmatch(text.strip()) is None:
        raise ValueError(f"{text!r} is not a date; write it like 2030-12-24")
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date: {error}") from None


def parse_time_of_day(text: str) -> time:
    """Return the time of day that the text says.

    Raises:
        ValueError: It is none. The message says how to write it.
    """
    if _TIME_OF_DAY.fullmatch(text.strip()) is None:
        raise ValueError(f"{text!r} is not a time of day; write it like 09:30 or 09:30:15")
    try:
        return time.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time of day: {error}") from None


def format_time_of_day(time_of_day: time) -> str:
    """Return the text that `parse_time_of_day` reads back, with seconds only where there are some."""
    return time_of_day.isoformat("seconds" if time_of_day.second else "minutes")


def parse_calendar_interval(text: str) -> tuple[int, CalendarUnit]:
    """Return how many of which unit the text says: "day" and "1 day" are one day, "2 weeks" and "2weeks" two weeks.

    Raises:
        ValueError: It is no such text. The message says how to write it.
    """
    match = _UNITS.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(
            f"{text!r} is not an interval of the calendar; write it like 'day', '2 weeks' or '3 months'"
        )
    return int(match[1] or 1), CalendarUnit[match[2].upper()]


def parse_weekday(text: str) -> Weekday:
    """Return the day of the week that the text names, in English, in full or by three letters and more.

    Raises:
        ValueError: It names none. The message says how to write it.
    """
    name = text.strip().upper()
    for day in Weekday:
        if day.value and len(name) >= _SHORTEST_NAME and day.name.startswith(name):
            return day
    raise ValueError(f"{text!r} is not a day of the week; write it like mon or monday")


def parse_day_of_month(text: str) -> int:
    """Return the day of month that the text says, from the month's end when it is negative.

    Raises:
        ValueError: It is no number. The message says how to write it.
    """
    if re.fullmatch(r"-?\d{1,4}", text.strip(), re.ASCII) is None:
        raise ValueError(f"{text!r} is not a day of the month; write it like 15, or -1 for the last")
    return int(text)
