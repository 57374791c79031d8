"""Instants, durations and bytes in the JSON form of protobuf. PURE."""

import base64
from datetime import datetime, timedelta
from typing import Any

from mainspring.cli.instants import format_instant

JsonObject = dict[str, Any]

_MICROSECOND = timedelta(microseconds=1)


def instant_json(instant: datetime | None) -> str | None:
    """The instant in UTC, or null."""
    return None if instant is None else format_instant(instant, utc=True)


def duration_json(duration: timedelta | None) -> str | None:
    """The duration in seconds, exact, such as "1.500s", or null."""
    if duration is None:
        return None
    microseconds = duration // _MICROSECOND
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    fraction = f".{rest:06d}" if rest % 1_000 else f".{rest // 1_000:03d}" if rest else ""
    return f"{'-' if microseconds < 0 else ''}{seconds}{fraction}s"


def bytes_json(value: bytes) -> str:
    """The bytes in base64."""
    return base64.b64encode(value).decode()
