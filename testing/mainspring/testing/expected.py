"""Which scheduled times a history must show, and which it may, by brute force.

Nothing here is shared with the product: interval times come from arithmetic, cron times from walking every
second of the window in the zone's wall time, with a parser of its own. Slow and plain on purpose.

Cron: `*`, `*/n`, `a-b`, `a-b/n`, `a` and lists of them; 5 fields, or 6 with seconds first; weekday 0 and 7
are Sunday. Day and weekday as vixie cron: either is enough when both are restricted; when one of both begins
with `*`, both must match. Daylight saving as protos/mainspring/v1/schedule.proto promises: a schedule whose
hour begins with `*` follows the wall clock (twice in a repeated hour, never in a skipped one); any other
fires once for a repeated wall time, and once at the end of a gap for all that lay in it.

Pure. Instants are microseconds UTC.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

from mainspring.testing.history import AcknowledgedTask, TaskKey

SECOND_US = 1_000_000
FOR_EVER_AT = 2**63 - 1
_DAY_S = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
# A zone that leaves out a whole day has crossed the date line: that day's times never were.
_GREATEST_GAP_S = _DAY_S
_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class CronError(ValueError):
    """An expression outside the small language that this module knows."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression; `is_fixed`: its hours are named, so it fires once for each wall time of a day."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_either_day: bool
    is_fixed: bool

    @classmethod
    def parse(cls, expression: str) -> "Cron":
        """Parse 5 fields, or 6 with seconds first.

        Raises:
            CronError: Another number of fields, or a field outside the language above.
        """
        texts = expression.split()
        if len(texts) == 5:
            texts = ["0", *texts]
        if len(texts) != 6:
            raise CronError(f"{expression!r}: {len(texts)} fields, not 5 or 6")
        seconds, minutes, hours, days, months, weekdays = (
            _parse_field(text, low, high) for text, (low, high) in zip(texts, _RANGES, strict=True)
        )
        return cls(
            seconds,
            minutes,
            hours,
            days,
            months,
            frozenset(weekday % 7 for weekday in weekdays),
            is_either_day=not texts[3].startswith("*") and not texts[5].startswith("*"),
            is_fixed=not texts[2].startswith("*"),
        )

    def matches_wall(self, wall_s: int) -> bool:
        """Whether the wall clock at `wall_s`, seconds since 1970 as if the zone were UTC, fits every field."""
        day, second = divmod(wall_s, _DAY_S)
        if second % 60 not in self.seconds or second // 60 % 60 not in self.minutes:
            return False
        return second // 3600 in self.hours and self._matches_day(day)

    def _matches_day(self, day: int) -> bool:
        when = date.fromordinal(_EPOCH_ORDINAL + day)
        if when.month not in self.months:
            return False
        is_day, is_weekday = when.day in self.days, when.isoweekday() % 7 in self.weekdays
        return is_day or is_weekday if self.is_either_day else is_day and is_weekday


