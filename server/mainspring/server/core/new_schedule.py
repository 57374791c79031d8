"""Checks the schedules of callers and normalises them. What comes out of here can be evaluated without an error.

Every complaint is an `InvalidField` whose path begins at the message that the function stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from mainspring.server.core.cron_fields import BadCronExpression, normalise_cron, parse_cron
from mainspring.server.core.hashed_fields import has_hash, resolve_hashes
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
from mainspring.server.core.time_zone import DAY, UnknownTimeZone, time_zone
from mainspring.server.errors import InvalidField

MIN_INTERVAL_US: Final = 1_000_000
"""The shortest interval, 1 s: below it the 10 s promise costs more than the runs do."""

MOST_EXPRESSIONS: Final = 16
MOST_DATES: Final = 366
MOST_TIMES: Final = 24
MOST_UNITS: Final = 1_000
MOST_EXECUTIONS: Final = 1_000_000_000
LONGEST_JITTER_US: Final = 24 * 3_600_000_000

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)


def validate_cron(
    expressions: Sequence[str],
    zone: str,
    gap: GapPolicy = GapPolicy.FIRE_AFTER,
    repeat: RepeatPolicy = RepeatPolicy.FIRST,
    *,
    task_key: bytes | None = None,
) -> Cron:
    """Check a cron schedule of a client, and normalise it.

    Args:
        task_key: what H takes its values from; None refuses H.

    Returns:
        The schedule with blanks squeezed and names in upper case ("0 9 * * MON-FRI"), H replaced by values and
        repetitions left out; aliases stay aliases, in lower case. Two spellings that differ in nothing else are
        equal.

    Raises:
        InvalidField: "expressions" (none, too many), "expressions[n]" (outside the dialect of `cron_fields`, or
            never firing), or "time_zone" (not a name in the installed tzdata).
    """
    if not 1 <= len(expressions) <= MOST_EXPRESSIONS:
        raise InvalidField("expressions", f"holds {len(expressions)}; 1 to {MOST_EXPRESSIONS} are allowed")
    normal = _checked_expressions(expressions, task_key)
    return Cron(normal, validate_time_zone(zone), gap, repeat)


def validate_time_zone(zone: str) -> str:
    """Check the name of a time zone.

    Raises:
        InvalidField: "time_zone"; not a name in the installed tzdata.
    """
    try:
        time_zone(zone)
    except UnknownTimeZone as error:
        raise InvalidField(
            "time_zone",
            f"{zone[:100]!r} is not a time zone; use an IANA name such as 'Europe/Berlin' or 'UTC'",
        ) from error
    return zone


def validate_interval(every_us: int, anchor_at: int) -> Interval:
    """Check an interval schedule of a client.

    Raises:
        InvalidField: "every"; less than MIN_INTERVAL_US.
    """
    if every_us < MIN_INTERVAL_US:
        raise InvalidField("every", "must be at least 1 s")
    return Interval(every_us, anchor_at)


def validate_calendar_interval(
    unit: CalendarUnit,
    times: Sequence[str],
    zone: str,
    *,
    now: int,
    every: int = 0,
    weekdays: Sequence[int] = (),
    days_of_month: Sequence[int] = (),
    start_date: str = "",
    gap: GapPolicy = GapPolicy.FIRE_AFTER,
    repeat: RepeatPolicy = RepeatPolicy.FIRST,
) -> CalendarInterval:
    """Check a calendar interval of a client, and fill in what it leaves open.

    Args:
        times: "HH:MM" or "HH:MM:SS".
        now: cluster time; its local date is the start date when none is given.
        every: 0 stands for 1.

    Raises:
        InvalidField: "every", "weekdays", "days_of_month", "times", "time_zone" or "start_date".
    """
    validate_time_zone(zone)
    if not 0 <= every <= MOST_UNITS:
        raise InvalidField("every", f"must lie between 1 and {MOST_UNITS:,}")
    if not start_date:
        start_date = _local_date(now, zone)
    start = _checked_date("start_date", start_date)
    if weekdays and unit is not CalendarUnit.WEEK:
        raise InvalidField("weekdays", "goes with weeks only")
    if any(not 1 <= day <= 7 for day in weekdays):
        raise InvalidField("weekdays", "holds a day outside Monday (1) to Sunday (7)")
    if days_of_month and unit is not CalendarUnit.MONTH:
        raise InvalidField("days_of_month", "goes with months only")
    if any(not 1 <= abs(day) <= 31 for day in days_of_month):
        raise InvalidField("days_of_month", "holds a day outside 1 to 31 and -1 (the last) to -31")
    if unit is CalendarUnit.WEEK:
        weekdays = weekdays or (start.isoweekday(),)
    if unit is CalendarUnit.MONTH:
        days_of_month = days_of_month or (start.day,)
    return CalendarInterval(
        every or 1,
        unit,
        start_date,
        tuple(sorted(set(weekdays))),
        tuple(sorted(set(days_of_month))),
        _checked_times(times),
        zone,
        gap,
        repeat,
    )


def validate_exclusions(
    dates: Sequence[str], expressions: Sequence[str], zone: str, *, task_key: bytes | None = None
) -> Exclusions | None:
    """Check what a recurring schedule leaves out. None when it is nothing.

    Args:
        zone: "" with a schedule that has a zone of its own.
        task_key: what H takes its values from; None refuses H.

    Raises:
        InvalidField: "dates", "dates[n]", "expressions", "expressions[n]" or "time_zone".
    """
    if zone:
        validate_time_zone(zone)
    if not dates and not expressions:
        return None
    if len(dates) > MOST_DATES:
        raise InvalidField("dates", f"holds {len(dates)}; at most {MOST_DATES} are allowed")
    if len(expressions) > MOST_EXPRESSIONS:
        raise InvalidField("expressions", f"holds {len(expressions)}; at most {MOST_EXPRESSIONS} are allowed")
    for number, day in enumerate(dates):
        _checked_date(f"dates[{number}]", day)
    return Exclusions(
        tuple(sorted(set(dates))), tuple(sorted(_checked_expressions(expressions, task_key))), zone
    )


def validate_bounds(schedule: Schedule) -> Schedule:
    """Check what bounds a schedule, given that its timing and its exclusions have been checked.

    Raises:
        InvalidField: "start_time", "end_time", "max_executions", "jitter" or "exclusions".
    """
    if isinstance(schedule.timing, OneTime):
        for field, value in (
            ("start_time", schedule.start_at),
            ("end_time", schedule.end_at),
            ("max_executions", schedule.max_executions),
            ("exclusions", schedule.exclusions),
        ):
            if value is not None:
                raise InvalidField(field, "is for recurring schedules only: this one fires once")
    if schedule.start_at is not None and schedule.end_at is not None and schedule.end_at <= schedule.start_at:
        raise InvalidField("end_time", "must lie after start_time")
    if schedule.max_executions is not None and not 1 <= schedule.max_executions <= MOST_EXECUTIONS:
        raise InvalidField("max_executions", f"must lie between 1 and {MOST_EXECUTIONS:,}, or be left out")
    if schedule.jitter_us > LONGEST_JITTER_US:
        raise InvalidField("jitter", "is over 24 hours")
    if schedule.exclusions is None:
        return schedule
    if not isinstance(schedule.timing, Cron | CalendarInterval):
        return replace(schedule, exclusions=replace(schedule.exclusions, time_zone=schedule.time_zone))
    if schedule.exclusions.time_zone:
        if schedule.exclusions.time_zone != schedule.time_zone:
            raise InvalidField(
                "exclusions.time_zone", "is for interval schedules: this one has a zone of its own"
            )
        return replace(schedule, exclusions=replace(schedule.exclusions, time_zone=""))
    return schedule


def _checked_expressions(expressions: Iterable[str], task_key: bytes | None) -> tuple[str, ...]:
    checked: dict[str, None] = {}
    for number, expression in enumerate(expressions):
        try:
            text = normalise_cron(expression)
            if has_hash(text):
                if task_key is None:
                    raise BadCronExpression(
                        "has an H, which takes its value from the task: give the task's id"
                    )
                text = resolve_hashes(text, task_key)
            parse_cron(text)
        except BadCronExpression as error:
            raise InvalidField(f"expressions[{number}]", str(error)) from error
        checked[text.lower() if text.startswith("@") else text] = None
    return tuple(checked)


def _checked_date(field: str, text: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidField(field, f"{text[:40]!r} is not a date; write it as '2026-12-24'")


def _checked_times(times: Sequence[str]) -> tuple[int, ...]:
    if not 1 <= len(times) <= MOST_TIMES:
        raise InvalidField("times", f"holds {len(times)}; 1 to {MOST_TIMES} are allowed")
    seconds: set[int] = set()
    for number, text in enumerate(times):
        match = _TIME.fullmatch(text)
        if match is None:
            raise InvalidField(f"times[{number}]", f"{text[:40]!r} is not a time of day; write it as '09:00'")
        hour, minute, second = (int(part or 0) for part in match.groups())
        seconds.add(hour * 3600 + minute * 60 + second)
    return tuple(sorted(seconds))


def _local_date(now: int, zone: str) -> str:
    second = now // 1_000_000
    day = (second + time_zone(zone).offset_at(second)) // DAY
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()
