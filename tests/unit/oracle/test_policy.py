"""What the brute force says, as a person would check it: nobody else judges the judge."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from oracle.dialect import read_cron
from oracle.local_clock import read_clock
from oracle.schedules import SECOND_US, fires, interval_fires
from oracle.zones import DAY, zone

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = (2026, 3, 29), (2026, 10, 25)


def on(day: tuple[int, int, int], zone_name: str = BERLIN, **record: Any) -> list[str]:
    """The fires from noon UTC of the day before to noon UTC of the day, on the local clock."""
    noon = int(datetime(*day, 12, tzinfo=UTC).timestamp())
    clock = read_clock(zone(zone_name), noon - 3 * DAY, noon + 2 * DAY).cut(noon - DAY, noon)
    text = json.dumps({"kind": "cron", "time_zone": zone_name, **record})
    return [
        datetime.fromtimestamp(at // SECOND_US, zone(zone_name)).strftime("%d %H:%M%z")
        for at in fires(text, clock)
    ]


@pytest.mark.parametrize(
    ("expression", "policies", "spring", "autumn"),
    [
        ("30 2 * * *", {}, ["29 03:00+0200"], ["25 02:30+0200"]),
        ("30 2 * * *", {"gap": "SKIP", "repeat": "LAST"}, [], ["25 02:30+0100"]),
        ("30 2 * * *", {"repeat": "BOTH"}, ["29 03:00+0200"], ["25 02:30+0200", "25 02:30+0100"]),
        ("0,30 2,3 * * *", {"gap": "SKIP"}, ["29 03:00+0200", "29 03:30+0200"], None),
        ("0,30 2 * * *", {}, ["29 03:00+0200"], ["25 02:00+0200", "25 02:30+0200"]),
        (
            "0 */2 29 * *",
            {"repeat": "LAST"},
            ["29 00:00+0100", *(f"29 {h:02}:00+0200" for h in (4, 6, 8, 10, 12))],
            [],
        ),
        ("0 2 25 * *", {"exclude_dates": ["2026-10-25"]}, [], []),
        ("0,30 2 * * *", {"exclude_expressions": ["15-45 2 * * *"]}, ["29 03:00+0200"], ["25 02:00+0200"]),
        ("30 2 * * *", {"exclude_expressions": ["0 3 * * *"]}, ["29 03:00+0200"], ["25 02:30+0200"]),
    ],
)
def test_a_night_in_berlin(
    expression: str, policies: dict[str, Any], spring: list[str], autumn: list[str] | None
) -> None:
    assert on(SPRING, expression=expression, **policies) == spring
    if autumn is not None:
        assert on(AUTUMN, expression=expression, **policies) == autumn


def test_a_wildcard_hour_runs_through_a_repeat_twice() -> None:
    assert on(AUTUMN, expression="0 */2 25 * *")[:4] == [
        "25 00:00+0200",
        "25 02:00+0200",
        "25 02:00+0100",
        "25 04:00+0100",
    ]


def test_a_date_left_out_is_not_made_up() -> None:
    assert on((2011, 12, 30), "Pacific/Apia", expression="0,30 9 * * FRI") == []
    assert on((2011, 12, 30), "Pacific/Apia", expression="0 0,9 30,31 * *") == ["31 00:00+1400"]


def test_half_an_hour_is_left_out_and_comes_twice() -> None:
    island = "Australia/Lord_Howe"
    assert on((2026, 10, 4), island, expression="10 2 4 * *") == ["04 02:30+1100"]
    assert on((2026, 4, 5), island, expression="15,45 1 5 * *", repeat="LAST") == [
        "05 01:15+1100",
        "05 01:45+1030",
    ]


def test_expressions_make_one_list() -> None:
    assert on(SPRING, expressions=["30 2 * * *", "0 3 29 * *", "0 1-4 29 * *"]) == [
        "29 01:00+0100",
        "29 03:00+0200",
        "29 04:00+0200",
    ]


def test_bounds_and_intervals() -> None:
    begin = int(datetime(2026, 3, 29, tzinfo=UTC).timestamp())
    record = {
        "kind": "interval",
        "every_us": 1_800 * SECOND_US,
        "anchor_at": (begin - DAY) * SECOND_US + 7,
        "start_at": begin * SECOND_US,
        "end_at": (begin + 10_800) * SECOND_US + 7,
        "exclude_time_zone": BERLIN,
        "exclude_expressions": ["0-29 3 * * *"],
    }
    found = interval_fires(json.dumps(record), begin - DAY, begin + DAY)
    assert [(at - begin * SECOND_US) / SECOND_US / 1_800 for at in found] == pytest.approx(
        [0, 1, 3, 4, 5], abs=1e-6
    )


@pytest.mark.parametrize(
    ("calendar", "expected"),
    [
        ({"unit": "DAY", "every": 7, "start_date": "2026-03-01"}, [1, 8, 15, 22, 29]),
        ({"unit": "DAY", "every": 1, "start_date": "2026-03-30"}, [30, 31]),
        # 2026-02-25 is a Wednesday: its week counts, and of it what is not earlier.
        ({"unit": "WEEK", "every": 2, "start_date": "2026-02-25", "weekdays": [1, 7]}, [1, 9, 15, 23, 29]),
        (
            {"unit": "MONTH", "every": 2, "start_date": "2026-01-31", "days_of_month": [-31, -1, 30]},
            [1, 30, 31],
        ),
        ({"unit": "MONTH", "every": 2, "start_date": "2026-02-01", "days_of_month": [1]}, []),
    ],
)
def test_calendar_intervals(calendar: dict[str, Any], expected: list[int]) -> None:
    first, end = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (3, 4))
    text = json.dumps({"kind": "calendar", "time_zone": "UTC", "times": [3_600], **calendar})
    found = fires(text, read_clock(zone("UTC"), first, end))
    assert [(at // SECOND_US - first - 3_600) / DAY + 1 for at in found] == expected


# Days of March 2026, which begins on a Sunday, and of February 2024, which has 29 days.
@pytest.mark.parametrize(
    ("expression", "march", "february"),
    [
        ("0 0 L * *", [31], [29]),
        ("0 0 L-3,2 * *", [2, 28], [2, 26]),
        ("0 0 L-29 * *", [2], []),
        ("0 0 LW * *", [31], [29]),
        ("0 0 1W * *", [2], [1]),
        ("0 0 31W,15W * *", [16, 31], [15, 29]),
        ("0 0 25-5/4 * *", [2, 25, 29], [2, 25, 29]),
        ("0 0 * NOV-FEB/3 L2", [], [27]),
        ("0 0 ? * SUN#5,MON#1", [2, 29], [5]),
        ("0 0 * * 5L", [27], [23]),
        ("0 0 13 * FRI", [6, 13, 20, 27], [2, 9, 13, 16, 23]),
        ("0 0 */10 * SUN", [1], [11]),
        ("0 0 * * SAT-TUE/2", [2, 7, 9, 14, 16, 21, 23, 28, 30], [3, 5, 10, 12, 17, 19, 24, 26]),
        ("0 0 * * 5-7/2", [1, 6, 8, 13, 15, 20, 22, 27, 29], [2, 4, 9, 11, 16, 18, 23, 25]),
        ("@WEEKLY", [1, 8, 15, 22, 29], [4, 11, 18, 25]),
    ],
)
def test_days(expression: str, march: list[int], february: list[int]) -> None:
    named = read_cron(expression)
    assert [day for day in range(1, 32) if named.is_day(date(2026, 3, day))] == march
    assert [day for day in range(1, 30) if named.is_day(date(2024, 2, day))] == february


def test_hours_and_minutes() -> None:
    named = read_cron("5,50-10/7 22-2/2,13/6 * * *")
    minutes = {second // 60 % 60 for second in range(DAY) if named.times[second]}
    hours = {second // 3_600 for second in range(DAY) if named.times[second]}
    assert minutes == {4, 5, 50, 57}
    assert hours == {22, 0, 2, 13, 19}
    assert not any(second % 60 for second in range(DAY) if named.times[second])
