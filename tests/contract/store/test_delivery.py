"""The delivery of a task: kept, and told wherever it decides what may be sent again; and the end as LOST."""

from __future__ import annotations

import pytest
from contract.store.builders import (
    ALL,
    SECOND,
    T0,
    assignment,
    claim,
    completion,
    execution_of,
    item,
    load_due,
    new_task,
    own_all,
    task_of,
)

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.model import Delivery, ExecutionState, TaskRef
from mainspring.server.persistence.store import Store

TASKS = [new_task(f"{delivery.name}-{n}", delivery=delivery) for delivery in Delivery for n in range(3)]
WANTED: dict[TaskRef, Delivery] = {task.ref: task.delivery for task in TASKS}
REASON = "lost: executor executor-1 does not have it"


async def claimed(store: Store, executor_id: str | None = "executor-1") -> list[Dispatchable]:
    """Claims a few tasks of each delivery."""
    epochs = await own_all(store, "me")
    await store.create_tasks(TASKS)
    outcome = await claim(
        store, "me", epochs, [item(due, executor_id=executor_id) for due in await load_due(store)]
    )
    assert len(outcome.claimed) == len(TASKS)
    return outcome.claimed


def deliveries(sent: list[Dispatchable]) -> dict[TaskRef, Delivery]:
    return {task_of(s.ref): s.delivery for s in sent}


async def test_it_is_stored_and_answered(store: Store) -> None:
    created = await store.create_tasks(TASKS)
    assert {c.task.ref: c.task.delivery for c in created} == WANTED
    again = await store.create_tasks(TASKS)
    assert [a.task for a in again] == [c.task for c in created]
    for ref, delivery in WANTED.items():
        task = await store.get_task(ref)
        assert task is not None
        assert task.delivery is delivery
    listed = await store.list_tasks("default", None, 100, with_payload=False)
    assert {task.ref: task.delivery for task in listed} == WANTED


@pytest.mark.parametrize("executor_id", ["executor-1", None], ids=["sent", "waiting"])
async def test_a_claim_and_its_recovery_tell_it(store: Store, executor_id: str | None) -> None:
    epochs = await own_all(store, "me")
    await store.create_tasks(TASKS)
    items = [item(due, executor_id=executor_id) for due in await load_due(store)]
    outcome = await claim(store, "me", epochs, items)
    assert deliveries(outcome.claimed) == WANTED
    found = await store.recover_claim("me", epochs, items, now=T0, wake_at=T0 + 5 * SECOND)
    assert deliveries(found.claimed) == WANTED


async def test_an_assignment_tells_it(store: Store) -> None:
    waiting = await claimed(store, None)
    outcome = await store.assign(
        "me", [assignment(w, "executor-2") for w in waiting], now=T0 + 1, wake_at=T0 + 9 * SECOND
    )
    assert deliveries(outcome.dispatchable) == WANTED


async def test_open_executions_tell_it(store: Store) -> None:
    await claimed(store)
    rows = await store.load_open_executions(ALL, until_at=None, after=None, limit=100)
    assert {task_of(row.ref): row.delivery for row in rows} == WANTED


async def test_lost_is_an_end_with_its_reason_that_nothing_changes(store: Store, other_store: Store) -> None:
    sent = next(s for s in await claimed(store) if s.delivery is Delivery.AT_MOST_ONCE)
    lost = completion(sent, state=ExecutionState.LOST, reason=REASON)
    assert await store.complete("me", [lost], now=T0 + 9) == frozenset()
    before = await execution_of(store, sent.ref)
    assert (before.state, before.reason) == (ExecutionState.LOST, REASON)
    assert (before.attempt, before.executor_id, before.saved_at) == (1, "executor-1", T0 + 9)

    late = completion(sent, result=b"it ran all the same")
    assert await store.complete("me", [lost, late], now=T0 + 10) == frozenset()
    again = await store.assign("me", [assignment(sent, "executor-2")], now=T0 + 11, wake_at=T0 + 20)
    assert again.dispatchable == []
    epochs = await own_all(other_store, "other")
    later = completion(sent, epoch=epochs[sent.ref.partition_id], result=b"over another node")
    assert await other_store.complete("other", [later], now=T0 + 12) == frozenset()

    assert await execution_of(store, sent.ref) == before
    open_rows = await store.load_open_executions(ALL, until_at=None, after=None, limit=100)
    assert sent.ref not in {row.ref for row in open_rows}


async def test_a_loss_under_an_old_epoch_or_of_another_attempt_changes_nothing(
    store: Store, other_store: Store
) -> None:
    first, second, *_ = (s for s in await claimed(store) if s.delivery is Delivery.AT_MOST_ONCE)
    other_attempt = completion(first, state=ExecutionState.LOST, reason=REASON, attempt=2)
    assert await store.complete("me", [other_attempt], now=T0 + 9) == frozenset()
    await own_all(other_store, "other")
    stale = completion(second, state=ExecutionState.LOST, reason=REASON)
    assert await store.complete("me", [stale], now=T0 + 9) == {second.ref.partition_id}
    for sent in (first, second):
        assert (await execution_of(store, sent.ref)).state is ExecutionState.DISPATCHED
