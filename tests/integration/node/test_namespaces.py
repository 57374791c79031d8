"""NamespaceService on a real node, and what a retention removes there."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mainspring.client import At, Cron, Execution, MainspringClient, NewTask
from mainspring.server.engine.settings import EngineSettings
from mainspring.testing.sql_server import connect
from mainspring.v1 import namespace_service_pb2 as pb
from mainspring.v1 import (
    namespace_service_pb2_grpc,
    policy_pb2,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

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


async def test_tasks_get_what_their_namespace_says_when_they_are_created(bench: Any) -> None:
    nodes = [await bench.start_node(), await bench.start_node()]
    channels = [grpc.aio.insecure_channel(node.address) for node in nodes]
    namespaces = namespace_service_pb2_grpc.NamespaceServiceStub(channels[0])
    tasks, tasks_elsewhere = map(task_service_pb2_grpc.TaskServiceStub, channels)
    retries = policy_pb2.RetryPolicy(max_attempts=3)
    billing = pb.Namespace(name="billing", task_defaults=pb.TaskDefaults(retry=retries, keep_executions=9))

    def task(task_id: str, namespace: str = "billing", **fields: Any) -> task_pb2.Task:
        hourly = schedule_pb2.Schedule(interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=3_600)))
        return task_pb2.Task(namespace=namespace, id=task_id, handler="noop", schedule=hourly, **fields)

    async def create(stub: Any, wanted: task_pb2.Task) -> task_pb2.Task:
        request = task_service_pb2.CreateTaskRequest(task=wanted)
        return (await stub.CreateTask(request, timeout=10)).task  # type: ignore[no-any-return]

    early = await create(tasks, task("early"))
    assert not early.HasField("retry"), "nobody has created the namespace"
    created = (
        await namespaces.CreateNamespace(pb.CreateNamespaceRequest(namespace=billing), timeout=10)
    ).namespace
    assert (created.task_defaults.retry.max_attempts, created.task_defaults.keep_executions) == (3, 9)
    assert created.etag == "v1"

    first = await create(tasks, task("a"))
    assert (first.retry.max_attempts, first.keep_executions) == (3, 9)
    own = await create(tasks, task("b", retry=policy_pb2.RetryPolicy()))
    assert (own.HasField("retry"), own.keep_executions) == (False, 9)
    assert not (await create(tasks, task("a", "elsewhere"))).HasField("retry")
    batch = task_service_pb2.BatchCreateTasksRequest(tasks=[task("c"), task("c", "elsewhere")])
    answers = (await tasks.BatchCreateTasks(batch, timeout=10)).results
    assert [answer.task.keep_executions for answer in answers] == [9, 0]
    async with asyncio.timeout(10):  # the other node may know it as it was
        for number in itertools.count():
            if (await create(tasks_elsewhere, task(f"there-{number}"))).keep_executions == 9:
                break
            await asyncio.sleep(0.2)

    update = pb.UpdateNamespaceRequest(
        namespace=pb.Namespace(name="billing", task_defaults=pb.TaskDefaults(keep_executions=5)),
        update_mask=FieldMask(paths=["task_defaults.keep_executions"]),
        etag="v1",
    )
    changed = (await namespaces.UpdateNamespace(update, timeout=10)).namespace
    assert (changed.task_defaults.keep_executions, changed.task_defaults.retry.max_attempts) == (5, 3)
    again = (await namespaces.UpdateNamespace(update, timeout=10)).namespace
    assert again == changed, "its answer may have been lost"
    update.namespace.task_defaults.keep_executions = 6
    with pytest.raises(grpc.aio.AioRpcError) as stale:
        await namespaces.UpdateNamespace(update, timeout=10)
    assert stale.value.code() is grpc.StatusCode.ABORTED
    nobody = pb.UpdateNamespaceRequest(namespace=pb.Namespace(name="nobody"))
    for retention, code in ((1, grpc.StatusCode.INVALID_ARGUMENT), (86_400, grpc.StatusCode.NOT_FOUND)):
        nobody.namespace.retention.FromSeconds(retention)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await namespaces.UpdateNamespace(nobody, timeout=10)
        assert refused.value.code() is code

    assert (await create(tasks, task("d"))).keep_executions == 5
    for stub in (tasks, tasks_elsewhere):
        assert await create(stub, task("a")) == first, "a later change of the namespace changes no task"
        with pytest.raises(grpc.aio.AioRpcError) as other:
            await create(stub, task("a", retry=policy_pb2.RetryPolicy()))
        assert other.value.code() is grpc.StatusCode.ALREADY_EXISTS
    given = task_service_pb2.UpdateTaskRequest(
        task=task_pb2.Task(namespace="billing", id="a"), update_mask=FieldMask(paths=["keep_executions"])
    )
    assert (await tasks.UpdateTask(given, timeout=10)).task.keep_executions == 5
    for channel in channels:
        await channel.close()


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
