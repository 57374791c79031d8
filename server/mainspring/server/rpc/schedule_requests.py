"""Schedules of callers: from the message to a checked `Schedule`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeVar

from mainspring.server.core.new_schedule import (
    validate_bounds,
    validate_calendar_interval,
    validate_cron,
    validate_exclusions,
    validate_interval,
)
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
from mainspring.server.core.schedule_text import encode
from mainspring.server.errors import InvalidField
from mainspring.server.rpc.instants import DAY_US, LARGEST_AT, duration_us, instant
from mainspring.v1 import schedule_pb2

OLDEST_ONE_TIME_US = DAY_US
LONGEST_TEXT = 8_000
"""Characters of a stored schedule: the width of its column."""

_Policy = TypeVar("_Policy", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class RequestedSchedule:
    """A checked schedule.

    Attributes:
        schedule: resolved: a delay is an instant, H is a value, defaults are filled in.
        text: its stored form.
        words: the definition as it was given, without what depends on the moment of the call: the same call has the
            same words tomorrow. Their form must not change (`validation`).
    """

    schedule: Schedule
    text: str
    words: list[str]


def checked_schedule(
    message: schedule_pb2.Schedule, *, now: int, task_key: bytes | None
) -> RequestedSchedule:
    """Checks a schedule.

    Args:
        now: cluster time, microseconds UTC.
        task_key: what H takes its values from; None refuses H.

    Raises:
        InvalidField: its path begins within the schedule.
    """
    start_at = instant(message.start_time, "start_time") if message.HasField("start_time") else None
    timing, words = _timing(message, now, start_at, task_key)
    end_at = instant(message.end_time, "end_time") if message.HasField("end_time") else None
    exclusions = _exclusions(message.exclusions, task_key) if message.HasField("exclusions") else None
    schedule = validate_bounds(
        Schedule(
            timing,
            start_at=start_at,
            end_at=end_at,
            max_executions=message.max_executions or None,
            jitter_us=duration_us(message.jitter, "jitter") if message.HasField("jitter") else 0,
            exclusions=exclusions,
        )
    )
    if isinstance(timing, OneTime) and timing.at + schedule.jitter_us > LARGEST_AT:
        raise InvalidField("jitter", "reaches beyond the year 9999")
    is_anchor = isinstance(timing, Interval) and not message.interval.HasField("phase")
    words += _bound_words(schedule, with_start=not is_anchor)
    if is_anchor:
        schedule = replace(schedule, start_at=None)  # the anchor says it
    text = encode(schedule)
    if len(text) > LONGEST_TEXT:
        raise InvalidField(
            "exclusions", f"take {len(text):,} characters when stored; at most {LONGEST_TEXT:,} are allowed"
        )
    return RequestedSchedule(schedule, text, words)


def _timing(
    message: schedule_pb2.Schedule, now: int, start_at: int | None, task_key: bytes | None
) -> tuple[Timing, list[str]]:
    """The timing and its words."""
    kind = message.WhichOneof("kind")
    if kind == "at":
        at = instant(message.at, "at")
        if at < now - OLDEST_ONE_TIME_US:
            raise InvalidField("at", "is more than 24 hours in the past")
        return OneTime(at), ["at", str(at)]
    if kind == "delay":
        delay_us = duration_us(message.delay, "delay")
        if now + delay_us > LARGEST_AT:
            raise InvalidField("delay", "reaches beyond the year 9999")
        return OneTime(now + delay_us), ["delay", str(delay_us)]
    try:
        if kind == "cron":
            return _cron(message.cron, task_key)
        if kind == "interval":
            return _interval(message.interval, now, start_at)
        if kind == "calendar_interval":
            return _calendar_interval(message.calendar_interval, now)
    except InvalidField as violation:
        raise violation.within(kind or "") from None
    raise InvalidField("kind", "is required: set at, delay, cron, interval or calendar_interval")


def _cron(message: schedule_pb2.CronSchedule, task_key: bytes | None) -> tuple[Cron, list[str]]:
    gap, repeat = _policies(message)
    cron = validate_cron(message.expressions, message.time_zone or "UTC", gap, repeat, task_key=task_key)
    return cron, ["cron", *cron.expressions, cron.time_zone, *_policy_words(gap, repeat)]


def _interval(
    message: schedule_pb2.IntervalSchedule, now: int, start_at: int | None
) -> tuple[Interval, list[str]]:
    if not message.HasField("every"):
        raise InvalidField("every", "is required")
    every_us = duration_us(message.every, "every")
    if message.HasField("phase"):
        phase_us = duration_us(message.phase, "phase")
        if phase_us >= every_us:
            raise InvalidField("phase", "must be less than every")
        return validate_interval(every_us, phase_us), ["interval", str(every_us), "phase", str(phase_us)]
    words = ["interval", str(every_us), "" if start_at is None else str(start_at)]
    return validate_interval(every_us, now if start_at is None else start_at), words


def _calendar_interval(
    message: schedule_pb2.CalendarIntervalSchedule, now: int
) -> tuple[CalendarInterval, list[str]]:
    gap, repeat = _policies(message)
    if message.unit == schedule_pb2.CALENDAR_UNIT_UNSPECIFIED:
        raise InvalidField("unit", "is required: 1 for days, 2 for weeks, 3 for months")
    interval = validate_calendar_interval(
        _member(CalendarUnit, message.unit, "unit"),
        message.times,
        message.time_zone or "UTC",
        now=now,
        every=message.every,
        weekdays=message.weekdays,
        days_of_month=message.days_of_month,
        start_date=message.start_date,
        gap=gap,
        repeat=repeat,
    )
    words = ["calendar", str(interval.every), interval.unit.name, message.start_date]
    words += [",".join(map(str, sorted(set(given)))) for given in (message.weekdays, message.days_of_month)]
    words += [",".join(map(str, interval.times)), interval.time_zone]
    return interval, words + _policy_words(gap, repeat)


def _exclusions(message: schedule_pb2.Exclusions, task_key: bytes | None) -> Exclusions | None:
    try:
        return validate_exclusions(message.dates, message.expressions, message.time_zone, task_key=task_key)
    except InvalidField as violation:
        raise violation.within("exclusions") from None


def _policies(
    message: schedule_pb2.CronSchedule | schedule_pb2.CalendarIntervalSchedule,
) -> tuple[GapPolicy, RepeatPolicy]:
    return (
        _member(GapPolicy, message.gap_policy or GapPolicy.FIRE_AFTER, "gap_policy"),
        _member(RepeatPolicy, message.repeat_policy or RepeatPolicy.FIRST, "repeat_policy"),
    )


def _member(of: type[_Policy], number: int, field: str) -> _Policy:
    try:
        return of(number)
    except ValueError:
        known = ", ".join(f"{member.value} {member.name}" for member in of)
        raise InvalidField(field, f"is {number}, which this server does not know: it knows {known}") from None


def _policy_words(gap: GapPolicy, repeat: RepeatPolicy) -> list[str]:
    """Nothing for defaults, here and below: what could be said before there was a choice keeps its words."""
    words = ["gap", gap.name] if gap is not GapPolicy.FIRE_AFTER else []
    return words + (["repeat", repeat.name] if repeat is not RepeatPolicy.FIRST else [])


def _bound_words(schedule: Schedule, *, with_start: bool) -> list[str]:
    words: list[str] = []
    for word, value in (
        ("start", schedule.start_at if with_start else None),
        ("end", schedule.end_at),
        ("max", schedule.max_executions),
        ("jitter", schedule.jitter_us or None),
    ):
        if value is not None:
            words += [word, str(value)]
    if schedule.exclusions is not None:
        excluded = schedule.exclusions
        words += ["exclude", *excluded.dates, *excluded.expressions, excluded.time_zone]
    return words
