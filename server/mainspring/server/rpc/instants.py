"""Timestamps and durations as microseconds, checked when they come from callers."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.server.errors import InvalidField

DAY_US = 86_400_000_000
LONGEST_DURATION_US = 3_650 * DAY_US
SMALLEST_AT = -62_135_596_800_000_000
LARGEST_AT = 253_402_300_799_999_999


def timestamp(at: int) -> Timestamp:
    """Microseconds UTC as a Timestamp."""
    seconds, microseconds = divmod(at, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1_000)


def instant(value: Timestamp, field: str) -> int:
    """A Timestamp as microseconds; nanoseconds are cut off. Years 1 to 9999."""
    at = value.seconds * 1_000_000 + value.nanos // 1_000
    if not 0 <= value.nanos < 1_000_000_000:
        raise InvalidField(field, "has nanos outside 0 to 999,999,999")
    if not SMALLEST_AT <= at <= LARGEST_AT:
        raise InvalidField(field, "is outside the years 1 to 9999")
    return at


def duration_us(value: Duration, field: str) -> int:
    """A Duration as microseconds: not negative, at most 3,650 days."""
    if abs(value.nanos) >= 1_000_000_000 or (
        value.seconds and value.nanos and (value.seconds > 0) != (value.nanos > 0)
    ):
        raise InvalidField(field, "has nanos that do not fit its seconds")
    microseconds = value.seconds * 1_000_000 + value.nanos // 1_000
    if microseconds < 0:
        raise InvalidField(field, "is negative")
    if microseconds > LONGEST_DURATION_US:
        raise InvalidField(field, "is over 3,650 days")
    return microseconds
