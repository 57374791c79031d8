"""Reading the ledger: one task's history, a namespace's executions."""

from __future__ import annotations

import pytest
from contract.store.builders import (
    SECOND,
    T0,
    claim,
    completion,
    create,
    item,
    load_due,
    new_task,
    own_all,
    task_ref,
)

from mainspring.server.core.model import Execution, ExecutionState, TaskRef
from mainspring.server.persistence.store import Store

LENGTH = 40


async def _history(store: Store) -> TaskRef:
    """A task with executions at T0, T0 + 1 s, ..., in claims of two, among other tasks' rows."""
    epochs = await own_all(store, "me")
    await create(store, 20, prefix="other")
    await store.create_tasks([new_task("subject")])
    ref = task_ref("subject")
    for step in range(0, LENGTH, 2):
        at = T0 + step * SECOND
        due = [d for d in await load_due(store, until_at=at + 1) if d.ref == ref or step == 0]
        runs = [at, at + SECOND]
        await claim(store, "me", epochs, [item(d, runs=runs, next_at=at + 2 * SECOND) for d in due], now=at)
    return ref


async def _list(store: Store, ref: TaskRef, **bounds: int) -> list[int]:
    arguments = {"start_at": None, "end_at": None, "before_at": None, "limit": 1000, **bounds}
    rows = await store.list_task_executions(ref, **arguments)  # type: ignore[arg-type]
    assert {(row.task_id, row.result) for row in rows} <= {("subject", b"")}
    return [(row.ref.scheduled_at - T0) // SECOND for row in rows]


async def test_the_history_of_a_task(store: Store) -> None:
    ref = await _history(store)
    newest_first = list(range(LENGTH - 1, -1, -1))

    assert await _list(store, ref) == newest_first
    assert await _list(store, ref, limit=3) == newest_first[:3]
    assert await _list(store, ref, start_at=T0 + 10 * SECOND, end_at=T0 + 15 * SECOND) == [14, 13, 12, 11, 10]
    assert await _list(store, ref, end_at=T0 + 2 * SECOND) == [1, 0]
    assert await _list(store, ref, end_at=T0) == []
    assert await _list(store, ref, start_at=T0 + LENGTH * SECOND) == []
    paged: list[int] = []
    while page := await _list(
        store, ref, limit=7, **({"before_at": T0 + paged[-1] * SECOND} if paged else {})
    ):
        paged += page
    assert paged == newest_first
    assert await _list(store, ref, before_at=T0 + 5 * SECOND + 1, limit=2) == [5, 4]
    both = await _list(store, ref, before_at=T0 + 30 * SECOND, end_at=T0 + 20 * SECOND, limit=2)
    assert both == [19, 18]
    latest = await store.get_execution(ref, None)
    assert latest is not None
    assert latest.ref.scheduled_at == T0 + (LENGTH - 1) * SECOND


async def test_what_does_not_exist(store: Store) -> None:
    await create(store, 1)
    for name in ("task-0", "nothing"):
        assert await store.get_execution(task_ref(name), None) is None
        assert await store.get_execution(task_ref(name), T0) is None
        assert await _list(store, task_ref(name)) == []
    assert await store.list_executions("nothing", start_at=None, end_at=None, after=None, limit=5) == []


async def test_one_execution_is_read_with_its_result(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 1)
    outcome = await claim(store, "me", epochs, [item(due) for due in await load_due(store)])
    (sent,) = outcome.claimed
    await store.complete("me", [completion(sent, result=b"result")], now=T0 + 4)
    execution = await store.get_execution(task_ref("task-0"), T0)
    assert execution is not None
    assert (execution.result, execution.state) == (b"result", ExecutionState.SUCCEEDED)
    assert (execution.namespace, execution.task_id, execution.due_at) == ("default", "task-0", T0)
    (listed,) = await store.list_executions("default", start_at=None, end_at=None, after=None, limit=5)
    assert listed.result == b""


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_executions_of_a_namespace_in_pages(store: Store, limit: int) -> None:
    epochs = await own_all(store, "me")
    await store.create_tasks(
        [new_task(f"t{n}", namespace=ns, at=T0 + n) for ns in ("red", "blue") for n in range(30)]
    )
    due = await load_due(store, until_at=T0 + 100)
    outcome = await claim(store, "me", epochs, [item(d) for d in due])
    expected = sorted(sent.ref for sent in outcome.claimed if sent.namespace == "red")

    async def pages(start_at: int | None, end_at: int | None) -> list[Execution]:
        found: list[Execution] = []
        while True:
            page = await store.list_executions(
                "red",
                start_at=start_at,
                end_at=end_at,
                after=found[-1].ref if found else None,
                limit=limit,
            )
            found += page
            if len(page) < limit:
                return found

    assert [row.ref for row in await pages(None, None)] == expected
    some = await pages(T0 + 5, T0 + 20)
    assert [row.ref for row in some] == [ref for ref in expected if T0 + 5 <= ref.scheduled_at < T0 + 20]
