"""AdminService: nodes, executors, partitions and their hand-overs."""

from __future__ import annotations

from typing import Any

import grpc

from mainspring.server.clock import Clock
from mainspring.server.engine.engine import Engine
from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.handovers import HandoverCursor
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import handover_to_proto
from mainspring.server.rpc.drainer import Drainer
from mainspring.server.rpc.instants import instant, timestamp
from mainspring.server.rpc.page_token import decode_token, encode_token
from mainspring.shard_manager.membership import Membership
from mainspring.v1 import admin_service_pb2 as pb
from mainspring.v1 import admin_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """Shows what this node sees; passes on what operators want of other nodes."""

    def __init__(
        self,
        clock: Clock,
        store: Store,
        engine: Engine,
        membership: Membership,
        drainer: Drainer,
        node_id: str,
    ) -> None:
        self._clock = clock
        self._store = store
        self._engine = engine
        self._membership = membership
        self._drainer = drainer
        self._node_id = node_id

    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        """See the proto."""
        view = self._membership.view()
        nodes = [
            pb.Node(
                node_id=member.node_id,
                address=member.address,
                version=member.version,
                is_ready=member.ready,
                partition_count=len(member.holds),
                is_self=member.node_id == self._node_id,
                away_reasons=sorted(member.away),
                time_zone_database=member.time_zone_database,
            )
            for member in sorted(view.members.values(), key=lambda m: m.node_id)
        ]
        executors = [
            pb.ConnectedExecutor(
                executor_id=session.executor_id,
                handlers=sorted(session.handlers),
                capacity=session.capacity,
                credit=session.credit,
                open_attempts=self._engine.attempts.count_at(session.executor_id),
                is_draining=session.is_draining,
                connect_time=timestamp(session.connected_at),
            )
            for session in sorted(self._engine.executors.sessions(), key=lambda s: s.executor_id)
        ]
        return pb.ListNodesResponse(
            nodes=nodes,
            executors=executors,
            partition_count=self._store.partition_count,
            is_coordinator_connected=view.is_connected,
            cluster_time=timestamp(self._clock.now()),
        )

    async def ListPartitions(
        self, request: pb.ListPartitionsRequest, context: Context
    ) -> pb.ListPartitionsResponse:
        """See the proto."""
        members = self._membership.view().members
        return pb.ListPartitionsResponse(
            partitions=[
                pb.Partition(
                    partition_id=row.partition_id,
                    epoch=row.epoch,
                    owner_id=row.owner_id or "",
                    owner_address=members[row.owner_id].address
                    if row.owner_id and row.owner_id in members
                    else "",
                )
                for row in await self._store.read_partitions()
            ]
        )

    async def ListHandovers(
        self, request: pb.ListHandoversRequest, context: Context
    ) -> pb.ListHandoversResponse:
        """See the proto."""
        since_at = None
        if request.HasField("since_time"):
            since_at = instant(request.since_time, "since_time")
        limit = validation.page_size(request.page_size)
        scope = f"handovers/{request.node_id}/{since_at}"
        position = decode_token(scope, request.page_token)
        before = None
        if position is not None:
            partition_id, firing_at, epoch = position
            before = HandoverCursor(firing_at, partition_id, int.from_bytes(epoch))
        records = await self._store.list_handovers(
            node_id=request.node_id or None, since_at=since_at, before=before, limit=limit
        )
        response = pb.ListHandoversResponse(handovers=[handover_to_proto(record) for record in records])
        if len(records) == limit:
            last = records[-1]
            response.next_page_token = encode_token(
                scope, last.partition_id, last.firing_at, last.epoch.to_bytes(8)
            )
        return response

    async def DrainNode(self, request: pb.DrainNodeRequest, context: Context) -> pb.DrainNodeResponse:
        """See the proto."""
        return pb.DrainNodeResponse(node_id=await self._drainer.set(request.node_id, is_drained=True))

    async def UndrainNode(self, request: pb.UndrainNodeRequest, context: Context) -> pb.UndrainNodeResponse:
        """See the proto."""
        return pb.UndrainNodeResponse(node_id=await self._drainer.set(request.node_id, is_drained=False))
