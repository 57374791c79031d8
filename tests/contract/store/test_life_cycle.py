"""What calls change of tasks: the store reads under a lock, has it decided, and writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from contract.store.builders import (
    SECOND,
    T0,
    change,
    claim,
    create,
    item,
    load_due,
    new_task,
    own_all,
    task_ref,
)

from mainspring.server.core.life_cycle import StateChange, with_state_changed
from mainspring.server.core.model import Delivery, Task, TaskState
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.persistence.store import Store

AT_T0 = encode(Schedule(OneTime(T0)))


async def test_a_paused_task_is_not_due_and_keeps_its_time_until_it_is_resumed(store: Store) -> None:
    task = replace(new_task("a"), schedule=AT_T0)
    await store.create_tasks([task])

    (paused,) = await store.change_tasks(
        [task.ref],
        lambda task: with_state_changed(task, StateChange.PAUSE, now=T0 + 1, note="why", changed_by="me"),
    )

    assert paused is not None
    assert paused.is_changed
    assert paused.task == await store.get_task(task.ref)
    assert (paused.task.state, paused.task.version) == (TaskState.PAUSED, 2)
    assert (paused.task.scheduled_at, paused.task.due_at, paused.task.updated_at) == (T0, None, T0 + 1)
    assert (paused.task.note, paused.task.changed_by, paused.task.payload) == ("why", "me", b"payload")
    assert await load_due(store, T0 + 10 * SECOND) == []

    resumed = await change(store, task.ref, StateChange.RESUME, T0 + 7)

    assert resumed is not None
    assert (resumed.task.state, resumed.task.version) == (TaskState.ACTIVE, 3)
    assert (resumed.task.scheduled_at, resumed.task.due_at) == (T0, T0 + 7)
    (due,) = await load_due(store, T0 + 10 * SECOND)
    assert (due.version, due.due_at, due.scheduled_at) == (3, T0 + 7, T0)


async def test_a_claim_that_was_planned_before_a_change_is_dropped(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = await create(store, 3)
    planned = [item(due) for due in await load_due(store)]
    await change(store, tasks[0].ref, StateChange.PAUSE)
    await store.change_tasks([tasks[1].ref], lambda task: replace(task, version=2, payload=b"new"))

    outcome = await claim(store, "me", epochs, planned)

    assert [claimed.task_id for claimed in outcome.claimed] == ["task-2"]
    assert {dropped.due.ref for dropped in outcome.dropped} == {tasks[0].ref, tasks[1].ref}


async def test_a_change_may_touch_every_field_of_the_definition(store: Store) -> None:
    task = new_task("a")
    await store.create_tasks([task])
    wanted: list[Task] = []

    def redefine(task: Task) -> Task:
        changed = replace(
            task,
            version=task.version + 1,
            handler="it's \\ another",
            payload=b"\x00\xff" * 70_000,
            schedule=AT_T0,
            definition_hash=b"definition-no-02",
            delivery=Delivery.AT_MOST_ONCE,
            policies='{"keep":3}',
            labels='{"a":"\\"b\'"}',
            scheduled_at=T0 + 5,
            due_at=T0 + 6,
            updated_at=T0 + 4,
        )
        wanted.append(changed)
        return changed

    (changed,) = await store.change_tasks([task.ref], redefine)

    assert changed is not None
    assert changed.task == wanted[-1] == await store.get_task(task.ref)


async def test_many_are_changed_in_one_go_and_answered_in_order(store: Store) -> None:
    tasks = await create(store, 30)
    refs = [tasks[7].ref, task_ref("nothing"), *(task.ref for task in tasks)]

    outcome = await store.change_tasks(
        refs,
        lambda task: (
            with_state_changed(task, StateChange.CANCEL, now=T0) if task.task_id != "task-3" else None
        ),
        with_payload=False,
    )

    assert [answer and answer.task.ref for answer in outcome] == [
        None if ref == task_ref("nothing") else ref for ref in refs
    ]
    assert [answer.task.task_id for answer in outcome if answer is not None and not answer.is_changed] == [
        "task-3"
    ]
    stored = await store.list_tasks("default", None, 100, with_payload=True)
    assert {task.payload for task in stored} == {b"payload"}
    assert [task.task_id for task in stored if task.state is TaskState.ACTIVE] == ["task-3"]


async def test_what_a_change_raises_comes_through_and_nothing_is_written(store: Store) -> None:
    first, second = sorted(await create(store, 2), key=lambda task: task.ref)

    def refuse(task: Task) -> Task:
        if task.ref == second.ref:
            raise LookupError("no")
        return replace(task, version=9)

    with pytest.raises(LookupError):
        await store.change_tasks([first.ref, second.ref], refuse)
    assert await store.read_versions([first.ref, second.ref, task_ref("nothing")]) == {
        first.ref: 1,
        second.ref: 1,
    }


async def test_changes_of_one_task_from_two_nodes_come_one_after_the_other(
    store: Store, other_store: Store
) -> None:
    task = new_task("a")
    await store.create_tasks([task])

    def count(task: Task) -> Task:
        return replace(task, version=task.version + 1, note=f"{task.note}x")

    for _ in range(10):
        await asyncio.gather(
            store.change_tasks([task.ref], count), other_store.change_tasks([task.ref], count)
        )

    stored = await store.get_task(task.ref)
    assert stored is not None
    assert (stored.version, stored.note) == (21, "x" * 20)
    assert await store.read_versions([task.ref]) == {task.ref: 21}
