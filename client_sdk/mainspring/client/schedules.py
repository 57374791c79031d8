"""When a task runs: one value type for each kind of schedule.

    At(datetime(2030, 1, 31, 9, tzinfo=UTC))
    Delay(timedelta(minutes=5))
    Cron("0 9 * * MON-FRI", "Europe/Berlin", max_executions=10)
    Every(timedelta(hours=1), phase=timedelta(minutes=20))
    CalendarInterval(CalendarUnit.WEEK, [time(9)], every=2, weekdays=[Weekday.MONDAY], time_zone="Europe/Berlin")

Sequences may be given as lists and are kept as tuples, so that equal schedules are equal and can be keys of a dict.
What a value means, and whether it is allowed, is the server's to say (`InvalidArgument` names the field); types,
naive datetimes and what a message could not express are refused here.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from datetime import date, datetime, time, timedelta
from enum import Enum

from mainspring.client.checks import require, require_at_least_1, tuple_of
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
    """It fires the first time."""
    LAST = 2
    """It fires the last time."""
    BOTH = 3
    """It fires both times."""


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
    """Wall times that a recurring schedule leaves out, compared before any clock change moves one of them.

    Attributes:
        dates: Local dates.
        expressions: Cron expressions of what is left out; one of 5 fields covers its minutes as a whole.
        time_zone: With `Every`, the IANA name of the zone of both, UTC when empty. Leave it empty with `Cron` and
            `CalendarInterval`, which have a zone of their own.

    Raises:
        TypeError: An attribute is of another type.
    """

    dates: Sequence[date] = ()
    expressions: Sequence[str] = ()
    time_zone: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dates", tuple_of("dates", self.dates, date))
        object.__setattr__(self, "expressions", tuple_of("expressions", self.expressions, str))
        require("time_zone", self.time_zone, str)


@dataclass(frozen=True, slots=True)
class At:
    """Runs once, at this instant.

    Attributes:
        time: Timezone-aware. Up to 24 hours in the past: it then runs at once.
        jitter: Spreads tasks that are scheduled at one time: the due time comes later by a part of it, always the
            same part for one task. At most 24 hours.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: The time is naive.
    """

    time: datetime
    _: KW_ONLY
    jitter: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        require_aware("time", self.time)
        require("jitter", self.jitter, timedelta)


@dataclass(frozen=True, slots=True)
class Delay:
    """Runs once, this long after the server received the call. The created task tells the resulting `At`.

    Attributes:
        delay: From the call.
        jitter: As with `At`.

    Raises:
        TypeError: An attribute is of another type.
    """

    delay: timedelta
    _: KW_ONLY
    jitter: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        require("delay", self.delay, timedelta)
        require("jitter", self.jitter, timedelta)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Recurring:
    """What all recurring schedules have: `Cron`, `Every` and `CalendarInterval`.

    Attributes:
        start: No scheduled time lies before it. Timezone-aware.
        end: No scheduled time lies at or after it. Timezone-aware.
        max_executions: The task completes after so many scheduled times, run or skipped. None: no limit.
        jitter: The due time comes later than the scheduled time by a part of it, always the same part for one task,
            and always before the next scheduled time. At most 24 hours.
        exclusions: What is left out.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: The start or the end is naive, or max_executions is below 1.
    """

    start: datetime | None = None
    end: datetime | None = None
    max_executions: int | None = None
    jitter: timedelta = timedelta(0)
    exclusions: Exclusions = Exclusions()

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if (instant := getattr(self, name)) is not None:
                require_aware(name, instant)
        require("max_executions", self.max_executions, int, type(None))
        if self.max_executions is not None:
            require_at_least_1("max_executions", self.max_executions)
        require("jitter", self.jitter, timedelta)
        require("exclusions", self.exclusions, Exclusions)

    def __repr__(self) -> str:
        """What was said, in the order of the arguments; what is at its default would bury it."""
        in_order = sorted(fields(self), key=lambda each: each.kw_only is True)
        said = [each.name for each in in_order if getattr(self, each.name) != each.default]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in said)})"


@dataclass(frozen=True, slots=True, repr=False)
class Cron(Recurring):
    """Runs whenever one of its cron expressions matches.

    Attributes:
        expressions: One string, or a sequence of several: a time that several of them name is one scheduled time.
            Each has 5 fields (minute, hour, day of month, month, day of week), or 6 with seconds first, or is an alias
            such as `@daily`. `H` stands for a value made from the task's namespace and id.
        time_zone: IANA name, such as `Europe/Berlin`.
        gap, repeat: What clock changes do to wall times with a fixed hour. Expressions whose hour field begins with *
            follow elapsed time whatever is chosen here.

    The others are those of `Recurring`, by name only.
    """

    expressions: Sequence[str]
    time_zone: str = "UTC"
    gap: GapPolicy = GapPolicy.FIRE_AFTER
    repeat: RepeatPolicy = RepeatPolicy.FIRST

    def __post_init__(self) -> None:
        Recurring.__post_init__(self)  # super() does not reach it: slots make another class of this one
        object.__setattr__(self, "expressions", tuple_of("expressions", self.expressions, str))
        require("time_zone", self.time_zone, str)
        require("gap", self.gap, GapPolicy)
        require("repeat", self.repeat, RepeatPolicy)


@dataclass(frozen=True, slots=True, repr=False)
class Every(Recurring):
    """Runs at a fixed distance, in elapsed time: clock changes do not matter to it.

    Attributes:
        every: The distance, at least 1 s.
        phase: Scheduled times are phase + k * every since 1970-01-01T00:00:00Z. None: they are counted from the
            start, which is the first of them, or from the creation, with the first of them one distance later.

    The others are those of `Recurring`, by name only.
    """

    every: timedelta
    phase: timedelta | None = None

    def __post_init__(self) -> None:
        Recurring.__post_init__(self)
        require("every", self.every, timedelta)
        require("phase", self.phase, timedelta, type(None))


@dataclass(frozen=True, slots=True, repr=False)
class CalendarInterval(Recurring):
    """Runs every so many days, weeks or months of the local calendar, at wall times of a time zone.

    Attributes:
        unit: Days, weeks or months.
        times: Times of day, in whole seconds and without a zone.
        every: How many units apart.
        weekdays: With weeks: the days of the week. Empty: that of `start_date`.
        days_of_month: With months: 1 to 31, or from the end, -1 (the last) to -31. Empty: that of `start_date`. A
            month that has no such day is passed over.
        time_zone: IANA name, such as `Europe/Berlin`.
        start_date: The local date whose day, week or month is one that counts, and before which nothing lies.
            None: that of the creation.
        gap, repeat: What clock changes do to the times.

    The others are those of `Recurring`, by name only.

    Raises:
        ValueError: Also when a time has a zone or a part of a second, or `every` is below 1.
    """

    unit: CalendarUnit
    times: Sequence[time]
    _: KW_ONLY
    every: int = 1
    weekdays: Sequence[Weekday] = ()
    days_of_month: Sequence[int] = ()
    time_zone: str = "UTC"
    start_date: date | None = None
    gap: GapPolicy = GapPolicy.FIRE_AFTER
    repeat: RepeatPolicy = RepeatPolicy.FIRST

    def __post_init__(self) -> None:
        Recurring.__post_init__(self)
        require("unit", self.unit, CalendarUnit)
        object.__setattr__(self, "times", tuple_of("times", self.times, time))
        for each in self.times:
            if each.tzinfo is not None or each.microsecond:
                raise ValueError(
                    f"times must be whole seconds without a time zone, such as time(9, 30); got {each!r}"
                )
        require("every", self.every, int)
        require_at_least_1("every", self.every)
        object.__setattr__(self, "weekdays", tuple_of("weekdays", self.weekdays, Weekday))
        object.__setattr__(self, "days_of_month", tuple_of("days_of_month", self.days_of_month, int))
        require("time_zone", self.time_zone, str)
        require("start_date", self.start_date, date, type(None))
        require("gap", self.gap, GapPolicy)
        require("repeat", self.repeat, RepeatPolicy)


Schedule = At | Delay | Cron | Every | CalendarInterval
