"""Exclusions, calendar intervals and bounds, against plain counting. `unit/oracle` walks over clock changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from unit.core.test_next_fire import DAY, US, at, package_zone

from mainspring.server.core import compound_walls
from mainspring.server.core.next_fire import count_fires, fires_between, last_fire, next_fire
from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Cron,
    Exclusions,
    GapPolicy,
    Interval,
    Schedule,
)


def check(schedule: Schedule, expected: list[int], after_at: int, until_at: int) -> None:
    assert list(fires_between(schedule, after_at, until_at, 100_000)) == expected
    rng = random.Random(repr(schedule))
    for _ in range(12):
        low = rng.randrange(after_at, until_at)
        high = rng.randrange(low, until_at)
        later = [t for t in expected if low < t]
        if later:
            assert next_fire(schedule, low) == later[0]
        between = [t for t in later if t < high]
        assert count_fires(schedule, low, high) == len(between)
        assert last_fire(schedule, low, high) == (between[-1] if between else None)


def test_seconds_are_excluded_one_by_one() -> None:
    begin = at(2026, 1, 1)
    schedule = Schedule(
        Cron(("*/20 * * * * *",), "UTC"), exclusions=Exclusions(expressions=("20 * * * * *",))
    )
    assert [t - begin for t in fires_between(schedule, begin, begin + 120 * US, 9)] == [
        40 * US,
        60 * US,
        100 * US,
        120 * US,
    ]
    whole_minutes = Schedule(
        Cron(("*/20 * * * * *",), "UTC"), exclusions=Exclusions(expressions=("*/2 * * * *",))
    )
    assert [t - begin for t in fires_between(whole_minutes, begin, begin + 240 * US, 9)] == [
        60 * US,
        80 * US,
        100 * US,
        180 * US,
        200 * US,
        220 * US,
    ]


def calendar_days(calendar: CalendarInterval, until: datetime) -> Iterator[datetime]:
    """The local days of a calendar interval, one by one."""
    start = datetime.fromisoformat(calendar.start_date)
    monday = start - timedelta(days=start.weekday())
    day = start
    while day < until:
        if calendar.unit is CalendarUnit.DAY:
            units, named = (day - start).days, True
        elif calendar.unit is CalendarUnit.WEEK:
            units, named = (day - monday).days // 7, day.isoweekday() in calendar.weekdays
        else:
            units = day.year * 12 + day.month - start.year * 12 - start.month
            length = ((day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)).day
            named = day.day in calendar.days_of_month or day.day - length - 1 in calendar.days_of_month
        if units % calendar.every == 0 and named:
            yield day
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("every", "unit", "weekdays", "days"),
    [
        (1, CalendarUnit.DAY, (), ()),
        (3, CalendarUnit.DAY, (), ()),
        (2, CalendarUnit.WEEK, (1,), ()),
        (3, CalendarUnit.WEEK, (2, 6, 7), ()),
        (1, CalendarUnit.MONTH, (), (31,)),
        (5, CalendarUnit.MONTH, (), (-31, -1, 1, 15)),
        (12, CalendarUnit.MONTH, (), (29,)),
    ],
)
def test_calendar_intervals(
    every: int, unit: CalendarUnit, weekdays: tuple[int, ...], days: tuple[int, ...]
) -> None:
    for start_date in ("2024-02-28", "2026-01-01", "2025-12-31"):
        calendar = CalendarInterval(every, unit, start_date, weekdays, days, (30_600, 86_399), "Asia/Tokyo")
        expected = [
            round((day - timedelta(hours=9)).replace(tzinfo=UTC).timestamp() + time) * US
            for day in calendar_days(calendar, datetime.fromisoformat("2030-01-01"))
            for time in calendar.times
        ]
        schedule = Schedule(calendar)
        after_at, until_at = at(2020, 1, 1), at(2029, 12, 31, 12)
        check(schedule, [t for t in expected if t <= until_at], after_at, until_at)


def test_an_interval_leaves_out_what_is_excluded() -> None:
    begin = at(2026, 10, 23)
    exclusions = Exclusions(("2026-10-24",), ("* 2-3 * * *", "5-9 * * * *"), "Europe/Berlin")
    info = package_zone("Europe/Berlin")
    for every_us in (90 * US, 61_500_000, 7 * 60 * US + 500_000, 3_600 * US):
        schedule = Schedule(Interval(every_us, begin + 1), exclusions=exclusions)
        expected = []
        for time in range(begin + 1, begin + 4 * DAY * US, every_us):
            wall = datetime.fromtimestamp(time / US, info)
            if wall.day != 24 and wall.hour not in (2, 3) and wall.minute not in (5, 6, 7, 8, 9):
                expected.append(time)
        check(schedule, expected, begin, begin + 4 * DAY * US - 1)


def test_start_and_end_bound_every_kind() -> None:
    begin = at(2026, 1, 1)
    for timing in (Cron(("*/5 * * * *",), "UTC"), Interval(300 * US, begin)):
        schedule = Schedule(timing, start_at=begin + 600 * US, end_at=begin + 1_500 * US)
        inside = [begin + 600 * US, begin + 900 * US, begin + 1_200 * US]
        check(schedule, inside, begin - DAY * US, begin + DAY * US)
        assert next_fire(schedule, inside[-1]) is None


def test_what_exclusions_leave_nothing_of_has_no_fire() -> None:
    every_minute = Schedule(Cron(("* * * * *",), "UTC"), exclusions=Exclusions(expressions=("* * * * *",)))
    assert next_fire(every_minute, at(2026, 1, 1)) is None
    assert count_fires(every_minute, at(2026, 1, 1), at(2026, 2, 1)) == 0
    hourly = Schedule(Interval(3_600 * US, at(2026, 1, 1)), exclusions=Exclusions(expressions=("0 * * * *",)))
    assert next_fire(hourly, at(2026, 1, 1)) is None


def test_what_only_ever_lies_in_gaps_has_no_fire() -> None:
    timing = Cron(("30 2 * 3 0L",), "Europe/Berlin", GapPolicy.SKIP)
    assert next_fire(Schedule(timing), at(2030, 1, 1)) is None
    assert next_fire(Schedule(replace(timing, gap=GapPolicy.FIRE_AFTER)), at(2030, 1, 1)) == at(
        2030, 3, 31, 1
    )


def test_emptied_days_however_many_are_passed_over() -> None:
    """Of each day only 29 February, when it is a Monday, is left."""
    exclusions = Exclusions(expressions=("* * * 1,3-12 *", "* * 1-28 2 *", "* * * 2 TUE-SUN"))
    daily = Schedule(Cron(("0 9 * * *",), "UTC"), exclusions=exclusions)
    fires = list(fires_between(daily, at(2026, 1, 1), at(2110, 1, 1), 10))
    assert fires == [at(2044, 2, 29, 9), at(2072, 2, 29, 9)]
    assert count_fires(daily, at(2026, 1, 1), at(2110, 1, 1)) == 2
    assert next_fire(daily, fires[-1]) == at(2112, 2, 29, 9)


def test_fixed_times_that_exclusions_leave_only_to_gaps_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    day_bits = compound_walls._day_bits

    def counting(*of_day: Any) -> tuple[int, int]:
        looked_at.append(1)
        return day_bits(*of_day)

    monkeypatch.setattr(compound_walls, "_day_bits", counting)
    nightly = tuple(f"{minute} 2 * * *" for minute in range(15))
    all_but_gaps = ("* 2 * 1,2,4-12 *", "* 2 1-24 3 *", "* 2 * 3 MON-SAT")
    schedule = Schedule(
        Cron((*nightly, "0 */3 * * *"), "Europe/Berlin", GapPolicy.SKIP),
        exclusions=Exclusions((), all_but_gaps),
    )
    fires = list(fires_between(schedule, at(2026, 6, 1), at(2027, 6, 1), 5))
    assert fires == [at(2026, 6, 1, hour) for hour in (1, 4, 7, 10, 13)]
    assert len(looked_at) < 10_000, "a few for each day of each month, not some for each day of 400 years"


def test_an_excluded_expression_may_be_as_long_as_any_other() -> None:
    longest = "0," * 123 + "1 9 * * *"
    assert len(longest) <= 256
    schedule = Schedule(Cron(("0 9,10 * * *",), "UTC"), exclusions=Exclusions(expressions=(longest,)))
    assert next_fire(schedule, at(2026, 1, 1)) == at(2026, 1, 1, 10)
