"""Each overlap policy on real nodes: a handler that is slower than its schedule, and a node that dies in the middle."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from integration.node.ledger_api import Api, Notebook
from integration.node.test_main_job import eventually

from mainspring.v1 import execution_pb2 as pb

TAKES_S = 2.2
STATES = {
    name: getattr(pb, f"EXECUTION_STATE_{name}")
    for name in ("SUCCEEDED", "SKIPPED", "CANCELLED", "WAITING", "DISPATCHED", "RUNNING")
}


async def ended(api: Api, task_id: str) -> list[pb.Execution]:
    """The ledger of a task that was cancelled, once all of it is final."""
    rows: list[pb.Execution] = await eventually(
        lambda: api.rows(task_id),
        lambda rows: rows and all(row.state >= pb.EXECUTION_STATE_SUCCEEDED for row in rows),
        20,
    )
    return rows


async def test_each_policy(bench: Any, node: Any) -> None:
    notes = Notebook(TAKES_S)
    bench.start_executor(node.address, registry=notes.registry)
    policies = {name: f"OVERLAP_POLICY_{name}" for name in ("ALLOW", "SKIP", "BUFFER_ONE", "REPLACE")}
    async with Api(node.address) as api:
        for task_id, policy in policies.items():
            await api.create(task_id, "slow", overlap=policy)
        await api.create("by default", "slow")
        await asyncio.sleep(10)
        for task_id in (*policies, "by default"):
            await api.cancel(task_id)
        ledgers = {task_id: await ended(api, task_id) for task_id in (*policies, "by default")}
    found = {
        task_id: {name: sum(row.state == state for row in rows) for name, state in STATES.items()}
        for task_id, rows in ledgers.items()
    }
    for task_id, rows in ledgers.items():
        times = [row.scheduled_time.seconds for row in rows]
        assert times == list(range(times[0], times[0] + len(times))), task_id
        assert all(row.reason.startswith("overlap: ") for row in rows if row.state == STATES["SKIPPED"])
    assert {task_id for task_id in ledgers if notes.overlaps(task_id)} == {"ALLOW"}
    assert found["ALLOW"]["SKIPPED"] == 0
    assert found["ALLOW"]["SUCCEEDED"] >= 8
    for task_id in ("SKIP", "by default"):
        assert 3 <= found[task_id]["SUCCEEDED"] <= 4
        assert found[task_id]["SKIPPED"] >= 5
    spans = notes.of("BUFFER_ONE")
    assert all(after.begun_s - before.ended_s < 0.5 for before, after in itertools.pairwise(spans))
    assert found["BUFFER_ONE"]["SUCCEEDED"] >= 4
    assert found["BUFFER_ONE"]["SKIPPED"] >= 4
    assert found["REPLACE"]["CANCELLED"] >= 7
    assert found["REPLACE"]["SKIPPED"] == 0
    assert any(row.reason.startswith("overlap: replaced") for row in ledgers["REPLACE"])


@pytest.mark.parametrize(
    "overlap", ["OVERLAP_POLICY_SKIP", "OVERLAP_POLICY_BUFFER_ONE", "OVERLAP_POLICY_REPLACE"]
)
async def test_each_policy_across_the_death_of_its_nodes(bench: Any, node: Any, overlap: str) -> None:
    """Every node is replaced by another one while an execution runs and, it may be, another one is held."""
    notes = Notebook(3.2)
    second = await bench.start_node()
    bench.start_executor(node.address, registry=notes.registry)
    tasks = [f"t{number}" for number in range(6)]
    async with Api(node.address) as api:
        for task_id in tasks:
            await api.create(task_id, "slow", overlap=overlap)
        await eventually(lambda: api.rows(tasks[-1]), lambda rows: len(rows) >= 3)
    third = await bench.start_node()
    await asyncio.sleep(1)
    await node.vanish()
    async with Api(third.address) as api:
        before = {task_id: len(await api.rows(task_id)) for task_id in tasks}
        await asyncio.sleep(3)
        await second.vanish()
        for task_id, count in before.items():
            await eventually(
                lambda task_id=task_id: api.rows(task_id), lambda rows, count=count: len(rows) > count + 6
            )
        for task_id in tasks:
            await api.cancel(task_id)
        ledgers = {task_id: await ended(api, task_id) for task_id in tasks}
    assert {task_id: notes.overlaps(task_id) for task_id in tasks} == dict.fromkeys(tasks, 0)
    for task_id, rows in ledgers.items():
        times = [row.scheduled_time.seconds for row in rows]
        assert times == list(range(times[0], times[0] + len(times))), task_id
        assert {row.state for row in rows} <= {STATES[name] for name in ("SUCCEEDED", "SKIPPED", "CANCELLED")}
        assert all(row.attempt <= 1 for row in rows), "the executor lived: nothing was started twice"
        if overlap != "OVERLAP_POLICY_REPLACE":
            assert not any(row.state == STATES["CANCELLED"] for row in rows[:-2])
        # What ran is in the ledger, and what is in the ledger ran.
        ran = [row for row in rows if row.state in (STATES["SUCCEEDED"], STATES["CANCELLED"]) and row.attempt]
        assert len(notes.of(task_id)) == len(ran)
