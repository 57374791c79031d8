"""Checks the schedules of callers and normalises them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mainspring.server.core.cron_fields import BadCronExpression, normalise_cron, parse_cron
from mainspring.server.core.schedule import Cron, GapPolicy, Interval, RepeatPolicy
from mainspring.server.core.time_zone import UnknownTimeZone, time_zone
from mainspring.server.errors import InvalidField

MIN_INTERVAL_US: Final = 1_000_000
"""The shortest interval, 1 s: below it the 10 s promise costs more than the runs do."""

MOST_EXPRESSIONS: Final = 16


def validate_cron(
    expressions: Sequence[str],
    zone: str,
    gap: GapPolicy = GapPolicy.FIRE_AFTER,
    repeat: RepeatPolicy = RepeatPolicy.FIRST,
) -> Cron:
    """Check a cron schedule of a client, and normalise it.

    Returns:
        The schedule with blanks squeezed and names in upper case ("0 9 * * MON-FRI"); aliases stay aliases, in
        lower case. Two spellings that differ in nothing else are equal.

    Raises:
        InvalidField: with field "expressions" (none, too many), "expressions[n]" (outside the dialect of
            `cron_fields`, or never firing), or "time_zone" (not a name in the installed tzdata).
    """
    if not 1 <= len(expressions) <= MOST_EXPRESSIONS:
        raise InvalidField("expressions", f"holds {len(expressions)}; 1 to {MOST_EXPRESSIONS} are allowed")
    normal: list[str] = []
    for number, expression in enumerate(expressions):
        try:
            text = parse_cron(normalise_cron(expression)).expression
        except BadCronExpression as error:
            raise InvalidField(f"expressions[{number}]", str(error)) from error
        normal.append(text.lower() if text.startswith("@") else text)
    return Cron(tuple(dict.fromkeys(normal)), validate_time_zone(zone), gap, repeat)


def validate_time_zone(zone: str) -> str:
    """Check the name of a time zone.

    Raises:
        InvalidField: with field "time_zone": not a name in the installed tzdata.
    """
    try:
        time_zone(zone)
    except UnknownTimeZone as error:
        raise InvalidField(
            "time_zone",
            f"{zone[:100]!r} is not a time zone; use an IANA name such as 'Europe/Berlin' or 'UTC'",
        ) from error
    return zone


def validate_interval(every_us: int, anchor_at: int) -> Interval:
    """Check an interval schedule of a client.

    Raises:
        InvalidField: with field "every", for less than MIN_INTERVAL_US.
    """
    if every_us < MIN_INTERVAL_US:
        raise InvalidField("every", "must be at least 1 s")
    return Interval(every_us, anchor_at)
