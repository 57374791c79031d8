"""Schedules as stored text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.core.short import every, once

from mainspring.server.core.new_schedule import validate_cron
from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Cron,
    Exclusions,
    GapPolicy,
    Interval,
    OneTime,
    RepeatPolicy,
    Schedule,
)
from mainspring.server.core.schedule_text import decode, encode
from mainspring.server.errors import UnreadableSchedule

INSTANTS = st.integers(-(2**63), 2**63)
TEXTS = st.text(max_size=30)
TIMINGS = st.one_of(
    st.builds(OneTime, at=INSTANTS),
    st.builds(Interval, every_us=st.integers(1, 2**63), anchor_at=INSTANTS),
    st.builds(
        Cron,
        expressions=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
        time_zone=TEXTS,
        gap=st.sampled_from(GapPolicy),
        repeat=st.sampled_from(RepeatPolicy),
    ),
    st.builds(
        CalendarInterval,
        every=st.integers(1, 1_000),
        unit=st.sampled_from(CalendarUnit),
        start_date=TEXTS,
        weekdays=st.lists(st.integers(1, 7), max_size=3).map(tuple),
        days_of_month=st.lists(st.integers(-31, 31), max_size=3).map(tuple),
        times=st.lists(st.integers(0, 86_399), min_size=1, max_size=3).map(tuple),
        time_zone=TEXTS,
        gap=st.sampled_from(GapPolicy),
        repeat=st.sampled_from(RepeatPolicy),
    ),
)
EXCLUSIONS = st.builds(
    Exclusions,
    dates=st.lists(TEXTS, max_size=2).map(tuple),
    expressions=st.lists(TEXTS, max_size=2).map(tuple),
    time_zone=TEXTS,
).filter(lambda e: bool(e.dates or e.expressions))
SCHEDULES = st.builds(
    Schedule,
    timing=TIMINGS,
    start_at=st.none() | INSTANTS,
    end_at=st.none() | INSTANTS,
    max_executions=st.none() | st.integers(1, 10**9),
    jitter_us=st.integers(0, 10**12),
    exclusions=st.none() | EXCLUSIONS,
)


@given(SCHEDULES)
def test_a_schedule_survives_its_text(schedule: Schedule) -> None:
    assert decode(encode(schedule)) == schedule
    assert encode(schedule).isascii()


@given(SCHEDULES, SCHEDULES)
def test_equal_texts_mean_equal_schedules(one: Schedule, other: Schedule) -> None:
    assert (encode(one) == encode(other)) == (one == other)


def test_stored_texts_are_frozen() -> None:
    assert encode(once(7)) == '{"at":7,"kind":"once"}'
    assert encode(every(60_000_000, 5)) == '{"anchor_at":5,"every_us":60000000,"kind":"interval"}'
    cron = '{"expression":"0 9 * * MON-FRI","kind":"cron","time_zone":"Europe/Berlin"}'
    assert encode(Schedule(validate_cron(["0 9 * *  mon-fri"], "Europe/Berlin"))) == cron
    assert decode(cron) is decode(cron)
    full = Schedule(
        Cron(("@daily", "0 12 * * *"), "UTC", GapPolicy.SKIP, RepeatPolicy.BOTH),
        start_at=1,
        end_at=2,
        max_executions=3,
        jitter_us=4,
        exclusions=Exclusions(("2026-12-24",), ("* * * * SUN",)),
    )
    assert encode(full) == (
        '{"end_at":2,"exclude_dates":["2026-12-24"],"exclude_expressions":["* * * * SUN"],'
        '"expressions":["@daily","0 12 * * *"],"gap":"SKIP","jitter_us":4,"kind":"cron","max_executions":3,'
        '"repeat":"BOTH","start_at":1,"time_zone":"UTC"}'
    )
    calendar = CalendarInterval(2, CalendarUnit.WEEK, "2026-11-30", (1,), (), (32_400,), "Europe/Berlin")
    assert encode(Schedule(calendar)) == (
        '{"every":2,"kind":"calendar","start_date":"2026-11-30","time_zone":"Europe/Berlin","times":[32400],'
        '"unit":"WEEK","weekdays":[1]}'
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[1]", "not an object"),
        ("{}", "kind that this version does not know"),
        ('{"kind":"lunar"}', "'lunar'"),
        ('{"kind":["once"],"at":1}', "kind that this version"),
        ('{"kind":"once","at":1,"moon":5,"ends":9}', "does not know: ends, moon"),
        ('{"kind":"once"}', "no at of type int"),
        ('{"kind":"once","at":true}', "no at of type int"),
        ('{"kind":"once","at":1,"jitter_us":"1"}', "no jitter_us of type int"),
        ('{"kind":"interval","every_us":1.5,"anchor_at":0}', "no every_us of type int"),
        ('{"kind":"cron","expression":5,"time_zone":"UTC"}', "no expression of type str"),
        ('{"kind":"cron","expressions":[],"time_zone":"UTC"}', "no list expressions of str"),
        (
            '{"kind":"cron","expression":"","gap":"JUMP","time_zone":"UTC"}',
            "gap that this version does not know",
        ),
    ],
)
def test_an_unknown_text_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(UnreadableSchedule) as error:
        decode(text)
    assert reason in error.value.message
