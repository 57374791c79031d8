"""One thing wrong with a task, in many ways."""

from __future__ import annotations

from typing import Final, NamedTuple

from fuzz.messages import short
from google.protobuf import json_format

from mainspring.v1 import task_pb2


class Flaw(NamedTuple):
    """One way to get a task wrong."""

    path: str
    """What the refusal names, within the task."""
    wrong: task_pb2.Task
    """What that field of a task is then."""

    def __repr__(self) -> str:
        return f"<{self.path}: {short(self.wrong)[:200] or 'unset'}>"

    @property
    def field(self) -> str:
        """The field of the task, as a mask names it."""
        return self.path.partition(".")[0].partition("[")[0]

    def put(self, task: task_pb2.Task) -> None:
        """Gets it wrong."""
        task.ClearField(self.field)
        task.MergeFrom(self.wrong)


def _json(path: str, text: str) -> Flaw:
    return Flaw(path, json_format.Parse(text, task_pb2.Task()))


def _schedule(path: str, text: str) -> Flaw:
    return _json(f"schedule.{path}" if path else "schedule", f'{{"schedule": {text}}}')


def _wrong_instant(*, seconds: int = 2_000_000_000, nanos: int = 0) -> Flaw:
    """No Timestamp that the protos allow."""
    wrong = task_pb2.Task()
    wrong.schedule.at.seconds, wrong.schedule.at.nanos = seconds, nanos
    return Flaw("schedule.at", wrong)


def _wrong_delay(*, seconds: int = 0, nanos: int = 0) -> Flaw:
    """No Duration that the protos allow."""
    wrong = task_pb2.Task()
    wrong.schedule.delay.seconds, wrong.schedule.delay.nanos = seconds, nanos
    return Flaw("schedule.delay", wrong)


FLAWS: Final = (
    Flaw("handler", task_pb2.Task(handler="")),
    Flaw("handler", task_pb2.Task(handler="h" * 201)),
    Flaw("handler", task_pb2.Task(handler="a\tb")),
    Flaw("payload", task_pb2.Task(payload=b"x" * (256 * 1024 + 1))),
    _json("delivery", '{"delivery": 9}'),
    _json("delivery", '{"delivery": -1}'),
    _json("overlap", '{"overlap": 5}'),
    Flaw("keep_executions", task_pb2.Task(keep_executions=-1)),
    Flaw("labels", task_pb2.Task(labels={f"l{number}": "" for number in range(33)})),
    _json("labels[]", '{"labels": {"": "x"}}'),
    _json("labels[k]", '{"labels": {"k": "%s"}}' % ("v" * 64)),
    _json("labels", '{"labels": {"k": "a\\u0000"}}'),
    _json("misfire.mode", '{"misfire": {"mode": 4}}'),
    _json("misfire.catch_up_limit", '{"misfire": {"catch_up_limit": 1}}'),
    _json("misfire.catch_up_limit", '{"misfire": {"mode": 3, "catch_up_limit": 1001}}'),
    _json("misfire.catch_up_limit", '{"misfire": {"mode": 3, "catch_up_limit": -1}}'),
    _json("misfire.catch_up_window", '{"misfire": {"mode": 3, "catch_up_window": "2592001s"}}'),
    _json("misfire.catch_up_window", '{"misfire": {"mode": 3, "catch_up_window": "-1s"}}'),
    _json("retry.max_attempts", '{"retry": {"max_attempts": 1001}}'),
    _json("retry.max_attempts", '{"retry": {"max_attempts": -2147483648}}'),
    _json("retry.multiplier", '{"retry": {"multiplier": 0.5}}'),
    _json("retry.multiplier", '{"retry": {"multiplier": "NaN"}}'),
    _json("retry.multiplier", '{"retry": {"multiplier": "Infinity"}}'),
    _json("retry.jitter", '{"retry": {"jitter": "NaN"}}'),
    _json("retry.jitter", '{"retry": {"jitter": -0.1}}'),
    _json("retry.initial_backoff", '{"retry": {"initial_backoff": "86401s"}}'),
    _json("retry.max_backoff", '{"retry": {"initial_backoff": "9s", "max_backoff": "8s"}}'),
    _json("retry.non_retryable_error_kinds[0]", '{"retry": {"non_retryable_error_kinds": [""]}}'),
    _json("retry.non_retryable_error_kinds", '{"retry": {"non_retryable_error_kinds": [' + ",".join(['"k"'] * 21) + "]}}"),
    _json("timeouts.heartbeat", '{"timeouts": {"heartbeat": "0.999s"}}'),
    _json("timeouts.start_to_finish", '{"timeouts": {"start_to_finish": "31536001s"}}'),
    _json("timeouts.schedule_to_start", '{"timeouts": {"schedule_to_start": "-5s"}}'),
    _json("lateness_objective", '{"lateness_objective": "0s"}'),
    _json("lateness_objective", '{"lateness_objective": "-1s"}'),
    Flaw("schedule", task_pb2.Task()),
    _schedule("kind", "{}"),
    _schedule("at", '{"at": "2020-01-01T00:00:00Z"}'),
    _schedule("at", '{"at": "0001-01-01T00:00:00Z"}'),
    _wrong_instant(seconds=253_402_300_800),
    _wrong_instant(seconds=2**63 - 1),
    _wrong_instant(nanos=-1),
    _wrong_instant(nanos=1_000_000_000),
    _schedule("delay", '{"delay": "-1s"}'),
    _wrong_delay(seconds=2**63 - 1),
    _wrong_delay(seconds=1, nanos=-1),
    _wrong_delay(nanos=1_000_000_000),
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
SCHEDULE_FLAWS: Final = tuple(flaw for flaw in FLAWS if flaw.field == "schedule")

BAD_NAMES: Final = ("n" * 201, "a\nb", "\x00", "\x85")
