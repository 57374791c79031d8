"""The cluster: nodes, partitions, hand-overs, drains."""

from collections.abc import AsyncIterator
from datetime import datetime

from mainspring.client import convert
from mainspring.client.cluster import Cluster, Handover, Partition
from mainspring.client.instants import put_timestamp
from mainspring.client.service_calls import ServiceCalls
from mainspring.v1 import admin_service_pb2, admin_service_pb2_grpc

_ADMIN = admin_service_pb2_grpc.AdminServiceStub


class AdminCalls(ServiceCalls):
    """The calls of AdminService; see `MainspringClient`."""

    async def list_nodes(self, *, timeout_s: float | None = None) -> Cluster:
        """Return the nodes, and the executors connected to the node that answers."""
        response = await self._call(
            _ADMIN,
            "ListNodes",
            admin_service_pb2.ListNodesRequest(),
            admin_service_pb2.ListNodesResponse,
            timeout_s,
        )
        return convert.cluster_from_proto(response)

    async def list_partitions(self, *, timeout_s: float | None = None) -> list[Partition]:
        """Return every partition with its owner, by id."""
        response = await self._call(
            _ADMIN,
            "ListPartitions",
            admin_service_pb2.ListPartitionsRequest(),
            admin_service_pb2.ListPartitionsResponse,
            timeout_s,
        )
        return [convert.partition_from_proto(partition) for partition in response.partitions]

    async def list_handovers(
        self,
        *,
        node_id: str = "",
        since: datetime | None = None,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Handover]:
        """Iterate over the changes of owner, newest first; pages are read as the iteration comes to them.

        The last 100 or so of each partition are kept. A change shows about a second after the new owner fires.

        Args:
            node_id: Only those from or to this node; empty for all.
            since: Only those whose new owner fired at or after this; timezone-aware.
            page_size: Changes per call, at most 1,000; 0 leaves it to the server.
            timeout_s: Deadline of each page, in seconds.

        Raises:
            ValueError: The bound is naive.
        """
        request = admin_service_pb2.ListHandoversRequest(node_id=node_id, page_size=page_size)
        put_timestamp(request.since_time, "since", since)
        while True:
            response = await self._call(
                _ADMIN,
                "ListHandovers",
                request,
                admin_service_pb2.ListHandoversResponse,
                timeout_s,
            )
            for handover in response.handovers:
                yield convert.handover_from_proto(handover)
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    async def drain_node(self, node: str, *, timeout_s: float | None = None) -> str:
        """Have a node give all its partitions to others, in order; returns its id once it has been told.

        It goes on to serve calls and executors, and takes no partition until `undrain_node` or its next start.
        `list_partitions` shows when it is empty. Safe to repeat.

        Args:
            node: Its id, or the name that it was given if no other member has the same.
            timeout_s: Deadline in seconds.

        Raises:
            NotFound: There is no such member; the message names those that there are.
            FailedPrecondition: No other node is ready to take anything.
        """
        response = await self._call(
            _ADMIN,
            "DrainNode",
            admin_service_pb2.DrainNodeRequest(node_id=node),
            admin_service_pb2.DrainNodeResponse,
            timeout_s,
        )
        return response.node_id

    async def undrain_node(self, node: str, *, timeout_s: float | None = None) -> str:
        """End the drain of a node: it takes its share of the partitions again; returns its id. Safe to repeat.

        Raises:
            NotFound: There is no such member; the message names those that there are.
        """
        response = await self._call(
            _ADMIN,
            "UndrainNode",
            admin_service_pb2.UndrainNodeRequest(node_id=node),
            admin_service_pb2.UndrainNodeResponse,
            timeout_s,
        )
        return response.node_id
