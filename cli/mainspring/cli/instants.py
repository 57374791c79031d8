"""Instants as people and programs write them: RFC 3339, always with a zone. PURE but for the machine's time zone."""

import re
from datetime import UTC, datetime
from typing import Final

_RFC_3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?(?P<zone>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)


def parse_instant(text: str) -> datetime:
    """Return the instant, aware and in UTC; what is finer than a microsecond is cut off.

    Raises:
        ValueError: It is not RFC 3339, or has no zone. The message says how to write it.
    """
    stripped = text.strip()
    match = _RFC_3339.fullmatch(stripped)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time; write it like 2030-01-31T09:30:00Z")
    try:
        instant = datetime.fromisoformat(stripped.upper())
        if match["zone"] is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    raise ValueError(f"{text!r} has no time zone: write {_with_zones(instant)}")


def format_instant(instant: datetime, *, utc: bool) -> str:
    """Return the aware instant in RFC 3339, exact: in UTC (`Z`), or in the machine's zone with its offset.

    Either form is read by `parse_instant`, so it can be copied from a table into a command.
    """
    try:
        local = instant.astimezone(UTC if utc else None)
    except (OverflowError, OSError, ValueError):  # the ends of the calendar
        local = instant.astimezone(UTC)
    spec = (
        "seconds"
        if not local.microsecond
        else "microseconds"
        if local.microsecond % 1_000
        else "milliseconds"
    )
    return local.isoformat(timespec=spec).replace("+00:00", "Z")


def _with_zones(naive: datetime) -> str:
    as_utc = format_instant(naive.replace(tzinfo=UTC), utc=True)
    try:
        as_local = format_instant(naive.astimezone(), utc=False)
    except (OverflowError, OSError, ValueError):
        as_local = as_utc
    return f"{as_utc} for UTC" if as_local == as_utc else f"{as_local} for your local time, {as_utc} for UTC"
