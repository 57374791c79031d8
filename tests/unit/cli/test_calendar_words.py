"""Dates, times of day and days of a command line: what people write is read, the rest is refused with how to write it."""

from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.cli.calendar_words import (
    format_time_of_day,
    parse_calendar_interval,
    parse_date,
    parse_day_of_month,
    parse_time_of_day,
    parse_weekday,
)
from mainspring.client import CalendarUnit, Weekday


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (parse_date, " 2030-12-24 ", date(2030, 12, 24)),
        (parse_time_of_day, "09:30", time(9, 30)),
        (parse_time_of_day, " 23:59:59", time(23, 59, 59)),
        (parse_calendar_interval, "day", (1, CalendarUnit.DAY)),
        (parse_calendar_interval, "2 weeks", (2, CalendarUnit.WEEK)),
        (parse_calendar_interval, "1 week", (1, CalendarUnit.WEEK)),
        (parse_calendar_interval, " 12Months ", (12, CalendarUnit.MONTH)),
        (parse_weekday, "mon", Weekday.MONDAY),
        (parse_weekday, " THURS", Weekday.THURSDAY),
        (parse_weekday, "sunday", Weekday.SUNDAY),
        (parse_day_of_month, "31", 31),
        (parse_day_of_month, " -1 ", -1),
    ],
)
def test_reads(parse: Callable[[str], Any], text: str, expected: Any) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text", "complaint"),
    [
        (parse_date, "24.12.2030", "write it like 2030-12-24"),
        (parse_date, "20301224", "write it like 2030-12-24"),
        (parse_date, "2030-W51", "write it like 2030-12-24"),
        (parse_date, "2030-02-30", "'2030-02-30' is not a date: day is out of range"),
        (parse_time_of_day, "9:30", "write it like 09:30"),
        (parse_time_of_day, "09:30:00.5", "write it like 09:30"),
        (parse_time_of_day, "09:30Z", "write it like 09:30"),
        (parse_time_of_day, "25:00", "'25:00' is not a time of day: hour must be"),
        (parse_calendar_interval, "", "'2 weeks'"),
        (parse_calendar_interval, "0 days", "'2 weeks'"),
        (parse_calendar_interval, "-1 days", "'2 weeks'"),
        (parse_calendar_interval, "2", "'2 weeks'"),
        (parse_calendar_interval, "2 years", "'2 weeks'"),
        (parse_calendar_interval, "1e9 days", "'2 weeks'"),
        (parse_calendar_interval, "9999999999 days", "'2 weeks'"),
        (parse_weekday, "mo", "write it like mon"),
        (parse_weekday, "", "write it like mon"),
        (parse_weekday, "unspecified", "write it like mon"),
        (parse_day_of_month, "1.5", "write it like 15"),
        (parse_day_of_month, "٣", "write it like 15"),
    ],
)
def test_refuses(parse: Callable[[str], Any], text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


@given(st.times().map(lambda each: each.replace(microsecond=0)))
def test_what_is_written_reads_back_the_same(time_of_day: time) -> None:
    assert parse_time_of_day(format_time_of_day(time_of_day)) == time_of_day


def test_writes_seconds_only_where_there_are_some() -> None:
    assert format_time_of_day(time(9)) == "09:00"
    assert format_time_of_day(time(9, 0, 5)) == "09:00:05"
