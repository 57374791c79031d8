"""Instants: what is shown can be typed in again, and a time without a zone is refused with how to say it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.cli.instants import format_instant, parse_instant

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "2030-06-01T12:00:00Z",
        "2030-06-01t12:00:00z",
        "2030-06-01 12:00:00.000Z",
        "2030-06-01T14:00:00+02:00",
        "2030-06-01T06:30:00-05:30",
        "2030-06-01T12:00:00.000000999Z",
    ],
)
def test_reads_rfc_3339(text: str) -> None:
    assert parse_instant(text) == NOON


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "1906545600",
        "2030-06-01",
        "20300601T120000Z",
        "2030-06-01T12:00Z",
        "2030-06-01T12:00:00+0200",
    ],
)
def test_refuses_other_forms(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        parse_instant(text)


@pytest.mark.parametrize(
    "text", ["2030-02-30T12:00:00Z", "2030-06-01T25:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_refuses_times_that_do_not_exist(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_instant(text)


@pytest.mark.usefixtures("in_berlin")
def test_a_time_without_a_zone_is_refused_with_both_ways_to_say_it() -> None:
    with pytest.raises(ValueError, match="no time zone") as raised:
        parse_instant("2030-06-01T12:00:00")
    assert "2030-06-01T12:00:00+02:00 for your local time" in str(raised.value)
    assert "2030-06-01T12:00:00Z for UTC" in str(raised.value)


@pytest.mark.usefixtures("in_berlin")
def test_shows_local_time_with_its_offset_or_utc() -> None:
    assert format_instant(NOON, utc=False) == "2030-06-01T14:00:00+02:00"
    assert format_instant(NOON.replace(month=1), utc=False) == "2030-01-01T13:00:00+01:00"
    assert format_instant(NOON, utc=True) == "2030-06-01T12:00:00Z"


def test_shows_no_more_digits_than_there_are() -> None:
    assert format_instant(NOON + timedelta(milliseconds=20), utc=True) == "2030-06-01T12:00:00.020Z"
    assert format_instant(NOON + timedelta(microseconds=1), utc=True) == "2030-06-01T12:00:00.000001Z"


@given(
    st.datetimes(timezones=st.builds(timezone, st.timedeltas(timedelta(hours=-14), timedelta(hours=14)))),
    st.booleans(),
)
def test_what_is_shown_reads_back_the_same(instant: datetime, utc: bool) -> None:
    try:
        expected = instant.astimezone(UTC)
    except OverflowError:
        return
    assert parse_instant(format_instant(expected, utc=utc)) == expected


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        instant = parse_instant(text)
    except ValueError:
        return
    assert instant.utcoffset() == timedelta(0)
