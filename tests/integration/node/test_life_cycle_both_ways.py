"""Every call of a task's life and every question about it, on both stores, through the client and the command line.

What a call answered is what the ledger says in the end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from integration.dev.conftest import Dev
from integration.node.both_ways import ByClient, ByCommand

from mainspring.client import (
    Aborted,
    AlreadyExists,
    At,
    Cron,
    Every,
    Execution,
    ExecutionOrigin,
    ExecutionState,
    FailedPrecondition,
    NamespaceUpdate,
    NewTask,
    NotFound,
    RetryPolicy,
    TaskChange,
    TaskDefaults,
    TaskFilter,
    TaskState,
    TaskUpdate,
    Timeouts,
)

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
HOURLY = Every(HOUR)
CALL_S = 30.0
Part = Callable[[Any, str], Awaitable[None]]
"""Of a `ByClient` or a `ByCommand`, and the namespace that it has for itself."""
WITHIN_S = 60.0
"""Bounds a wait that nothing ends; a command is a process of its own, and many run side by side."""
AT_ONCE = RetryPolicy(2, timedelta())
SUCCEEDED, FAILED, CANCELLED = ExecutionState.SUCCEEDED, ExecutionState.FAILED, ExecutionState.CANCELLED
TRIGGER, BACKFILL = ExecutionOrigin.TRIGGER, ExecutionOrigin.BACKFILL


async def namespaces_have_defaults(way: Any, namespace: str) -> None:
    early = await way.create_task("noop", HOURLY, task_id="early", namespace=namespace)
    created = await way.create_namespace(
        namespace, retention=7 * DAY, task_defaults=TaskDefaults(retry=AT_ONCE)
    )
    assert (created.retention, created.task_defaults.retry.max_attempts) == (7 * DAY, 2)
    with pytest.raises(AlreadyExists):
        await way.create_namespace(namespace, retention=DAY, task_defaults=TaskDefaults())
    task = await way.create_task("fail", At(datetime.now(UTC)), task_id="fails", namespace=namespace)
    assert (early.retry, task.retry.max_attempts) == (None, 2)

    changed = await way.update_namespace(
        namespace, NamespaceUpdate(retention=8 * DAY, retry=None), etag=created.etag
    )
    assert (changed.retention, changed.task_defaults) == (8 * DAY, TaskDefaults())
    with pytest.raises(Aborted):
        await way.update_namespace(namespace, NamespaceUpdate(retention=9 * DAY), etag=created.etag)
    assert await way.get_namespace(namespace) == changed
    assert changed in [each async for each in way.list_namespaces()]
    unknown = await way.get_namespace(f"not {namespace}")
    assert (unknown.create_time, unknown.retention) == (None, 30 * DAY)

    (row,) = await ended(way, "fails", namespace, 1)
    assert (row.state, row.attempt, row.failure_count) == (FAILED, 2, 2)
    assert (await way.get_task("fails", namespace=namespace)).retry == task.retry
    assert (await way.create_task("noop", HOURLY, task_id="late", namespace=namespace)).retry is None


async def a_task_is_changed_and_run(way: Any, namespace: str) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=5)
    here = {"namespace": namespace}
    created = await way.create_task("echo", HOURLY, task_id="t", payload="old", **here)
    updated = await way.update_task("t", TaskUpdate(payload="new"), etag=created.etag, **here)
    assert (updated.payload, updated.version) == (b"new", 2)
    with pytest.raises(Aborted):
        await way.update_task("t", TaskUpdate(payload="newer"), etag=created.etag, **here)

    async with way.watched("t", **here) as watch, asyncio.timeout(WITHIN_S):
        first = await way.trigger_task("t", **here)
        seen: list[Execution] = []
        while not seen or not seen[-1].state.is_final:
            seen.append(await anext(watch))
        assert {each.scheduled_time for each in seen} == {first.scheduled_time}
        assert (seen[-1].state, seen[-1].origin) == (SUCCEEDED, TRIGGER)
    own = [await way.trigger_task("t", payload="its own", request_id="one", **here) for _ in range(2)]
    assert own[0].scheduled_time == own[1].scheduled_time
    rows = await ended(way, "t", namespace, 2)
    results = [(await way.get_execution("t", row.scheduled_time, **here)).result for row in rows]
    assert results == [b"new", b"its own"]

    told = await way.explain_execution("t", first.scheduled_time, **here)
    assert told.execution.scheduled_time == first.scheduled_time
    assert [stage.name for stage in told.stages][-1] == "saved"
    assert told.broken_stage == ""
    none = await way.explain_execution("t", first.scheduled_time - DAY, **here)
    assert (none.execution, bool(none.summary)) == (None, True)
    figures = await way.get_slo(begun, **here)
    assert (figures.total.count, figures.total.kept_count, figures.not_run_count) == (2, 2, 0)
    assert sum(each.count for each in figures.by_cause.values()) == 2

    paused = await way.pause_task("t", note="moving", changed_by="ada", etag=updated.etag, **here)
    assert (paused.state, paused.note, paused.changed_by) == (TaskState.PAUSED, "moving", "ada")
    with pytest.raises(FailedPrecondition):
        await way.trigger_task("t", **here)
    resumed = await way.resume_task("t", note="moved", changed_by="bob", **here)
    assert (resumed.state, resumed.note) == (TaskState.ACTIVE, "moved")
    cancelled = await way.cancel_task("t", note="over", changed_by="eve", etag=resumed.etag, **here)
    assert (cancelled.state, cancelled.note, cancelled.changed_by) == (TaskState.CANCELLED, "over", "eve")
    with pytest.raises(FailedPrecondition):
        await way.resume_task("t", **here)
    assert await ledger(way, "t", namespace) == rows, "nothing else has run"
    await way.delete_task("t", **here)
    with pytest.raises(NotFound):
        await way.get_task("t", **here)


async def tasks_are_registered_once_and_changed_in_bulk(way: Any, namespace: str) -> None:
    here = {"namespace": namespace}
    once = [await way.create_task("noop", HOURLY, request_id="r", **here) for _ in range(2)]
    assert once[0] == once[1]
    labels = {"team": "red"}
    new = [NewTask("noop", HOURLY, task_id=f"red-{n}", labels=labels, namespace=namespace) for n in range(3)]
    created = await way.create_tasks(new)
    assert [task.task_id for task in created] == ["red-0", "red-1", "red-2"]
    assert await way.create_tasks(new) == created
    red, paused = TaskFilter(labels=labels), TaskFilter([TaskState.PAUSED])
    assert (await way.count_tasks(filter=red, **here)).by_state == {TaskState.ACTIVE: 3}
    counted = await way.change_tasks(red, TaskChange.PAUSE, dry_run=True, **here)
    assert (counted.matched_count, counted.changed_count) == (3, 0)
    done = await way.change_tasks(red, TaskChange.PAUSE, note="audit", changed_by="ada", **here)
    assert (done.matched_count, done.changed_count) == (3, 3)
    listed = [task async for task in way.list_tasks(filter=paused, **here)]
    assert {(task.task_id, task.note, task.changed_by) for task in listed} == {
        (f"red-{n}", "audit", "ada") for n in range(3)
    }
    assert (await way.change_tasks(red, TaskChange.RESUME, **here)).changed_count == 3
    assert (await way.change_tasks(red, TaskChange.CANCEL, **here)).changed_count == 3
    assert (await way.change_tasks(red, TaskChange.DELETE, **here)).changed_count == 3
    assert (await way.count_tasks(filter=red, **here)).count == 0
    assert [e async for e in way.list_executions(**here)] == [], "an hour has not passed"


async def executions_are_cancelled_retried_and_backfilled(way: Any, namespace: str) -> None:
    here = {"namespace": namespace}
    await way.create_task("sleep", HOURLY, task_id="long", payload="3600", **here)
    running = await way.trigger_task("long", **here)
    await until(way, "long", namespace, lambda rows: rows[0].state is ExecutionState.RUNNING)
    with pytest.raises(FailedPrecondition):
        await way.delete_task("long", **here)
    await way.cancel_execution("long", running.scheduled_time, note="enough", **here)
    (row,) = await ended(way, "long", namespace, 1)
    assert row.state is CANCELLED
    assert "enough" in row.reason
    assert (await way.cancel_execution("long", running.scheduled_time, **here)).state is CANCELLED

    await way.create_task("fail", HOURLY, task_id="fails", **here)
    failed = await way.trigger_task("fails", payload="broken", **here)
    await ended(way, "fails", namespace, 1)
    again = [
        await way.retry_execution("fails", failed.scheduled_time, request_id="one", **here) for _ in range(2)
    ]
    assert again[0].scheduled_time == again[1].scheduled_time != failed.scheduled_time
    rows = await ended(way, "fails", namespace, 2)
    assert [(row.state, row.origin, "broken" in row.reason) for row in rows] == [(FAILED, TRIGGER, True)] * 2
    only = [row async for row in way.list_executions(states=[CANCELLED], **here)]
    assert [row.task_id for row in only] == ["long"]
    with pytest.raises(FailedPrecondition):
        await way.retry_execution("long", running.scheduled_time, **here)

    await way.create_task("noop", Cron("0 0 1 1 *"), task_id="yearly", **here)
    year = datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)
    span = (year.replace(year=year.year - 2), year + MINUTE)
    assert await way.backfill_task("yearly", *span, **here) == 3
    assert await way.backfill_task("yearly", *span, **here) == 0
    rows = await ended(way, "yearly", namespace, 3)
    assert Counter((row.state, row.origin) for row in rows) == {(SUCCEEDED, BACKFILL): 3}


async def policies_do_what_they_say(way: Any, namespace: str) -> None:
    retries = RetryPolicy(3, timedelta(milliseconds=1))
    not_these = RetryPolicy(3, timedelta(), non_retryable_error_kinds=["RuntimeError"])
    told: dict[str, tuple[str, dict[str, Any]]] = {
        "retried": ("fail", {"retry": retries}),
        "of a kind": ("fail", {"retry": not_these}),
        "too long": ("sleep", {"timeouts": Timeouts(start_to_finish=SECOND), "payload": "3600"}),
        "silent": ("sleep", {"timeouts": Timeouts(heartbeat=SECOND), "payload": "3600"}),
        "late": ("noop", {"lateness_objective": timedelta(microseconds=1)}),
        "of nobody": ("nobody's", {"timeouts": Timeouts(schedule_to_start=SECOND)}),
    }
    for task_id, (handler, said) in told.items():
        task = await way.create_task(
            handler,
            At(datetime.now(UTC)),
            task_id=task_id,
            namespace=namespace,
            labels={"a": "b"},
            **said,
        )
        assert task.labels == {"a": "b"}
    rows = {task_id: (await ended(way, task_id, namespace, 1))[0] for task_id in told}
    assert {task_id: (row.state, row.attempt, row.error_kind) for task_id, row in rows.items()} == {
        "retried": (FAILED, 3, "RuntimeError"),
        "of a kind": (FAILED, 1, "RuntimeError"),
        "too long": (FAILED, 1, "Timeout"),
        "silent": (FAILED, 1, "HeartbeatTimeout"),
        "late": (SUCCEEDED, 1, ""),
        "of nobody": (ExecutionState.EXPIRED, 0, ""),
    }
    when = rows["of nobody"].scheduled_time
    expired = await way.explain_execution("of nobody", when, namespace=namespace)
    assert "could not start within 1 s" in expired.summary
    told_late = await way.explain_execution("late", rows["late"].scheduled_time, namespace=namespace)
    assert told_late.lateness > told_late.lateness_objective
    assert told_late.broken_stage
    figures = await way.get_slo(rows["late"].scheduled_time - MINUTE, namespace=namespace)
    assert figures.total.kept_count < figures.total.count


async def ledger(caller: Any, task_id: str, namespace: str) -> list[Execution]:
    """A task's executions, oldest first."""
    rows: list[Execution] = [row async for row in caller.list_executions(task_id, namespace=namespace)]
    return rows[::-1]


