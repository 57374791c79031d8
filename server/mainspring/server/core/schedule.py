"""When a task runs, as values. `schedule_text` stores them, `new_schedule` checks those of callers.

Instants are int microseconds UTC, local dates are "YYYY-MM-DD", times of day are seconds since local midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class GapPolicy(IntEnum):
    """What becomes of a fixed wall time that the local clock leaves out. The numbers are the proto's."""

    FIRE_AFTER = 1
    """It fires at the first instant after the gap, once for all that the gap holds."""
    SKIP = 2
    """It does not fire."""


class RepeatPolicy(IntEnum):
    """What becomes of a fixed wall time that the local clock shows twice. The numbers are the proto's."""

    FIRST = 1
    LAST = 2
    BOTH = 3


class CalendarUnit(IntEnum):
    """What a calendar interval counts. The numbers are the proto's."""

    DAY = 1
    WEEK = 2
    """Weeks begin on Monday."""
    MONTH = 3


@dataclass(frozen=True, slots=True)
class OneTime:
    """Runs once.

    Attributes:
        at: the scheduled time. It may have passed already.
    """

    at: int


@dataclass(frozen=True, slots=True)
class Cron:
    """Runs at the wall times that any of its cron expressions names in a time zone.

    Attributes:
        expressions: at least one, in the dialect of `cron_fields`.
        time_zone: an IANA name, such as "Europe/Berlin" or "UTC".
        gap, repeat: what clock changes do to expressions with fixed hours.
    """

    expressions: tuple[str, ...]
    time_zone: str
    gap: GapPolicy = GapPolicy.FIRE_AFTER
    repeat: RepeatPolicy = RepeatPolicy.FIRST


@dataclass(frozen=True, slots=True)
class Interval:
    """Runs at anchor_at + k * every_us for k = 0, 1, 2, ...

    Attributes:
        every_us: microseconds between two runs.
        anchor_at: fixes the phase, and is the first of the times.
    """

    every_us: int
    anchor_at: int


@dataclass(frozen=True, slots=True)
class CalendarInterval:
    """Runs every so many days, weeks or months, at wall times of a time zone.

    Attributes:
        every: how many units apart, at least 1.
        unit: of the local calendar.
        start_date: the day, week or month of this local date is one that counts; nothing lies on an earlier date.
        weekdays: with WEEK, ISO numbers (Monday 1 to Sunday 7), ascending; else empty.
        days_of_month: with MONTH, 1 to 31, or -1 (the last) to -31, ascending; else empty. A month without that
            day is passed over.
        times: seconds since midnight, ascending, at least one.
        time_zone: an IANA name.
        gap, repeat: what clock changes do to these times.
    """

    every: int
    unit: CalendarUnit
    start_date: str
    weekdays: tuple[int, ...]
    days_of_month: tuple[int, ...]
    times: tuple[int, ...]
    time_zone: str
    gap: GapPolicy = GapPolicy.FIRE_AFTER
    repeat: RepeatPolicy = RepeatPolicy.FIRST


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Wall times that a recurring schedule leaves out.

    Attributes:
        dates: local dates, ascending.
        expressions: cron expressions; one of 5 fields covers its minutes as a whole.
        time_zone: of an interval's exclusions; "" with schedules that have a zone of their own.
    """

    dates: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    time_zone: str = ""


Timing = OneTime | Cron | Interval | CalendarInterval


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task runs: a timing and its bounds. Everything but the jitter is for recurring timings only.

    Attributes:
        timing: the kind of schedule.
        start_at: no scheduled time lies before it.
        end_at: no scheduled time lies at or after it.
        max_executions: the task completes after so many scheduled times, run or skipped. The claim counts them.
        jitter_us: how far the due time may lie behind the scheduled time (`due_time`).
        exclusions: what is left out.
    """

    timing: Timing
    start_at: int | None = None
    end_at: int | None = None
    max_executions: int | None = None
    jitter_us: int = 0
    exclusions: Exclusions | None = None

    @property
    def time_zone(self) -> str:
        """The zone in which people read its times."""
        timing = self.timing
        if isinstance(timing, Cron | CalendarInterval):
            return timing.time_zone
        return (self.exclusions.time_zone if self.exclusions is not None else "") or "UTC"
