"""Schedules as stored text.

The text is canonical JSON: equal schedules have equal texts, so texts can be compared and used as keys. What has its
default is left out, so that a schedule that uses nothing new has the text that it always had. A key that this version
does not know is refused, never ignored: a schedule written by a newer version must not run with half its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Cron,
    Exclusions,
    GapPolicy,
    Interval,
    OneTime,
    RepeatPolicy,
    Schedule,
    Timing,
)
from mainspring.server.errors import UnreadableSchedule

_Value = TypeVar("_Value")
_Item = TypeVar("_Item", int, str)
_Member = TypeVar("_Member", GapPolicy, RepeatPolicy, CalendarUnit)


def encode(schedule: Schedule) -> str:
    """The canonical text of a schedule: compact JSON, keys sorted, ASCII."""
    record = _timing_record(schedule.timing)
    for name in ("start_at", "end_at", "max_executions"):
        if (value := getattr(schedule, name)) is not None:
            record[name] = value
    if schedule.jitter_us:
        record["jitter_us"] = schedule.jitter_us
    if schedule.exclusions is not None:
        exclusions = schedule.exclusions
        for name, given in (
            ("exclude_dates", exclusions.dates),
            ("exclude_expressions", exclusions.expressions),
            ("exclude_time_zone", exclusions.time_zone),
        ):
            if given:
                record[name] = list(given) if isinstance(given, tuple) else given
    return _to_json(record)


_to_json: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Made once: `json.dumps` makes an encoder for each call that asks for anything."""
_LONG_TEXT: Final = 1_000
"""Characters beyond which a text is remembered among fewer: it takes four times its length in memory."""


def decode(text: str) -> Schedule:
    """The schedule of a stored text. Equal texts give the same object while it is remembered.

    Cron expressions and zones are not looked at: stored ones were checked when they came in.

    Raises:
        UnreadableSchedule: not a text of `encode`, or one with keys or values that this version does not know.
    """
    return _decoded(text) if len(text) <= _LONG_TEXT else _decoded_long(text)


def _decode(text: str) -> Schedule:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise UnreadableSchedule(f"a stored schedule is not JSON: {text[:200]!r}") from error
    if not isinstance(record, dict):
        raise UnreadableSchedule(f"a stored schedule is not an object: {text[:200]!r}")
    fields = _Fields(record)
    timing = _TIMINGS.get(fields.kind)
    if timing is None:
        raise UnreadableSchedule(
            f"a stored schedule has a kind that this version does not know: {fields.kind!r}"
        )
    schedule = Schedule(
        timing(fields),
        start_at=fields.optional_integer("start_at"),
        end_at=fields.optional_integer("end_at"),
        max_executions=fields.optional_integer("max_executions"),
        jitter_us=fields.optional_integer("jitter_us") or 0,
        exclusions=_exclusions(fields),
    )
    fields.require_no_more()
    return schedule


_decoded = lru_cache(maxsize=65_536)(_decode)
_decoded_long = lru_cache(maxsize=1_024)(_decode)


def _timing_record(timing: Timing) -> dict[str, Any]:
    record: dict[str, Any]
    match timing:
        case OneTime(at=at):
            return {"kind": "once", "at": at}
        case Interval(every_us=every_us, anchor_at=anchor_at):
            return {"kind": "interval", "every_us": every_us, "anchor_at": anchor_at}
        case Cron(expressions=expressions):
            record = {"kind": "cron"}
            if len(expressions) == 1:
                record["expression"] = expressions[0]
            else:
                record["expressions"] = list(expressions)
        case CalendarInterval():
            record = {
                "kind": "calendar",
                "every": timing.every,
                "unit": timing.unit.name,
                "start_date": timing.start_date,
                "times": list(timing.times),
            }
            if timing.weekdays:
                record["weekdays"] = list(timing.weekdays)
            if timing.days_of_month:
                record["days_of_month"] = list(timing.days_of_month)
    record["time_zone"] = timing.time_zone
    if timing.gap is not GapPolicy.FIRE_AFTER:
        record["gap"] = timing.gap.name
    if timing.repeat is not RepeatPolicy.FIRST:
        record["repeat"] = timing.repeat.name
    return record


class _Fields:
    """The keys of one stored schedule, each taken once and with its type checked."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record
        kind = record.pop("kind", None)
        self.kind = kind if isinstance(kind, str) else repr(kind)

    def has(self, name: str) -> bool:
        return name in self._record

    def text(self, name: str) -> str:
        return self._take(name, str)

    def integer(self, name: str) -> int:
        return self._take(name, int)

    def optional_integer(self, name: str) -> int | None:
        return self._take(name, int) if name in self._record else None

    def several(self, name: str, of: type[_Item]) -> tuple[_Item, ...]:
        """A list as a tuple; empty when it is left out."""
        if name not in self._record:
            return ()
        values = self._take(name, list)
        if not values or any(type(value) is not of for value in values):
            raise UnreadableSchedule(f"a stored {self.kind} schedule has no list {name} of {of.__name__}")
        return tuple(values)

    def member(self, name: str, of: type[_Member], default: _Member | None) -> _Member:
        if default is not None and name not in self._record:
            return default
        value = self._take(name, str)
        if value not in of.__members__:
            raise UnreadableSchedule(
                f"a stored {self.kind} schedule has a {name} that this version does not know: {value!r}"
            )
        return of[value]

    def require_no_more(self) -> None:
        if self._record:
            names = ", ".join(sorted(self._record))
            raise UnreadableSchedule(
                f"a stored {self.kind} schedule has keys that this version does not know: {names}"
            )

    def _take(self, name: str, wanted: type[_Value]) -> _Value:
        value = self._record.pop(name, None)
        if type(value) is not wanted:
            raise UnreadableSchedule(f"a stored {self.kind} schedule has no {name} of type {wanted.__name__}")
        return value


def _cron(fields: _Fields) -> Cron:
    expressions = (
        fields.several("expressions", str) if fields.has("expressions") else (fields.text("expression"),)
    )
    return Cron(
        expressions,
        fields.text("time_zone"),
        fields.member("gap", GapPolicy, GapPolicy.FIRE_AFTER),
        fields.member("repeat", RepeatPolicy, RepeatPolicy.FIRST),
    )


def _calendar(fields: _Fields) -> CalendarInterval:
    return CalendarInterval(
        fields.integer("every"),
        fields.member("unit", CalendarUnit, None),
        fields.text("start_date"),
        fields.several("weekdays", int),
        fields.several("days_of_month", int),
        fields.several("times", int),
        fields.text("time_zone"),
        fields.member("gap", GapPolicy, GapPolicy.FIRE_AFTER),
        fields.member("repeat", RepeatPolicy, RepeatPolicy.FIRST),
    )


def _exclusions(fields: _Fields) -> Exclusions | None:
    dates = fields.several("exclude_dates", str)
    expressions = fields.several("exclude_expressions", str)
    if not dates and not expressions:
        return None
    zone = fields.text("exclude_time_zone") if fields.has("exclude_time_zone") else ""
    return Exclusions(dates, expressions, zone)


_TIMINGS: Final[dict[str, Callable[[_Fields], Timing]]] = {
    "once": lambda fields: OneTime(fields.integer("at")),
    "interval": lambda fields: Interval(fields.integer("every_us"), fields.integer("anchor_at")),
    "cron": _cron,
    "calendar": _calendar,
}
