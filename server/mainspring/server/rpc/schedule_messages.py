"""Schedules and scheduled times as the API shows them."""

from __future__ import annotations

from mainspring.server.core.plain_english import time_of_day
from mainspring.server.core.preview import UpcomingFire
from mainspring.server.core.schedule import CalendarInterval, Cron, Interval, OneTime, Schedule
from mainspring.server.rpc.instants import timestamp
from mainspring.v1 import schedule_pb2


def schedule_to_proto(schedule: Schedule) -> schedule_pb2.Schedule:
    """A checked schedule: defaults filled in. Read as a request it gives the same schedule again."""
    message = schedule_pb2.Schedule()
    start_at = schedule.start_at
    timing = schedule.timing
    if isinstance(timing, OneTime):
        message.at.CopyFrom(timestamp(timing.at))
    elif isinstance(timing, Cron):
        message.cron.expressions.extend(timing.expressions)
        _put_zone_and_policies(timing, message.cron)
    elif isinstance(timing, Interval):
        message.interval.every.FromMicroseconds(timing.every_us)
        if 0 <= timing.anchor_at < timing.every_us:
            message.interval.phase.FromMicroseconds(timing.anchor_at)
        else:
            start_at = timing.anchor_at
    else:
        calendar = message.calendar_interval
        calendar.every = timing.every
        calendar.unit = timing.unit.value  # type: ignore[assignment]  # the numbers are the proto's
        calendar.weekdays.extend(timing.weekdays)  # type: ignore[arg-type]  # the numbers are the proto's
        calendar.days_of_month.extend(timing.days_of_month)
        calendar.times.extend(time_of_day(second) for second in timing.times)
        calendar.start_date = timing.start_date
        _put_zone_and_policies(timing, calendar)
    _put_bounds(schedule, start_at, message)
    return message


def _put_bounds(schedule: Schedule, start_at: int | None, message: schedule_pb2.Schedule) -> None:
    if start_at is not None:
        message.start_time.CopyFrom(timestamp(start_at))
    if schedule.end_at is not None:
        message.end_time.CopyFrom(timestamp(schedule.end_at))
    message.max_executions = schedule.max_executions or 0
    if schedule.jitter_us:
        message.jitter.FromMicroseconds(schedule.jitter_us)
    exclusions = schedule.exclusions
    if exclusions is not None:
        message.exclusions.dates.extend(exclusions.dates)
        message.exclusions.expressions.extend(exclusions.expressions)
        message.exclusions.time_zone = exclusions.time_zone


def _put_zone_and_policies(
    timing: Cron | CalendarInterval,
    message: schedule_pb2.CronSchedule | schedule_pb2.CalendarIntervalSchedule,
) -> None:
    message.time_zone = timing.time_zone
    message.gap_policy = timing.gap.value  # type: ignore[assignment]  # the numbers are the proto's
    message.repeat_policy = timing.repeat.value  # type: ignore[assignment]  # the numbers are the proto's


def fire_to_proto(fire: UpcomingFire) -> schedule_pb2.FireTime:
    """A scheduled time that is still to come."""
    return schedule_pb2.FireTime(
        scheduled_time=timestamp(fire.scheduled_at),
        due_time=timestamp(fire.due_at),
        local_time=fire.local_time,
        notes=[
            schedule_pb2.ClockChangeNote(
                effect=note.effect.value,  # type: ignore[arg-type]  # the numbers are the proto's
                wall_time=note.wall_time,
                count=note.count,
                text=note.text,
            )
            for note in fire.notes
        ],
    )
