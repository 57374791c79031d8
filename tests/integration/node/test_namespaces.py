"""NamespaceService on a real node, and what a retention removes there."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mainspring.client import At, Cron, Execution, MainspringClient, NewTask
from mainspring.server.engine.settings import EngineSettings
from mainspring.testing.sql_server import connect
from mainspring.v1 import namespace_service_pb2 as pb
from mainspring.v1 import namespace_service_pb2_grpc

DAY_S = 86_400


@pytest.fixture
async def stub(node: Any) -> AsyncIterator[namespace_service_pb2_grpc.NamespaceServiceStub]:
    async with grpc.aio.insecure_channel(node.address) as channel:
        yield namespace_service_pb2_grpc.NamespaceServiceStub(channel)


def _namespace(name: str, days: float | None = None) -> pb.Namespace:
    message = pb.Namespace(name=name)
    if days is not None:
        message.retention.CopyFrom(Duration(seconds=int(days * DAY_S)))
    return message


async def test_namespaces_are_created_changed_read_and_listed(stub: Any) -> None:
    created = (
        await stub.CreateNamespace(pb.CreateNamespaceRequest(namespace=_namespace("a", 7)), timeout=10)
    ).namespace
    assert created.retention.ToSeconds() == 7 * DAY_S
    assert created.HasField("create_time")
    again = await stub.CreateNamespace(pb.CreateNamespaceRequest(namespace=_namespace("a", 7)), timeout=10)
    assert again.namespace == created
    with pytest.raises(grpc.aio.AioRpcError) as taken:
        await stub.CreateNamespace(pb.CreateNamespaceRequest(namespace=_namespace("a")), timeout=10)
    assert taken.value.code() is grpc.StatusCode.ALREADY_EXISTS
    await stub.CreateNamespace(pb.CreateNamespaceRequest(namespace=_namespace("b")), timeout=10)

    changed = await stub.UpdateNamespace(pb.UpdateNamespaceRequest(namespace=_namespace("a", 1)), timeout=10)
    assert changed.namespace.retention.ToSeconds() == DAY_S
    assert changed.namespace.create_time == created.create_time
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await stub.UpdateNamespace(pb.UpdateNamespaceRequest(namespace=_namespace("c", 1)), timeout=10)
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND

    assert (
        await stub.GetNamespace(pb.GetNamespaceRequest(name="a"), timeout=10)
    ).namespace == changed.namespace
    unknown = (await stub.GetNamespace(pb.GetNamespaceRequest(), timeout=10)).namespace
    assert (unknown.name, unknown.retention.ToSeconds()) == ("default", 30 * DAY_S)
    assert not unknown.HasField("create_time")

    names: list[str] = []
    request = pb.ListNamespacesRequest(page_size=1)
    while True:
        response = await stub.ListNamespaces(request, timeout=10)
        names += [namespace.name for namespace in response.namespaces]
        request.page_token = response.next_page_token
        if not request.page_token:
            break
    assert names == ["a", "b"]


@pytest.mark.parametrize(
    ("namespace", "field"),
    [
        (_namespace(""), "namespace.name"),
        (_namespace("a "), "namespace.name"),
        (_namespace("a", 1 / 25), "namespace.retention"),
        (_namespace("a", 4_000), "namespace.retention"),
        (pb.Namespace(name="a", retention=Duration(seconds=DAY_S, nanos=1_000)), "namespace.retention"),
    ],
)
async def test_a_wrong_namespace_is_refused(stub: Any, namespace: pb.Namespace, field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateNamespace(pb.CreateNamespaceRequest(namespace=namespace), timeout=10)
    status = rpc_status.from_call(refused.value)
    assert status is not None
    details = error_details_pb2.BadRequest()
    assert any(
        detail.Unpack(details) and [v.field for v in details.field_violations] == [field]
        for detail in status.details
    )


OLD_NOW = (
    "UPDATE executions e JOIN tasks t ON t.partition_id = e.partition_id AND t.task_key = e.task_key"
    " SET e.scheduled_at = e.scheduled_at - {us}, e.saved_at = e.saved_at - {us},"
    " t.last_scheduled_at = t.last_scheduled_at - {us}, t.updated_at = t.updated_at - {us}"
    " WHERE t.task_id LIKE 'once-%'"
).format(us=40 * DAY_S * 1_000_000)


async def test_old_executions_and_ended_tasks_are_removed_beside_the_work(bench: Any) -> None:
    node = await bench.start_node(EngineSettings(retention_first_s=1.0, retention_round_s=2.0))
    bench.start_executor(node.address)
    async with MainspringClient(node.address) as client:

        async def rows() -> list[Execution]:
            return [e async for e in client.list_executions()]

        names = [f"once-{n}" for n in range(20)]
        await client.create_tasks([NewTask("noop", At(datetime.now(UTC)), task_id=name) for name in names])
        async with asyncio.timeout(20):
            while len([e for e in await rows() if e.state.is_final]) < 20:
                await asyncio.sleep(0.1)
        with connect(bench.url) as connection, connection.cursor() as cursor:
            cursor.execute(OLD_NOW)
            connection.commit()
        await client.create_task("noop", Cron("* * * * * *"), task_id="steady")
        async with asyncio.timeout(30):
            while [e for e in await rows() if e.task_id != "steady"] or [
                t async for t in client.list_tasks() if t.task_id != "steady"
            ]:
                await asyncio.sleep(0.1)
        history = [e async for e in client.list_executions(task_id="steady")]
        steps = {a.scheduled_time - b.scheduled_time for a, b in pairwise(history)}
        assert steps <= {timedelta(seconds=1)}
