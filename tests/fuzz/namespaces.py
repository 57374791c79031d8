"""Calls about namespaces."""

from __future__ import annotations

from typing import Final

from fuzz.caller import Code
from fuzz.definitions import NAMESPACES
from fuzz.messages import DAY, SECOND, length, stamp
from fuzz.world import World
from hypothesis import strategies as st
from hypothesis.stateful import rule

from mainspring.v1 import namespace_service_pb2

NAMES: Final = st.sampled_from((*NAMESPACES[1:], "empty", "ü" * 200))
RETENTIONS: Final = st.sampled_from((None, 30 * DAY, 31 * DAY, 3_650 * DAY, 30 * DAY + SECOND))
"""None of them shorter than an example."""
USUAL: Final = 30 * DAY


class Namespaces(World):
    """CreateNamespace, UpdateNamespace, GetNamespace and ListNamespaces."""

    def __init__(self) -> None:
        super().__init__()
        self.spaces: dict[str, namespace_service_pb2.Namespace] = {}

    @rule(name=NAMES, retention=RETENTIONS)
    def create_namespace(self, name: str, retention: int | None) -> None:
        """A new one, the same call again, or other values."""
        request = namespace_service_pb2.CreateNamespaceRequest()
        request.namespace.name = name
        if retention is not None:
            request.namespace.retention.CopyFrom(length(retention))
        wanted = length(USUAL if retention is None else retention)
        known = self.spaces.get(name)
        if known is not None and known.retention != wanted:
            self.refused("CreateNamespace", request, Code.ALREADY_EXISTS)
        else:
            answer = self.call("CreateNamespace", request)
            if known is None:
                known = self.spaces[name] = namespace_service_pb2.Namespace(
                    name=name, retention=wanted, create_time=stamp(self.now), update_time=stamp(self.now)
                )
            self.same(answer.namespace, known, "CreateNamespace")
        self._recheck(name)

    @rule(name=NAMES, retention=RETENTIONS)
    def update_namespace(self, name: str, retention: int | None) -> None:
        """Another retention, or none said."""
        request = namespace_service_pb2.UpdateNamespaceRequest()
        request.namespace.name = name
        if retention is not None:
            request.namespace.retention.CopyFrom(length(retention))
        known = self.spaces.get(name)
        if known is None:
            self.refused("UpdateNamespace", request, Code.NOT_FOUND)
        else:
            answer = self.call("UpdateNamespace", request)
            if retention is not None:
                known.retention.CopyFrom(request.namespace.retention)
                known.update_time.CopyFrom(stamp(self.now))
            self.same(answer.namespace, known, "UpdateNamespace")
        self._recheck(name)

    def _recheck(self, name: str) -> None:
        answer = self.look_up("GetNamespace", namespace_service_pb2.GetNamespaceRequest(name=name))
        unmade = namespace_service_pb2.Namespace(name=name, retention=length(USUAL))
        self.same(answer.namespace, self.spaces.get(name, unmade), "GetNamespace")

    @rule(page_size=st.sampled_from((0, 1, 1_000)))
    def list_namespaces(self, page_size: int) -> None:
        """All that were created, by name."""
        request = namespace_service_pb2.ListNamespacesRequest(page_size=page_size)
        listed: list[namespace_service_pb2.Namespace] = []
        while True:
            page = self.call("ListNamespaces", request)
            listed.extend(page.namespaces)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        wanted = [self.spaces[name] for name in sorted(self.spaces, key=str.encode)]
        self.check(listed == wanted, "ListNamespaces")
