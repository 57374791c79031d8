"""What an owner loads: due tasks and open executions, page by page."""

from __future__ import annotations

import pytest
from contract.store.builders import (
    ALL,
    PARTITIONS,
    SECOND,
    T0,
    cancel,
    claim,
    completion,
    create,
    item,
    load_due,
    new_task,
    own_all,
)

from mainspring.server.core.attempt import Extension
from mainspring.server.core.model import DueCursor, DueTask, ExecutionState, OpenExecution
from mainspring.server.persistence.store import Store


async def _due_pages(
    store: Store, partitions: range, from_at: int, until_at: int, limit: int
) -> list[DueTask]:
    found: list[DueTask] = []
    after: DueCursor | None = None
    while True:
        page = await store.load_due_tasks(
            partitions, from_at=from_at, until_at=until_at, after=after, limit=limit
        )
        found += page
        if len(page) < limit:
            return found
        after = DueCursor(page[-1].partition_id, page[-1].due_at, page[-1].task_key)


async def _open_pages(
    store: Store, partitions: range, until_at: int | None, limit: int
) -> list[OpenExecution]:
    found: list[OpenExecution] = []
    after: DueCursor | None = None
    while True:
        page = await store.load_open_executions(partitions, until_at=until_at, after=after, limit=limit)
        found += page
        if len(page) < limit:
            return found
        after = DueCursor(page[-1].ref.partition_id, page[-1].wake_at, page[-1].ref.task_key)


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_due_tasks_come_once_and_in_order(store: Store, limit: int) -> None:
    tasks = [new_task(f"t{n}", at=T0 + (n % 5)) for n in range(60)]
    await store.create_tasks(tasks)

    loaded = await _due_pages(store, ALL, 0, T0 + 100, limit)

    order = [(due.partition_id, due.due_at, due.task_key) for due in loaded]
    assert order == sorted((t.ref.partition_id, t.due_at, t.ref.task_key) for t in tasks)
    by_key = {task.ref.task_key: task for task in tasks}
    for due in loaded:
        task = by_key[due.task_key]
        assert (due.scheduled_at, due.version, due.handler, due.schedule) == (
            task.scheduled_at,
            1,
            task.handler,
            task.schedule,
        )


async def test_bounds_are_those_of_the_due_time_and_half_open(store: Store) -> None:
    await store.create_tasks([new_task(f"t{n}", at=T0 + n, due_at=T0 + 2 * n) for n in range(10)])
    loaded = await _due_pages(store, ALL, T0 + 4, T0 + 10, 100)
    assert sorted(due.due_at - T0 for due in loaded) == [4, 6, 8]
    assert await _due_pages(store, ALL, T0 + 19, T0 + 30, 100) == []


async def test_only_the_partitions_asked_for(store: Store) -> None:
    tasks = await create(store, 60)
    some = range(2, 5)
    loaded = await _due_pages(store, some, 0, T0 + 1, 4)
    assert {due.ref for due in loaded} == {task.ref for task in tasks if task.ref.partition_id in some}
    assert await _due_pages(store, range(0), 0, T0 + 1, 4) == []


async def test_what_was_claimed_or_cancelled_is_no_longer_due(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = await create(store, 3)
    due = {d.ref: d for d in await load_due(store)}
    await claim(
        store,
        "me",
        epochs,
        [item(due[tasks[0].ref]), item(due[tasks[1].ref], next_at=T0 + 60 * SECOND)],
    )
    await cancel(store, tasks[2].ref, T0)
    assert await load_due(store) == []
    later = await load_due(store, until_at=T0 + 61 * SECOND)
    assert [(d.ref, d.scheduled_at) for d in later] == [(tasks[1].ref, T0 + 60 * SECOND)]


@pytest.mark.parametrize("limit", [2, 7, 1000])
async def test_open_executions_are_all_there_and_final_ones_are_not(store: Store, limit: int) -> None:
    epochs = await own_all(store, "me")
    await create(store, 40)
    outcome = await claim(store, "me", epochs, [item(due) for due in await load_due(store)])
    done, running = outcome.claimed[:10], outcome.claimed[10:15]
    await store.complete("me", [completion(sent) for sent in done], now=T0)
    await store.extend(
        "me",
        [
            Extension(sent.ref, sent.epoch, 1, ExecutionState.RUNNING, T0 + 9 * SECOND, T0 + 1, T0 + 2)
            for sent in running
        ],
    )

    loaded = await _open_pages(store, ALL, None, limit)

    assert {row.ref for row in loaded} == {sent.ref for sent in outcome.claimed[10:]}
    order = [(row.ref.partition_id, row.wake_at, row.ref.task_key) for row in loaded]
    assert order == sorted(order)
    by_ref = {row.ref: row for row in loaded}
    row = by_ref[running[0].ref]
    assert (row.state, row.wake_at, row.picked_up_at) == (ExecutionState.RUNNING, T0 + 9 * SECOND, T0 + 2)
    row = by_ref[outcome.claimed[20].ref]
    assert (row.state, row.attempt, row.executor_id) == (ExecutionState.DISPATCHED, 1, "executor-1")
    assert (row.epoch, row.handler, row.wake_at) == (1, "noop", T0 + 5 * SECOND)
    early = await _open_pages(store, ALL, T0 + 6 * SECOND, limit)
    assert {r.ref for r in early} == {sent.ref for sent in outcome.claimed[15:]}


async def test_several_runs_of_one_task_with_one_wake_time_are_all_loaded(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 12)
    runs = [T0, T0 + 1, T0 + 2]
    outcome = await claim(store, "me", epochs, [item(due, runs=runs) for due in await load_due(store)])
    loaded = await _open_pages(store, range(PARTITIONS), None, 4)
    assert {row.ref for row in loaded} == {sent.ref for sent in outcome.claimed}
    assert len(outcome.claimed) == 36
