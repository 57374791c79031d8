"""Tasks that callers might wish for, and ways to get one field wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.v1 import policy_pb2, schedule_pb2, task_pb2

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
NAMESPACES = ("", "default", "ns-2", "Käse / 東京")
OFFERED = ("noop", "echo", "fail", "sleep")
"""Handlers of the executor; `NOT_OFFERED` is never run by anybody."""
NOT_OFFERED = "nobody"
ZONES = ("", "UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia")
LABELS = {"team": ("a", "b", ""), "Größe": ("1", 'say "hi" \\'), "tier": ("x",)}


def stamp(at: int) -> Timestamp:
    """Microseconds as a Timestamp."""
    made = Timestamp()
    made.FromMicroseconds(at)
    return made


def length(microseconds: int) -> Duration:
    """Microseconds as a Duration."""
    made = Duration()
    made.FromMicroseconds(microseconds)
    return made


class Wish:
    """Makes messages from a source of chance; `now` is cluster time."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def maybe(self, chance: float = 0.5) -> bool:
        """True that often."""
        return self.rng.random() < chance

    def task(self, now: int, namespace: str, task_id: str) -> task_pb2.Task:
        """A task that is right."""
        rng = self.rng
        task = task_pb2.Task(namespace=namespace, id=task_id, schedule=self.schedule(now))
        self.put(task, "handler", now)
        for field in FIELDS[1:]:
            if field != "schedule" and self.maybe(0.35):
                self.put(task, field, now)
        if self.maybe(0.05):  # output only: ignored
            task.version, task.state, task.etag = 77, task_pb2.TASK_STATE_CANCELLED, "x"
        if task.retry.max_attempts > 1:
            task.delivery = rng.choice((0, 1))  # type: ignore[assignment]
        return task

    def put(self, task: task_pb2.Task, field: str, now: int) -> None:
        """Gives one field a value that is right, at times its default."""
        rng = self.rng
        task.ClearField(field)
        if field == "handler":
            task.handler = rng.choice((*OFFERED, "noop", "noop", NOT_OFFERED))
        elif field == "payload":
            task.payload = rng.choice((b"", b"1", b"0.5", b"40", bytes(range(256)), b"x" * 20_000))
        elif field == "schedule":
            task.schedule.CopyFrom(self.schedule(now))
        elif field == "delivery":
            task.delivery = rng.choice((0, 1, 2))  # type: ignore[assignment]
        elif field == "labels":
            for key in rng.sample(sorted(LABELS), rng.randrange(len(LABELS) + 1)):
                task.labels[key] = rng.choice(LABELS[key])
        elif field == "misfire":
            task.misfire.mode = rng.choice((0, 1, 2, 3))  # type: ignore[assignment]
            if task.misfire.mode == policy_pb2.MISFIRE_MODE_ALL and self.maybe():
                task.misfire.catch_up_window.CopyFrom(length(rng.choice((0, 30 * SECOND, HOUR, 30 * DAY))))
                task.misfire.catch_up_limit = rng.choice((0, 1, 5, 20))
        elif field == "overlap":
            task.overlap = rng.choice((0, 1, 2, 3, 4))  # type: ignore[assignment]
        elif field == "retry":
            self._put_retry(task)
        elif field == "timeouts":
            for name in rng.sample(("schedule_to_start", "start_to_finish", "heartbeat"), rng.randrange(4)):
                getattr(task.timeouts, name).CopyFrom(length(rng.choice((SECOND, HOUR, 365 * DAY))))
        elif field == "lateness_objective":
            if self.maybe():
                task.lateness_objective.CopyFrom(length(rng.choice((1, 5 * SECOND, DAY))))
        else:
            task.keep_executions = rng.choice((0, 1_000_000))

    def _put_retry(self, task: task_pb2.Task) -> None:
        rng = self.rng
        retry = policy_pb2.RetryPolicy(max_attempts=rng.choice((0, 1, 2, 3)))
        if self.maybe():
            retry.initial_backoff.CopyFrom(length(rng.choice((0, SECOND, 90 * SECOND))))
            retry.max_backoff.CopyFrom(length(rng.choice((90 * SECOND, DAY))))
        retry.multiplier = rng.choice((0.0, 1.0, 2.5, 10.0))
        retry.jitter = rng.choice((0.0, 0.5, 1.0))
        retry.non_retryable_error_kinds.extend(
            rng.sample(("ValueError", "KeyError", "é"), rng.randrange(3)) * rng.choice((1, 2))
        )
        task.retry.CopyFrom(retry)

    def schedule(self, now: int) -> schedule_pb2.Schedule:
        """A schedule that has times to come."""
        rng = self.rng
        made = schedule_pb2.Schedule()
        kind = rng.choice(("at", "delay", "cron", "cron", "interval", "interval", "calendar_interval"))
        if kind == "at":
            made.at.CopyFrom(stamp(now + rng.choice((-DAY, -SECOND, 0, 1, SECOND, HOUR, 40 * DAY))))
        elif kind == "delay":
            made.delay.CopyFrom(length(rng.choice((0, 1, 10 * SECOND, 5 * HOUR, 3_650 * DAY))))
        elif kind == "cron":
            texts = ("*/5 * * * *", "0 9 * * MON-FRI", "30 2 * * *", "@daily", "H 3 * * *", "*/20 * * * * *")
            made.cron.expressions.extend(
                rng.sample((*texts, "0 0 L-2 * *", "7 */2 LW * *"), rng.choice((1, 1, 2)))
            )
            made.cron.time_zone = rng.choice(ZONES)
            made.cron.gap_policy = rng.choice((0, 1, 2))  # type: ignore[assignment]
            made.cron.repeat_policy = rng.choice((0, 1, 2, 3))  # type: ignore[assignment]
        elif kind == "interval":
            every = rng.choice((SECOND, 7 * SECOND, 60 * SECOND, 1_500_001, HOUR, 10 * HOUR, 3_650 * DAY))
            made.interval.every.CopyFrom(length(every))
            if self.maybe(0.3):
                made.interval.phase.CopyFrom(length(rng.randrange(every)))
        else:
            self._put_calendar(made.calendar_interval)
        if kind in ("at", "delay"):
            if self.maybe(0.2):
                made.jitter.CopyFrom(length(rng.choice((SECOND, HOUR))))
            return made
        if self.maybe(0.2):
            made.start_time.CopyFrom(stamp(now + rng.choice((-DAY, 0, HOUR, 400 * DAY))))
        if self.maybe(0.2):
            made.end_time.CopyFrom(stamp(now + rng.choice((8_000 * DAY, 9_000 * DAY))))
        if self.maybe(0.3):
            made.max_executions = rng.choice((1, 2, 5, 40, 1_000_000_000))
        if self.maybe(0.2):
            made.jitter.CopyFrom(length(rng.choice((1, 5 * SECOND, HOUR, DAY))))
        if self.maybe(0.2):
            made.exclusions.dates.extend(("2026-12-24", "2026-03-03"))
            if made.interval.every.ToMicroseconds() <= HOUR and self.maybe():
                made.exclusions.expressions.append("* 12-13 * * *")
        return made

    def _put_calendar(self, calendar: schedule_pb2.CalendarIntervalSchedule) -> None:
        rng = self.rng
        calendar.every = rng.choice((0, 1, 2, 3))
        calendar.unit = rng.choice((1, 2, 3))  # type: ignore[assignment]
        if calendar.unit == schedule_pb2.CALENDAR_UNIT_WEEK and self.maybe():
            calendar.weekdays.extend(rng.sample(range(1, 8), 2))  # type: ignore[arg-type]
        if calendar.unit == schedule_pb2.CALENDAR_UNIT_MONTH and self.maybe():
            calendar.days_of_month.extend(rng.sample((1, 15, 31, -1, -7), 2))
        calendar.times.extend(rng.sample(("09:00", "02:30", "23:59:59", "14:15"), rng.choice((1, 2))))
        calendar.time_zone = rng.choice(ZONES)
        if self.maybe(0.3):
            calendar.start_date = rng.choice(("2026-01-31", "2024-02-29"))


