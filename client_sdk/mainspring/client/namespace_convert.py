"""Namespaces: protobuf messages <-> the client's value types."""

from typing import Final

from google.protobuf import field_mask_pb2

from mainspring.client.enum_numbers import from_number, to_number
from mainspring.client.instants import from_duration, from_timestamp, put_duration
from mainspring.client.namespace import Namespace, NamespaceUpdate, TaskDefaults
from mainspring.client.policy_convert import (
    misfire_from_proto,
    overlap_from_proto,
    put_policies,
    retry_from_proto,
    timeouts_from_proto,
)
from mainspring.client.task import Delivery
from mainspring.client.unchanged import UNCHANGED
from mainspring.v1 import namespace_service_pb2 as pb

_RETENTION: Final = "retention"


def defaults_to_proto(defaults: TaskDefaults) -> pb.TaskDefaults:
    """Return the defaults as a message.

    Raises:
        ValueError: One holds something that a newer server has answered and this client does not know.
    """
    message = pb.TaskDefaults()
    if defaults.delivery is not None:
        message.delivery = to_number("delivery", defaults.delivery)
    put_policies(message, defaults)
    return message


def namespace_update_to_proto(name: str, update: NamespaceUpdate) -> pb.UpdateNamespaceRequest:
    """Return the request that changes these fields of a namespace, the others left out of its mask.

    Raises:
        ValueError: As `defaults_to_proto`; or nothing changes, which the server takes for everything that is set.
    """
    changed = update.changed()
    if not changed:
        raise ValueError("say what is to change")
    message = pb.Namespace(name=name)
    if update.retention is not UNCHANGED:
        put_duration(message.retention, update.retention)
    if update.delivery is not UNCHANGED and update.delivery is not None:
        message.task_defaults.delivery = to_number("delivery", update.delivery)
    put_policies(message.task_defaults, update)
    paths = [name if name == _RETENTION else f"task_defaults.{name}" for name in changed]
    return pb.UpdateNamespaceRequest(namespace=message, update_mask=field_mask_pb2.FieldMask(paths=paths))


def namespace_from_proto(message: pb.Namespace) -> Namespace:
    """Return the namespace."""
    defaults = message.task_defaults
    return Namespace(
        message.name,
        from_duration(message.retention),
        TaskDefaults(
            delivery=from_number(Delivery, defaults.delivery) if defaults.delivery else None,
            misfire=misfire_from_proto(defaults),
            overlap=overlap_from_proto(defaults),
            retry=retry_from_proto(defaults),
            timeouts=timeouts_from_proto(defaults),
            lateness_objective=(
                from_duration(defaults.lateness_objective)
                if defaults.HasField("lateness_objective")
                else None
            ),
            keep_executions=defaults.keep_executions or None,
        ),
        from_timestamp(message.create_time) if message.HasField("create_time") else None,
        from_timestamp(message.update_time) if message.HasField("update_time") else None,
        message.etag,
    )
