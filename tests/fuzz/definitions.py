"""Tasks that callers might wish for, as hypothesis strategies.

Their instants are distances from the call: `placed` makes them instants. What comes first in a choice is the simplest, to
which an example shrinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fuzz.messages import DAY, HOUR, SECOND, length, stamp
from hypothesis import strategies as st

from mainspring.v1 import policy_pb2, schedule_pb2, task_pb2

NAMESPACES: Final = ("", "default", "ns-2", "Käse / 東京")
OFFERED: Final = ("noop", "echo", "fail", "sleep")
"""Handlers of the executor; `NOT_OFFERED` is never run by anybody."""
NOT_OFFERED: Final = "nobody"
ZONES: Final = ("", "UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia")
LABELS: Final = {"team": ("a", "b", ""), "Größe": ("1", 'say "hi" \\'), "tier": ("x",)}
PAYLOADS: Final = (b"", b"1", b"0.5", b"40", b"4000", bytes(range(256)), b"x" * 20_000)
CRON: Final = (
    "*/5 * * * *",
    "@daily",
    "0 9 * * MON-FRI",
    "30 2 * * *",
    "H 3 * * *",
    "*/20 * * * * *",
    "0 0 L-2 * *",
    "7 */2 LW * *",
)
Draw = Callable[[st.SearchStrategy[Any]], Any]


def sometimes(draw: Draw, percent: int) -> bool:
    """Whether an unlikely thing is so; shrinks to no."""
    return bool(draw(st.integers(0, 99)) >= 100 - percent)


def one_of(draw: Draw, *values: Any) -> Any:
    """One of these; shrinks to the first."""
    return draw(st.sampled_from(values))


def some_of(draw: Draw, values: tuple[Any, ...], fewest: int = 0, most: int | None = None) -> list[Any]:
    """Some of these, each once."""
    return list(draw(st.lists(st.sampled_from(values), unique=True, min_size=fewest, max_size=most)))


@st.composite
def schedules(draw: Draw) -> schedule_pb2.Schedule:
    """A schedule that has times to come."""
    made = schedule_pb2.Schedule()
    kind = one_of(draw, "interval", "delay", "at", "cron", "calendar_interval", "interval", "cron")
    if kind == "at":
        made.at.CopyFrom(stamp(one_of(draw, SECOND, 0, 1, HOUR, 40 * DAY, -SECOND, -DAY)))
    elif kind == "delay":
        made.delay.CopyFrom(length(one_of(draw, 0, 1, 10 * SECOND, 5 * HOUR, 3_650 * DAY)))
    elif kind == "cron":
        made.cron.expressions.extend(some_of(draw, CRON, 1, 2))
        made.cron.time_zone = one_of(draw, *ZONES)
        made.cron.gap_policy = one_of(draw, 0, 1, 2)
        made.cron.repeat_policy = one_of(draw, 0, 1, 2, 3)
    elif kind == "interval":
        every = one_of(draw, SECOND, 7 * SECOND, 60 * SECOND, 1_500_001, HOUR, 10 * HOUR, 3_650 * DAY)
        made.interval.every.CopyFrom(length(every))
        if sometimes(draw, 30):
            made.interval.phase.CopyFrom(length(draw(st.integers(0, every - 1))))
    else:
        _put_calendar(draw, made.calendar_interval)
    if kind in ("at", "delay"):
        if sometimes(draw, 20):
            made.jitter.CopyFrom(length(one_of(draw, SECOND, HOUR)))
    else:
        _put_bounds(draw, made)
    return made


def _put_bounds(draw: Draw, made: schedule_pb2.Schedule) -> None:
    if sometimes(draw, 20):
        made.start_time.CopyFrom(stamp(one_of(draw, 0, -DAY, HOUR, 400 * DAY)))
    if sometimes(draw, 20):
        made.end_time.CopyFrom(stamp(one_of(draw, 8_000 * DAY, 9_000 * DAY)))
    if sometimes(draw, 30):
        made.max_executions = one_of(draw, 1, 2, 5, 40, 1_000_000_000)
    if sometimes(draw, 20):
        made.jitter.CopyFrom(length(one_of(draw, 1, 5 * SECOND, HOUR, DAY)))
    if sometimes(draw, 20):
        made.exclusions.dates.extend(("2026-12-24", "2026-03-03"))
        if made.interval.every.ToMicroseconds() <= HOUR and draw(st.booleans()):
            made.exclusions.expressions.append("* 12-13 * * *")


def _put_calendar(draw: Draw, calendar: schedule_pb2.CalendarIntervalSchedule) -> None:
    calendar.every = one_of(draw, 0, 1, 2, 3)
    calendar.unit = one_of(draw, 1, 2, 3)
    if calendar.unit == schedule_pb2.CALENDAR_UNIT_WEEK:
        calendar.weekdays.extend(some_of(draw, tuple(range(1, 8)), 0, 2))
    if calendar.unit == schedule_pb2.CALENDAR_UNIT_MONTH:
        calendar.days_of_month.extend(some_of(draw, (1, 15, 31, -1, -7), 0, 2))
    calendar.times.extend(some_of(draw, ("09:00", "02:30", "23:59:59", "14:15"), 1, 2))
    calendar.time_zone = one_of(draw, *ZONES)
    if sometimes(draw, 30):
        calendar.start_date = one_of(draw, "2026-01-31", "2024-02-29")


def _put_misfire(draw: Draw, task: task_pb2.Task) -> None:
    task.misfire.mode = one_of(draw, 0, 1, 2, 3)
    if task.misfire.mode == policy_pb2.MISFIRE_MODE_ALL and draw(st.booleans()):
        task.misfire.catch_up_window.CopyFrom(length(one_of(draw, HOUR, 0, 30 * SECOND, 30 * DAY)))
        task.misfire.catch_up_limit = one_of(draw, 0, 1, 5, 20)


def _put_retry(draw: Draw, task: task_pb2.Task) -> None:
    retry = policy_pb2.RetryPolicy(max_attempts=one_of(draw, 2, 0, 1, 3))
    if draw(st.booleans()):
        retry.initial_backoff.CopyFrom(length(one_of(draw, 0, SECOND, 90 * SECOND)))
        retry.max_backoff.CopyFrom(length(one_of(draw, 90 * SECOND, DAY)))
    retry.multiplier = one_of(draw, 0.0, 1.0, 2.5, 10.0)
    retry.jitter = one_of(draw, 0.0, 0.5, 1.0)
    kinds = some_of(draw, ("ValueError", "RuntimeError", "é"), 0, 2)
    retry.non_retryable_error_kinds.extend(kinds * one_of(draw, 1, 2))
    task.retry.CopyFrom(retry)


def _put_timeouts(draw: Draw, task: task_pb2.Task) -> None:
    for name in some_of(draw, ("schedule_to_start", "start_to_finish", "heartbeat")):
        getattr(task.timeouts, name).CopyFrom(length(one_of(draw, SECOND, 5 * SECOND, HOUR, 365 * DAY)))


def _put_lateness_objective(draw: Draw, task: task_pb2.Task) -> None:
    if draw(st.booleans()):
        task.lateness_objective.CopyFrom(length(one_of(draw, 1, 5 * SECOND, DAY)))


def _put_labels(draw: Draw, task: task_pb2.Task) -> None:
    for key in some_of(draw, tuple(sorted(LABELS))):
        task.labels[key] = one_of(draw, *LABELS[key])


def _put(name: str, *values: Any) -> Callable[[Draw, task_pb2.Task], None]:
    def put(draw: Draw, task: task_pb2.Task) -> None:
        setattr(task, name, one_of(draw, *values))

    return put


_PUT: Final[dict[str, Callable[[Draw, task_pb2.Task], None]]] = {
    "handler": _put("handler", "noop", "echo", "fail", "sleep", "noop", "sleep", NOT_OFFERED),
    "schedule": lambda draw, task: task.schedule.CopyFrom(draw(schedules())),
    "payload": _put("payload", *PAYLOADS),
    "delivery": _put("delivery", 0, 1, 2),
    "labels": _put_labels,
    "misfire": _put_misfire,
    "overlap": _put("overlap", 0, 1, 2, 3, 4),
    "retry": _put_retry,
    "timeouts": _put_timeouts,
    "lateness_objective": _put_lateness_objective,
    "keep_executions": _put("keep_executions", 0, 1_000_000),
}
FIELDS: Final = tuple(_PUT)
"""What a caller says of a task, names aside: what an update mask may name."""
OPTIONAL: Final = FIELDS[2:]


@st.composite
def parts(draw: Draw, fields: tuple[str, ...]) -> task_pb2.Task:
    """A task of which only these fields are given, at times as their defaults."""
    made = task_pb2.Task()
    for field in fields:
        _PUT[field](draw, made)
    return made


@st.composite
def definitions(draw: Draw) -> task_pb2.Task:
    """A task without a name that is right."""
    made: task_pb2.Task = draw(parts(("handler", "schedule")))
    for field in OPTIONAL:
        if sometimes(draw, 35):
            _PUT[field](draw, made)
    if made.retry.max_attempts > 1 and made.delivery == task_pb2.DELIVERY_MODE_AT_MOST_ONCE:
        made.ClearField("delivery")
    if sometimes(draw, 5):  # output only: ignored
        made.version, made.state, made.etag = 77, task_pb2.TASK_STATE_CANCELLED, "x"
    return made


@st.composite
def updates(draw: Draw) -> tuple[tuple[str, ...], task_pb2.Task]:
    """A mask, and new values for what it names; at times for more, which is ignored."""
    mask = tuple(some_of(draw, FIELDS, 1, 3))
    given: task_pb2.Task = draw(parts(mask))
    if "labels" not in mask and sometimes(draw, 20):
        _put_labels(draw, given)
    return mask, given


def placed_schedule(given: schedule_pb2.Schedule, now: int) -> schedule_pb2.Schedule:
    """The same with instants instead of distances from now."""
    made = schedule_pb2.Schedule()
    made.CopyFrom(given)
    for name in ("at", "start_time", "end_time"):
        if made.HasField(name):
            distance = getattr(made, name).ToMicroseconds()
            getattr(made, name).CopyFrom(stamp(now + distance))
    return made


def placed(given: task_pb2.Task, now: int, namespace: str = "", task_id: str = "") -> task_pb2.Task:
    """A task of that name with instants instead of distances from now."""
    made = task_pb2.Task()
    made.CopyFrom(given)
    made.namespace, made.id = namespace, task_id
    if made.HasField("schedule"):
        made.schedule.CopyFrom(placed_schedule(given.schedule, now))
    return made
