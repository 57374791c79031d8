"""Scheduled times by brute force against cronsim and against hand-written tables; must-set and may-set."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import draws
from unit.checker.tiny import CRON, EVERY, NOW, ONCE, S

from mainspring.testing.expected import Calendar, CronError, Edges, Expected, cron_times, due_range
from mainspring.testing.history import AcknowledgedTask

# Not Lord Howe: where a zone moves by half an hour, cronsim steps over a part of the first hour after it.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "America/St_Johns", "Asia/Kathmandu"]
# Days on which one of those zones changes its offset, and two plain ones.
DAYS = [
    "2030-03-31",
    "2030-10-27",
    "2030-03-10",
    "2030-11-03",
    "2030-04-07",
    "2030-10-06",
    "2030-07-01",
    "2032-02-28",
]


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * S


def texts(times: list[int]) -> list[str]:
    return [datetime.fromtimestamp(at // S, UTC).strftime("%H:%M:%S") for at in times]


def field(low: int, high: int, has_steps: bool = True) -> st.SearchStrategy[str]:
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    parts = [st.integers(low, high).map(str), span.map(lambda ends: f"{ends[0]}-{ends[1]}")]
    if has_steps:
        # A step over a range of one value means another thing to cronsim.
        wide = span.filter(lambda ends: ends[0] < ends[1])
        parts.append(
            st.tuples(wide, st.integers(1, 9)).map(lambda part: f"{part[0][0]}-{part[0][1]}/{part[1]}")
        )
    return st.lists(st.one_of(parts), min_size=1, max_size=3).map(",".join)


STARS = st.one_of(st.just("*"), st.integers(1, 20).map(lambda step: f"*/{step}"))
MINUTES, HOURS = st.one_of(field(0, 59), STARS), st.one_of(field(0, 23), STARS)
DAY_FIELDS = [
    st.one_of(field(low, high), st.just("*"), st.just("*/2")) for low, high in ((1, 31), (1, 12), (0, 7))
]
# A minute that begins with `*` beside named hours follows elapsed time in cronsim, named wall times here.
CLOCK = st.one_of(st.tuples(field(0, 59), HOURS), st.tuples(STARS, STARS))
FIVE = st.tuples(CLOCK, *DAY_FIELDS).map(lambda parts: " ".join([*parts[0], *parts[1:]]))


@given(FIVE, st.sampled_from(ZONES), st.sampled_from(DAYS))
@settings(deadline=None, max_examples=draws(80))
def test_five_fields_agree_with_cronsim_over_two_days(expression: str, zone: str, day: str) -> None:
    from_at = micros(f"{day}T00:00:00+00:00") - 12 * 3600 * S
    until_at = from_at + 48 * 3600 * S
    assert cron_times(expression, zone, from_at, until_at) == simulated(expression, zone, from_at, until_at)


@given(
    st.tuples(st.one_of(field(0, 59), STARS), MINUTES, HOURS, *DAY_FIELDS).map(" ".join),
    st.sampled_from(DAYS),
)
@settings(deadline=None, max_examples=draws(60))
def test_six_fields_agree_with_cronsim_over_two_hours(expression: str, day: str) -> None:
    from_at = micros(f"{day}T07:00:00+00:00")
    until_at = from_at + 2 * 3600 * S
    assert cron_times(expression, "UTC", from_at, until_at) == simulated(expression, "UTC", from_at, until_at)


def simulated(expression: str, zone: str, from_at: int, until_at: int) -> list[int]:
    # Cronsim starts after the given instant, and gives up with StopIteration after 50 years.
    start = datetime.fromtimestamp(from_at // S, ZoneInfo(zone)) - timedelta(hours=6)
    times = []
    try:
        for when in CronSim(expression, start):
            at = int(when.timestamp()) * S
            if at >= until_at:
                break
            if at >= from_at and at not in times[-70:]:
                times.append(at)
    except CronSimError:  # A date that never comes.
        return []
    return times


@pytest.mark.parametrize(
    ("expression", "zone", "day", "expected"),
    [
        # Berlin skips 02:00-03:00 on 31 March: a fixed time in it fires at its end, 01:00 UTC, once.
        ("30 2 * * *", "Europe/Berlin", "2030-03-31", ["01:00:00"]),
        ("15,45 2,3 * * *", "Europe/Berlin", "2030-03-31", ["01:00:00", "01:15:00", "01:45:00"]),
        ("0 3 * * *", "Europe/Berlin", "2030-03-31", ["01:00:00"]),
        ("*/30 1-3 * * *", "Europe/Berlin", "2030-03-31", ["00:00:00", "00:30:00", "01:00:00", "01:30:00"]),
        ("*/20 2 * * *", "Europe/Berlin", "2030-03-31", ["01:00:00"]),
        ("15 */8 * * *", "Europe/Berlin", "2030-03-31", ["06:15:00", "14:15:00"]),
        # Berlin repeats 02:00-03:00 on 27 October: a fixed time fires in the first pass, a pattern in both.
        ("30 2 * * *", "Europe/Berlin", "2030-10-27", ["00:30:00"]),
        ("*/30 2 * * *", "Europe/Berlin", "2030-10-27", ["00:00:00", "00:30:00"]),
        ("*/30 30 2 * * *", "Europe/Berlin", "2030-03-31", ["01:00:00"]),
        # Lord Howe moves by half an hour: 02:00 becomes 02:30 on 6 October, 15:30 UTC the day before.
        ("10 2 * * *", "Australia/Lord_Howe", "2030-10-05", ["15:30:00"]),
        # and 02:00 becomes 01:30 on 7 April, 15:00 UTC the day before.
        ("*/30 2 * * *", "Australia/Lord_Howe", "2030-04-06", ["15:30:00", "16:00:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2030-04-06", ["14:45:00"]),
        ("0 0 1 * 1", "UTC", "2030-07-01", ["00:00:00"]),
        ("0 0 2 * 1", "UTC", "2030-07-01", ["00:00:00"]),
        ("0 0 2 * *", "UTC", "2030-07-01", []),
        ("0 0 * * 7", "UTC", "2030-03-31", ["00:00:00"]),
        ("0 0 */2 * 1", "UTC", "2030-07-01", ["00:00:00"]),
        ("0 0 */2 * 2", "UTC", "2030-07-01", []),
        # Samoa had no 30 December 2011: the Friday's time is not made up for on the Saturday.
        ("0 12 * * 5", "Pacific/Apia", "2011-12-30", []),
    ],
)
def test_daylight_saving_and_days(expression: str, zone: str, day: str, expected: list[str]) -> None:
    from_at = micros(f"{day}T00:00:00+00:00")
    assert texts(cron_times(expression, zone, from_at, from_at + 20 * 3600 * S)) == expected


def test_the_window_is_half_open_and_cut_within_a_minute() -> None:
    assert cron_times("*/5 * * * * *", "UTC", NOW, NOW + 10 * S) == [NOW, NOW + 5 * S]
    assert cron_times("*/5 * * * * *", "UTC", NOW + 1, NOW + 10 * S + 1) == [NOW + 5 * S, NOW + 10 * S]
    assert cron_times("*/5 * * * * *", "UTC", NOW + 1, NOW + 2) == []


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "* * * *",
            "* * * * * * *",
            "60 * * * *",
            "5/10 * * * *",
            "*/0 * * * *",
            "9-3 * * * *",
            "a * * * *",
        ),
        *("@daily", "1, * * * *", "* * 0 * *", "-5 * * * *", "5- * * * *", "*/ * * * *"),
    ],
)
def test_what_is_outside_the_small_language_is_refused(expression: str) -> None:
    with pytest.raises(CronError):
        cron_times(expression, "UTC", NOW, NOW + S)


def test_interval_and_one_time_arithmetic() -> None:
    calendar = Calendar()
    every = replace(EVERY, every_us=7 * S, anchor_at=NOW + 3)
    assert calendar.times(every, NOW, NOW + 15 * S) == [NOW + 3, NOW + 3 + 7 * S, NOW + 3 + 14 * S]
    assert calendar.times(every, NOW + 4, NOW + 3 + 7 * S) == []
    assert calendar.times(every, NOW - 1_000 * S, NOW + 1_000 * S)[0] == NOW + 3
    assert calendar.has(every, NOW + 3 + 7 * S)
    assert not calendar.has(every, NOW + 4)
    assert not calendar.has(every, NOW + 3 - 7 * S)
    assert calendar.times(ONCE, ONCE.at, ONCE.at + 1) == [ONCE.at]
    assert calendar.times(ONCE, ONCE.at + 1, ONCE.at + 9 * S) == []
    assert calendar.has(CRON, NOW + 10 * S)
    assert not calendar.has(CRON, NOW + 11 * S)


def expected(*tasks: AcknowledgedTask, margin_us: int = 100_000, until_at: int = NOW + 20 * S) -> Expected:
    return Expected(tasks, NOW, until_at, Edges(margin_us, settled_at=lambda key, due_at: due_at + 2 * S))


def musts(*tasks: AcknowledgedTask) -> list[int]:
    return sorted(expected(*tasks).must.get(tasks[0].key, {}))


def test_the_must_set_of_each_kind() -> None:
    assert musts(ONCE) == [NOW + 3 * S]
    assert musts(EVERY) == [NOW + S, NOW + 11 * S]
    assert musts(CRON) == [NOW, NOW + 10 * S]
    assert musts(replace(ONCE, at=NOW - 1)) == []
    assert musts(replace(ONCE, at=NOW + 20 * S)) == []


def test_registration_and_cancel_have_may_edges() -> None:
    during = replace(EVERY, sent_at=NOW + S - 5_000, acknowledged_at=NOW + S + 5_000)
    assert musts(during) == [NOW + 11 * S]
    assert expected(during).version_of(during.key, NOW + S) == during
    assert expected(replace(during, sent_at=NOW + 2 * S)).version_of(during.key, NOW + S) is None
    cancelled = replace(EVERY, cancel_sent_at=NOW + 12 * S, cancelled_at=NOW + 12 * S + 5_000)
    assert musts(cancelled) == [NOW + S]
    assert expected(cancelled).version_of(EVERY.key, NOW + 11 * S) == cancelled
    assert expected(cancelled).version_of(EVERY.key, NOW + 21 * S) is None
    unsure = replace(cancelled, cancelled_at=None)
    assert expected(unsure).version_of(EVERY.key, NOW + 21 * S) == unsure


def test_a_maximum_counts_from_the_registration() -> None:
    twice = replace(EVERY, every_us=4 * S, max_executions=2)
    assert musts(twice) == [NOW + S, NOW + 5 * S]
    assert expected(twice).version_of(twice.key, NOW + 9 * S) is None
    # Nobody knows whether it came before its first time: the second must be, the third may be.
    during = replace(twice, sent_at=NOW + S - 5_000, acknowledged_at=NOW + S + 5_000)
    assert musts(during) == [NOW + 5 * S]
    assert expected(during).version_of(during.key, NOW + 9 * S) == during
    assert expected(during).version_of(during.key, NOW + 13 * S) is None
    after = replace(twice, sent_at=NOW + 2 * S, acknowledged_at=NOW + 3 * S)
    assert musts(after) == [NOW + 5 * S, NOW + 9 * S]
    unknown = replace(twice, outcome="unknown", acknowledged_at=None)
    assert expected(unknown).version_of(unknown.key, NOW + 17 * S) == unknown
    cron = replace(CRON, max_executions=1)
    assert musts(replace(cron, sent_at=NOW + S, acknowledged_at=NOW + 2 * S)) == [NOW + 10 * S]
    assert expected(cron).version_of(cron.key, NOW + 10 * S) is None


def test_an_unknown_outcome_is_never_must() -> None:
    unknown = replace(EVERY, outcome="unknown", acknowledged_at=None)
    assert musts(unknown) == []
    assert expected(unknown).version_of(EVERY.key, NOW + S) == unknown
    assert expected(unknown).version_of(EVERY.key, NOW + S + 1) is None
    delayed = replace(ONCE, outcome="unknown", acknowledged_at=None, at=None, delay_us=4 * S)
    assert expected(delayed).version_of(ONCE.key, delayed.sent_at + 4 * S + 17) == delayed
    assert expected(delayed).version_of(ONCE.key, delayed.sent_at + 3 * S) is None


def test_a_second_definition_of_a_task_adds_its_times() -> None:
    first = replace(EVERY, cancel_sent_at=NOW + 5 * S, cancelled_at=NOW + 5 * S)
    second = replace(EVERY, every_us=4 * S, anchor_at=NOW, sent_at=NOW + 6 * S, acknowledged_at=NOW + 6 * S)
    assert musts(first, second) == [NOW + S, NOW + 8 * S, NOW + 12 * S, NOW + 16 * S]
    assert expected(first, second).count(EVERY.key, NOW, NOW + 12 * S) == 5


def test_the_due_range() -> None:
    assert due_range(ONCE, ONCE.at, S) == (ONCE.at, ONCE.at)
    offset = replace(EVERY, due_offset_min_us=5, due_offset_max_us=9)
    assert due_range(offset, NOW, S) == (NOW + 5, NOW + 9)
    past = replace(ONCE, at=NOW - 60 * S, sent_at=NOW, acknowledged_at=NOW + 10)
    assert due_range(past, NOW - 60 * S, 3) == (NOW - 3, NOW + 13)


def test_an_unknown_zone_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        cron_times("* * * * *", "Europe/Nowhere", NOW, NOW + S)
