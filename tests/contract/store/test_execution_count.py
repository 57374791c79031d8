"""A task counts what the ledger holds of it: each row once, a gap row with its count, however its claim went."""

from __future__ import annotations

import pytest
from contract.store.builders import (
    SECOND,
    T0,
    claim,
    claimed_tasks,
    completion,
    create,
    history,
    item,
    load_due,
    own_all,
)

from mainspring.server.core.claim import ClaimGap
from mainspring.server.core.model import Task, TaskRef
from mainspring.server.persistence.store import Store


async def _task(store: Store, ref: TaskRef) -> Task:
    task = await store.get_task(ref)
    assert task is not None
    return task


async def _in_ledger(store: Store, ref: TaskRef) -> int:
    rows = await history(store, ref)
    return sum(1 if row.gap_count is None else row.gap_count for row in rows)


async def test_runs_and_the_count_of_a_gap_are_counted(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 3)
    plans = [
        {"runs": [T0]},
        {"runs": [T0 + 9, T0 + 10], "gap": ClaimGap(T0, T0 + 8, 9, "away")},
        {"runs": [], "gap": ClaimGap(T0, T0 + 6, 7, "away")},
    ]
    items = [
        item(due, next_at=T0 + SECOND, **plan) for due, plan in zip(await load_due(store), plans, strict=True)
    ]  # type: ignore[arg-type]
    await claim(store, "me", epochs, items)

    counts = [(await _task(store, i.due.ref)).execution_count for i in items]
    assert counts == [1, 11, 7]
    assert counts == [await _in_ledger(store, i.due.ref) for i in items]
    loaded = {due.ref: due.execution_count for due in await load_due(store, until_at=T0 + 2 * SECOND)}
    assert loaded == dict(zip([i.due.ref for i in items], counts, strict=True))


async def test_it_adds_up_over_claims_and_stays_when_the_task_completes(store: Store) -> None:
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1)
    for step in range(4):
        (due,) = await load_due(store, until_at=T0 + step + 1)
        assert due.execution_count == step
        await claim(
            store, "me", epochs, [item(due, next_at=T0 + step + 1 if step < 3 else None)], now=T0 + step
        )
    assert (await _task(store, task.ref)).execution_count == 4
    (listed,) = await store.list_tasks("default", None, 9, with_payload=False)
    assert listed.execution_count == 4
    (again,) = await store.create_tasks([task])
    assert again.task.execution_count == 4


async def test_results_are_not_counted(store: Store) -> None:
    (sent,) = await claimed_tasks(store, "me", 1)
    await store.complete("me", [completion(sent)], now=T0)
    assert (await _task(store, TaskRef(sent.ref.partition_id, sent.ref.task_key))).execution_count == 1


async def test_a_claim_that_was_planned_with_another_count_is_dropped(store: Store) -> None:
    """A maximum holds by the row's own count, whatever memory believed."""
    epochs = await own_all(store, "me")
    await create(store, 2)
    ahead, right = await load_due(store)
    outcome = await claim(store, "me", epochs, [item(ahead._replace(execution_count=1)), item(right)])
    assert [dropped.due.ref for dropped in outcome.dropped] == [ahead.ref]
    assert [moved.due.ref for moved in outcome.moved] == [right.ref]
    assert (await _task(store, ahead.ref)).execution_count == 0


@pytest.mark.parametrize("with_gap", [False, True])
async def test_rows_that_were_there_before_are_not_counted_again(store: Store, with_gap: bool) -> None:
    epochs = await own_all(store, "me")
    await create(store, 6)
    await claim(
        store,
        "me",
        epochs,
        [
            item(
                due,
                runs=[T0 + 3, T0 + 4] if with_gap else [T0, T0 + 4],
                gap=ClaimGap(T0, T0 + 2, 3, "away") if with_gap else None,
                next_at=T0,
            )
            for due in await load_due(store)
        ],
    )
    due = await load_due(store)
    assert {d.execution_count for d in due} == {5 if with_gap else 2}

    again = [
        item(d, runs=[T0 + 4, T0 + 5], gap=ClaimGap(T0, T0 + 3, 4, "away") if with_gap else None) for d in due
    ]
    await claim(store, "me", epochs, again, now=T0 + SECOND)

    for d in due:
        count = (await _task(store, d.ref)).execution_count
        assert count == await _in_ledger(store, d.ref) == (6 if with_gap else 3)


async def test_a_claim_of_unknown_outcome_is_counted_once(store: Store, other_store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = await create(store, 8)
    items = [
        item(due, runs=[T0 + 5], gap=ClaimGap(T0, T0 + 4, 5, "away"), next_at=T0 + SECOND)
        for due in await load_due(store)
    ]
    await claim(store, "me", epochs, items)
    for _ in range(2):
        found = await other_store.recover_claim("me", epochs, items, now=T0, wake_at=T0 + 5 * SECOND)
        assert len(found.moved) == 8
        repeated = await claim(other_store, "me", epochs, items)
        assert len(repeated.dropped) == 8
    for task in tasks:
        assert (await _task(store, task.ref)).execution_count == 6 == await _in_ledger(store, task.ref)


async def test_a_bad_row_is_not_counted_and_its_neighbours_are(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 5)
    due = await load_due(store)
    items = [item(d, executor_id="x" * 300 if n == 2 else "executor-1") for n, d in enumerate(due)]
    await claim(store, "me", epochs, items)
    assert [(await _task(store, d.ref)).execution_count for d in due] == [1, 1, 0, 1, 1]
