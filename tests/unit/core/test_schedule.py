"""Schedules as stored text, and the validation of what clients send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.schedule import (
    Cron,
    Interval,
    OneTime,
    Schedule,
    decode,
    encode,
    validate_cron,
    validate_interval,
)
from mainspring.server.errors import InvalidField, InvalidRequest, UnreadableSchedule

SCHEDULES = st.one_of(
    st.builds(OneTime, at=st.integers(-(2**63), 2**63)),
    st.builds(Cron, expression=st.text(max_size=30), time_zone=st.text(max_size=30)),
    st.builds(Interval, every_us=st.integers(1, 2**63), anchor_at=st.integers(-(2**63), 2**63)),
)


@given(SCHEDULES)
def test_a_schedule_survives_its_text(schedule: Schedule) -> None:
    assert decode(encode(schedule)) == schedule
    assert encode(schedule).isascii()


@given(SCHEDULES, SCHEDULES)
def test_equal_texts_mean_equal_schedules(one: Schedule, other: Schedule) -> None:
    assert (encode(one) == encode(other)) == (one == other)


def test_stored_texts_are_frozen() -> None:
    assert encode(OneTime(7)) == '{"at":7,"kind":"once"}'
    assert encode(Interval(60_000_000, 5)) == '{"anchor_at":5,"every_us":60000000,"kind":"interval"}'
    cron = '{"expression":"0 9 * * MON-FRI","kind":"cron","time_zone":"Europe/Berlin"}'
    assert encode(validate_cron("0 9 * *  mon-fri", "Europe/Berlin")) == cron
    assert decode(cron) is decode(cron)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[1]", "not an object"),
        ("{}", "kind that this version does not know"),
        ('{"kind":"lunar"}', "'lunar'"),
        ('{"kind":["once"],"at":1}', "kind that this version"),
        ('{"kind":"once","at":1,"jitter_us":5,"end_at":9}', "does not know: end_at, jitter_us"),
        ('{"kind":"once"}', "no at of type int"),
        ('{"kind":"once","at":true}', "no at of type int"),
        ('{"kind":"interval","every_us":1.5,"anchor_at":0}', "no every_us of type int"),
        ('{"kind":"cron","expression":5,"time_zone":"UTC"}', "no expression of type str"),
    ],
)
def test_an_unknown_text_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(UnreadableSchedule) as error:
        decode(text)
    assert reason in error.value.message


def test_validation_names_the_field() -> None:
    with pytest.raises(InvalidField) as bad_expression:
        validate_cron("61 * * * *", "UTC")
    assert bad_expression.value.field == "expression"
    assert "out of range 0-59" in bad_expression.value.description
    for zone in ("Mars/Olympus", "europe/berlin", "", "../UTC", "Europe", "x" * 10_000):
        with pytest.raises(InvalidField) as bad_zone:
            validate_cron("* * * * *", zone)
        assert bad_zone.value.field == "time_zone"
        assert len(bad_zone.value.description) < 250
    with pytest.raises(InvalidField) as bad_interval:
        validate_interval(999_999, 0)
    assert bad_interval.value.field == "every"
    assert validate_interval(1_000_000, 3) == Interval(1_000_000, 3)


def test_violations_are_bundled_under_the_path_of_their_message() -> None:
    with pytest.raises(InvalidField) as error:
        validate_cron("* * * * *", "Mars/Olympus")
    inner = error.value.within("task.schedule.cron")
    assert inner.field == "task.schedule.cron.time_zone"
    assert inner.violations == (inner,)
    bundle = InvalidRequest([inner, InvalidField("task.id", "is empty")])
    assert [v.field for v in bundle.violations] == ["task.schedule.cron.time_zone", "task.id"]
    assert "task.id: is empty" in bundle.message


def test_two_spellings_of_one_expression_are_equal() -> None:
    assert validate_cron("0 9 * * Mon", "UTC") == validate_cron(" 0\t9 * *  MON", "UTC")
    assert validate_cron("@Daily", "UTC") == Cron("@daily", "UTC")
