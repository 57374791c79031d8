"""Any schedule that the client's value types can hold and a message can carry."""

from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import strategies as st

from mainspring.client import (
    At,
    CalendarInterval,
    CalendarUnit,
    Cron,
    Delay,
    Every,
    Exclusions,
    GapPolicy,
    RepeatPolicy,
    Schedule,
    Weekday,
)

INSTANTS = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))]
    ),
)
DURATIONS = st.timedeltas(timedelta(days=-3_650), timedelta(days=3_650))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TIME_ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Mars/Olympus"])
EXCLUSIONS = st.builds(
    Exclusions,
    st.lists(st.dates(), max_size=3),
    st.lists(TEXTS, max_size=3),
    st.just("") | TIME_ZONES,
)
BOUNDS = {
    "start": st.none() | INSTANTS,
    "end": st.none() | INSTANTS,
    "max_executions": st.none() | st.integers(1, 2**63 - 1),
    "jitter": DURATIONS,
    "exclusions": EXCLUSIONS,
}
POLICIES = {
    "gap": st.sampled_from([policy for policy in GapPolicy if policy.value]),
    "repeat": st.sampled_from([policy for policy in RepeatPolicy if policy.value]),
}
CALENDAR_INTERVALS = st.builds(
    CalendarInterval,
    st.sampled_from([unit for unit in CalendarUnit if unit.value]),
    st.lists(st.times().map(lambda each: each.replace(microsecond=0)), max_size=3),
    every=st.integers(1, 2**31 - 1),
    weekdays=st.lists(st.sampled_from([day for day in Weekday if day.value]), max_size=3),
    days_of_month=st.lists(st.integers(-31, 31), max_size=3),
    time_zone=TIME_ZONES,
    start_date=st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
    **POLICIES,
    **BOUNDS,
)
SCHEDULES: st.SearchStrategy[Schedule] = st.one_of(
    st.builds(At, INSTANTS, jitter=DURATIONS),
    st.builds(Delay, DURATIONS, jitter=DURATIONS),
    st.builds(Cron, TEXTS | st.lists(TEXTS, max_size=3), TIME_ZONES, **POLICIES, **BOUNDS),
    st.builds(Every, DURATIONS, st.none() | DURATIONS, **BOUNDS),
    CALENDAR_INTERVALS,
)
