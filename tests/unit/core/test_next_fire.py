"""Fires: what holds for every schedule and instant, and the policy case by case. Others judge them too: `tests/oracle`."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import draws
from unit.core.short import cron, every, once

from mainspring.server.core.next_fire import (
    LAST_FIRE_AT,
    count_fires,
    fires_between,
    first_fire,
    last_fire,
    next_fire,
)
from mainspring.server.core.time_zone import DAY, time_zone, zone_names
from mainspring.server.errors import InvalidField

US = 1_000_000


@cache
def package_zone(name: str) -> ZoneInfo:
    """The zone of the tzdata package: the system's may be older and have other rules."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def at(*moment: int, zone: str = "UTC", fold: int = 0) -> int:
    """Microseconds of a local date and time."""
    local = datetime(*moment, tzinfo=package_zone(zone)).replace(fold=fold)  # type: ignore[misc,arg-type]
    return round(local.timestamp()) * US


def local_fires(expression: str, zone: str, after_at: int, until_at: int) -> list[str]:
    """The fires in (after_at, until_at] as "day hour:minute" with their offset."""
    schedule = cron(expression, zone)
    info = package_zone(zone)
    return [
        datetime.fromtimestamp(t // US, info).strftime("%d %H:%M%z")
        for t in fires_between(schedule, after_at, until_at, 1_000)
    ]


EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 */2 * * *",
    "15 1-23/2 * * *",
    "30 2 * * *",
    "*/20 1-3 * * *",
    "0,30 0-4 * * *",
    "5 0 * * *",
    "59 23 * * *",
    "0 3 * * *",
    "15 2 1,15,29 * 0",
    "45 1 * * 6,0",
    "0 0,12 */2 * 1-5",
    "* 2 * * *",
    "0 0 1 1 *",
]


