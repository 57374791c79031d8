"""NamespaceService: what is said about all tasks of a namespace."""

from __future__ import annotations

from typing import Any

import grpc

from mainspring.server.clock import Clock
from mainspring.server.core.namespaces import Namespace
from mainspring.server.errors import AlreadyExists, NotFound, StaleEtag
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.namespace_cache import NamespaceCache
from mainspring.server.rpc.namespace_messages import (
    checked_mask,
    checked_name,
    checked_namespace,
    etag_before,
    etag_of,
    namespace_to_proto,
    updated,
)
from mainspring.server.rpc.page_token import decode_token, encode_token
from mainspring.v1 import namespace_service_pb2 as pb
from mainspring.v1 import namespace_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class NamespaceServicer(namespace_service_pb2_grpc.NamespaceServiceServicer):
    """Decodes, calls, encodes."""

    def __init__(self, clock: Clock, store: Store, cache: NamespaceCache) -> None:
        self._clock = clock
        self._store = store
        self._cache = cache

    async def CreateNamespace(
        self, request: pb.CreateNamespaceRequest, context: Context
    ) -> pb.CreateNamespaceResponse:
        """See the proto."""
        wanted = checked_namespace(request.namespace)
        stored, is_new = await self._store.create_namespace(wanted, self._clock.now())
        self._cache.forget(wanted.name)
        if not is_new and not stored.says(wanted):
            raise AlreadyExists(
                "namespace", wanted.name, "with another retention or other defaults; change that one"
            )
        return pb.CreateNamespaceResponse(namespace=namespace_to_proto(stored))

    async def UpdateNamespace(
        self, request: pb.UpdateNamespaceRequest, context: Context
    ) -> pb.UpdateNamespaceResponse:
        """See the proto."""
        given = request.namespace
        name = checked_name(given)
        mask = checked_mask(given, request.update_mask.paths)
        now = self._clock.now()

        def change(stored: Namespace) -> Namespace | None:
            changed = updated(stored, given, mask, now=now)
            # A call that is repeated because its answer was lost finds its own change.
            fitting = {"", etag_of(stored), *([etag_before(stored)] if changed is None else [])}
            if request.etag not in fitting:
                raise StaleEtag("namespace", name, request.etag, etag_of(stored))
            return changed

        stored = await self._store.change_namespace(name, change)
        if stored is None:
            raise NotFound("namespace", name)
        self._cache.forget(name)
        return pb.UpdateNamespaceResponse(namespace=namespace_to_proto(stored))

    async def GetNamespace(
        self, request: pb.GetNamespaceRequest, context: Context
    ) -> pb.GetNamespaceResponse:
        """See the proto."""
        name = validation.name(request.name, "name", default=validation.DEFAULT_NAMESPACE)
        stored = await self._store.get_namespace(name)
        return pb.GetNamespaceResponse(namespace=namespace_to_proto(stored or Namespace(name)))

    async def ListNamespaces(
        self, request: pb.ListNamespacesRequest, context: Context
    ) -> pb.ListNamespacesResponse:
        """See the proto."""
        limit = validation.page_size(request.page_size)
        position = decode_token("namespaces", request.page_token)
        after = "" if position is None else position[2].decode()
        found = await self._store.list_namespaces(after, limit)
        response = pb.ListNamespacesResponse(namespaces=map(namespace_to_proto, found))
        if len(found) == limit:
            response.next_page_token = encode_token("namespaces", 0, 0, found[-1].name.encode())
        return response
