"""Schedules and the times at which they fire -> words of tables, for people. PURE but for the machine's time zone."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from mainspring.cli.calendar_words import format_time_of_day
from mainspring.cli.durations import format_duration
from mainspring.cli.instants import format_instant
from mainspring.cli.visible import visible
from mainspring.client import (
    At,
    CalendarInterval,
    Cron,
    Delay,
    Every,
    Exclusions,
    FireTime,
    GapPolicy,
    Recurring,
    RepeatPolicy,
    Schedule,
)

FIRE_COLUMNS: Final = ("LOCAL TIME", "UTC", "DUE", "NOTE")
_SHOWN_DATES: Final = 5
"""More excluded dates are counted and left to --json."""


def timing_words(schedule: Schedule | None, *, utc: bool, is_short: bool = False) -> str:
    """The kind of schedule and what is particular to it, without bounds; short ones count what is long."""
    match schedule:
        case None:
            return "of a kind that this version does not know"
        case At(time=time):
            return f"at {format_instant(time, utc=utc)}"
        case Delay(delay=delay):
            return f"in {format_duration(delay)}"
        case Cron():
            several = schedule.expressions
            is_cut = is_short and len(several) > 1
            told = f"{several[0]} and {len(several) - 1} more" if is_cut else " | ".join(several)
            return f"cron {visible(told)} ({_zone_words(schedule)})"
        case Every(every=every, phase=phase):
            return f"every {format_duration(every)}" + (
                "" if phase is None else f" phase {format_duration(phase)}"
            )
        case CalendarInterval():
            return _calendar_words(schedule)


def schedule_words(schedule: Schedule | None, *, utc: bool) -> str:
    """The whole schedule: its kind and its bounds."""
    words = timing_words(schedule, utc=utc)
    if isinstance(schedule, Recurring):
        if schedule.start is not None:
            words += f" from {format_instant(schedule.start, utc=utc)}"
        if schedule.end is not None:
            words += f" until {format_instant(schedule.end, utc=utc)}"
        if schedule.max_executions is not None:
            words += f", at most {_count(schedule.max_executions, 'time')}"
    if schedule is not None and schedule.jitter:
        words += f", jitter {format_duration(schedule.jitter)}"
    if isinstance(schedule, Recurring) and schedule.exclusions != Exclusions():
        words += f", except {_exclusion_words(schedule.exclusions)}"
    return words


def fires_table(fires: Sequence[FireTime]) -> tuple[list[str], list[list[str]]]:
    """The columns and the rows of scheduled times; columns that would say nothing are left out.

    Local time is that of the schedule's zone, with its offset; what is due at the scheduled time has no due time of its
    own.
    """
    rows = [
        (
            visible(fire.local_time.isoformat()),
            format_instant(fire.scheduled_time, utc=True),
            "" if fire.due_time == fire.scheduled_time else format_instant(fire.due_time, utc=True),
            visible(" ".join(note.text for note in fire.notes)),
        )
        for fire in fires
    ]
    told = [number for number in range(len(FIRE_COLUMNS)) if any(row[number] for row in rows)]
    return [FIRE_COLUMNS[number] for number in told], [[row[number] for number in told] for row in rows]


def _zone_words(local: Cron | CalendarInterval) -> str:
    words = visible(local.time_zone)
    if local.gap is not GapPolicy.FIRE_AFTER:
        words += f", gap {_name(local.gap)}"
    if local.repeat is not RepeatPolicy.FIRST:
        words += f", repeat {_name(local.repeat)}"
    return words


def _calendar_words(calendar: CalendarInterval) -> str:
    unit = calendar.unit.name.lower()
    words = f"every {unit}" if calendar.every == 1 else f"every {calendar.every:,} {unit}s"
    days = [day.name.lower() for day in calendar.weekdays] + [str(day) for day in calendar.days_of_month]
    if days:
        words += f" on {_joined(days)}"
    words += f" at {_joined(map(format_time_of_day, calendar.times))} ({_zone_words(calendar)})"
    return words if calendar.start_date is None else f"{words} counted from {calendar.start_date}"


def _exclusion_words(exclusions: Exclusions) -> str:
    words = _date_words(exclusions.dates)
    words += [f"cron {visible(expression)}" for expression in exclusions.expressions]
    zone = f" ({visible(exclusions.time_zone)})" if exclusions.time_zone else ""
    return _joined(words) + zone


def _date_words(dates: Sequence[date]) -> list[str]:
    shown = [str(each) for each in dates[:_SHOWN_DATES]]
    more = len(dates) - len(shown)
    return [*shown, f"{_count(more, 'more date')}"] if more else shown


def _name(policy: GapPolicy | RepeatPolicy) -> str:
    return policy.name.lower().replace("_", "-")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words)