FIELDS = (
    "handler",
    "payload",
    "schedule",
    "delivery",
    "labels",
    "misfire",
    "overlap",
    "retry",
    "timeouts",
    "lateness_objective",
    "keep_executions",
)
"""What a caller says of a task, names aside: what an update mask may name."""


class Flaw(NamedTuple):
    """One way to get a task wrong."""

    field: str
    """Of the task, as a mask names it."""
    path: str
    """What the refusal names, within the task."""
    put: Callable[[task_pb2.Task], None]


def _set(name: str, value: object) -> Callable[[task_pb2.Task], None]:
    def put(task: task_pb2.Task) -> None:
        setattr(task, name, value)

    return put


def _text(message: str) -> Callable[[task_pb2.Task], None]:
    """Puts a field as the JSON of a task has it."""

    def put(task: task_pb2.Task) -> None:
        given = json_format.Parse(message, task_pb2.Task())
        for descriptor, _ in given.ListFields():
            task.ClearField(descriptor.name)
        task.MergeFrom(given)

    return put


def _schedule(path: str, message: str) -> Flaw:
    return Flaw("schedule", f"schedule.{path}" if path else "schedule", _text(f'{{"schedule": {message}}}'))


def _labels(task: task_pb2.Task) -> None:
    for number in range(33):
        task.labels[f"l{number}"] = ""


