"""The n-th fire, against a walk over all of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.short import cron, every, once

from mainspring.server.core.next_fire import LAST_FIRE_AT, count_fires, fires_between, next_fire
from mainspring.server.core.nth_fire import nth_fire
from mainspring.server.core.schedule import Schedule

US = 1_000_000
DAY = 86_400 * US
START = int(datetime(2026, 10, 24, tzinfo=UTC).timestamp()) * US

SCHEDULES = [
    every(US, START),
    every(7 * 3_600 * US + 1, START - DAY),
    cron("* * * * * *", "Europe/Berlin"),
    cron("*/20 1-3 * * *", "Europe/Berlin"),
    cron("30 2 * * *", "Europe/Berlin"),
    cron("0 0 31 * *"),
]


@settings(max_examples=80, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    after_us=st.integers(-3 * DAY, 3 * DAY),
    n=st.one_of(st.integers(1, 70), st.integers(1, 3_000)),
)
def test_it_is_the_one_that_a_walk_finds(schedule: Schedule, after_us: int, n: int) -> None:
    walked = list(fires_between(schedule, START + after_us, LAST_FIRE_AT, n))
    assert nth_fire(schedule, START + after_us, n) == (walked[-1] if len(walked) == n else None)


@settings(max_examples=25, deadline=None)
@given(schedule=st.sampled_from(SCHEDULES[:4]), n=st.integers(33, 10_000_000))
def test_far_away_it_is_the_one_that_as_many_come_before(schedule: Schedule, n: int) -> None:
    n = min(n, count_fires(schedule, START, START + 20 * 365 * DAY))
    fire = nth_fire(schedule, START, n)
    assert fire is not None
    assert count_fires(schedule, START, fire) == n - 1
    assert next_fire(schedule, fire - 1) == fire


def test_there_may_be_too_few() -> None:
    assert nth_fire(once(START), START - 1, 1) == START
    assert nth_fire(once(START), START - 1, 2) is None
    assert nth_fire(once(START), START - 1, 100) is None
    assert nth_fire(every(DAY, START), START, 10**9) is None
    leap_days = cron("0 12 29 2 *")
    all_of_them = list(fires_between(leap_days, START, LAST_FIRE_AT, 10_000))
    assert nth_fire(leap_days, START, len(all_of_them)) == all_of_them[-1]
    assert nth_fire(leap_days, START, len(all_of_them) + 1) is None


@pytest.mark.parametrize("schedule", [every(US, START), cron("* * * * * *", "Europe/Berlin")])
def test_a_billion_fires_are_not_walked(schedule: Schedule) -> None:
    """A walk would take hours; the counting goes by the months in between."""
    begun_s = time.monotonic()
    assert nth_fire(schedule, START, 10**9) == START + 10**9 * US
    assert time.monotonic() - begun_s < 20
