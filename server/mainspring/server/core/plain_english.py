"""Lists, numbers, distances and instants as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from mainspring.server.core.instants import SECOND_US

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - only its text is used
_UNITS: Final = (("hour", 3_600 * SECOND_US), ("minute", 60 * SECOND_US), ("second", SECOND_US))
_LARGEST_COUNT: Final = 120
"""Up to so many of one unit are read at a glance: 90 minutes rather than 1 hour and 30 minutes."""


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def cut(items: Sequence[str], most: int, noun: str = "") -> list[str]:
    """At most `most` items: of a longer list the first ones, and how many there are besides."""
    if len(items) <= most:
        return list(items)
    return [*items[: most - 1], f"{len(items) - most + 1:,} more{noun and f' {noun}s'}"]


def counted(number: int, noun: str) -> str:
    """ "1 minute", "1,500 minutes"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def every(number: int, noun: str) -> str:
    """ "every minute", "every 5 minutes"."""
    return f"every {noun if number == 1 else counted(number, noun)}"


def ordinal(number: int) -> str:
    """ "1st", "2nd", "13th"."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def time_of_day(second: int, *, with_seconds: bool = False) -> str:
    """A second of the day as "09:00", or as "09:00:30" when it is not a whole minute or seconds are wanted."""
    minute, rest = divmod(second, 60)
    return f"{minute // 60:02}:{minute % 60:02}" + (f":{rest:02}" if rest or with_seconds else "")


def instant_words(at: int) -> str:
    """Microseconds UTC as "2026-12-01T09:00:00Z", with a fraction when there is one."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat() + "Z"


def distance_words(microseconds: int) -> str:
    """An elapsed time as "90 seconds", "36 hours", "1 hour, 1 minute and 1.5 seconds". No days: those differ in length."""
    for noun, size in _UNITS:
        number, rest = divmod(microseconds, size)
        if number and not rest and (number <= _LARGEST_COUNT or noun == "hour"):
            return counted(number, noun)
    parts: list[str] = []
    rest = microseconds
    for noun, size in _UNITS[:-1]:
        number, rest = divmod(rest, size)
        if number:
            parts.append(counted(number, noun))
    seconds, fraction = divmod(rest, SECOND_US)
    if fraction:
        parts.append(f"{seconds}.{fraction:06}".rstrip("0") + " seconds")
    elif seconds or not parts:
        parts.append(counted(seconds, "second"))
    return listed(parts)
