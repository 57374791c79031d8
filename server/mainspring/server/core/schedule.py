"""When a task runs: one time, by cron, or at an interval. Values, their stored text, and their validation.

Instants are int microseconds UTC. The stored text is canonical JSON: equal schedules have equal texts, so texts can
be compared and used as keys. A key that this version does not know is refused, never ignored: a schedule written
by a newer version must not run with half its meaning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final

from mainspring.server.core.cron_fields import BadCronExpression, normalise_cron, parse_cron
from mainspring.server.core.time_zone import UnknownTimeZone, time_zone
from mainspring.server.errors import InvalidField, UnreadableSchedule

MIN_INTERVAL_US: Final = 1_000_000
"""The shortest interval, 1 s: below it the 10 s promise costs more than the runs do."""


@dataclass(frozen=True, slots=True)
class OneTime:
    """Runs once.

    Attributes:
        at: the scheduled time. It may have passed already.
    """

    at: int


@dataclass(frozen=True, slots=True)
class Cron:
    """Runs at the wall times of a cron expression in a time zone. Make it with `validate_cron`.

    Attributes:
        expression: in the dialect of `cron_fields`.
        time_zone: an IANA name, such as "Europe/Berlin" or "UTC".
    """

    expression: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Interval:
    """Runs at anchor_at + k * every_us for k = 0, 1, 2, ...

    Attributes:
        every_us: microseconds between two runs, at least MIN_INTERVAL_US.
        anchor_at: fixes the phase, and is the first of the times.
    """

    every_us: int
    anchor_at: int


Schedule = OneTime | Cron | Interval

_KINDS: Final[dict[str, type[OneTime] | type[Cron] | type[Interval]]] = {
    "once": OneTime,
    "cron": Cron,
    "interval": Interval,
}
_KIND_OF: Final = {cls: kind for kind, cls in _KINDS.items()}


def encode(schedule: Schedule) -> str:
    """The canonical text of a schedule, as stored: compact JSON, keys sorted, ASCII."""
    record: dict[str, str | int] = {f.name: getattr(schedule, f.name) for f in fields(schedule)}
    record["kind"] = _KIND_OF[type(schedule)]
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=65_536)
def decode(text: str) -> Schedule:
    """The schedule of a stored text. Equal texts give the same object while it is cached.

    Cron expressions are not parsed here: a stored one was validated when it came in.

    Raises:
        UnreadableSchedule: not a text of `encode`, or one with keys or a kind that this version does not know.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise UnreadableSchedule(f"a stored schedule is not JSON: {text[:200]!r}") from error
    if not isinstance(record, dict):
        raise UnreadableSchedule(f"a stored schedule is not an object: {text[:200]!r}")
    kind = record.pop("kind", None)
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise UnreadableSchedule(f"a stored schedule has a kind that this version does not know: {kind!r}")
    expected = {f.name: str if f.type == "str" else int for f in fields(cls)}
    if unknown := sorted(record.keys() - expected.keys()):
        names = ", ".join(unknown)
        raise UnreadableSchedule(
            f"a stored {kind} schedule has keys that this version does not know: {names}"
        )
    for name, wanted in expected.items():
        if type(record.get(name)) is not wanted:
            raise UnreadableSchedule(f"a stored {kind} schedule has no {name} of type {wanted.__name__}")
    return cls(**record)


def validate_cron(expression: str, zone: str) -> Cron:
    """Check a cron schedule of a client, and normalise it.

    Returns:
        The schedule with blanks squeezed and names in upper case ("0 9 * * MON-FRI"); aliases stay aliases, in
        lower case. Two spellings that differ in nothing else are equal.

    Raises:
        InvalidField: with field "expression" (outside the dialect of `cron_fields`, or never firing), or
            "time_zone" (not a name in the installed tzdata).
    """
    try:
        normal = parse_cron(normalise_cron(expression)).expression
    except BadCronExpression as error:
        raise InvalidField("expression", str(error)) from error
    try:
        time_zone(zone)
    except UnknownTimeZone as error:
        raise InvalidField(
            "time_zone",
            f"{zone[:100]!r} is not a time zone; use an IANA name such as 'Europe/Berlin' or 'UTC'",
        ) from error
    return Cron(normal.lower() if normal.startswith("@") else normal, zone)


def validate_interval(every_us: int, anchor_at: int) -> Interval:
    """Check an interval schedule of a client.

    Raises:
        InvalidField: with field "every", for less than MIN_INTERVAL_US.
    """
    if every_us < MIN_INTERVAL_US:
        raise InvalidField("every", "must be at least 1 s")
    return Interval(every_us, anchor_at)
