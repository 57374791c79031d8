"""Aware datetimes and timedeltas <-> protobuf, exact to the microsecond."""

from datetime import UTC, datetime, timedelta

from google.protobuf import duration_pb2, timestamp_pb2

from mainspring.client.checks import require

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def require_aware(name: str, instant: datetime) -> None:
    """Refuse a datetime without a time zone: whose local time it means cannot be known.

    Raises:
        TypeError: It is no datetime.
        ValueError: It is naive.
    """
    require(name, instant, datetime)
    if instant.utcoffset() is None:
        raise ValueError(f"{name} must be timezone-aware, such as datetime.now(UTC); got a naive datetime")


def to_timestamp(name: str, instant: datetime) -> timestamp_pb2.Timestamp:
    """Return the instant as a protobuf Timestamp.

    Raises:
        TypeError: It is no datetime.
        ValueError: It is naive.
    """
    require_aware(name, instant)
    seconds, microseconds = divmod((instant - _EPOCH) // _MICROSECOND, 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=microseconds * 1_000)


def from_timestamp(timestamp: timestamp_pb2.Timestamp) -> datetime:
    """Return the instant in UTC; what is finer than a microsecond is cut off."""
    return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1_000)


def to_duration(duration: timedelta) -> duration_pb2.Duration:
    """Return the duration as a protobuf Duration; seconds and nanos have one sign, as protobuf wants it."""
    microseconds = duration // _MICROSECOND
    sign = -1 if microseconds < 0 else 1
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    return duration_pb2.Duration(seconds=sign * seconds, nanos=sign * rest * 1_000)


def put_timestamp(message: timestamp_pb2.Timestamp, name: str, instant: datetime | None) -> None:
    """Set a field of a message to the instant; None leaves it unset, for to read a field does not set it.

    Raises:
        TypeError: It is no datetime.
        ValueError: It is naive.
    """
    if instant is not None:
        message.CopyFrom(to_timestamp(name, instant))


def put_duration(message: duration_pb2.Duration, duration: timedelta | None) -> None:
    """Set a field of a message to the duration; None leaves it unset, for to read a field does not set it."""
    if duration is not None:
        message.CopyFrom(to_duration(duration))


def from_duration(duration: duration_pb2.Duration) -> timedelta:
    """Return the duration; what is finer than a microsecond is cut off."""
    return timedelta(seconds=duration.seconds, microseconds=int(duration.nanos / 1_000))
