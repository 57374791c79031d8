"""Checks requests and turns them into domain values. Every complaint names its field; nothing is half-accepted."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.server.core.model import Delivery, NewTask, TaskRef
from mainspring.server.core.new_schedule import validate_cron, validate_interval
from mainspring.server.core.next_fire import first_fire
from mainspring.server.core.schedule import Interval, OneTime, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.errors import FailedPrecondition, InvalidField, InvalidRequest
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.v1 import schedule_pb2, task_pb2

DEFAULT_NAMESPACE = "default"
NAME_CHARACTERS = 200
DAY_US = 86_400_000_000
LONGEST_DURATION_US = 3_650 * DAY_US
OLDEST_ONE_TIME_US = DAY_US
SMALLEST_AT = -62_135_596_800_000_000
LARGEST_AT = 253_402_300_799_999_999
LARGEST_PAGE = 1_000
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cluster accepts. Sizes in bytes."""

    payload_bytes: int = 256 * 1024


def name(value: str, field: str, *, default: str = "") -> str:
    """A namespace, id or handler: 1 to 200 characters, none of them a control character."""
    value = value or default
    if not value:
        raise InvalidField(field, "is required")
    if len(value) > NAME_CHARACTERS:
        raise InvalidField(field, f"has {len(value)} characters; at most {NAME_CHARACTERS} are allowed")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise InvalidField(field, "holds a control character")
    return value


def task_ref(namespace: str, task_id: str, partition_count: int) -> TaskRef:
    """The key of a task with these (valid) names."""
    key = task_key(namespace, task_id)
    return TaskRef(partition_of(key, partition_count), key)


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


def page_size(value: int) -> int:
    """A page size: 0 stands for 100; at most 1,000."""
    if not 0 <= value <= LARGEST_PAGE:
        raise InvalidField("page_size", f"must lie between 0 and {LARGEST_PAGE}")
    return value or DEFAULT_PAGE


def new_task(task: task_pb2.Task, *, prefix: str, now: int, partition_count: int, limits: Limits) -> NewTask:
    """Checks a registration and computes its first time.

    Args:
        prefix: the path of the task in the request, for complaints.
        now: cluster time, microseconds UTC.

    Raises:
        InvalidRequest: names every field at fault.
    """
    violations: list[InvalidField] = []

    def checked_name(value: str, field: str, default: str = "") -> str:
        try:
            return name(value, field, default=default)
        except InvalidField as violation:
            violations.append(violation)
            return "?"

    namespace = checked_name(task.namespace, "namespace", DEFAULT_NAMESPACE)
    task_id = checked_name(task.id, "id", uuid.uuid4().hex)
    handler = checked_name(task.handler, "handler")
    if len(task.payload) > limits.payload_bytes:
        violations.append(
            InvalidField(
                "payload", f"has {len(task.payload)} bytes; at most {limits.payload_bytes} are allowed"
            )
        )
    delivery = Delivery.AT_LEAST_ONCE
    try:
        delivery = _delivery(task.delivery)
    except InvalidField as violation:
        violations.append(violation)
    resolved: tuple[Schedule, list[str]] | None = None
    try:
        resolved = _schedule(task.schedule, now) if task.HasField("schedule") else None
        if resolved is None:
            violations.append(InvalidField("schedule", "is required"))
    except InvalidField as violation:
        violations.append(violation.within("schedule"))
    if violations or resolved is None:
        raise InvalidRequest(violation.within(prefix) for violation in violations)
    schedule, described = resolved
    try:
        scheduled_at = first_fire(schedule, now)
    except FailedPrecondition as error:
        raise InvalidField(f"{prefix}.schedule", error.message) from error
    return NewTask(
        ref=task_ref(namespace, task_id, partition_count),
        namespace=namespace,
        task_id=task_id,
        handler=handler,
        payload=task.payload,
        schedule=encode(schedule),
        definition_hash=_definition_hash(handler, task.payload, described + _delivery_words(delivery)),
        scheduled_at=scheduled_at,
        due_at=max(scheduled_at, now),
        created_at=now,
        delivery=delivery,
    )


def _delivery(number: int) -> Delivery:
    if number == task_pb2.DELIVERY_MODE_UNSPECIFIED:
        return Delivery.AT_LEAST_ONCE
    try:
        return Delivery(number)
    except ValueError:
        raise InvalidField(
            "delivery",
            f"is {number}, which this server does not know: 1 is at least once, 2 at most once; leave it out for"
            " the first",
        ) from None


def _delivery_words(delivery: Delivery) -> list[str]:
    """Nothing for the default: tasks registered before there was a choice have the hash of an equal call today."""
    return [] if delivery is Delivery.AT_LEAST_ONCE else ["delivery", str(delivery.value)]


def _schedule(schedule: schedule_pb2.Schedule, now: int) -> tuple[Schedule, list[str]]:
    """The resolved schedule, and the given one as words that do not depend on when the call came in."""
    kind = schedule.WhichOneof("kind")
    if kind == "at":
        at = instant(schedule.at, "at")
        if at < now - OLDEST_ONE_TIME_US:
            raise InvalidField("at", "is more than 24 hours in the past")
        return Schedule(OneTime(at)), ["at", str(at)]
    if kind == "delay":
        delay_us = duration_us(schedule.delay, "delay")
        return Schedule(OneTime(now + delay_us)), ["delay", str(delay_us)]
    if kind == "cron":
        try:
            cron = validate_cron(schedule.cron.expressions, schedule.cron.time_zone or "UTC")
        except InvalidField as violation:
            raise violation.within("cron") from None
        return Schedule(cron), ["cron", *cron.expressions, cron.time_zone]
    if kind == "interval":
        if not schedule.interval.HasField("every"):
            raise InvalidField("interval.every", "is required")
        every_us = duration_us(schedule.interval.every, "interval.every")
        start = instant(schedule.start_time, "start_time") if schedule.HasField("start_time") else None
        try:
            interval: Interval = validate_interval(every_us, now if start is None else start)
        except InvalidField as violation:
            raise violation.within("interval") from None
        return Schedule(interval), ["interval", str(every_us), "" if start is None else str(start)]
    raise InvalidField("kind", "is required: set at, delay, cron, interval or calendar_interval")


def _definition_hash(handler: str, payload: bytes, words: list[str]) -> bytes:
    """16 bytes that are equal for equal definitions. Its input is stored nowhere else, so its form must not change."""
    digest = hashlib.sha256()
    for part in (handler.encode(), payload, *(word.encode() for word in words)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()[:16]
