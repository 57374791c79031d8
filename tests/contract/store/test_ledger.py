"""Reading the ledger: one task's history, a namespace's executions."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
from contract.store.builders import (
    PARTITIONS,
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

from mainspring.server.core.claim import ClaimGap
from mainspring.server.core.execution_filter import EVERYTHING, ExecutionFilter
from mainspring.server.core.model import (
    AddedExecution,
    Execution,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    TaskRef,
)
from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.ledger import ExecutionPage

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
        items = [item(d, runs=runs, next_at=at + 2 * SECOND) for d in due]
        await claim(store, "me", epochs, items, now=at + SECOND)
    return ref


async def _list(
    store: Store, ref: TaskRef, only: ExecutionFilter = EVERYTHING, limit: int = 1000
) -> list[int]:
    """Seconds after T0 of all that fits, page by page."""
    found: list[Execution] = []
    page = await store.list_task_executions(ref, only=only, limit=limit)
    while True:
        assert len(page.executions) <= limit
        found += page.executions
        if page.next is None:
            break
        page = await store.list_task_executions(ref, only=only, from_at=page.next.scheduled_at, limit=limit)
    assert {(row.task_id, row.result) for row in found} <= {("subject", b"")}
    return [(row.ref.scheduled_at - T0) // SECOND for row in found]


def _between(start: int | None, end: int | None) -> ExecutionFilter:
    """Scheduled times in seconds after T0."""
    start_at, end_at = (None if n is None else T0 + n * SECOND for n in (start, end))
    return ExecutionFilter(start_at=start_at, end_at=end_at)


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_the_history_of_a_task(store: Store, limit: int) -> None:
    ref = await _history(store)

    assert await _list(store, ref, limit=limit) == list(range(LENGTH - 1, -1, -1))
    assert await _list(store, ref, _between(10, 15), limit) == [14, 13, 12, 11, 10]
    assert await _list(store, ref, _between(None, 2), limit) == [1, 0]
    assert await _list(store, ref, _between(None, 0), limit) == []
    assert await _list(store, ref, _between(LENGTH, None), limit) == []
    latest = await store.get_execution(ref, None)
    assert latest is not None
    assert latest.ref.scheduled_at == T0 + (LENGTH - 1) * SECOND


async def test_what_is_recorded_while_pages_are_read_does_not_shift_them(store: Store) -> None:
    ref = await _history(store)
    page = await store.list_task_executions(ref, limit=5)
    assert page.next is not None
    (due,) = [d for d in await load_due(store, until_at=T0 + 99 * SECOND) if d.ref == ref]
    await claim(store, "me", {due.partition_id: 1}, [item(due)], now=due.scheduled_at)

    rest = await store.list_task_executions(ref, from_at=page.next.scheduled_at, limit=1000)

    times = [row.ref.scheduled_at for row in (*page.executions, *rest.executions)]
    assert times == [T0 + n * SECOND for n in range(LENGTH - 1, -1, -1)]
    assert await _list(store, ref, limit=1) == [LENGTH, *range(LENGTH - 1, -1, -1)]


async def test_old_times_that_are_recorded_late_are_listed_in_their_places(store: Store) -> None:
    """As a backfill records them."""
    epochs = await own_all(store, "me")
    await store.create_tasks([new_task("subject")])
    ref = task_ref("subject")
    for now in (0, 50, 100):
        (due,) = await load_due(store, until_at=T0 + 200 * SECOND)
        at = T0 + now * SECOND
        await claim(store, "me", epochs, [item(due, runs=[at], next_at=at + 50 * SECOND)], now=at)
    added = [AddedExecution(T0 + n * SECOND, T0, T0, ExecutionOrigin.BACKFILL) for n in (10, 20, 60)]
    await store.add_executions("me", epochs[ref.partition_id], ref, added, now=T0 + 100 * SECOND)

    for limit in (1, 2, 1000):
        assert await _list(store, ref, limit=limit) == [100, 60, 50, 20, 10, 0]
        assert await _list(store, ref, _between(40, None), limit) == [100, 60, 50]
        assert await _list(store, ref, _between(10, 51), limit) == [50, 20, 10]
        assert await _list(store, ref, _between(0, 1), limit) == [0]


async def test_the_gap_row_that_holds_a_time(store: Store) -> None:
    epochs = await own_all(store, "me")
    await store.create_tasks([new_task("subject"), new_task("other")])
    for n, (start, runs) in enumerate(((0, [20, 21]), (30, [30]), (31, []), (60, [90]))):
        gap = ClaimGap(T0 + start * SECOND, T0 + (start + 9) * SECOND, 10, f"away {n}") if n != 1 else None
        due = [d for d in await load_due(store, until_at=T0 + 100 * SECOND) if d.ref == task_ref("subject")]
        times = [T0 + at * SECOND for at in runs]
        now = T0 + 99 * SECOND
        await claim(store, "me", epochs, [item(d, runs=times, gap=gap, next_at=now) for d in due], now=now)

    async def found(at: float) -> str | None:
        gap = await store.get_gap(task_ref("subject"), T0 + int(at * SECOND))
        return None if gap is None else gap.reason

    assert [await found(at) for at in (0, 5, 9)] == ["away 0"] * 3
    ref = task_ref("subject")
    within = [AddedExecution(T0 + n * SECOND, T0, T0, ExecutionOrigin.BACKFILL) for n in (3, 4, 62)]
    await store.add_executions("me", epochs[ref.partition_id], ref, within, now=T0 + 99 * SECOND)
    assert [await found(at) for at in (0, 3, 3.5, 5, 9)] == ["away 0"] * 5
    assert [await found(at) for at in (31, 40)] == ["away 2"] * 2
    assert [await found(at) for at in (60, 68.5)] == ["away 3"] * 2
    assert [await found(at) for at in (-1, 9.5, 20, 30, 41, 70, 90, 1e6)] == [None] * 8
    assert await store.get_gap(task_ref("other"), T0) is None
    assert await store.get_gap(task_ref("nothing"), T0) is None


async def test_a_filter_by_state_handler_and_labels(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = [
        replace(new_task(f"t{n}"), handler=handler, labels=labels, scheduled_at=T0 + n, due_at=T0 + n)
        for n, (handler, labels) in enumerate(
            [
                ("mail", '{"team":"red"}'),
                ("mail", '{"team":"blue"}'),
                ("noop", '{"team":"red","tier":"1"}'),
                ("noop", ""),
            ]
        )
    ]
    await store.create_tasks(tasks)
    outcome = await claim(store, "me", epochs, [item(d) for d in await load_due(store, until_at=T0 + 9)])
    sent = {dispatchable.task_id: dispatchable for dispatchable in outcome.claimed}
    await store.complete("me", [completion(sent["t0"])], now=T0)
    await store.complete("me", [completion(sent["t2"], state=ExecutionState.FAILED)], now=T0)

    async def listed(**fields: object) -> list[str]:
        only = ExecutionFilter(**fields)  # type: ignore[arg-type]
        page = await store.list_executions("default", only=only, limit=10)
        assert page.next is None
        by_task = [
            row.task_id
            for task in tasks
            for row in (await store.list_task_executions(task.ref, only=only, limit=10)).executions
        ]
        names = sorted(row.task_id for row in page.executions)
        assert names == sorted(by_task)
        return names

    final = (ExecutionState.SUCCEEDED, ExecutionState.FAILED)
    assert await listed() == ["t0", "t1", "t2", "t3"]
    assert await listed(states=final) == ["t0", "t2"]
    assert await listed(states=(ExecutionState.DISPATCHED,)) == ["t1", "t3"]
    assert await listed(handler="mail") == ["t0", "t1"]
    assert await listed(labels=(("team", "red"),)) == ["t0", "t2"]
    assert await listed(labels=(("team", "red"), ("tier", "1"))) == ["t2"]
    assert await listed(labels=(("team", "red"),), states=final, handler="noop", start_at=T0 + 1) == ["t2"]
    assert await listed(states=final, end_at=T0 + 1) == ["t0"]


async def test_what_does_not_exist(store: Store) -> None:
    await create(store, 1)
    for name in ("task-0", "nothing"):
        assert await store.get_execution(task_ref(name), None) is None
        assert await store.get_execution(task_ref(name), T0) is None
        assert await _list(store, task_ref(name)) == []
    assert await store.list_executions("nothing", limit=5) == ExecutionPage([], None)


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
    (listed,) = (await store.list_executions("default", limit=5)).executions
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

    async def pages(only: ExecutionFilter = EVERYTHING) -> list[ExecutionRef]:
        found: list[Execution] = []
        page = await store.list_executions("red", only=only, limit=limit)
        while True:
            found += page.executions
            if page.next is None:
                return [row.ref for row in found]
            page = await store.list_executions("red", only=only, after=page.next, limit=limit)

    assert await pages() == expected
    some = await pages(ExecutionFilter(start_at=T0 + 5, end_at=T0 + 20))
    assert some == [ref for ref in expected if T0 + 5 <= ref.scheduled_at < T0 + 20]


@pytest.mark.parametrize("rows", [1, 3, 10])
async def test_a_page_looks_at_a_bounded_number_of_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """However little fits: it comes early, and the next one goes on behind it."""
    ledger = import_module(type(store).list_executions.__module__)
    monkeypatch.setattr(ledger, "SCANNED_ROWS", rows)
    monkeypatch.setattr(ledger, "SCANNED_ROWS_PER_PAGE", 3 * rows)
    epochs = await own_all(store, "me")
    # Herds at two instants, so that pages end within one instant as well as between two.
    await store.create_tasks(
        [new_task(f"t{n}", namespace=ns, at=T0 + n % 2) for ns in ("red", "blue") for n in range(60)]
    )
    outcome = await claim(store, "me", epochs, [item(d) for d in await load_due(store, until_at=T0 + 9)])
    expected = sorted(sent.ref for sent in outcome.claimed if sent.namespace == "red")

    found: list[Execution] = []
    pages = 1
    page = await store.list_executions("red", limit=1000)
    while page.next is not None:
        assert len(page.executions) <= 4 * rows
        found += page.executions
        page = await store.list_executions("red", after=page.next, limit=1000)
        pages += 1
    assert [row.ref for row in (*found, *page.executions)] == expected
    assert pages > 120 // (4 * rows) - PARTITIONS
