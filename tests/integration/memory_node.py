"""A small node with a memory instead of a database, over real gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from google.rpc import code_pb2
from integration.memory import Context, refuse
from integration.memory_ledger import MemoryLedger
from integration.memory_tasks import MemoryTasks

from mainspring.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    execution_service_pb2_grpc,
    task_service_pb2_grpc,
)


class MemoryNode(MemoryTasks, MemoryLedger, admin_service_pb2_grpc.AdminServiceServicer):
    """All services of a node; see `Memory`."""

    async def ListNodes(self, request: Any, context: Context) -> Any:
        nodes = [
            admin_service_pb2.Node(
                node_id=f"n{number}",
                address=self.address,
                version="0.1.0",
                is_ready=True,
                partition_count=2,
                is_self=number == 1,
                time_zone_database=release,
            )
            for number, release in enumerate(self.time_zone_databases, start=1)
        ]
        answer = admin_service_pb2.ListNodesResponse(
            nodes=nodes, partition_count=2, is_coordinator_connected=self.is_coordinator_connected
        )
        answer.cluster_time.FromSeconds(1_900_000_000)
        return answer

    async def ListPartitions(self, request: Any, context: Context) -> Any:
        partitions = [
            admin_service_pb2.Partition(
                partition_id=0, epoch=7, owner_id=self.owner_id, owner_address=self.address
            ),
            admin_service_pb2.Partition(partition_id=1, epoch=2),
        ]
        return admin_service_pb2.ListPartitionsResponse(partitions=partitions)

    async def ListHandovers(self, request: Any, context: Context) -> Any:
        self.requests.append(request)
        handover = admin_service_pb2.Handover(
            partition_id=3,
            epoch=8,
            reason=admin_service_pb2.HANDOVER_REASON_DRAINED,
            from_node_id="n1",
            to_node_id="n2",
            late_execution_count=2,
        )
        handover.fire_time.FromSeconds(1_900_000_000)
        handover.gap.FromMilliseconds(40)
        handover.release_time.FromMilliseconds(1_900_000_000_000 - 40)
        handover.max_lateness.FromMilliseconds(30)
        return admin_service_pb2.ListHandoversResponse(handovers=[handover])

    async def DrainNode(self, request: Any, context: Context) -> Any:
        if request.node_id != "n1":
            await refuse(context, code_pb2.NOT_FOUND, "no member of that name; known: n1", "NOT_FOUND")
        self.owner_id = "n2" if self.gives_away else "n1"
        return admin_service_pb2.DrainNodeResponse(node_id="n1")

    async def UndrainNode(self, request: Any, context: Context) -> Any:
        return admin_service_pb2.UndrainNodeResponse(node_id=request.node_id)


@asynccontextmanager
async def serving(node: MemoryNode) -> AsyncIterator[grpc.aio.Server]:
    """Serve a node on a free loopback port, or on the one that it had before."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    task_service_pb2_grpc.add_TaskServiceServicer_to_server(node, server)
    execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(node, server)
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(node, server)
    port = server.add_insecure_port(node.address or "127.0.0.1:0")
    node.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield server
    finally:
        await server.stop(None)