FLAWS = (
    Flaw("handler", "handler", _set("handler", "")),
    Flaw("handler", "handler", _set("handler", "h" * 201)),
    Flaw("handler", "handler", _set("handler", "a\tb")),
    Flaw("payload", "payload", _set("payload", b"x" * (256 * 1024 + 1))),
    Flaw("delivery", "delivery", _set("delivery", 9)),
    Flaw("delivery", "delivery", _set("delivery", -1)),
    Flaw("overlap", "overlap", _set("overlap", 5)),
    Flaw("keep_executions", "keep_executions", _set("keep_executions", -1)),
    Flaw("labels", "labels", _labels),
    Flaw("labels", "labels[]", _text('{"labels": {"": "x"}}')),
    Flaw("labels", "labels[k]", _text('{"labels": {"k": "%s"}}' % ("v" * 64))),
    Flaw("labels", "labels", _text('{"labels": {"k": "a\\u0000"}}')),
    Flaw("misfire", "misfire.mode", _text('{"misfire": {"mode": 4}}')),
    Flaw("misfire", "misfire.catch_up_limit", _text('{"misfire": {"catch_up_limit": 1}}')),
    Flaw("misfire", "misfire.catch_up_limit", _text('{"misfire": {"mode": 3, "catch_up_limit": 1001}}')),
    Flaw("misfire", "misfire.catch_up_limit", _text('{"misfire": {"mode": 3, "catch_up_limit": -1}}')),
    Flaw("misfire", "misfire.catch_up_window", _text('{"misfire": {"mode": 3, "catch_up_window": "2592001s"}}')),
    Flaw("misfire", "misfire.catch_up_window", _text('{"misfire": {"mode": 3, "catch_up_window": "-1s"}}')),
    Flaw("retry", "retry.max_attempts", _text('{"retry": {"max_attempts": 1001}}')),
    Flaw("retry", "retry.max_attempts", _text('{"retry": {"max_attempts": -2147483648}}')),
    Flaw("retry", "retry.multiplier", _text('{"retry": {"multiplier": 0.5}}')),
    Flaw("retry", "retry.multiplier", _text('{"retry": {"multiplier": "NaN"}}')),
    Flaw("retry", "retry.multiplier", _text('{"retry": {"multiplier": "Infinity"}}')),
    Flaw("retry", "retry.jitter", _text('{"retry": {"jitter": "NaN"}}')),
    Flaw("retry", "retry.jitter", _text('{"retry": {"jitter": -0.1}}')),
    Flaw("retry", "retry.initial_backoff", _text('{"retry": {"initial_backoff": "86401s"}}')),
    Flaw("retry", "retry.max_backoff", _text('{"retry": {"initial_backoff": "9s", "max_backoff": "8s"}}')),
    Flaw(
        "retry",
        "retry.non_retryable_error_kinds[0]",
        _text('{"retry": {"non_retryable_error_kinds": [""]}}'),
    ),
    Flaw(
        "retry",
        "retry.non_retryable_error_kinds",
        _text('{"retry": {"non_retryable_error_kinds": [' + ",".join(['"k"'] * 21) + "]}}"),
    ),
    Flaw("timeouts", "timeouts.heartbeat", _text('{"timeouts": {"heartbeat": "0.999s"}}')),
    Flaw("timeouts", "timeouts.start_to_finish", _text('{"timeouts": {"start_to_finish": "31536001s"}}')),
    Flaw("timeouts", "timeouts.schedule_to_start", _text('{"timeouts": {"schedule_to_start": "-5s"}}')),
    Flaw("lateness_objective", "lateness_objective", _text('{"lateness_objective": "0s"}')),
    Flaw("lateness_objective", "lateness_objective", _text('{"lateness_objective": "-1s"}')),
    Flaw("schedule", "schedule", lambda task: task.ClearField("schedule")),
    _schedule("kind", "{}"),
    _schedule("at", '{"at": "2020-01-01T00:00:00Z"}'),
    _schedule("delay", '{"delay": "-1s"}'),
    _schedule("delay", '{"delay": "315360001s"}'),
    _schedule("jitter", '{"delay": "1s", "jitter": "86401s"}'),
    _schedule("end_time", '{"delay": "1s", "end_time": "2030-01-01T00:00:00Z"}'),
    _schedule("max_executions", '{"delay": "1s", "max_executions": 3}'),
    _schedule("cron.expressions", '{"cron": {}}'),
    _schedule("cron.expressions[0]", '{"cron": {"expressions": ["61 * * * *"]}}'),
    _schedule("cron.expressions[1]", '{"cron": {"expressions": ["@daily", "0 0 31 2 *"]}}'),
    _schedule("cron.time_zone", '{"cron": {"expressions": ["@daily"], "time_zone": "Mars/Base"}}'),
    _schedule("cron.gap_policy", '{"cron": {"expressions": ["@daily"], "gap_policy": 3}}'),
    _schedule("cron.repeat_policy", '{"cron": {"expressions": ["@daily"], "repeat_policy": -1}}'),
    _schedule("interval.every", '{"interval": {}}'),
    _schedule("interval.every", '{"interval": {"every": "0.999999s"}}'),
    _schedule("interval.phase", '{"interval": {"every": "5s", "phase": "5s"}}'),
    _schedule("end_time", '{"interval": {"every": "5s"}, "start_time": "2030-01-01T00:00:00Z",'
              ' "end_time": "2030-01-01T00:00:00Z"}'),
    _schedule("", '{"interval": {"every": "5s"}, "end_time": "2020-01-01T00:00:00Z"}'),
    _schedule("max_executions", '{"interval": {"every": "5s"}, "max_executions": "-1"}'),
    _schedule("exclusions.dates[0]", '{"interval": {"every": "5s"}, "exclusions": {"dates": ["2026-02-30"]}}'),
    _schedule("exclusions.time_zone", '{"interval": {"every": "5s"}, "exclusions": {"time_zone": "x"}}'),
    _schedule("calendar_interval.unit", '{"calendar_interval": {"times": ["09:00"]}}'),
    _schedule("calendar_interval.unit", '{"calendar_interval": {"unit": 4, "times": ["09:00"]}}'),
    _schedule("calendar_interval.times", '{"calendar_interval": {"unit": 1}}'),
    _schedule("calendar_interval.times[0]", '{"calendar_interval": {"unit": 1, "times": ["24:00"]}}'),
    _schedule("calendar_interval.every", '{"calendar_interval": {"unit": 1, "times": ["09:00"], "every": 1001}}'),
    _schedule("calendar_interval.weekdays", '{"calendar_interval": {"unit": 1, "times": ["09:00"], "weekdays": [1]}}'),
    _schedule("calendar_interval.days_of_month",
              '{"calendar_interval": {"unit": 3, "times": ["09:00"], "days_of_month": [32]}}'),
    _schedule("calendar_interval.start_date",
              '{"calendar_interval": {"unit": 1, "times": ["09:00"], "start_date": "tomorrow"}}'),
)  # fmt: skip
"""Each is refused whatever the other fields are."""

BAD_NAMES = ("n" * 201, "a\nb", "\x00", "\x85")
