"""Registering tasks: once, for good, whatever is in them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from contract.store.builders import T0, create, load_due, new_task

from mainspring.server.core.model import TaskState
from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.tasks import TasksRefused


async def test_a_new_task_is_answered_and_stored_as_given(store: Store) -> None:
    task = new_task("a", payload=b"\x00\xff\x27\\", at=T0 + 7, due_at=T0 + 9)

    (created,) = await store.create_tasks([task])

    assert not created.is_conflict
    stored = created.task
    assert (stored.namespace, stored.task_id, stored.handler) == ("default", "a", "noop")
    assert (stored.payload, stored.schedule) == (task.payload, task.schedule)
    assert (stored.state, stored.version, stored.execution_count) == (TaskState.ACTIVE, 1, 0)
    assert (stored.scheduled_at, stored.due_at, stored.last_scheduled_at) == (T0 + 7, T0 + 9, None)
    assert (stored.created_at, stored.updated_at) == (task.created_at, task.created_at)
    assert await store.get_task(task.ref) == stored


async def test_outcomes_come_in_the_order_of_the_call(store: Store) -> None:
    tasks = [new_task(f"t{number}") for number in range(50)]
    created = await store.create_tasks(tasks)
    assert [outcome.task.task_id for outcome in created] == [task.task_id for task in tasks]


async def test_the_same_call_again_answers_what_is_stored(store: Store) -> None:
    first = new_task("a", at=T0)
    (created,) = await store.create_tasks([first])
    again = replace(first, scheduled_at=T0 + 5, due_at=T0 + 5, created_at=T0 + 5)

    answers = await store.create_tasks([new_task("b"), again])

    assert [answer.is_conflict for answer in answers] == [False, False]
    assert answers[1].task == created.task
    assert await store.get_task(first.ref) == created.task


async def test_another_definition_is_a_conflict_and_changes_nothing(store: Store) -> None:
    (created,) = await store.create_tasks([new_task("a", payload=b"one")])

    answers = await store.create_tasks(
        [new_task("a", payload=b"two", definition=b"definition-no-02"), new_task("b")]
    )

    assert [answer.is_conflict for answer in answers] == [True, False]
    assert answers[0].task == created.task
    assert await store.get_task(new_task("b").ref) is not None


async def test_the_first_of_one_name_in_a_batch_wins(store: Store) -> None:
    batch = [
        new_task("a", payload=b"one"),
        new_task("a", payload=b"one"),
        new_task("a", payload=b"two", definition=b"definition-no-02"),
    ]

    answers = await store.create_tasks(batch)

    assert [answer.is_conflict for answer in answers] == [False, False, True]
    assert {answer.task.payload for answer in answers} == {b"one"}


async def test_large_payloads_are_written_whole(store: Store) -> None:
    tasks = [new_task(f"large-{number}", payload=bytes([number]) * 262_144) for number in range(24)]

    created = await store.create_tasks(tasks)

    assert len(created) == len(tasks)
    for task in tasks[::8]:
        stored = await store.get_task(task.ref)
        assert stored is not None
        assert stored.payload == task.payload


@pytest.mark.parametrize(
    "name",
    [
        "O'Brien",
        'a\\b"c',
        "%s %(x)s %%",
        "中文\u0301",
        "\U0001f570\ufe0f",
        "tab\tnew\nline\x00nul",
        "a ",
        "Ä",
        "; -- ",
    ],
)
async def test_odd_names_come_back_as_they_were(store: Store, name: str) -> None:
    namespace = name.replace("\x00", "")
    task = replace(new_task(name, namespace=namespace), handler=name, schedule=name, payload=name.encode())

    (created,) = await store.create_tasks([task])
    (again,) = await store.create_tasks([task])
    stored = await store.get_task(task.ref)

    assert created == again
    assert stored is not None
    assert (stored.namespace, stored.task_id, stored.handler, stored.schedule) == (
        namespace,
        name,
        name,
        name,
    )
    assert [t.task_id for t in await store.list_tasks(namespace, None, 10, with_payload=False)] == [name]
    assert [due.handler for due in await load_due(store)] == [name]


async def test_names_that_look_alike_are_different_tasks(store: Store) -> None:
    names = ["a", "A", "ä", "a ", "á", "a\u0301"]
    created = await store.create_tasks([new_task(name) for name in names])
    assert [outcome.is_conflict for outcome in created] == [False] * len(names)
    listed = await store.list_tasks("default", None, 100, with_payload=False)
    assert sorted(task.task_id for task in listed) == sorted(names)


async def test_a_row_that_does_not_fit_leaves_the_others_alone(store: Store) -> None:
    batch = [new_task(f"t{number}") for number in range(9)]
    batch[4] = replace(batch[4], handler="x" * 201)

    with pytest.raises(TasksRefused) as raised:
        await store.create_tasks(batch)

    assert set(raised.value.refused) == {4}
    assert set(raised.value.created) == {0, 1, 2, 3, 5, 6, 7, 8}
    assert await store.get_task(batch[4].ref) is None
    assert len(await load_due(store)) == 8


async def test_concurrent_batches_of_the_same_names_agree(store: Store, other_store: Store) -> None:
    batches = [
        [new_task(f"t{number}", payload=payload, definition=payload * 16) for number in order]
        for payload, order in ((b"a", range(100)), (b"b", range(99, -1, -1)), (b"c", range(0, 100, 2)))
    ]

    answers = await asyncio.gather(
        *(target.create_tasks(batch) for batch in batches for target in (store, other_store))
    )

    for batch, outcomes in zip([b for b in batches for _ in range(2)], answers, strict=True):
        for task, outcome in zip(batch, outcomes, strict=True):
            stored = await store.get_task(task.ref) if task.task_id.endswith("0") else outcome.task
            assert outcome.task == stored
            assert outcome.is_conflict == (outcome.task.payload != task.payload)
    assert len(await load_due(store)) == 100


async def test_an_empty_batch_is_no_work(store: Store) -> None:
    assert await store.create_tasks([]) == []
    assert await create(store, 0) == []