def _parse_field(text: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        elif dash or not step:
            begin, end = _number(first, text), _number(last if dash else first, text)
        else:
            raise CronError(f"{text!r}: a step needs a range or *")
        stride = _number(step, text) if "/" in part else 1
        if not low <= begin <= end <= high or stride < 1:
            raise CronError(f"{text!r}: outside {low}-{high}")
        values.update(range(begin, end + 1, stride))
    return frozenset(values)


def _number(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise CronError(f"{field!r}: {text!r} is not a number")
    return int(text)


@cache
def load_zone(name: str) -> ZoneInfo:
    """A time zone out of the `tzdata` package that nodes are deployed with, else out of the system's files.

    The system's may be older than the package, and then tell other times for a zone whose rules have changed.

    Raises:
        KeyError: There is no such zone (`zoneinfo.ZoneInfoNotFoundError`).
    """
    try:
        with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (ModuleNotFoundError, OSError):
        return ZoneInfo(name)


def cron_times(expression: str, time_zone: str, from_at: int, until_at: int) -> list[int]:
    """The scheduled times in [`from_at`, `until_at`), found by looking at every second of it.

    Raises:
        CronError: The expression is outside the language above.
        KeyError: There is no such time zone (`zoneinfo.ZoneInfoNotFoundError`).
    """
    cron, zone = Cron.parse(expression), load_zone(time_zone)
    first_s, end_s = -(-from_at // SECOND_US), -(-until_at // SECOND_US)
    times: list[int] = []
    if first_s >= end_s:
        return times
    # The offset is looked up once a minute: no zone has changed it within one since 1972.
    minute_s = first_s - first_s % 60
    offset_s, _ = _offset(zone, minute_s - 60)
    while minute_s < end_s:
        before_s = offset_s
        offset_s, is_repeated = _offset(zone, minute_s)
        if not (cron.is_fixed and is_repeated):
            seconds = range(max(minute_s, first_s), min(minute_s + 60, end_s))
            times += [second * SECOND_US for second in seconds if cron.matches_wall(second + offset_s)]
        gap_s = offset_s - before_s
        if cron.is_fixed and 0 < gap_s < _GREATEST_GAP_S and first_s <= minute_s:
            was_skipped = any(map(cron.matches_wall, range(minute_s + before_s, minute_s + offset_s)))
            if was_skipped and minute_s * SECOND_US not in times[-60:]:
                times.append(minute_s * SECOND_US)
                times.sort()
        minute_s += 60
    return times


def _offset(zone: ZoneInfo, at_s: int) -> tuple[int, bool]:
    """Offset to UTC in seconds, and whether the wall clock shows this time for the second time."""
    wall = datetime.fromtimestamp(at_s, zone)
    as_utc = wall.replace(tzinfo=UTC, fold=0)
    return int(as_utc.timestamp()) - at_s, wall.fold == 1


class Calendar:
    """Scheduled times of tasks; remembers what it walked, since many tasks share an expression and a zone."""

    def __init__(self) -> None:
        self._cron: dict[tuple[str, str, int, int], list[int]] = {}

    def times(self, task: AcknowledgedTask, from_at: int, until_at: int) -> list[int]:
        """The scheduled times of the definition in [`from_at`, `until_at`), whether it was active or not."""
        if task.kind == "one-time":
            return [task.at] if task.at is not None and from_at <= task.at < until_at else []
        if task.kind == "interval":
            assert task.every_us is not None
            assert task.anchor_at is not None
            first = max(0, -(-(from_at - task.anchor_at) // task.every_us))
            return list(range(task.anchor_at + first * task.every_us, until_at, task.every_us))
        assert task.expression is not None
        assert task.time_zone is not None
        key = (task.expression, task.time_zone, from_at, until_at)
        times = self._cron.get(key)
        if times is None:
            times = self._cron[key] = cron_times(*key)
        return times

    def nth_time(self, task: AcknowledgedTask, after_at: int, number: int) -> int:
        """The `number`th scheduled time after an instant; FOR_EVER_AT when a cron has none within a year."""
        if task.kind == "interval":
            assert task.every_us is not None
            assert task.anchor_at is not None
            first = max(0, (after_at - task.anchor_at) // task.every_us + 1)
            return task.anchor_at + (first + number - 1) * task.every_us
        for span_us in (60 * SECOND_US, 3_600 * SECOND_US, 366 * _DAY_S * SECOND_US):
            times = self.times(task, after_at + 1, after_at + 1 + span_us)
            if len(times) >= number:
                return times[number - 1]
        return FOR_EVER_AT

    def has(self, task: AcknowledgedTask, scheduled_at: int) -> bool:
        """Whether `scheduled_at` is one of the definition's scheduled times."""
        if task.kind == "cron":
            return bool(self.times(task, scheduled_at, scheduled_at + 1))
        return scheduled_at in self.times(task, scheduled_at, scheduled_at + 1)


@dataclass(frozen=True, slots=True)
class Edges:
    """How exactly instants of different clocks and sides are comparable.

    Attributes:
        clock_margin_us: Greatest difference of the client's clock and the cluster's time.
        settled_at: Latest instant at which a time of a task due then must have been acted on. A cancel sent earlier
            than that may have come first.
        reaches_back: How far before an instant a time of a task may lie that nobody has acted on by then.
    """

    clock_margin_us: int
    settled_at: Callable[[TaskKey, int], int]
    reaches_back: Callable[[TaskKey, int], int] = lambda key, at: at


def due_range(task: AcknowledgedTask, scheduled_at: int, clock_margin_us: int) -> tuple[int, int]:
    """Earliest and latest due time that this scheduled time may have.

    A one-time task whose time had passed at registration is due at once, thus between call and answer.
    """
    earliest, latest = scheduled_at + task.due_offset_min_us, scheduled_at + task.due_offset_max_us
    if task.kind == "one-time":
        answered_at = FOR_EVER_AT if task.acknowledged_at is None else task.acknowledged_at + clock_margin_us
        if scheduled_at < answered_at:
            latest = max(latest, answered_at + task.due_offset_max_us)
        earliest = max(earliest, min(task.sent_at - clock_margin_us, latest))
    return earliest, latest


class Expected:
    """The must-set and the may-set of a history's tasks. Several definitions of one task are its versions."""

    def __init__(
        self, tasks: Iterable[AcknowledgedTask], window_from_at: int, window_until_at: int, edges: Edges
    ) -> None:
        self.calendar = Calendar()
        self.versions: dict[TaskKey, list[AcknowledgedTask]] = {}
        self.must: dict[TaskKey, dict[int, AcknowledgedTask]] = {}
        self._edges = edges
        for task in tasks:
            self.versions.setdefault(task.key, []).append(task)
            musts = self._musts(task, window_from_at, window_until_at)
            if musts:
                self.must.setdefault(task.key, {}).update(dict.fromkeys(musts, task))

    def version_of(self, key: TaskKey, scheduled_at: int) -> AcknowledgedTask | None:
        """The definition to which a scheduled time belongs, must or may; None when it must not exist."""
        if task := self.must.get(key, {}).get(scheduled_at):
            return task
        return next((task for task in self.versions.get(key, ()) if self._may(task, scheduled_at)), None)

    def count(self, key: TaskKey, from_at: int, until_at: int) -> int:
        """How many scheduled times all definitions of a task have in [`from_at`, `until_at`)."""
        times: set[int] = set()
        for task in self.versions.get(key, ()):
            times.update(self.calendar.times(task, from_at, until_at))
        return len(times)

    def _musts(self, task: AcknowledgedTask, window_from_at: int, window_until_at: int) -> list[int]:
        margin_us = self._edges.clock_margin_us
        if task.outcome != "ok" or task.acknowledged_at is None:
            return []
        if task.kind == "one-time":
            assert task.at is not None
            times = [task.at]
        else:
            # The whole window for every task: one walk serves all tasks with this expression and zone.
            from_at = window_from_at - task.due_offset_max_us
            times = self.calendar.times(task, from_at, window_until_at)
            times = times[bisect_left(times, task.acknowledged_at + margin_us + 1) :]
        last_at = self._last_at(task, task.sent_at - margin_us)
        musts: list[int] = []
        for scheduled_at in times:
            if scheduled_at > last_at:
                break
            earliest, latest = due_range(task, scheduled_at, margin_us)
            if earliest < window_from_at or latest >= window_until_at:
                continue
            if (
                task.cancel_sent_at is None
                or self._edges.settled_at(task.key, latest) < task.cancel_sent_at - margin_us
            ):
                musts.append(scheduled_at)
        return musts

    def _may(self, task: AcknowledgedTask, scheduled_at: int) -> bool:
        margin_us = self._edges.clock_margin_us
        if task.cancelled_at is not None and scheduled_at > task.cancelled_at + margin_us:
            return False
        if task.kind == "one-time" and task.at is None:
            return scheduled_at >= task.sent_at + (task.delay_us or 0) - margin_us
        first_at = self._edges.reaches_back(task.key, task.sent_at) if task.replaces else task.sent_at
        if task.kind != "one-time" and scheduled_at < first_at - margin_us:
            return False
        known_at = FOR_EVER_AT if task.acknowledged_at is None else task.acknowledged_at + margin_us
        return scheduled_at <= self._last_at(task, known_at) and self.calendar.has(task, scheduled_at)

    def _last_at(self, task: AcknowledgedTask, registered_at: int) -> int:
        """The last scheduled time within the maximum of a task that was registered at an instant, or for ever.

        The later the registration, the later the last one: the times before it do not count.
        """
        if task.max_executions is None or registered_at == FOR_EVER_AT:
            return FOR_EVER_AT
        return self.calendar.nth_time(task, registered_at, task.max_executions)
