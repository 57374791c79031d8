"""Each overlap policy on real nodes: a handler that is slower than its schedule, and nodes that die in the middle."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from integration.node.ledger_api import Api, Notebook, seconds_of
from integration.node.test_main_job import eventually
from integration.node.test_ownership import until_balanced

from mainspring.client import MainspringClient
from mainspring.v1 import execution_pb2 as pb

TAKES_S = 2.2
WITHIN_S = 40.0
"""For what takes some seconds: the schedule and the handlers set the pace."""
ENOUGH = {
    "ALLOW": {"SUCCEEDED": 5},
    "SKIP": {"SUCCEEDED": 3, "SKIPPED": 4},
    "BUFFER_ONE": {"SUCCEEDED": 3, "SKIPPED": 2},
    "REPLACE": {"CANCELLED": 5},
    "by default": {"SUCCEEDED": 3, "SKIPPED": 4},
}
"""How many executions of a state are waited for, by task."""


def name_of(row: pb.Execution) -> str:
    """The state, without its prefix."""
    return pb.ExecutionState.Name(row.state).removeprefix("EXECUTION_STATE_")


async def ended(api: Api, task_id: str) -> list[pb.Execution]:
    """The ledger of a task that was cancelled, once all of it is final; each second has its row."""
    rows: list[pb.Execution] = await eventually(
        lambda: api.rows(task_id),
        lambda rows: rows and all(row.state >= pb.EXECUTION_STATE_SUCCEEDED for row in rows),
    )
    times = [seconds_of(row) for row in rows]
    assert times == list(range(times[0], times[0] + len(times))), task_id
    return rows


def check_runs(notes: Notebook, task_id: str, rows: list[pb.Execution]) -> None:
    """What ran is in the ledger and ran once, and what the ledger says has run did."""
    ran = [span.scheduled_s for span in notes.of(task_id)]
    assert len(ran) == len(set(ran)), f"{task_id}: the executor lived: nothing is started twice"
    may_have_run = {seconds_of(row) for row in rows if row.attempt}
    have_run = {seconds_of(row) for row in rows if row.state == pb.EXECUTION_STATE_SUCCEEDED}
    assert have_run <= set(ran) <= may_have_run, task_id


async def test_each_policy(bench: Any, node: Any) -> None:
    notes = Notebook(TAKES_S)
    bench.start_executor(node.address, registry=notes.registry)
    async with Api(node.address) as api:
        for task_id in ENOUGH:
            policy = {} if task_id == "by default" else {"overlap": f"OVERLAP_POLICY_{task_id}"}
            await api.create(task_id, "slow", **policy)
        for task_id, least in ENOUGH.items():
            await eventually(
                lambda task_id=task_id: api.rows(task_id),
                lambda rows, least=least: Counter(map(name_of, rows)) >= Counter(least),
                WITHIN_S,
            )
        for task_id in ENOUGH:
            await api.cancel(task_id)
        ledgers = {task_id: await ended(api, task_id) for task_id in ENOUGH}
    for task_id, rows in ledgers.items():
        check_runs(notes, task_id, rows)
        skipped = [row.reason for row in rows if row.state == pb.EXECUTION_STATE_SKIPPED]
        told = "overlap: replaced" if task_id == "REPLACE" else "overlap: the execution of "
        assert [reason for reason in skipped if not reason.startswith(told)] == []
    assert {task_id for task_id in ledgers if notes.overlaps(task_id)} == {"ALLOW"}
    assert Counter(map(name_of, ledgers["ALLOW"]))["SKIPPED"] == 0
    ran = [row for row in ledgers["BUFFER_ONE"] if row.state == pb.EXECUTION_STATE_SUCCEEDED]
    for before, after in itertools.pairwise(ran):
        assert after.scheduled_time.ToMicroseconds() <= before.finish_time.ToMicroseconds(), "it was held"
    assert any(row.reason.startswith("overlap: replaced") for row in ledgers["REPLACE"] if row.attempt)


@pytest.mark.parametrize(
    "overlap", ["OVERLAP_POLICY_SKIP", "OVERLAP_POLICY_BUFFER_ONE", "OVERLAP_POLICY_REPLACE"]
)
async def test_each_policy_across_the_death_of_its_nodes(bench: Any, node: Any, overlap: str) -> None:
    """Every node is replaced by another one while an execution runs and, it may be, another one is held."""
    notes = Notebook(3.2)
    second = await bench.start_node()
    bench.start_executor(node.address, registry=notes.registry)
    tasks = [f"t{number}" for number in range(6)]

    async def fire_on(api: Api, more: int) -> None:
        """Every task gets so many rows more."""
        had = {task_id: len(await api.rows(task_id)) for task_id in tasks}
        for task_id, count in had.items():
            await eventually(
                lambda task_id=task_id: api.rows(task_id),
                lambda rows, count=count: len(rows) >= count + more,
                WITHIN_S,
            )

    async with Api(second.address) as api:
        for task_id in tasks:
            await api.create(task_id, "slow", overlap=overlap)
        await fire_on(api, 3)
    third = await bench.start_node()
    async with Api(third.address) as api:
        async with MainspringClient(third.address) as client:
            await until_balanced(client, {running.node.node_id for running in (node, second, third)})
        await node.vanish()
        await fire_on(api, 2)
        await second.vanish()
        await fire_on(api, 6)
        for task_id in tasks:
            await api.cancel(task_id)
        ledgers = {task_id: await ended(api, task_id) for task_id in tasks}
    assert {task_id: notes.overlaps(task_id) for task_id in tasks} == dict.fromkeys(tasks, 0)
    for task_id, rows in ledgers.items():
        check_runs(notes, task_id, rows)
        assert {name_of(row) for row in rows} <= {"SUCCEEDED", "SKIPPED", "CANCELLED"}
        if overlap != "OVERLAP_POLICY_REPLACE":
            # The task's cancel ends what had not begun: one at most, behind which times were skipped.
            assert "CANCELLED" not in [name for row in rows if (name := name_of(row)) != "SKIPPED"][:-1]
