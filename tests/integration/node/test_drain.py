"""Draining a node from any other, the record of the hand-overs, and what operators are told when they err."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mainspring.client import (
    Delay,
    FailedPrecondition,
    Handover,
    HandoverReason,
    InvalidArgument,
    MainspringClient,
    NewTask,
    Node,
    NotFound,
)


async def owned(client: MainspringClient, node_id: str) -> int:
    return sum(p.owner_id == node_id for p in await client.list_partitions())


async def until_owned(client: MainspringClient, counts: dict[str, int], within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while {node_id: await owned(client, node_id) for node_id in counts} != counts:
            await asyncio.sleep(0.05)


async def handovers(client: MainspringClient, count: int, **filters: Any) -> list[Handover]:
    """So many, once they are written."""
    async with asyncio.timeout(10):
        while True:
            found = [h async for h in client.list_handovers(page_size=3, **filters)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)


async def node_of(client: MainspringClient, node_id: str, holds: Callable[[Node], bool]) -> Node:
    async with asyncio.timeout(10):
        while True:
            for node in (await client.list_nodes()).nodes:
                if node.node_id == node_id and holds(node):
                    return node
            await asyncio.sleep(0.05)


async def test_a_drained_node_gives_everything_away_and_takes_it_again(bench: Any) -> None:
    first, second = await bench.start_node(), await bench.start_node()
    bench.start_executor(first.address)
    one, two = first.node.node_id, second.node.node_id
    async with MainspringClient(first.address) as client, MainspringClient(second.address) as other:
        await until_owned(client, {one: 8, two: 8})
        tasks = [NewTask("noop", Delay(timedelta(milliseconds=20 * n)), task_id=f"t-{n}") for n in range(400)]
        await client.create_tasks(tasks)
        begun = (await client.list_nodes()).cluster_time
        assert await client.drain_node(two) == two
        assert await other.drain_node(two) == two, "again, and asked of itself"
        await until_owned(client, {one: 16, two: 0})
        node = await node_of(client, two, lambda node: not node.is_ready)
        assert node.away_reasons == ("drained",)
        assert (await other.get_task("t-1")).task_id == "t-1", "it goes on to serve calls"
        drained = await handovers(client, 8, since=begun)
        assert {(h.from_node_id, h.to_node_id, h.reason) for h in drained} == {
            (two, one, HandoverReason.DRAINED)
        }
        with pytest.raises(FailedPrecondition, match="no other node is ready"):
            await other.drain_node(one)
        assert await client.undrain_node(two) == two
        await until_owned(client, {one: 8, two: 8})
        node = await node_of(client, two, lambda node: node.is_ready)
        assert node.away_reasons == ()
        back = await handovers(client, 16, since=begun)
        assert len(back) == len({(h.partition_id, h.epoch) for h in back}) == 16, "pages do not overlap"
        assert [h.fire_time for h in back] == sorted((h.fire_time for h in back), reverse=True)  # type: ignore[type-var]
        assert {h.reason for h in back[:8]} == {HandoverReason.REBALANCED}
        assert [h async for h in client.list_handovers(node_id="nobody")] == []
        for handover in back:
            assert handover.release_time is not None
            assert handover.notice_time is None
            assert handover.fire_time is not None
            assert handover.gap == handover.fire_time - handover.release_time


async def test_a_node_that_dies_and_one_that_stops(bench: Any) -> None:
    nodes = [await bench.start_node() for _ in range(3)]
    one, two, three = (running.node.node_id for running in nodes)
    async with MainspringClient(nodes[0].address) as client:
        async with asyncio.timeout(15):
            while min([await owned(client, node_id) for node_id in (one, two, three)]) < 5:
                await asyncio.sleep(0.05)
        begun = (await client.list_nodes()).cluster_time
        await nodes[1].leave()
        left = await handovers(client, 5, since=begun, node_id=two)
        assert {(h.from_node_id, h.reason) for h in left} == {(two, HandoverReason.LEAVING)}
        await asyncio.sleep(0)
        await nodes[2].vanish()
        gone = await handovers(client, 5, since=begun, node_id=three)
        gone = [h for h in gone if h.from_node_id == three]
        assert {(h.to_node_id, h.reason) for h in gone} == {(one, HandoverReason.OWNER_GONE)}
        assert all(h.release_time is None and h.notice_time is not None for h in gone)


async def test_wrong_names_are_answered_with_the_right_ones(bench: Any) -> None:
    first, second = await bench.start_node(), await bench.start_node()
    one, two = first.node.node_id, second.node.node_id
    async with MainspringClient(first.address) as client:
        await node_of(client, two, lambda node: node.is_ready)
        with pytest.raises(NotFound) as missing:
            await client.drain_node("node-9")
        assert one in missing.value.message
        assert two in missing.value.message
        with pytest.raises(InvalidArgument) as nameless:
            await client.undrain_node("")
        assert [violation.field for violation in nameless.value.fields] == ["node_id"]
        shared_name = one.rsplit("-", 2)[0]
        with pytest.raises(InvalidArgument, match="several"):
            await client.drain_node(shared_name)
        with pytest.raises(InvalidArgument) as garbled:
            [h async for h in client.list_handovers(page_size=-1)]
        assert garbled.value.fields[0].field == "page_size"


async def test_the_only_node_is_not_drained(bench: Any) -> None:
    node = await bench.start_node()
    async with MainspringClient(node.address) as client:
        await node_of(client, node.node.node_id, lambda found: found.is_ready)
        with pytest.raises(FailedPrecondition, match="start one"):
            await client.drain_node(node.node.node_id)
        assert await client.undrain_node(node.node.node_id) == node.node.node_id
