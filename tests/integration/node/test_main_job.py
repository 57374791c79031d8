"""The main job on one node: register, fire, run, record."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.client import (
    At,
    Cron,
    Delay,
    Every,
    Execution,
    ExecutionState,
    MainspringClient,
    NewTask,
    Task,
    TaskState,
)


async def eventually(look: Any, wanted: Any, within_s: float = 20.0) -> Any:
    """Looks until `wanted(value)` holds; the bound is the product's promise with room for a slow machine."""
    async with asyncio.timeout(within_s):
        while not wanted(value := await look()):
            await asyncio.sleep(0.05)
    return value


async def executions(client: MainspringClient, task_id: str | None = None) -> list[Execution]:
    return [e async for e in client.list_executions(task_id=task_id)]


async def test_a_one_time_task_runs_once_and_is_recorded(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    bench.start_executor(node.address)
    task = await client.create_task("echo", Delay(timedelta(seconds=1)), payload=b"hello", task_id="once")
    assert task.state is TaskState.ACTIVE
    found = await eventually(
        lambda: executions(client, "once"), lambda rows: rows and rows[0].state is ExecutionState.SUCCEEDED
    )
    assert len(found) == 1
    one = await client.get_execution("once")
    assert one.result == b"hello"
    assert one.attempt == 1
    assert one.pick_up_time is not None
    assert one.due_time <= one.claim_time <= one.pick_up_time <= one.finish_time <= one.save_time
    assert (one.pick_up_time - one.due_time).total_seconds() <= 10
    done = await client.get_task("once")
    assert done.state is TaskState.COMPLETED
    assert done.next_scheduled_time is None


async def test_a_herd_and_every_kind_of_schedule(bench: Any, node: Any, client: MainspringClient) -> None:
    bench.start_executor(node.address, capacity=50)
    at = datetime.now(UTC) + timedelta(seconds=2)
    tasks = [NewTask("noop", At(at), task_id=f"herd-{n}") for n in range(500)]
    tasks.append(NewTask("noop", Every(timedelta(seconds=1)), task_id="every-second"))
    tasks.append(NewTask("noop", Cron("*/2 * * * * *", "Europe/Berlin"), task_id="cron"))
    tasks.append(NewTask("fail", At(at), task_id="fails"))
    created = await client.create_tasks(tasks)
    assert all(isinstance(c, Task) for c in created)

    async def finished() -> dict[str, list[Execution]]:
        by_task: dict[str, list[Execution]] = {}
        for row in await executions(client):
            by_task.setdefault(row.task_id, []).append(row)
        return by_task

    ledger = await eventually(
        finished,
        lambda found: (
            sum(1 for name, rows in found.items() if name.startswith("herd") and rows[0].state.is_final)
            == 500
            and len(found.get("every-second", [])) >= 4
            and len(found.get("cron", [])) >= 2
            and found.get("fails", [])
            and found["fails"][0].state is ExecutionState.FAILED
        ),
    )
    assert all(len(rows) == 1 for name, rows in ledger.items() if name.startswith("herd"))
    seconds = sorted(row.scheduled_time for row in ledger["every-second"])
    assert all(b - a == timedelta(seconds=1) for a, b in itertools.pairwise(seconds))
    assert all(row.scheduled_time.second % 2 == 0 for row in ledger["cron"])
    assert "fail" in ledger["fails"][0].reason.lower()
    worst = max(
        (row.pick_up_time - row.due_time).total_seconds()
        for rows in ledger.values()
        for row in rows
        if row.pick_up_time is not None
    )
    assert worst <= 10


async def test_a_cancelled_task_never_fires(bench: Any, node: Any, client: MainspringClient) -> None:
    bench.start_executor(node.address)
    await client.create_task("noop", Delay(timedelta(seconds=2)), task_id="cancelled")
    await client.create_task("noop", Delay(timedelta(seconds=3)), task_id="later")
    cancelled = await client.cancel_task("cancelled")
    assert cancelled.state is TaskState.CANCELLED
    await eventually(lambda: executions(client, "later"), lambda rows: rows and rows[0].state.is_final)
    assert await executions(client, "cancelled") == []


async def test_work_without_an_executor_runs_when_one_comes(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    await client.create_task("noop", Delay(timedelta(0)), task_id="early")
    bench.start_executor(node.address)
    await eventually(lambda: executions(client, "early"), lambda rows: rows and rows[0].state.is_final)
