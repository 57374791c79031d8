"""Durations: every one can be written and read back, and wrong ones are refused with what would be right."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.cli.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        ("1w2d3h4m5s6ms7us", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5, microseconds=6007)),
        ("250ms", timedelta(milliseconds=250)),
        (" 1D ", timedelta(days=1)),
        ("0s", timedelta(0)),
        ("0.000001s", timedelta(microseconds=1)),
    ],
)
def test_reads(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a duration"),
        ("soon", "not a duration"),
        ("90", "90s for seconds or 90m for minutes"),
        ("1.5", "no unit"),
        ("-5s", "negative"),
        ("5x", "not a duration"),
        ("5m 3s", "not a duration"),
        ("3s5m", "out of order"),
        ("1m1m", "twice"),
        ("1.5us", "finer than a microsecond"),
        ("0.0000001s", "finer than a microsecond"),
        ("1000000000d", "longer than can be expressed"),
        ("9" * 5000 + "w", "longer than can be expressed"),
        ("٣s", "not a duration"),
        ("1e3s", "not a duration"),
    ],
)
def test_refuses(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(0)))
def test_what_is_written_reads_back_the_same(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert duration >= timedelta(0)


def test_writes_what_people_would() -> None:
    assert format_duration(timedelta(seconds=5400)) == "1h30m"
    assert format_duration(timedelta(days=10)) == "10d"
    assert format_duration(timedelta(0)) == "0s"
    assert format_duration(timedelta(milliseconds=-1500)) == "-1s500ms"
