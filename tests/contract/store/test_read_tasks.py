"""Listing and cancelling tasks."""

from __future__ import annotations

from contract.store.builders import T0, cancel, claim, create, item, load_due, new_task, own_all, task_ref

from mainspring.server.core.model import Task, TaskState
from mainspring.server.persistence.store import Store


async def _pages(store: Store, namespace: str, limit: int) -> list[Task]:
    found: list[Task] = []
    while True:
        page = await store.list_tasks(namespace, found[-1].ref if found else None, limit, with_payload=False)
        assert len(page) <= limit
        found += page
        if len(page) < limit:
            return found


async def test_what_does_not_exist_is_none(store: Store) -> None:
    assert await store.get_task(task_ref("nothing")) is None
    assert await cancel(store, task_ref("nothing"), T0) is None
    assert await store.list_tasks("default", None, 10, with_payload=True) == []


async def test_pages_of_any_size_hold_every_task_once_in_key_order(store: Store) -> None:
    tasks = await create(store, 60)
    expected = sorted(task.ref for task in tasks)
    for limit in (1, 7, 60, 61):
        assert [task.ref for task in await _pages(store, "default", limit)] == expected


async def test_a_namespace_shows_its_own_tasks_alone(store: Store) -> None:
    await store.create_tasks([new_task(f"t{n}", namespace=ns) for ns in ("red", "blue") for n in range(20)])
    assert {task.namespace for task in await _pages(store, "red", 3)} == {"red"}
    assert len(await _pages(store, "blue", 5)) == 20
    assert await _pages(store, "green", 5) == []


async def test_a_page_token_of_another_namespace_does_no_harm(store: Store) -> None:
    await store.create_tasks([new_task(f"t{n}", namespace=ns) for ns in ("red", "blue") for n in range(20)])
    after = task_ref("t3", "blue")
    behind = await store.list_tasks("red", after, 100, with_payload=False)
    everything = await _pages(store, "red", 100)
    assert [task.ref for task in behind] == [task.ref for task in everything if task.ref > after]


async def test_paging_goes_on_while_tasks_come_and_change(store: Store) -> None:
    before = await create(store, 40)
    first = await store.list_tasks("default", None, 15, with_payload=False)
    await create(store, 40, prefix="later")
    await cancel(store, first[3].ref, T0)
    rest: list[Task] = []
    while page := await store.list_tasks("default", (rest or first)[-1].ref, 15, with_payload=False):
        rest += page
    refs = [task.ref for task in first + rest]
    assert refs == sorted(set(refs))
    assert {task.ref for task in before} <= set(refs)


async def test_payloads_are_left_out_on_demand(store: Store) -> None:
    await store.create_tasks([new_task("a", payload=b"much")])
    (without,) = await store.list_tasks("default", None, 1, with_payload=False)
    (with_it,) = await store.list_tasks("default", None, 1, with_payload=True)
    assert (without.payload, with_it.payload) == (b"", b"much")


async def test_cancelling_takes_the_next_time_and_raises_the_version_once(store: Store) -> None:
    task = new_task("a")
    await store.create_tasks([task])

    first = await cancel(store, task.ref, T0 + 5)
    second = await cancel(store, task.ref, T0 + 9)

    assert first is not None
    assert second is not None
    assert (first.is_changed, second.is_changed) == (True, False)
    assert first.task == second.task == await store.get_task(task.ref)
    assert (first.task.state, first.task.version) == (TaskState.CANCELLED, 2)
    assert (first.task.scheduled_at, first.task.due_at, first.task.updated_at) == (None, None, T0 + 5)
    assert await load_due(store) == []


async def test_a_completed_task_cannot_be_cancelled(store: Store) -> None:
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1)
    await claim(store, "me", epochs, [item(due) for due in await load_due(store)])

    answer = await cancel(store, task.ref, T0 + 5)

    assert answer is not None
    assert not answer.is_changed
    assert answer.task.state is TaskState.COMPLETED
