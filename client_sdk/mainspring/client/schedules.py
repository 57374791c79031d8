"""When a task runs: one value type per kind of schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum

from mainspring.client.instants import require_aware


class GapPolicy(Enum):
    """What becomes of a fixed wall time that the local clock leaves out when it is put forward."""

    UNSPECIFIED = 0
    """A policy that this client does not know."""
    FIRE_AFTER = 1
    """It fires at the first instant after the gap, once for all that the gap holds."""
    SKIP = 2
    """It does not fire."""


class RepeatPolicy(Enum):
    """What becomes of a fixed wall time that the local clock shows twice when it is put back."""

    UNSPECIFIED = 0
    """A policy that this client does not know."""
    FIRST = 1
    LAST = 2
    BOTH = 3


class CalendarUnit(Enum):
    """What a calendar interval counts."""

    UNSPECIFIED = 0
    """A unit that this client does not know."""
    DAY = 1
    WEEK = 2
    """Weeks begin on Monday."""
    MONTH = 3


class Weekday(Enum):
    """A day of the week, numbered as in ISO 8601."""

    UNSPECIFIED = 0
    """A day that this client does not know."""
    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Wall times that a recurring schedule leaves out.

    Attributes:
        dates: Local dates.
        expressions: Cron expressions of what is left out; one of 5 fields covers its minutes as a whole.
        time_zone: With `Every`, the IANA name of the zone of both; empty with schedules that have a zone of their own.
    """

    dates: tuple[date, ...] = ()
    expressions: tuple[str, ...] = ()
    time_zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneTime:
    """Attributes:
    jitter: Spreads tasks due at one instant: the due time comes later by a part of it, always the same for one task.
    """

    jitter: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class At(_OneTime):
    """Runs once, at this instant.

    Attributes:
        time: Timezone-aware. Up to 24 hours in the past: it then runs at once.
        jitter: Spreads tasks due at one instant: the due time comes later by a part of it, always the same for one
            task. At most 24 hours.

    Raises:
        ValueError: The time is naive.
    """

    time: datetime

    def __post_init__(self) -> None:
        require_aware("time", self.time)


@dataclass(frozen=True, slots=True)
class Delay(_OneTime):
    """Runs once, this long after the server received the call. The created task tells the resulting `At`.

    Attributes:
        delay: From the call.
        jitter: As with `At`.
    """

    delay: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recurring:
    start: datetime | None = None
    end: datetime | None = None
    max_executions: int | None = None
    jitter: timedelta = timedelta(0)
    exclusions: Exclusions | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if (instant := getattr(self, name)) is not None:
                require_aware(name, instant)


@dataclass(frozen=True, slots=True)
class Cron(_Recurring):
    """Runs whenever one of its cron expressions matches.

    Attributes:
        expressions: One, or several: a time that several of them name is one scheduled time. Each has 5 fields
            (minute, hour, day of month, month, day of week), or 6 with seconds first, or is an alias such as
            `@daily`. `H` stands for a value made from the task's namespace and id.
        time_zone: IANA name, such as `Europe/Berlin`.
        gap, repeat: What clock changes do to expressions with fixed hours.
        start: No scheduled time lies before it. Timezone-aware.
        end: No scheduled time lies at or after it. Timezone-aware.
        max_executions: The task completes after so many scheduled times, run or skipped.
        jitter: The due time comes later than the scheduled time by a part of it, always the same for one task, and
            always before the next scheduled time. At most 24 hours.
        exclusions: What is left out.

    Raises:
        ValueError: The start or the end is naive.
    """

    expressions: tuple[str, ...]
    time_zone: str
    gap: GapPolicy
    repeat: RepeatPolicy

    def __init__(
        self,
        expressions: str | Sequence[str],
        time_zone: str = "UTC",
        gap: GapPolicy = GapPolicy.FIRE_AFTER,
        repeat: RepeatPolicy = RepeatPolicy.FIRST,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        max_executions: int | None = None,
        jitter: timedelta = timedelta(0),
        exclusions: Exclusions | None = None,
    ) -> None:
        several = (expressions,) if isinstance(expressions, str) else tuple(expressions)
        for name, value in (
            ("expressions", several),
            ("time_zone", time_zone),
            ("gap", gap),
            ("repeat", repeat),
            ("start", start),
            ("end", end),
            ("max_executions", max_executions),
            ("jitter", jitter),
            ("exclusions", exclusions),
        ):
            object.__setattr__(self, name, value)
        self.__post_init__()


@dataclass(frozen=True, slots=True)
class Every(_Recurring):
    """Runs at a fixed distance, in elapsed time.

    Attributes:
        every: The distance, at least 1 s.
        phase: Scheduled times are phase + k * every since 1970-01-01T00:00:00Z. None: they are counted from the
            start, which is the first of them, or from the creation.
        start, end, max_executions, jitter, exclusions: As with `Cron`.

    Raises:
        ValueError: The start or the end is naive.
    """

    every: timedelta
    phase: timedelta | None = None


@dataclass(frozen=True, slots=True)
class CalendarInterval(_Recurring):
    """Runs every so many days, weeks or months, at wall times of a time zone.

    Attributes:
        unit: Days, weeks or months.
        times: Times of day, without a zone.
        every: How many units apart.
        weekdays: With weeks: the days of the week. Empty: that of `start_date`.
        days_of_month: With months: 1 to 31, or -1 (the last) to -31. Empty: that of `start_date`.
        time_zone: IANA name, such as `Europe/Berlin`.
        start_date: The local date whose day, week or month is one that counts, and before which nothing lies.
            None: that of the creation.
        gap, repeat: What clock changes do to the times.
        start, end, max_executions, jitter, exclusions: As with `Cron`.

    Raises:
        ValueError: The start or the end is naive.
    """

    unit: CalendarUnit
    times: tuple[time, ...]
    every: int = 1
    weekdays: tuple[Weekday, ...] = ()
    days_of_month: tuple[int, ...] = ()
    time_zone: str = "UTC"
    start_date: date | None = None
    gap: GapPolicy = GapPolicy.FIRE_AFTER
    repeat: RepeatPolicy = RepeatPolicy.FIRST


Schedule = At | Delay | Cron | Every | CalendarInterval
