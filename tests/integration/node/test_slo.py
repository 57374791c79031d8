"""GetSlo on real nodes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from mainspring.client import At, Every, MainspringClient, NewTask
from mainspring.shard_manager.handover import ChangeReason, Handover
from mainspring.v1 import execution_service_pb2 as pb
from mainspring.v1 import execution_service_pb2_grpc


async def _slo(address: str, start: datetime, end: datetime | None = None) -> pb.GetSloResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        request = pb.GetSloRequest()
        request.start_time.FromDatetime(start)
        if end is not None:
            request.end_time.FromDatetime(end)
        return await stub.GetSlo(request, timeout=30)  # type: ignore[no-any-return]


async def test_lateness_by_cause(bench: Any, node: Any, client: MainspringClient) -> None:
    begin = datetime.now(UTC) - timedelta(seconds=1)
    waits_for = datetime.now(UTC) + timedelta(seconds=0.5)
    await client.create_tasks([NewTask("noop", At(waits_for), task_id=f"waits-{n}") for n in range(5)])
    task = await client.get_task("waits-0")
    due_at = int(waits_for.timestamp() * 1_000_000)
    # As after the death of an owner that the others noticed while this task was due.
    record = Handover(
        task.partition_id, 99, ChangeReason.OWNER_GONE, "a", "b", None, due_at, due_at + 1_000_000, 1, 0
    )
    await node.store.record_handovers([record], keep=100)
    await asyncio.sleep(2.5)
    bench.start_executor(node.address, capacity=500)
    herd_at = datetime.now(UTC) + timedelta(seconds=2)
    await client.create_tasks([NewTask("noop", At(herd_at), task_id=f"herd-{n}") for n in range(250)])
    await client.create_task("noop", Every(timedelta(seconds=1)), task_id="steady")
    async with asyncio.timeout(30):
        while True:
            slo = await _slo(node.address, begin)
            by_cause = {entry.cause: entry.figures for entry in slo.by_cause}
            if slo.total.count >= 258:
                break
            await asyncio.sleep(0.2)

    assert slo.total.count == sum(own.count for own in by_cause.values())
    assert by_cause[pb.LATENESS_CAUSE_HERD].count >= 250
    assert by_cause[pb.LATENESS_CAUSE_FAILOVER].count >= 1
    assert by_cause[pb.LATENESS_CAUSE_NO_EXECUTOR].count >= 1
    assert by_cause[pb.LATENESS_CAUSE_NO_EXECUTOR].max.ToMilliseconds() >= 1_900
    assert slo.total.kept_count == slo.total.count
    assert slo.total.p50.ToMicroseconds() <= slo.total.p99.ToMicroseconds() <= slo.total.max.ToMicroseconds()
    assert (slo.partitions_looked_at, slo.partition_count) == (16, 16)
    nothing = await _slo(node.address, begin - timedelta(days=2), begin - timedelta(days=1))
    assert nothing.total == pb.SloFigures()
    assert not nothing.by_cause


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (None, None, "start_time"),
        (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "end_time"),
    ],
)
async def test_a_wrong_stretch_is_named(
    node: Any, start: datetime | None, end: datetime | None, field: str
) -> None:
    request = pb.GetSloRequest()
    if start is not None and end is not None:
        request.start_time.FromDatetime(start)
        request.end_time.FromDatetime(end)
    async with grpc.aio.insecure_channel(node.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await execution_service_pb2_grpc.ExecutionServiceStub(channel).GetSlo(request, timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (refused.value.details() or "")
