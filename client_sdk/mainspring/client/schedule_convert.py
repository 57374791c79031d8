"""Schedules, and when they fire: protobuf messages <-> the client's value types."""

from datetime import date, datetime, time, timedelta
from typing import TypedDict

from mainspring.client.enum_numbers import from_number, to_number
from mainspring.client.instants import from_duration, from_timestamp, to_duration, to_timestamp
from mainspring.client.preview import ClockChangeEffect, ClockChangeNote, FireTime, Preview
from mainspring.client.schedules import (
    At,
    CalendarInterval,
    CalendarUnit,
    Cron,
    Delay,
    Every,
    Exclusions,
    GapPolicy,
    Recurring,
    RepeatPolicy,
    Schedule,
    Weekday,
)
from mainspring.v1 import schedule_pb2 as pb
from mainspring.v1 import task_service_pb2


def schedule_to_proto(schedule: Schedule) -> pb.Schedule:
    """Return the schedule as a message.

    Raises:
        TypeError: It is none of the kinds of schedule.
        ValueError: It holds a policy, unit or day that a newer server has answered and this client does not know, or
            a number that the message cannot hold.
    """
    message = pb.Schedule()
    match schedule:
        case At():
            message.at.CopyFrom(to_timestamp("time", schedule.time))
        case Delay():
            message.delay.CopyFrom(to_duration(schedule.delay))
        case Cron():
            message.cron.CopyFrom(_cron_to_proto(schedule))
        case Every():
            message.interval.every.CopyFrom(to_duration(schedule.every))
            if schedule.phase is not None:
                message.interval.phase.CopyFrom(to_duration(schedule.phase))
        case CalendarInterval():
            message.calendar_interval.CopyFrom(_calendar_to_proto(schedule))
        case _:
            kinds = "At, Delay, Cron, Every or CalendarInterval"
            raise TypeError(f"a schedule is {kinds}; got {type(schedule).__name__} {schedule!r}")
    if schedule.jitter:
        message.jitter.CopyFrom(to_duration(schedule.jitter))
    if isinstance(schedule, Recurring):
        _add_bounds(message, schedule)
    return message


def schedule_from_proto(message: pb.Schedule) -> Schedule | None:
    """Return the schedule, defaults filled in; None for a kind or a form that this client does not know."""
    try:
        return _known_schedule(message)
    except ValueError:  # a date or a time of day in a form of a newer server
        return None


def fire_from_proto(message: pb.FireTime) -> FireTime:
    """Return one scheduled time that is to come."""
    scheduled_time = from_timestamp(message.scheduled_time)
    return FireTime(
        scheduled_time=scheduled_time,
        due_time=from_timestamp(message.due_time),
        local_time=_local_time(message.local_time) or scheduled_time,
        notes=tuple(
            ClockChangeNote(
                from_number(ClockChangeEffect, note.effect),
                _local_time(note.wall_time),
                note.count,
                note.text,
            )
            for note in message.notes
        ),
    )


def preview_from_proto(response: task_service_pb2.PreviewScheduleResponse) -> Preview:
    """Return what a schedule means and when it would fire."""
    return Preview(
        schedule=schedule_from_proto(response.schedule),
        meaning=response.meaning,
        fires=tuple(map(fire_from_proto, response.fires)),
        is_complete=response.is_complete,
    )


class _Bounds(TypedDict):
    start: datetime | None
    end: datetime | None
    max_executions: int | None
    jitter: timedelta
    exclusions: Exclusions


def _known_schedule(message: pb.Schedule) -> Schedule | None:
    match message.WhichOneof("kind"):
        case "at":
            return At(from_timestamp(message.at), jitter=from_duration(message.jitter))
        case "delay":
            return Delay(from_duration(message.delay), jitter=from_duration(message.jitter))
        case "cron":
            return _cron_from_proto(message.cron, _bounds(message))
        case "interval":
            interval = message.interval
            phase = from_duration(interval.phase) if interval.HasField("phase") else None
            return Every(from_duration(interval.every), phase, **_bounds(message))
        case "calendar_interval":
            return _calendar_from_proto(message.calendar_interval, _bounds(message))
    return None


def _cron_to_proto(cron: Cron) -> pb.CronSchedule:
    return pb.CronSchedule(
        expressions=cron.expressions,
        time_zone=cron.time_zone,
        gap_policy=to_number("gap", cron.gap),
        repeat_policy=to_number("repeat", cron.repeat),
    )


def _cron_from_proto(message: pb.CronSchedule, bounds: _Bounds) -> Cron:
    return Cron(
        tuple(message.expressions),
        message.time_zone or "UTC",
        _gap(message.gap_policy),
        _repeat(message.repeat_policy),
        **bounds,
    )


def _calendar_to_proto(calendar: CalendarInterval) -> pb.CalendarIntervalSchedule:
    return pb.CalendarIntervalSchedule(
        every=calendar.every,
        unit=to_number("unit", calendar.unit),
        weekdays=[to_number("weekdays", day) for day in calendar.weekdays],
        days_of_month=calendar.days_of_month,
        times=[each.isoformat("seconds" if each.second else "minutes") for each in calendar.times],
        time_zone=calendar.time_zone,
        start_date="" if calendar.start_date is None else calendar.start_date.isoformat(),
        gap_policy=to_number("gap", calendar.gap),
        repeat_policy=to_number("repeat", calendar.repeat),
    )


def _calendar_from_proto(message: pb.CalendarIntervalSchedule, bounds: _Bounds) -> CalendarInterval:
    return CalendarInterval(
        unit=from_number(CalendarUnit, message.unit),
        times=[time.fromisoformat(text) for text in message.times],
        every=message.every or 1,
        weekdays=[from_number(Weekday, number) for number in message.weekdays],
        days_of_month=tuple(message.days_of_month),
        time_zone=message.time_zone or "UTC",
        start_date=date.fromisoformat(message.start_date) if message.start_date else None,
        gap=_gap(message.gap_policy),
        repeat=_repeat(message.repeat_policy),
        **bounds,
    )


def _add_bounds(message: pb.Schedule, schedule: Recurring) -> None:
    if schedule.start is not None:
        message.start_time.CopyFrom(to_timestamp("start", schedule.start))
    if schedule.end is not None:
        message.end_time.CopyFrom(to_timestamp("end", schedule.end))
    message.max_executions = schedule.max_executions or 0
    exclusions = schedule.exclusions
    if exclusions != Exclusions():
        message.exclusions.CopyFrom(
            pb.Exclusions(
                dates=[day.isoformat() for day in exclusions.dates],
                expressions=exclusions.expressions,
                time_zone=exclusions.time_zone,
            )
        )


def _bounds(message: pb.Schedule) -> _Bounds:
    return _Bounds(
        start=from_timestamp(message.start_time) if message.HasField("start_time") else None,
        end=from_timestamp(message.end_time) if message.HasField("end_time") else None,
        max_executions=message.max_executions or None,
        jitter=from_duration(message.jitter),
        exclusions=Exclusions(
            [date.fromisoformat(text) for text in message.exclusions.dates],
            tuple(message.exclusions.expressions),
            message.exclusions.time_zone,
        ),
    )


def _gap(number: int) -> GapPolicy:
    return from_number(GapPolicy, number or GapPolicy.FIRE_AFTER.value)


def _repeat(number: int) -> RepeatPolicy:
    return from_number(RepeatPolicy, number or RepeatPolicy.FIRST.value)


def _local_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # a form of a newer server: no reason to lose the answer of a call that has succeeded
        return None
