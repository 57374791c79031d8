"""Policies and labels of a task: kept, and told wherever they decide; its own payload and the failures of an execution."""

from __future__ import annotations

from dataclasses import replace

from contract.store.builders import (
    ALL,
    SECOND,
    T0,
    assignment,
    claim,
    claimed_tasks,
    completion,
    execution_of,
    item,
    load_due,
    new_task,
    own_all,
    task_of,
)

from mainspring.server.core.model import ExecutionOrigin, ExecutionState, TaskRef
from mainspring.server.persistence.store import Store

TASKS = [
    new_task("plain"),
    replace(
        new_task("full"), policies='{"misfire":{"mode":"ALL"}}', labels='{"größe":"\\"L\\"","a":"it\'s 100%"}'
    ),
    replace(new_task("long"), policies="p" * 2_000, labels="ü" * 4_300),
]
WANTED: dict[TaskRef, str] = {task.ref: task.policies for task in TASKS}


async def test_they_are_stored_and_answered(store: Store) -> None:
    created = await store.create_tasks(TASKS)
    assert [(c.task.policies, c.task.labels) for c in created] == [(t.policies, t.labels) for t in TASKS]
    again = await store.create_tasks(TASKS)
    assert [a.task for a in again] == [c.task for c in created]
    for outcome in created:
        assert await store.get_task(outcome.task.ref) == outcome.task
        assert (outcome.task.note, outcome.task.changed_by) == ("", "")
    listed = await store.list_tasks("default", None, 100, with_payload=True)
    assert {task.ref: task for task in listed} == {c.task.ref: c.task for c in created}


async def test_everything_that_an_owner_reads_of_a_task_tells_its_policies(store: Store) -> None:
    epochs = await own_all(store, "me")
    await store.create_tasks(TASKS)
    due = await load_due(store)
    assert {d.ref: d.policies for d in due} == WANTED
    items = [item(d, executor_id=None) for d in due]
    outcome = await claim(store, "me", epochs, items)
    assert {task_of(sent.ref): sent.policies for sent in outcome.claimed} == WANTED
    found = await store.recover_claim("me", epochs, items, now=T0, wake_at=T0 + 5 * SECOND)
    assert {task_of(sent.ref): sent.policies for sent in found.claimed} == WANTED
    rows = await store.load_open_executions(ALL, until_at=None, after=None, limit=100)
    assert {task_of(row.ref): row.policies for row in rows} == WANTED
    assert {(row.origin, row.failure_count) for row in rows} == {(ExecutionOrigin.SCHEDULE, 0)}
    assigned = await store.assign(
        "me", [assignment(w, "executor-2") for w in outcome.claimed], now=T0 + 1, wake_at=T0 + 9 * SECOND
    )
    assert {task_of(sent.ref): sent.policies for sent in assigned.dispatchable} == WANTED


async def test_a_failure_is_counted_once_with_its_kind(store: Store) -> None:
    bare, told, well, lost = await claimed_tasks(store, "me", 4)
    ends = [
        completion(bare, state=ExecutionState.FAILED),
        replace(completion(told, state=ExecutionState.FAILED, reason="no"), error_kind="k" * 201),
        completion(well, result=b"fine"),
        completion(lost, state=ExecutionState.LOST, reason="lost"),
    ]
    for _ in range(2):
        await store.complete("me", ends, now=T0 + 9)
    rows = [await execution_of(store, sent.ref) for sent in (bare, told, well, lost)]
    assert [(row.failure_count, row.error_kind) for row in rows] == [
        (1, ""),
        (1, "k" * 200),
        (0, ""),
        (0, ""),
    ]
    assert {row.state for row in rows[:2]} == {ExecutionState.FAILED}
    assert {row.origin for row in rows} == {ExecutionOrigin.SCHEDULE}
    assert {(row.progress, row.progress_at, row.retry_at) for row in rows} == {(b"", None, None)}
