"""Timeouts and deliveries that are under way while every node is replaced by another one; the executor lives."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from integration.node.ledger_api import Api, seconds_of
from integration.node.test_main_job import eventually
from integration.node.test_ownership import until_balanced

from mainspring.client import MainspringClient
from mainspring.executor import HandlerRegistry, Job
from mainspring.server.core.instants import SECOND_US
from mainspring.v1 import execution_pb2 as pb

LIMIT_S = 8
"""Of each timeout: longer than it takes to replace a node."""
PROMISED_S = 10
ONCE = "DELIVERY_MODE_AT_MOST_ONCE"
TASKS: dict[str, dict[str, Any]] = {
    "slow": {"timeouts": {"start_to_finish": f"{LIMIT_S}s"}},
    "silent": {"timeouts": {"heartbeat": f"{LIMIT_S}s"}},
    "reports": {"timeouts": {"heartbeat": "3s"}},
    "once": {"delivery": ONCE},
    "again": {},
}
"""One-time tasks by the name of their handler."""


class Handlers:
    """Each runs until it is told to end; what began, and how often."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.may_end = asyncio.Event()
        self.registry = HandlerRegistry()
        for name in TASKS:
            self.registry.register(name, self._run)
        self.registry.register("tick", self._tick)

    async def _run(self, job: Job) -> None:
        self.begun[job.task_id] += 1
        while not self.may_end.is_set():
            if job.task_id == "reports":
                job.heartbeat("still here")
            await asyncio.sleep(0.2)

    async def _tick(self, job: Job) -> None:
        """Ends at once."""

    async def all_begun(self) -> bool:
        return set(self.begun) == set(TASKS)


async def only(api: Api, task_id: str) -> pb.Execution:
    """The one execution of a task, once it is final."""
    (row,) = await eventually(
        lambda: api.rows(task_id),
        lambda rows: rows and rows[0].state >= pb.EXECUTION_STATE_SUCCEEDED,
        LIMIT_S + PROMISED_S,
    )
    return row  # type: ignore[no-any-return]


def saved_s(row: pb.Execution) -> float:
    """When its end was recorded, seconds behind the start of its attempt."""
    return (row.save_time.ToMicroseconds() - row.pick_up_time.ToMicroseconds()) / SECOND_US


async def test_timeouts_and_deliveries_outlive_every_node(bench: Any, node: Any) -> None:
    handlers = Handlers()
    bench.start_executor(node.address, registry=handlers.registry)
    every_second = {"cron": {"expressions": ["* * * * * *"], "time_zone": "UTC"}}
    async with Api(node.address) as api:
        for task_id, fields in TASKS.items():
            await api.create(task_id, task_id, schedule={"delay": "0s"}, **fields)
        await api.create("ticks", "tick", schedule=every_second, delivery=ONCE)
        # What a call triggers is recorded although no executor has its handler; it waits for one.
        await api.create(
            "late", "nobody", schedule={"delay": "3600s"}, timeouts={"schedule_to_start": f"{LIMIT_S}s"}
        )
        async with MainspringClient(node.address) as client:
            await client.trigger_task("late")
        await eventually(handlers.all_begun, bool)
        await eventually(lambda: api.rows("ticks"), lambda rows: len(rows) >= 2)
    successor = await bench.start_node()
    async with MainspringClient(successor.address) as client:
        await until_balanced(client, {node.node.node_id, successor.node.node_id})
    await node.vanish()
    async with Api(successor.address) as api:
        before = await api.rows("ticks")
        rows = {task_id: await only(api, task_id) for task_id in ("slow", "silent", "late")}
        assert [(await api.rows(task_id))[0].state for task_id in ("reports", "once", "again")] == [
            pb.EXECUTION_STATE_RUNNING
        ] * 3
        handlers.may_end.set()
        rows |= {task_id: await only(api, task_id) for task_id in ("reports", "once", "again")}
        await eventually(lambda: api.rows("ticks"), lambda rows: len(rows) >= len(before) + 3)
        await api.cancel("ticks")
        ticks: list[pb.Execution] = await eventually(
            lambda: api.rows("ticks"),
            lambda rows: all(row.state >= pb.EXECUTION_STATE_SUCCEEDED for row in rows),
        )
    for task_id, kind in (("slow", "Timeout"), ("silent", "HeartbeatTimeout")):
        row = rows[task_id]
        assert (row.state, row.error_kind, row.attempt) == (pb.EXECUTION_STATE_FAILED, kind, 1)
        assert LIMIT_S - 1 <= saved_s(row) <= LIMIT_S + PROMISED_S, task_id
    assert (rows["late"].state, rows["late"].attempt) == (pb.EXECUTION_STATE_EXPIRED, 0)
    for task_id in ("reports", "once", "again"):
        assert (rows[task_id].state, rows[task_id].attempt) == (pb.EXECUTION_STATE_SUCCEEDED, 1)
    assert handlers.begun == dict.fromkeys(TASKS, 1), "the executor lived: nothing was started twice"
    check_ticks(bench, ticks)


def check_ticks(bench: Any, rows: list[pb.Execution]) -> None:
    """Each second has its row, and what is delivered at most once began at most once."""
    times = [seconds_of(row) for row in rows]
    assert times == list(range(times[0], times[0] + len(times)))
    lines = (bench.folder / "executor-1.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["event"] == "start"]
    starts = Counter(event["scheduled_at"] // SECOND_US for event in events if event["task_id"] == "ticks")
    assert set(starts.values()) == {1}
    ran = {seconds_of(row) for row in rows if row.state == pb.EXECUTION_STATE_SUCCEEDED}
    lost = {seconds_of(row) for row in rows if row.state == pb.EXECUTION_STATE_LOST}
    skipped = {seconds_of(row) for row in rows if row.state == pb.EXECUTION_STATE_SKIPPED}
    assert ran <= set(starts) <= ran | lost
    assert ran | lost | skipped | set(times[-1:]) == set(times)
