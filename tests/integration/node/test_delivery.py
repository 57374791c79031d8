"""Deliveries on a real node with real executors: killed, drained, and handed over beneath."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from integration.node.test_main_job import eventually, executions

from mainspring.client import At, Delay, Delivery, Every, Execution, ExecutionState, MainspringClient, NewTask
from mainspring.executor import Executor, Job
from mainspring.testing.child_process import ChildProcess

ONCE = Delivery.AT_MOST_ONCE


def starts(folder: Path, task_id: str) -> list[tuple[str, int]]:
    """(executor, attempt) of each start of a task, by the executors' own evidence."""
    lines = [line for log in folder.glob("*.jsonl") for line in log.read_text().splitlines()]
    events = [json.loads(line) for line in lines]
    return [
        (event["executor_id"], event["attempt"])
        for event in sorted(events, key=lambda event: event["at"])
        if event["event"] == "start" and event["task_id"] == task_id
    ]


def at_most_once(count: int, spread_s: float) -> list[NewTask]:
    now = datetime.now(UTC) + timedelta(seconds=1)
    return [
        NewTask(
            "sleep",
            At(now + timedelta(seconds=spread_s * n / count)),
            b"0.05",
            task_id=f"once-{n}",
            delivery=ONCE,
        )
        for n in range(count)
    ]


async def ended(client: MainspringClient, count: int) -> list[Execution]:
    rows: list[Execution] = await eventually(
        lambda: executions(client),
        lambda rows: len(rows) == count and all(row.state.is_final for row in rows),
        within_s=40,
    )
    return rows


async def test_sigkill_of_an_executor_ends_what_it_ran_as_lost_beside_what_runs_again(
    bench: Any, node: Any, client: MainspringClient, tmp_path: Path
) -> None:
    doomed = ChildProcess(
        "executor-doomed",
        [
            *(Path(sys.executable).with_name("mainspring"), "executor", "--mock", "--address", node.address),
            *("--executor-id", "doomed", "--run-log", tmp_path / "doomed.jsonl"),
        ],
        log_path=tmp_path / "doomed.log",
    )
    await asyncio.to_thread(doomed.start)
    try:
        await client.create_task("sleep", Delay(timedelta(0)), payload=b"8", task_id="once", delivery=ONCE)
        await client.create_task("sleep", Delay(timedelta(0)), payload=b"8", task_id="again")

        async def begun() -> bool:
            return all(starts(tmp_path, task_id) for task_id in ("once", "again"))

        await eventually(begun, bool)
        await asyncio.to_thread(doomed.kill)
    finally:
        await asyncio.to_thread(doomed.stop)
    bench.start_executor(node.address, executor_id="other")
    (once,) = await eventually(lambda: executions(client, "once"), lambda rows: rows[0].state.is_final)
    assert once.state is ExecutionState.LOST
    assert once.reason == (
        "lost: executor doomed was not heard of for its lease; attempt 1 was sent, and the task is delivered at most once"
    )
    assert (once.attempt, once.executor_id) == (1, "doomed")
    (again,) = await eventually(lambda: executions(client, "again"), lambda rows: rows[0].state.is_final)
    assert (again.state, again.attempt, again.executor_id) == (ExecutionState.SUCCEEDED, 2, "other")
    assert starts(tmp_path, "once") == [("doomed", 1)]
    assert starts(tmp_path, "again") == [("doomed", 1), ("other", 2)]
    assert await executions(client, "once") == [once]
    assert (await client.get_task("once")).delivery is ONCE


async def test_an_executor_that_drains_loses_nothing(
    bench: Any, node: Any, client: MainspringClient, tmp_path: Path
) -> None:
    leaving = bench.start_executor(node.address, executor_id="leaving", capacity=20)
    bench.start_executor(node.address, executor_id="staying", capacity=20)
    tasks = at_most_once(600, 4)
    await client.create_tasks(tasks)
    await eventually(
        lambda: executions(client), lambda rows: sum(row.state.is_final for row in rows) > len(tasks) // 4
    )
    leaving.stop()
    rows = await ended(client, len(tasks))
    assert {row.state for row in rows} == {ExecutionState.SUCCEEDED}, [r.reason for r in rows if r.reason][:3]
    assert {row.executor_id for row in rows} == {"leaving", "staying"}
    for row in rows:
        assert len(starts(tmp_path, row.task_id)) == 1


async def test_nodes_that_come_and_go_lose_nothing(bench: Any, node: Any, tmp_path: Path) -> None:
    other = await bench.start_node()
    bench.start_executor(f"{node.address},{other.address}", capacity=40)
    async with MainspringClient(node.address) as client:
        tasks = at_most_once(900, 6)
        await client.create_tasks(tasks)
        for share in (4, 2):
            await eventually(
                lambda: executions(client),
                lambda rows, share=share: (
                    sum(row.state.is_final for row in rows) > len(tasks) // share // 1.5
                ),
            )
            await other.leave()
            other = await bench.start_node()
        rows = await ended(client, len(tasks))
    assert {row.state for row in rows} == {ExecutionState.SUCCEEDED}, [r.reason for r in rows if r.reason][:3]
    assert len({row.node_id for row in rows}) >= 2


async def test_the_fence_token_that_user_code_sees_rises_with_time_and_attempt(
    bench: Any, node: Any, client: MainspringClient
) -> None:
    seen: dict[tuple[int, int], int] = {}
    first_runs = asyncio.Event()

    def executor(executor_id: str) -> Executor:
        made = Executor(node.address, executor_id=executor_id, drain_timeout_s=0.1)

        @made.handler("write")
        async def write(job: Job) -> None:
            seen[job.scheduled_at, job.attempt] = job.fence_token
            if not first_runs.is_set():
                first_runs.set()
                await asyncio.sleep(600)

        bench.executors.append((made, asyncio.create_task(made.run())))
        return made

    dying = executor("dying")
    await client.create_task("write", Every(timedelta(seconds=1)), task_id="writes")
    async with asyncio.timeout(20):
        await first_runs.wait()
    dying.stop()  # its drain ends without the handler, and without a goodbye
    executor("other")

    async def tokens() -> dict[tuple[int, int], int]:
        return seen

    await eventually(tokens, lambda seen: len(seen) >= 5 and any(attempt > 1 for _, attempt in seen))
    in_order = [token for _, token in sorted(seen.items())]
    assert in_order == sorted(set(in_order))
    assert all(token > 0 for token in in_order)
