"""ZooKeeper away: a node starts and waits; one that fires goes on; everything recovers without a restart."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainspring.client import Delay, ExecutionState, MainspringClient, NewTask
from mainspring.shard_manager.zookeeper import ZooKeeperMembership
from mainspring.testing.zookeeper import ZooKeeperServer

SESSION_S = 1.2


@pytest.fixture
def zookeeper_bench(bench: Any, own_zookeeper: ZooKeeperServer) -> Any:
    """A bench whose nodes are members of a real ZooKeeper, below a path that does not exist yet."""

    def membership_of(node_id: str, address: str, clock: Any) -> ZooKeeperMembership:
        return ZooKeeperMembership(
            f"{own_zookeeper.hosts}/not/there/yet", node_id, address, "test", SESSION_S, clock
        )

    bench.membership_of = membership_of
    return bench


async def run(client: MainspringClient, name: str, count: int = 40) -> None:
    """Register tasks for the next 2 s."""
    await client.create_tasks(
        [
            NewTask("noop", Delay(timedelta(seconds=2 * n / count)), task_id=f"{name}-{n}")
            for n in range(count)
        ]
    )


async def all_ran(client: MainspringClient, name: str, within_s: float, count: int = 40) -> float:
    """Wait for them; answers the greatest lateness, seconds."""
    async with asyncio.timeout(within_s):
        while True:
            rows = [
                e async for e in client.list_executions(page_size=1000) if e.task_id.startswith(f"{name}-")
            ]
            if sum(e.state is ExecutionState.SUCCEEDED for e in rows) == count:
                return max((e.pick_up_time - e.due_time).total_seconds() for e in rows if e.pick_up_time)
            await asyncio.sleep(0.05)


async def is_connected(client: MainspringClient, *, wanted: bool, within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while (await client.list_nodes()).is_coordinator_connected is not wanted:
            await asyncio.sleep(0.05)


async def test_a_node_starts_and_waits_and_fires_through_every_outage(
    zookeeper_bench: Any, own_zookeeper: ZooKeeperServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(own_zookeeper.kill)
    node = await zookeeper_bench.start_node()
    zookeeper_bench.start_executor(node.address)
    async with MainspringClient(node.address) as client:
        await run(client, "before")  # registered, though nobody can own anything yet
        await asyncio.sleep(1.0)
        assert not [e async for e in client.list_executions()]
        await asyncio.to_thread(own_zookeeper.start)
        assert await all_ran(client, "before", 20) < 10

        await asyncio.to_thread(own_zookeeper.kill)
        await is_connected(client, wanted=False)
        await run(client, "away")
        assert await all_ran(client, "away", 10) < 1.0
        epochs = {p.partition_id: p.epoch for p in await client.list_partitions()}
        await asyncio.to_thread(own_zookeeper.start)
        await is_connected(client, wanted=True)
        await run(client, "back")
        assert await all_ran(client, "back", 10) < 1.0

        own_zookeeper.pause()
        try:
            await is_connected(client, wanted=False)
            await run(client, "frozen")
            assert await all_ran(client, "frozen", 10) < 1.0
        finally:
            own_zookeeper.resume()
        await is_connected(client, wanted=True)
        await run(client, "thawed")
        assert await all_ran(client, "thawed", 10) < 1.0
        # Nobody was there to take anything, so nothing has moved.
        assert {p.partition_id: p.epoch for p in await client.list_partitions()} == epochs
        # And a node that comes now finds its place.
        second = await zookeeper_bench.start_node()
        async with asyncio.timeout(20):
            while {p.owner_id for p in await client.list_partitions()} != {
                node.node.node_id,
                second.node.node_id,
            }:
                await asyncio.sleep(0.05)
