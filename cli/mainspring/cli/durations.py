"""Durations as people write them: `90s`, `2h30m`, `1.5d`. PURE, exact to the microsecond."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

_UNITS_US: Final = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_ORDER: Final = list(_UNITS_US)
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|[wdhms])")
_HOW: Final = "write a duration such as 90s, 5m, 2h30m or 1d (units: w d h m s ms us)"
_MICROSECOND: Final = timedelta(microseconds=1)


def parse_duration(text: str) -> timedelta:
    """Return the duration that the text says: numbers with units, the larger unit first, each once.

    Raises:
        ValueError: It is no such text, is finer than a microsecond, or longer than a timedelta holds. The
            message says what would be right.
    """
    compact = text.strip().lower()
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", compact):
            raise ValueError(f"{text!r} has no unit: write {compact}s for seconds or {compact}m for minutes")
        if compact.startswith("-"):
            raise ValueError(f"{text!r} is negative; {_HOW}")
        raise ValueError(f"{text!r} is not a duration; {_HOW}")
    positions = [_ORDER.index(unit) for _, unit in parts]
    if positions != sorted(set(positions)):
        raise ValueError(f"{text!r} has a unit twice or out of order; {_HOW}")
    try:
        total_us = sum(_whole_us(number, unit) for number, unit in parts)
        return timedelta(microseconds=total_us)
    except (OverflowError, ArithmeticError):
        raise ValueError(f"{text!r} is longer than can be expressed") from None


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back as the same duration, such as `2h30m`.

    A negative duration, which `parse_duration` refuses, gets a minus sign in front.
    """
    rest_us = duration // _MICROSECOND
    if rest_us < 0:
        return "-" + format_duration(-duration)
    written = ""
    for unit, unit_us in _UNITS_US.items():
        if unit == "w":  # nobody reads "1w3d" faster than "10d"
            continue
        count, rest_us = divmod(rest_us, unit_us)
        if count:
            written += f"{count}{unit}"
    return written or "0s"


def _whole_us(number: str, unit: str) -> int:
    amount = Decimal(number) * _UNITS_US[unit]
    whole = int(amount)
    if whole != amount:
        raise ValueError(f"{number}{unit} is finer than a microsecond")
    return whole
