"""Namespaces of callers: checked, changed by the fields of a mask, and as the API shows them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import Delivery
from mainspring.server.core.namespaces import (
    DEFAULT_RETENTION_US,
    LONGEST_RETENTION_US,
    SHORTEST_RETENTION_US,
    Namespace,
)
from mainspring.server.errors import InvalidField, InvalidRequest
from mainspring.server.rpc import validation
from mainspring.server.rpc.instants import duration_us, timestamp
from mainspring.server.rpc.policy_messages import put_defaults
from mainspring.server.rpc.policy_requests import checked_policies
from mainspring.v1 import namespace_service_pb2 as pb

_RETENTION: Final = "retention"
_DEFAULTS: Final = "task_defaults"
FIELDS: Final = (
    _RETENTION,
    _DEFAULTS,
    *(f"{_DEFAULTS}.{field.name}" for field in pb.TaskDefaults.DESCRIPTOR.fields),
)
"""What an update mask may name."""


def checked_namespace(message: pb.Namespace) -> Namespace:
    """What a caller says of a new namespace.

    Raises:
        InvalidRequest: names every field at fault.
    """
    violations: list[InvalidField] = []
    wanted = Namespace("?")
    try:
        wanted = replace(wanted, name=checked_name(message))
    except InvalidField as violation:
        violations.append(violation)
    try:
        wanted = replace(wanted, retention_us=_retention_us(message))
    except InvalidField as violation:
        violations.append(violation)
    try:
        wanted = _with_defaults(wanted, message.task_defaults)
    except InvalidRequest as error:
        violations.extend(error.violations)
    if violations:
        raise InvalidRequest(violations)
    return wanted


def checked_name(message: pb.Namespace) -> str:
    """The name of a namespace.

    Raises:
        InvalidField: it cannot be one.
    """
    name = validation.name(message.name, "namespace.name")
    if name != name.strip():
        raise InvalidField("namespace.name", "begins or ends with a space")
    return name


def checked_mask(given: pb.Namespace, paths: Collection[str]) -> frozenset[str]:
    """The fields that an update names: without a mask those that are set.

    Raises:
        InvalidField: it names something else, or a retention that cannot be one.
    """
    for path in paths:
        if path not in FIELDS:
            raise InvalidField("update_mask", f"names {path!r}; it may name {', '.join(FIELDS)}")
    mask = frozenset(paths) or frozenset(field for field in (_RETENTION, _DEFAULTS) if given.HasField(field))
    if _RETENTION in mask:
        _retention_us(given)
    return mask


def updated(stored: Namespace, given: pb.Namespace, mask: frozenset[str], *, now: int) -> Namespace | None:
    """The stored namespace with the fields of the mask as given; None when it says all that already.

    Args:
        now: cluster time.

    Raises:
        InvalidField, InvalidRequest: what CreateNamespace would say of it.
    """
    changed = stored
    if _RETENTION in mask:
        changed = replace(changed, retention_us=_retention_us(given))
    if mask - {_RETENTION}:
        defaults = pb.TaskDefaults()
        if _DEFAULTS in mask:
            defaults.CopyFrom(given.task_defaults)
        else:
            put_defaults(stored.task_defaults, defaults)
            for path in mask - {_RETENTION}:
                _move(path.removeprefix(f"{_DEFAULTS}."), given.task_defaults, defaults)
        changed = _with_defaults(changed, defaults)
    if changed.says(stored):
        return None
    return replace(changed, version=stored.version + 1, updated_at=max(now, stored.updated_at or now))


def etag_of(namespace: Namespace) -> str:
    """Names a state of a namespace, for calls that are to apply to that state alone. Opaque to callers."""
    return f"v{namespace.version}" if namespace.version else ""


def etag_before(namespace: Namespace) -> str:
    """The etag that a namespace had before its latest change; empty when it has none behind it."""
    return f"v{namespace.version - 1}" if namespace.version > 1 else ""


def namespace_to_proto(namespace: Namespace) -> pb.Namespace:
    """A namespace as the API shows it; defaults that are as they are for all tasks are left out."""
    message = pb.Namespace(name=namespace.name, etag=etag_of(namespace))
    message.retention.FromMicroseconds(namespace.retention_us)
    defaults = pb.TaskDefaults()
    put_defaults(namespace.task_defaults, defaults)
    if defaults.ListFields():
        message.task_defaults.CopyFrom(defaults)
    if namespace.created_at is not None:
        message.create_time.CopyFrom(timestamp(namespace.created_at))
    if namespace.updated_at is not None:
        message.update_time.CopyFrom(timestamp(namespace.updated_at))
    return message


def _retention_us(namespace: pb.Namespace) -> int:
    if not namespace.HasField(_RETENTION):
        return DEFAULT_RETENTION_US
    field = f"namespace.{_RETENTION}"
    retention_us = duration_us(namespace.retention, field)
    if not SHORTEST_RETENTION_US <= retention_us <= LONGEST_RETENTION_US:
        raise InvalidField(field, "must lie between 1 hour and 3,650 days")
    if retention_us % SECOND_US:
        raise InvalidField(field, "must be a whole number of seconds")
    return retention_us


def _with_defaults(namespace: Namespace, message: pb.TaskDefaults) -> Namespace:
    violations: list[InvalidField] = []
    delivery, text = Delivery.AT_LEAST_ONCE, ""
    try:
        delivery = validation.delivery_of(message.delivery)
    except InvalidField as violation:
        violations.append(violation)
    try:
        text = checked_policies(message, None).text
    except InvalidRequest as error:
        violations.extend(error.violations)
    if violations:
        raise InvalidRequest(violation.within(f"namespace.{_DEFAULTS}") for violation in violations)
    return replace(namespace, delivery=delivery, policies=text)


def _move(field: str, given: pb.TaskDefaults, to: pb.TaskDefaults) -> None:
    """Has a field as given, unset when it is unset there."""
    only = pb.TaskDefaults()
    only.CopyFrom(given)
    for descriptor, _ in given.ListFields():
        if descriptor.name != field:
            only.ClearField(descriptor.name)
    to.ClearField(field)
    to.MergeFrom(only)
