"""NamespaceService: what is said about all tasks of a namespace."""

from __future__ import annotations

from typing import Any

import grpc

from mainspring.server.clock import Clock
from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.namespaces import (
    DEFAULT_RETENTION_US,
    LONGEST_RETENTION_US,
    SHORTEST_RETENTION_US,
    Namespace,
)
from mainspring.server.errors import AlreadyExists, InvalidField, NotFound
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.instants import duration_us, timestamp
from mainspring.server.rpc.page_token import decode_token, encode_token
from mainspring.v1 import namespace_service_pb2 as pb
from mainspring.v1 import namespace_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class NamespaceServicer(namespace_service_pb2_grpc.NamespaceServiceServicer):
    """Decodes, calls, encodes."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store

    async def CreateNamespace(
        self, request: pb.CreateNamespaceRequest, context: Context
    ) -> pb.CreateNamespaceResponse:
        """See the proto."""
        name = _name(request.namespace)
        retention_us = _retention_us(request.namespace)
        wanted = Namespace(name, DEFAULT_RETENTION_US if retention_us is None else retention_us)
        stored, is_new = await self._store.create_namespace(wanted, self._clock.now())
        if not is_new and stored.retention_us != wanted.retention_us:
            raise AlreadyExists("namespace", name, "with another retention; change that one")
        return pb.CreateNamespaceResponse(namespace=_to_proto(stored))

    async def UpdateNamespace(
        self, request: pb.UpdateNamespaceRequest, context: Context
    ) -> pb.UpdateNamespaceResponse:
        """See the proto."""
        name = _name(request.namespace)
        stored = await self._store.update_namespace(name, _retention_us(request.namespace), self._clock.now())
        if stored is None:
            raise NotFound("namespace", name)
        return pb.UpdateNamespaceResponse(namespace=_to_proto(stored))

    async def GetNamespace(
        self, request: pb.GetNamespaceRequest, context: Context
    ) -> pb.GetNamespaceResponse:
        """See the proto."""
        name = validation.name(request.name, "name", default=validation.DEFAULT_NAMESPACE)
        stored = await self._store.get_namespace(name)
        return pb.GetNamespaceResponse(namespace=_to_proto(stored or Namespace(name)))

    async def ListNamespaces(
        self, request: pb.ListNamespacesRequest, context: Context
    ) -> pb.ListNamespacesResponse:
        """See the proto."""
        limit = validation.page_size(request.page_size)
        position = decode_token("namespaces", request.page_token)
        after = "" if position is None else position[2].decode()
        found = await self._store.list_namespaces(after, limit)
        response = pb.ListNamespacesResponse(namespaces=map(_to_proto, found))
        if len(found) == limit:
            response.next_page_token = encode_token("namespaces", 0, 0, found[-1].name.encode())
        return response


def _name(namespace: pb.Namespace) -> str:
    name = validation.name(namespace.name, "namespace.name")
    if name != name.strip():
        raise InvalidField("namespace.name", "begins or ends with a space")
    return name


def _retention_us(namespace: pb.Namespace) -> int | None:
    """None when unset."""
    if not namespace.HasField("retention"):
        return None
    field = "namespace.retention"
    retention_us = duration_us(namespace.retention, field)
    if not SHORTEST_RETENTION_US <= retention_us <= LONGEST_RETENTION_US:
        raise InvalidField(field, "must lie between 1 hour and 3,650 days")
    if retention_us % SECOND_US:
        raise InvalidField(field, "must be a whole number of seconds")
    return retention_us


def _to_proto(namespace: Namespace) -> pb.Namespace:
    message = pb.Namespace(name=namespace.name)
    message.retention.FromMicroseconds(namespace.retention_us)
    if namespace.created_at is not None:
        message.create_time.CopyFrom(timestamp(namespace.created_at))
    if namespace.updated_at is not None:
        message.update_time.CopyFrom(timestamp(namespace.updated_at))
    return message
