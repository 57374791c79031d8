"""Several nodes: partitions move on join, leave and death, and no scheduled time is lost or doubled."""

import asyncio
import itertools
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from mainspring.client import Delay, Every, ExecutionState, MainspringClient, NewTask
from mainspring.shard_manager.hashing import partition_of, task_key


async def owners(client: MainspringClient) -> Counter[str]:
    return Counter(p.owner_id for p in await client.list_partitions())


async def until_balanced(client: MainspringClient, node_ids: set[str], within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            counts = await owners(client)
            if set(counts) == node_ids and max(counts.values()) - min(counts.values()) <= 1:
                return
            await asyncio.sleep(0.05)


def starts(folder: Path) -> Counter[tuple[str, int]]:
    counts: Counter[tuple[str, int]] = Counter()
    for log in folder.glob("*.jsonl"):
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "start":
                counts[event["task_id"], event["scheduled_at"]] += 1
    return counts


async def wait_for_ledger(client: MainspringClient, count: int, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while True:
            rows = [e async for e in client.list_executions(page_size=1000)]
            done = sum(
                1 for e in rows if e.state is ExecutionState.SUCCEEDED and e.task_id.startswith("one-")
            )
            if done == count:
                return
            await asyncio.sleep(0.1)


async def test_join_leave_and_death_under_load(bench: Any, tmp_path: Path) -> None:
    first = await bench.start_node()
    second = await bench.start_node()
    bench.start_executor(first.address, executor_id="e1")
    bench.start_executor(second.address, executor_id="e2")
    async with MainspringClient([first.address, second.address]) as client:
        await until_balanced(client, {first.node.node_id, second.node.node_id})
        tasks = [
            NewTask("noop", Delay(timedelta(milliseconds=20 * n)), task_id=f"one-{n}") for n in range(600)
        ]
        tasks += [NewTask("noop", Every(timedelta(seconds=1)), task_id=f"every-{n}") for n in range(20)]
        await client.create_tasks(tasks)
        third = await bench.start_node()
        await until_balanced(client, {r.node.node_id for r in (first, second, third)})
        await second.leave()
        await until_balanced(client, {first.node.node_id, third.node.node_id})
        await third.vanish()
        await until_balanced(client, {first.node.node_id})
        await wait_for_ledger(client, 600, within_s=30)
        rows = [e async for e in client.list_executions(page_size=1000)]
    ran = starts(tmp_path)
    final = [e for e in rows if e.state is ExecutionState.SUCCEEDED]
    for e in final:
        at = round(e.scheduled_time.timestamp() * 1_000_000)
        assert ran[e.task_id, at] >= 1
    # Nothing here kills an executor or cuts it off, so nothing may run twice (I7).
    assert {key: count for key, count in ran.items() if count > 1} == {}
    worst = max((e.pick_up_time - e.due_time).total_seconds() for e in final if e.pick_up_time)
    assert worst <= 10
    by_task: dict[str, list[Any]] = {}
    for e in rows:
        by_task.setdefault(e.task_id, []).append(e)
    for n in range(20):
        times = sorted(e.scheduled_time for e in by_task[f"every-{n}"])
        assert all(b - a == timedelta(seconds=1) for a, b in itertools.pairwise(times))


async def test_a_task_registered_at_another_node_reaches_its_owner_by_hint(bench: Any) -> None:
    first = await bench.start_node()
    second = await bench.start_node()
    bench.start_executor(first.address)
    async with MainspringClient(first.address) as client, MainspringClient(second.address) as other:
        await until_balanced(client, {first.node.node_id, second.node.node_id})
        owned = {p.partition_id: p.owner_id for p in await client.list_partitions()}
        names = [f"hint-{n}" for n in range(100)]
        foreign = [
            n for n in names if owned[partition_of(task_key("default", n), len(owned))] == second.node.node_id
        ]
        await client.create_tasks(
            [NewTask("noop", Delay(timedelta(milliseconds=300)), task_id=n) for n in foreign]
        )
        async with asyncio.timeout(15):
            while True:
                rows = [e async for e in other.list_executions(page_size=1000)]
                if len(rows) == len(foreign) and all(e.state.is_final for e in rows):
                    break
                await asyncio.sleep(0.05)
        assert {e.node_id for e in rows} == {second.node.node_id}


async def test_an_executor_that_dies_has_its_work_run_elsewhere(bench: Any, tmp_path: Path) -> None:
    node = await bench.start_node()
    dying = bench.start_executor(node.address, executor_id="dying")
    async with MainspringClient(node.address) as client:
        await client.create_task("sleep", Delay(timedelta(0)), payload="30", task_id="long")
        async with asyncio.timeout(15):
            while not starts(tmp_path):
                await asyncio.sleep(0.05)
        task = next(t for e, t in bench.executors if e is dying)
        task.cancel()
        await asyncio.wait([task])
        bench.start_executor(node.address, executor_id="living")
        async with asyncio.timeout(15):
            while not (tmp_path / "living.jsonl").exists() or not (tmp_path / "living.jsonl").read_text():
                await asyncio.sleep(0.05)
        found = await client.get_execution("long")
        assert found.attempt == 2
        assert found.executor_id == "living"