@settings(max_examples=draws(300), deadline=None)
@given(
    zone=st.sampled_from(sorted(zone_names())),
    expression=st.sampled_from([*EXPRESSIONS, "*/10 * * * * *", "30 0 2 * * *", "0 12 L * *", "0 0 29 2 *"]),
    after_at=st.integers(at(1900, 1, 1), at(2200, 1, 1)),
)
def test_fires_strictly_increase_and_nothing_lies_between(zone: str, expression: str, after_at: int) -> None:
    schedule = cron(expression, zone)
    fires = list(fires_between(schedule, after_at, LAST_FIRE_AT, 5))
    assert len(fires) == 5
    assert all(a < b for a, b in pairwise([after_at, *fires]))
    for fire, following in pairwise(fires):
        assert next_fire(schedule, fire - 1) == fire
        assert next_fire(schedule, (fire + following) // 2) == following
        assert next_fire(schedule, following - 1) == following
    assert count_fires(schedule, after_at, fires[-1]) == 4
    assert last_fire(schedule, after_at, fires[-1]) == fires[-2]


def test_counts_agree_with_a_walk_over_years() -> None:
    after_at, before_at = at(2010, 1, 3, 4, 5), at(2014, 10, 26, 0, 31)
    for zone in ("Europe/Berlin", "Pacific/Apia", "Australia/Lord_Howe"):
        for expression in ("30 2 * * *", "0 */5 * * *", "*/30 1,2 * * 0", "0 9 29 2 *"):
            schedule = cron(expression, zone)
            walked = [t for t in fires_between(schedule, after_at, before_at, 100_000) if t < before_at]
            assert count_fires(schedule, after_at, before_at) == len(walked)
            assert last_fire(schedule, after_at, before_at) == walked[-1]


# --- The policy, case by case, as a person would check it. ---


def test_a_wall_time_in_a_gap_fires_once_at_its_end() -> None:
    after_at, until_at = at(2026, 3, 28), at(2026, 3, 31)
    berlin = "Europe/Berlin"
    assert local_fires("30 2 * * *", berlin, after_at, until_at) == [
        "28 02:30+0100",
        "29 03:00+0200",
        "30 02:30+0200",
    ]
    assert local_fires("*/15 2 29 * *", berlin, after_at, until_at) == ["29 03:00+0200"]
    assert local_fires("0 2,3 29 * *", berlin, after_at, until_at) == ["29 03:00+0200"]


def test_a_repeated_wall_time_fires_the_first_time() -> None:
    after_at, until_at = at(2026, 10, 24, 12), at(2026, 10, 26, 12)
    fires = local_fires("30 2 * * *", "Europe/Berlin", after_at, until_at)
    assert fires == ["25 02:30+0200", "26 02:30+0100"]


def test_registered_in_the_second_pass_waits_for_the_next_day() -> None:
    second_pass = at(2026, 10, 25, 2, 10, zone="Europe/Berlin", fold=1)
    daily = local_fires("30 2 * * *", "Europe/Berlin", second_pass, second_pass + 2 * DAY * US)
    assert daily[0] == "26 02:30+0100"
    assert local_fires("0 3 * * *", "Europe/Berlin", second_pass, second_pass + US * 3600) == [
        "25 03:00+0100"
    ]


def test_a_wildcard_hour_follows_elapsed_time() -> None:
    berlin = "Europe/Berlin"
    assert local_fires("0 * * * *", berlin, at(2026, 10, 24, 23), at(2026, 10, 25, 2)) == [
        "25 02:00+0200",
        "25 02:00+0100",
        "25 03:00+0100",
    ]
    assert local_fires("0 */2 * * *", berlin, at(2026, 3, 28, 22), at(2026, 3, 29, 3)) == [
        "29 00:00+0100",
        "29 04:00+0200",
    ]


def test_half_hour_shift() -> None:
    island = "Australia/Lord_Howe"
    assert local_fires("15,45 1 * * *", island, at(2026, 4, 4, 12), at(2026, 4, 5, 12)) == [
        "05 01:15+1100",
        "05 01:45+1100",
    ]
    assert local_fires("10 2 * * *", island, at(2026, 10, 2, 16), at(2026, 10, 4, 16)) == [
        "04 02:30+1100",
        "05 02:10+1100",
    ]


def test_a_date_left_out_is_not_made_up() -> None:
    after_at, until_at = at(2011, 12, 29, 12), at(2012, 1, 7)
    daily = local_fires("0 9 * * *", "Pacific/Apia", after_at, until_at)
    assert daily[:3] == ["29 09:00-1000", "31 09:00+1400", "01 09:00+1400"]
    assert local_fires("0 9 * * FRI", "Pacific/Apia", after_at, until_at) == ["06 09:00+1400"]


def test_day_rules() -> None:
    after_at, until_at = at(2026, 1, 1), at(2026, 4, 30, 23)
    assert local_fires("0 0 L * *", "UTC", after_at, until_at) == [
        "31 00:00+0000",
        "28 00:00+0000",
        "31 00:00+0000",
        "30 00:00+0000",
    ]
    assert local_fires("0 0 1W * *", "UTC", after_at, until_at)[:2] == ["02 00:00+0000", "02 00:00+0000"]
    assert local_fires("0 0 * * 5L", "UTC", after_at, until_at)[:2] == ["30 00:00+0000", "27 00:00+0000"]
    assert local_fires("0 0 13 * FRI", "UTC", after_at, at(2026, 1, 17)) == [
        "02 00:00+0000",
        "09 00:00+0000",
        "13 00:00+0000",
        "16 00:00+0000",
    ]
    # Seconds first, and a day that starts with a star must match together with the weekday.
    schedule = cron("15 0 0 */10 * SUN", "UTC")
    assert next_fire(schedule, after_at) == at(2026, 1, 11, 0, 0, 15)


def test_rare_dates_are_found_and_the_end_of_time_is_none() -> None:
    leap = cron("0 0 29 2 */2", "UTC")  # a leap day on SUN, TUE, THU or SAT: not in 2092-2112
    assert next_fire(leap, at(2088, 3, 1)) == at(2116, 2, 29)
    assert next_fire(cron("0 0 29 2 *", "UTC"), at(2096, 3, 1)) == at(2104, 2, 29)
    yearly = cron("0 12 1 6 *", "America/New_York")
    last = next_fire(yearly, at(9999, 1, 1))
    assert last == at(9999, 6, 1, 16)
    assert next_fire(yearly, last) is None
    every = cron("* * * * * *", "Pacific/Kiritimati")
    assert next_fire(every, LAST_FIRE_AT - 1) == LAST_FIRE_AT
    assert next_fire(every, LAST_FIRE_AT) is None
    assert next_fire(every, LAST_FIRE_AT * 10) is None
    assert next_fire(every, -(10**18)) is not None
    with pytest.raises(InvalidField, match="year 9999"):
        first_fire(yearly, at(9999, 7, 1))


@given(
    every_us=st.integers(US, 10**13),
    anchor_at=st.integers(-(10**15), 10**16),
    after_at=st.integers(0, 10**16),
)
def test_interval(every_us: int, anchor_at: int, after_at: int) -> None:
    schedule = every(every_us, anchor_at)
    fire = next_fire(schedule, after_at)
    assert fire is not None
    assert fire > after_at
    assert fire >= anchor_at
    assert (fire - anchor_at) % every_us == 0
    assert fire == anchor_at or fire - every_us <= after_at
    before_at = fire + 3 * every_us
    assert count_fires(schedule, after_at, before_at) == 3
    assert last_fire(schedule, after_at, before_at) == before_at - every_us
    assert last_fire(schedule, after_at, fire) is None


def test_first_fire() -> None:
    assert first_fire(once(5), 10) == 5
    assert first_fire(every(10 * US, 7), 7) == 10 * US + 7
    assert first_fire(every(10 * US, 70 * US), 7) == 70 * US
    assert first_fire(cron("@daily", "UTC"), at(2026, 1, 1)) == at(2026, 1, 2)
    assert next_fire(once(5), 4) == 5
    assert next_fire(once(5), 5) is None


def test_each_call_has_the_same_answer_remembered_or_not() -> None:
    schedule = cron("*/5 9-17 * * MON-FRI", "America/New_York")
    instant = at(2026, 3, 6, 23)
    remembered = next_fire(schedule, instant)
    next_fire.cache_clear()
    assert next_fire(schedule, instant) == remembered == at(2026, 3, 9, 13)


def test_offsets_change_at_most_once_in_two_days_in_every_zone() -> None:
    # What `time_zone` builds on, read from the transition tables themselves (TZif, RFC 8536, second block).
    shortest = {}
    for name in zone_names():
        data = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
        isut, isstd, leap, times, types, chars = struct.unpack_from(">6l", data, 20)
        block = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
        _, _, _, times, types, _ = struct.unpack_from(">6l", data, block + 20)
        moments = struct.unpack_from(f">{times}q", data, block + 44)
        kinds = data[block + 44 + times * 8 :][:times]
        offsets = [
            struct.unpack_from(">l", data, block + 44 + times * 9 + kind * 6)[0] for kind in range(types)
        ]
        changes = [moments[i] for i in range(1, times) if offsets[kinds[i]] != offsets[kinds[i - 1]]]
        shortest[name] = min((b - a for a, b in pairwise(changes)), default=365 * DAY)
    assert len(shortest) > 400
    assert min(shortest.values()) > 2 * DAY


def test_zones_are_those_of_the_package() -> None:
    assert {"UTC", "Europe/Berlin", "US/Pacific"} <= zone_names()
    assert time_zone("Europe/Berlin") is time_zone("Europe/Berlin")
    for name in sorted(zone_names())[::37]:
        ours, theirs = time_zone(name), package_zone(name)
        for seconds in range(0, 2 * 10**9, 10**8 + 7919):
            offset = datetime.fromtimestamp(seconds, theirs).utcoffset()
            assert offset == timedelta(seconds=ours.offset_at(seconds))
