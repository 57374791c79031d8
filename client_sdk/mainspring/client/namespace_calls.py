"""Namespaces: created, changed, read and listed."""

from collections.abc import AsyncIterator
from datetime import timedelta

from mainspring.client.instants import put_duration
from mainspring.client.namespace import Namespace, NamespaceUpdate, TaskDefaults
from mainspring.client.namespace_convert import (
    defaults_to_proto,
    namespace_from_proto,
    namespace_update_to_proto,
)
from mainspring.client.service_calls import ServiceCalls
from mainspring.client.task import DEFAULT_NAMESPACE
from mainspring.v1 import namespace_service_pb2 as pb
from mainspring.v1 import namespace_service_pb2_grpc

_NAMESPACES = namespace_service_pb2_grpc.NamespaceServiceStub


class NamespaceCalls(ServiceCalls):
    """The calls of NamespaceService; see `MainspringClient`."""

    async def create_namespace(
        self,
        name: str,
        *,
        retention: timedelta | None = None,
        task_defaults: TaskDefaults | None = None,
        timeout_s: float | None = None,
    ) -> Namespace:
        """Say something about all tasks of a namespace. One that nobody created has the defaults, and may have tasks.

        Args:
            name: 1 to 200 characters.
            retention: How long executions are kept after their end, and tasks after theirs: whole seconds, 1 hour to 3,650
                days. None: 30 days.
            task_defaults: What tasks get that are created in it from now on.
            timeout_s: Deadline in seconds.

        Raises:
            InvalidArgument: A field is wrong.
            AlreadyExists: It was created with other values, or has changed since (the same call answers as the first one).
        """
        message = pb.Namespace(
            name=name, task_defaults=None if task_defaults is None else defaults_to_proto(task_defaults)
        )
        put_duration(message.retention, retention)
        response = await self._call(
            _NAMESPACES,
            "CreateNamespace",
            pb.CreateNamespaceRequest(namespace=message),
            pb.CreateNamespaceResponse,
            timeout_s,
        )
        return namespace_from_proto(response.namespace)

    async def update_namespace(
        self, name: str, update: NamespaceUpdate, *, etag: str = "", timeout_s: float | None = None
    ) -> Namespace:
        """Change a namespace that was created. Tasks that there are keep what they got when they were created.

        Args:
            name: The namespace.
            update: The fields that change, and their new values. Other nodes than the one that answers follow within 5 s.
            etag: `Namespace.etag` of the state that it is to apply to; empty for any.
            timeout_s: Deadline in seconds.

        Raises:
            InvalidArgument: A field is wrong.
            NotFound: Nobody created it.
            Aborted: The etag is not that of the namespace any more.
            ValueError: Nothing changes.
        """
        request = namespace_update_to_proto(name, update)
        request.etag = etag
        response = await self._call(
            _NAMESPACES, "UpdateNamespace", request, pb.UpdateNamespaceResponse, timeout_s
        )
        return namespace_from_proto(response.namespace)

    async def get_namespace(
        self, name: str = DEFAULT_NAMESPACE, *, timeout_s: float | None = None
    ) -> Namespace:
        """Return one namespace; one that nobody created with its defaults and no `create_time`."""
        response = await self._call(
            _NAMESPACES,
            "GetNamespace",
            pb.GetNamespaceRequest(name=name),
            pb.GetNamespaceResponse,
            timeout_s,
        )
        return namespace_from_proto(response.namespace)

    async def list_namespaces(
        self, *, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[Namespace]:
        """Iterate over the namespaces that were created, by name; pages are read as the iteration comes to them.

        Args:
            page_size: Namespaces per call, at most 1,000; 0 leaves it to the server.
            timeout_s: Deadline of each page, in seconds.
        """
        request = pb.ListNamespacesRequest(page_size=page_size)
        while True:
            response = await self._call(
                _NAMESPACES, "ListNamespaces", request, pb.ListNamespacesResponse, timeout_s
            )
            for namespace in response.namespaces:
                yield namespace_from_proto(namespace)
            request.page_token = response.next_page_token
            if not request.page_token:
                return
