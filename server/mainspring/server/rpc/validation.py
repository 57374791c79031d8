"""Checks requests and turns them into domain values. Every complaint names its field; nothing is half-accepted."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from mainspring.server.core.due_time import due_at
from mainspring.server.core.life_cycle import Definition
from mainspring.server.core.model import Delivery, NewTask, Task, TaskRef
from mainspring.server.core.next_fire import first_fire
from mainspring.server.core.policies import decode as decode_policies
from mainspring.server.core.schedule import Schedule
from mainspring.server.core.schedule_text import decode
from mainspring.server.core.task_defaults import (
    DELIVERY,
    FIELDS,
    NO_DEFAULTS,
    OVERLAP,
    TaskDefaults,
    resolved,
)
from mainspring.server.errors import InvalidField, InvalidRequest
from mainspring.server.rpc.labels import checked_labels
from mainspring.server.rpc.policy_requests import (
    RequestedPolicies,
    checked_policies,
    left_open,
    stored_text,
)
from mainspring.server.rpc.schedule_requests import RequestedSchedule, checked_schedule
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.v1 import task_pb2

DEFAULT_NAMESPACE = "default"
NAME_CHARACTERS = 200
REQUEST_KEY_BYTES = 16
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
    if not value.isprintable() and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise InvalidField(field, "holds a control character")
    return value


def task_ref(namespace: str, task_id: str, partition_count: int) -> TaskRef:
    """The key of a task with these (valid) names."""
    key = task_key(namespace, task_id)
    return TaskRef(partition_of(key, partition_count), key)


def page_size(value: int) -> int:
    """A page size: 0 stands for 100; at most 1,000."""
    if not 0 <= value <= LARGEST_PAGE:
        raise InvalidField("page_size", f"must lie between 0 and {LARGEST_PAGE}")
    return value or DEFAULT_PAGE


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A task of a caller, checked.

    Attributes:
        schedule: its schedule, resolved; `definition` has it as text.
        first_at: its first scheduled time, when that was asked for.
    """

    ref: TaskRef
    namespace: str
    task_id: str
    schedule: Schedule
    definition: Definition
    first_at: int | None


def new_task(
    task: task_pb2.Task,
    *,
    prefix: str,
    now: int,
    partition_count: int,
    limits: Limits,
    defaults: TaskDefaults = NO_DEFAULTS,
) -> NewTask:
    """Checks a registration and computes its first time.

    Args:
        prefix: the path of the task in the request, for complaints.
        now: cluster time, microseconds UTC.
        defaults: of its namespace.

    Raises:
        InvalidRequest: names every field at fault.
    """
    checked = checked_task(
        task, prefix=prefix, now=now, partition_count=partition_count, limits=limits, defaults=defaults
    )
    assert checked.first_at is not None
    definition = checked.definition
    return NewTask(
        ref=checked.ref,
        namespace=checked.namespace,
        task_id=checked.task_id,
        handler=definition.handler,
        payload=definition.payload,
        schedule=definition.schedule,
        definition_hash=definition.definition_hash,
        scheduled_at=checked.first_at,
        due_at=max(due_at(checked.schedule, checked.ref.task_key, checked.first_at), now),
        created_at=now,
        delivery=definition.delivery,
        policies=definition.policies,
        labels=definition.labels,
    )


def checked_task(
    task: task_pb2.Task,
    *,
    prefix: str,
    now: int | None,
    partition_count: int,
    limits: Limits,
    defaults: TaskDefaults = NO_DEFAULTS,
    may_default: Collection[str] | None = None,
) -> CheckedTask:
    """Checks what a caller says of a task.

    The hash of the definition is of what the caller says: the same words are the same call, whatever its namespace says by
    then. `contradicts` finds the words that the hash does not tell apart.

    Args:
        prefix: the path of the task in the request, for complaints.
        now: cluster time, microseconds UTC, at which the schedule begins; None: it is a stored one, which has begun, and has
            no first time.
        defaults: of its namespace, for what the caller leaves open.
        may_default: the fields for which they count; None: all.

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
    task_id = checked_name(task.id or uuid.uuid4().hex, "id")
    handler = checked_name(task.handler, "handler")
    if len(task.payload) > limits.payload_bytes:
        violations.append(
            InvalidField(
                "payload", f"has {len(task.payload)} bytes; at most {limits.payload_bytes} are allowed"
            )
        )
    delivery = Delivery.AT_LEAST_ONCE
    try:
        delivery = delivery_of(task.delivery)
    except InvalidField as violation:
        violations.append(violation)
    ref = task_ref(namespace, task_id, partition_count)
    requested: RequestedSchedule | None = None
    first_at: int | None = None
    try:
        if task.HasField("schedule"):
            requested = checked_schedule(task.schedule, now=now or 0, task_key=ref.task_key)
        else:
            violations.append(InvalidField("schedule", "is required"))
    except InvalidField as violation:
        violations.append(violation.within("schedule"))
    if requested is not None and now is not None:
        try:
            first_at = first_fire(requested.schedule, now)
        except InvalidField as violation:
            violations.append(violation)
    labels = ""
    try:
        labels = checked_labels(task.labels)
    except InvalidField as violation:
        violations.append(violation)
    policies: RequestedPolicies | None = None
    stored_delivery, stored_policies = delivery, ""
    try:
        policies = checked_policies(task, None if requested is None else requested.schedule)
        stored_policies = policies.text
        if defaults is not NO_DEFAULTS and requested is not None:
            open_fields = left_open(task, may_default)
            stored_delivery, own = resolved(
                delivery, policies.policies, open_fields, requested.schedule, defaults
            )
            stored_policies = stored_text(own)
    except InvalidRequest as error:
        violations.extend(error.violations)
    except InvalidField as violation:
        violations.append(violation)
    if violations or requested is None or policies is None:
        raise InvalidRequest(violation.within(prefix) for violation in violations)
    words = requested.words + _delivery_words(delivery) + policies.words + _label_words(labels)
    definition = Definition(
        handler,
        task.payload,
        requested.text,
        _definition_hash(handler, task.payload, words),
        stored_delivery,
        stored_policies,
        labels,
    )
    return CheckedTask(ref, namespace, task_id, requested.schedule, definition, first_at)


def contradicts(task: task_pb2.Task, stored: Task) -> bool:
    """Whether a registration says a policy otherwise than the stored task of the same definition hash has it.

    To the hash a policy that is left open, and one that is said and is as it is for all tasks, are the same. Where the
    namespace had another default they are not.

    Args:
        task: valid.
    """
    schedule = decode(stored.schedule)
    said = set(FIELDS) - left_open(task)
    asked, policies = checked_policies(task, schedule).policies, decode_policies(stored.policies)
    own: dict[str, tuple[object, object]] = {
        DELIVERY: (delivery_of(task.delivery), stored.delivery),
        OVERLAP: (asked.overlap_of(schedule), policies.overlap_of(schedule)),
    }
    return any(
        asked_value != stored_value
        for asked_value, stored_value in (
            own.get(field) or (getattr(asked, field), getattr(policies, field)) for field in said
        )
    )


def delivery_of(number: int) -> Delivery:
    """A delivery of a caller.

    Raises:
        InvalidField: it is not known.
    """
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


def _label_words(labels: str) -> list[str]:
    return ["labels", labels] if labels else []


def _definition_hash(handler: str, payload: bytes, words: list[str]) -> bytes:
    """16 bytes that are equal for equal definitions. Its input is stored nowhere else, so its form must not change."""
    digest = hashlib.sha256()
    for part in (handler.encode(), payload, *(word.encode() for word in words)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()[:16]
