"""What schedules mean, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.cron_fields import BadCronExpression, parse_cron
from mainspring.server.core.meaning import LONGEST_MEANING, meaning
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
    Timing,
)
from mainspring.server.core.time_zone import zone_names

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND
AT = 1_796_115_600 * SECOND
"""2026-12-01T09:00:00Z"""
BERLIN, UTC = "Europe/Berlin", "UTC"
DAY, WEEK, MONTH = CalendarUnit.DAY, CalendarUnit.WEEK, CalendarUnit.MONTH
NINE = (9 * 3600,)
AFTER_GAP = "a time that is left out fires right after the gap"


def cron(*expressions: str, zone: str = BERLIN, **policies: GapPolicy | RepeatPolicy) -> Cron:
    return Cron(expressions, zone, **policies)  # type: ignore[arg-type]


TIMINGS: list[tuple[Timing, str]] = [
    (OneTime(AT), "Once, at 2026-12-01T09:00:00Z."),
    (OneTime(AT + 1_500), "Once, at 2026-12-01T09:00:00.001500Z."),
    (Interval(SECOND, AT), "Every second, counted from 2026-12-01T09:00:00Z."),
    (Interval(90 * SECOND, AT), "Every 90 seconds, counted from 2026-12-01T09:00:00Z."),
    (Interval(1_500_000, AT), "Every 1.5 seconds, counted from 2026-12-01T09:00:00Z."),
    (Interval(3_661 * SECOND, AT), "Every 1 hour, 1 minute and 1 second, counted from 2026-12-01T09:00:00Z."),
    (Interval(HOUR, 20 * MINUTE), "Every hour, counted from 1970-01-01T00:20:00Z."),
    (Interval(3_650 * 24 * HOUR, AT), "Every 87,600 hours, counted from 2026-12-01T09:00:00Z."),
    (cron("0 9 * * MON-FRI"), "At 09:00 on Monday to Friday, Europe/Berlin."),
    (cron("@daily", zone=UTC), "At 00:00 every day, UTC."),
    (
        cron("0 9 * * 1-5", "0 11 * * 6"),
        "At 09:00 on Monday to Friday; also at 11:00 on Saturday, Europe/Berlin.",
    ),
    (
        CalendarInterval(1, DAY, "2026-11-30", (), (), NINE, UTC),
        "Every day at 09:00, UTC, from 2026-11-30 on.",
    ),
    (
        CalendarInterval(3, DAY, "2026-11-30", (), (), (9 * 3600, 61_230), UTC),
        "Every 3 days at 09:00 and 17:00:30, UTC, counted from 2026-11-30.",
    ),
    (
        CalendarInterval(2, WEEK, "2026-11-30", (1,), (), NINE, BERLIN),
        "Every 2 weeks on Monday at 09:00, Europe/Berlin, counted from the week of 2026-11-30.",
    ),
    (
        CalendarInterval(2, WEEK, "2026-12-02", (1, 5), (), NINE, BERLIN),
        "Every 2 weeks on Monday and Friday at 09:00, Europe/Berlin, counted from the week of 2026-12-02 and not before"
        " that day.",
    ),
    (
        CalendarInterval(1, WEEK, "2026-12-02", (1, 2, 3, 4, 5, 6, 7), (), NINE, UTC),
        "Every week on every day at 09:00, UTC, from 2026-12-02 on.",
    ),
    (
        CalendarInterval(1, MONTH, "2026-12-02", (), (-2, -1, 1), NINE, UTC),
        "Every month on the 1st, the day before the last day and the last day at 09:00, UTC, from 2026-12-02 on.",
    ),
    (
        CalendarInterval(3, MONTH, "2026-12-02", (), (-3, 31), NINE, UTC),
        "Every 3 months on the 31st and the 2nd day before the last day at 09:00, UTC, counted from December 2026 and not"
        " before 2026-12-02. A month without such a day is passed over.",
    ),
    (
        CalendarInterval(12, MONTH, "2026-03-01", (), (-1,), NINE, UTC),
        "Every year in March on the last day at 09:00, UTC, from 2026-03-01 on.",
    ),
    (
        CalendarInterval(24, MONTH, "2026-03-01", (), (5,), NINE, UTC),
        "Every 2 years in March on the 5th at 09:00, UTC, counted from 2026.",
    ),
]

# What is said of clock changes, and when nothing is.
CLOCK_CHANGES: list[tuple[Timing, str]] = [
    (cron("30 2 * * *"), f"{AFTER_GAP} and a time that comes twice fires the first time."),
    (
        cron("30 2 * * *", gap=GapPolicy.SKIP, repeat=RepeatPolicy.LAST),
        "a time that is left out does not fire and a time that comes twice fires the last time.",
    ),
    (
        cron("30 2 * * *", gap=GapPolicy.SKIP, repeat=RepeatPolicy.BOTH),
        "a time that is left out does not fire and a time that comes twice fires both times.",
    ),
    (cron("0 3 * * *"), ""),
    (cron("30 2 * * *", zone=UTC), ""),
    (cron("30 2 * * *", zone="Etc/GMT+5"), ""),
    (cron("30 2 * * *", zone="Asia/Kolkata"), ""),
    (cron("30 2 * * MON-SAT"), ""),  # its clocks change on Sundays
    (cron("*/5 * * * *"), "it follows elapsed time."),
    (
        cron("*/5 * * * *", "30 2 * * *"),
        f"{AFTER_GAP}, a time that comes twice fires the first time and expressions whose hours begin with * follow"
        " elapsed time.",
    ),
    # Put forward to 02:30, put back to 01:30.
    (cron("15 2 * * *", zone="Australia/Lord_Howe"), f"{AFTER_GAP}."),
    (cron("45 1 * * *", zone="Australia/Lord_Howe"), "a time that comes twice fires the first time."),
    (CalendarInterval(1, DAY, "2026-12-02", (), (), (8_400,), BERLIN), f"{AFTER_GAP} and a time that comes twice fires"
     " the first time."),
    (CalendarInterval(1, WEEK, "2026-12-02", (1,), (), (8_400,), BERLIN), ""),
]  # fmt: skip

NINE_DAILY = cron("0 9 * * *", zone=UTC)
BOUNDS: list[tuple[Schedule, str]] = [
    (Schedule(NINE_DAILY, start_at=AT), "Not before 2026-12-01T09:00:00Z."),
    (Schedule(NINE_DAILY, end_at=AT), "Ends before 2026-12-01T09:00:00Z."),
    (Schedule(NINE_DAILY, max_executions=1), "At most 1 scheduled time, run or skipped."),
    (Schedule(NINE_DAILY, max_executions=5_000), "At most 5,000 scheduled times, run or skipped."),
    (Schedule(NINE_DAILY, jitter_us=90 * SECOND), "Due up to 90 seconds later, each task by its own share."),
    (
        Schedule(NINE_DAILY, exclusions=Exclusions(("2026-12-24",), ("* 12-13 * * *",))),
        "Left out: 2026-12-24; every minute from 12:00 to 13:59 every day.",
    ),
    (
        Schedule(NINE_DAILY, exclusions=Exclusions(tuple(f"2026-12-{day}" for day in range(10, 20)))),
        "Left out: 2026-12-10, 2026-12-11, 2026-12-12, 2026-12-13 and 6 more dates.",
    ),
    (
        Schedule(NINE_DAILY, start_at=AT, end_at=AT + HOUR, max_executions=2),
        "Not before 2026-12-01T09:00:00Z. Ends before 2026-12-01T10:00:00Z. At most 2 scheduled times, run or skipped.",
    ),
]


@pytest.mark.parametrize(("timing", "words"), TIMINGS)
def test_kinds(timing: Timing, words: str) -> None:
    assert meaning(Schedule(timing)) == words


@pytest.mark.parametrize(("timing", "words"), CLOCK_CHANGES)
def test_clock_changes_are_spoken_of_where_they_matter(timing: Timing, words: str) -> None:
    assert meaning(Schedule(timing)).partition(" When clocks change, ")[2] == words


@pytest.mark.parametrize(("schedule", "words"), BOUNDS)
def test_bounds(schedule: Schedule, words: str) -> None:
    assert meaning(schedule) == f"At 09:00 every day, UTC. {words}"


def test_clock_changes_outside_the_bounds_are_not_spoken_of() -> None:
    night = cron("30 2 * * *")
    assert "clocks" not in meaning(Schedule(night, start_at=AT, end_at=AT + 100 * 24 * HOUR))
    assert "clocks" in meaning(Schedule(night, start_at=AT, end_at=AT + 200 * 24 * HOUR))
    assert "clocks" in meaning(Schedule(night, start_at=AT + 400_000 * HOUR))  # 2072


def test_an_excluded_night_is_not_spoken_of() -> None:
    night = Schedule(cron("30 2 * * *"), exclusions=Exclusions((), ("* 2 * 3,10 SUN",)))
    assert "clocks" not in meaning(night)


def test_the_first_time_of_an_interval_is_told_once() -> None:
    assert (
        meaning(Schedule(Interval(HOUR, AT), start_at=AT)) == "Every hour, counted from 2026-12-01T09:00:00Z."
    )
    assert "Not before" in meaning(Schedule(Interval(HOUR, AT), start_at=AT + HOUR))


def test_what_an_interval_leaves_out_names_the_clock() -> None:
    exclusions = Exclusions((), ("* 0-6 * * *",), "America/New_York")
    assert meaning(Schedule(Interval(HOUR, AT), exclusions=exclusions)).endswith(
        "Left out on the clock of America/New_York: every minute from 00:00 to 06:59 every day."
    )


def test_an_excluded_minute_is_a_whole_one_where_that_shows() -> None:
    often = Schedule(cron("*/10 * 9-17 * * *"), exclusions=Exclusions((), ("30 12 * * *", "0 0 13 * * *")))
    assert meaning(often).endswith(
        "Left out: every second from 12:30:00 to 12:30:59 every day; also at 13:00 every day."
    )


def test_of_many_expressions_the_first_ones_are_told() -> None:
    expressions = tuple(f"{n},{n + 7},{n + 9},{n + 21} {n} {n + 1},L * MON#1" for n in range(16))
    words = meaning(Schedule(cron(*expressions, zone=UTC)))
    assert words.startswith("At 00:00, 00:07, 00:09 and 00:21 on the 1st and the last day of the month")
    assert words.endswith("; and 12 more expressions, UTC.")
    assert len(words) <= LONGEST_MEANING


def test_a_long_first_expression_leaves_room_for_how_many_there_are_besides() -> None:
    timing = cron("16-49 21-8 1W,31W,L-30 * 7,0,5", *(f"{n} * * * *" for n in range(5)))
    timing = replace(timing, time_zone="America/Indiana/Petersburg", repeat=RepeatPolicy.LAST)
    schedule = Schedule(
        timing,
        start_at=1_933_822_398_574_115,
        jitter_us=17_179_842_974,
        exclusions=Exclusions(("2025-07-19", "2025-12-07", "2025-12-16")),
    )
    assert meaning(schedule).startswith('At the times of "16-49 21-8 1W,31W,L-30 * 7,0,5"; also every hour; ')
    assert len(meaning(schedule)) <= LONGEST_MEANING


def test_a_schedule_that_was_never_checked() -> None:
    with pytest.raises(BadCronExpression):
        meaning(Schedule(cron("0 9 * *")))


def field(lowest: int, highest: int, *special: str) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    token = st.one_of(
        number.map(str),
        st.tuples(number, number)
        .filter(lambda pair: pair[0] < pair[1])
        .map(lambda pair: f"{pair[0]}-{pair[1]}"),
        *([st.sampled_from(special)] if special else []),
    )
    tokens = st.lists(token, min_size=1, max_size=14).map(",".join)
    return st.one_of(st.just("*"), st.integers(1, 30).map(lambda step: f"*/{step}"), tokens)


def is_valid(expression: str) -> bool:
    try:
        parse_cron(expression)
    except BadCronExpression:
        return False
    return True


RANKED = st.lists(st.sampled_from(["MON#1", "TUE#2", "5L", "L0", "SAT#5", "3#3", "4#4"]), min_size=1).map(
    ",".join
)
EXPRESSIONS = (
    st.tuples(
        field(0, 59),
        field(0, 59),
        field(0, 23),
        field(1, 31, "L", "LW", "L-3", "L-7", "15W", "1W", "30W"),
        field(1, 12),
        field(0, 6) | RANKED,
    )
    .map(" ".join)
    .filter(is_valid)
)
ZONES = st.sampled_from(sorted(zone_names()))
POLICIES = {"gap": st.sampled_from(GapPolicy), "repeat": st.sampled_from(RepeatPolicy)}
SOME_EXPRESSIONS = st.lists(EXPRESSIONS, min_size=1, max_size=16).map(tuple)
TIMES = st.lists(st.integers(0, 86_399), min_size=1, max_size=24, unique=True).map(sorted).map(tuple)
INSTANTS = st.integers(0, 200_000_000_000 * SECOND)
DATES = st.dates().map(str)


def calendar(
    unit: CalendarUnit, **days: st.SearchStrategy[tuple[int, ...]]
) -> st.SearchStrategy[CalendarInterval]:
    empty: st.SearchStrategy[tuple[int, ...]] = st.just(())
    return st.builds(
        CalendarInterval,
        every=st.integers(1, 1_000),
        unit=st.just(unit),
        start_date=DATES,
        weekdays=days.get("weekdays", empty),
        days_of_month=days.get("days_of_month", empty),
        times=TIMES,
        time_zone=ZONES,
        **POLICIES,
    )


def several(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(numbers, min_size=1, unique=True).map(sorted).map(tuple)


SCHEDULES = st.builds(
    Schedule,
    timing=st.one_of(
        st.builds(OneTime, at=INSTANTS),
        st.builds(Interval, every_us=st.integers(SECOND, 3_650 * 24 * HOUR), anchor_at=INSTANTS),
        st.builds(Cron, expressions=SOME_EXPRESSIONS, time_zone=ZONES, **POLICIES),
        calendar(DAY),
        calendar(WEEK, weekdays=several(st.integers(1, 7))),
        calendar(MONTH, days_of_month=several(st.integers(-31, 31).filter(bool))),
    ),
    start_at=st.none() | INSTANTS,
    end_at=st.none() | INSTANTS,
    max_executions=st.none() | st.integers(1, 1_000_000_000),
    jitter_us=st.integers(0, 24 * HOUR),
    exclusions=st.none()
    | st.builds(
        Exclusions, dates=st.lists(DATES, min_size=1, max_size=366).map(tuple), expressions=SOME_EXPRESSIONS
    ),
)


@given(SCHEDULES)
def test_every_schedule_has_a_meaning_of_bounded_length(schedule: Schedule) -> None:
    words = meaning(schedule)
    assert words.isprintable()
    assert words.isascii()
    assert words[0].isupper()
    assert words.endswith(".")
    assert 20 < len(words) <= LONGEST_MEANING