async def until(
    way: Any, task_id: str, namespace: str, holds: Callable[[list[Execution]], bool]
) -> list[Execution]:
    """The ledger of a task once something holds of it."""
    async with asyncio.timeout(WITHIN_S):
        while not (rows := await ledger(way.watcher, task_id, namespace)) or not holds(rows):
            await asyncio.sleep(0.05)
    return await ledger(way, task_id, namespace)


async def ended(way: Any, task_id: str, namespace: str, count: int) -> list[Execution]:
    """The ledger of a task once it has so many executions, all final."""
    return await until(
        way,
        task_id,
        namespace,
        lambda rows: len(rows) == count and all(row.state.is_final for row in rows),
    )


PARTS = [
    namespaces_have_defaults,
    a_task_is_changed_and_run,
    tasks_are_registered_once_and_changed_in_bulk,
    executions_are_cancelled_retried_and_backfilled,
    policies_do_what_they_say,
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
async def test_on_mariadb(bench: Any, part: Part) -> None:
    node = await bench.start_node()
    bench.start_executor(node.address)
    await in_both_ways(node.address, part)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
async def test_on_sqlite(tmp_path: Path, part: Part) -> None:
    dev = Dev(tmp_path)
    try:
        await asyncio.to_thread(dev.start, "--file", tmp_path / "tasks.db")
        await in_both_ways(dev.address, part)
    finally:
        dev.running.kill()


async def in_both_ways(address: str, part: Part) -> None:
    async with ByClient(address, default_timeout_s=CALL_S) as client, asyncio.TaskGroup() as group:
        group.create_task(part(client, "by client"))
        group.create_task(part(ByCommand(address, client), "by command"))
