"""After a commit without an answer: what the claim did is found out, whichever way it went."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from contract.store.builders import (
    SECOND,
    T0,
    cancel,
    change,
    claim,
    completion,
    create,
    item,
    load_due,
    own_all,
)
from contract.store.conftest import Backend

from mainspring.server.core.claim import ClaimGap, ClaimItem, ClaimOutcome, ClaimRun
from mainspring.server.core.life_cycle import StateChange
from mainspring.server.core.model import ExecutionOrigin, ExecutionRef, TaskRef
from mainspring.server.errors import Contention
from mainspring.server.persistence.store import Store


async def _recover(
    store: Store, owner_id: str, epochs: dict[int, int], items: list[ClaimItem], now: int = T0
) -> ClaimOutcome:
    return await store.recover_claim(owner_id, epochs, items, now=now, wake_at=T0 + 5 * SECOND)


async def test_a_claim_that_was_applied_is_answered_as_it_was(store: Store, other_store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 30)
    due = await load_due(store)
    items = [
        item(
            d,
            executor_id="executor-1" if n % 2 else None,
            gap=ClaimGap(T0, T0, 1, "skipped") if n % 3 == 0 else None,
            runs=[
                ClaimRun(T0 + 1, T0 + 1, None, ExecutionOrigin.CATCH_UP, T0 + 9),
                T0 + 2,
                ClaimRun(T0 + 3, T0 + 3, None, skip_reason="taken"),
            ]
            if n % 3 == 0
            else None,
            next_at=T0 + SECOND if n % 5 else None,
        )
        for n, d in enumerate(due)
    ]
    outcome = await claim(store, "me", epochs, items)

    found = await _recover(other_store, "me", epochs, items)

    def in_order(answer: ClaimOutcome) -> object:
        return sorted(answer.claimed, key=lambda sent: sent.ref)

    assert in_order(found) == in_order(outcome)
    assert {id(i) for i in found.moved} == {id(i) for i in items}
    assert (found.dropped, found.refused) == ([], frozenset())


async def test_a_claim_that_was_not_applied_is_dropped(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 10)
    items = [item(due) for due in await load_due(store)]
    found = await _recover(store, "me", epochs, items)
    assert (found.claimed, found.moved, len(found.dropped)) == ([], [], 10)
    assert len(await load_due(store)) == 10


async def test_a_cancellation_is_not_taken_for_the_claims_own_move(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = await create(store, 2)
    items = [item(due) for due in await load_due(store)]
    for task in tasks:
        await cancel(store, task.ref, T0)
    found = await _recover(store, "me", epochs, items)
    assert (found.claimed, found.moved, len(found.dropped)) == ([], [], 2)


async def test_it_waits_for_the_old_transaction(store: Store, backend: Backend) -> None:
    epochs = await own_all(store, "me")
    tasks = await create(store, 5)
    items = [item(due) for due in await load_due(store)]
    async with backend.hold_task(tasks[2].ref):
        recovery = asyncio.create_task(_recover(store, "me", epochs, items))
        done, _ = await asyncio.wait([recovery], timeout=0.5)
        assert not done
    found = await recovery
    assert len(found.dropped) == 5


async def test_an_old_transaction_that_does_not_end_is_contention(store: Store, backend: Backend) -> None:
    epochs = await own_all(store, "me")
    tasks = await create(store, 2)
    items = [item(due) for due in await load_due(store)]
    async with backend.hold_task(tasks[0].ref):
        with pytest.raises(Contention):
            await _recover(store, "me", epochs, items)


async def test_claims_of_others_are_not_taken_for_mine(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 6)
    items = [item(due) for due in await load_due(store)]
    await claim(store, "me", epochs, items[:3], now=T0 - 1)
    found = await _recover(store, "me", epochs, items, now=T0)
    assert found.claimed == []
    assert {id(i) for i in found.dropped} == {id(i) for i in items[3:]}


async def test_a_partition_lost_meanwhile_is_refused(store: Store, other_store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 40)
    items = [item(due) for due in await load_due(store)]
    await claim(store, "me", epochs, items)
    await other_store.take_partitions([(1, epochs[1])], "you")
    found = await _recover(store, "me", epochs, items)
    assert found.refused == {1}
    assert {sent.ref.partition_id for sent in found.claimed} == set(range(8)) - {1}


async def test_executions_that_ended_since_are_not_sent_again(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 4)
    items = [item(due) for due in await load_due(store)]
    outcome = await claim(store, "me", epochs, items)
    await store.complete("me", [completion(outcome.claimed[0])], now=T0)
    found = await _recover(store, "me", epochs, items)
    assert {s.ref for s in found.claimed} == {s.ref for s in outcome.claimed[1:]}
    assert len(found.moved) == 4


@pytest.mark.parametrize("executor_id", ["executor-1", None])
async def test_executions_of_a_task_that_was_changed_since_are_told_apart(
    store: Store, executor_id: str | None
) -> None:
    """None is to be sent, and none to be forgotten: nobody else knows of them."""
    epochs = await own_all(store, "me")
    tasks = await create(store, 4)
    items = [item(due, executor_id=executor_id, next_at=T0 + SECOND) for due in await load_due(store)]
    outcome = await claim(store, "me", epochs, items)
    await change(store, tasks[0].ref, StateChange.PAUSE)
    await cancel(store, tasks[1].ref)
    changed = {tasks[0].ref, tasks[1].ref}

    found = await _recover(store, "me", epochs, items)

    claimed = {sent.ref: sent for sent in outcome.claimed}
    assert {s.ref for s in found.claimed} == {ref for ref in claimed if _task_of(ref) not in changed}
    assert {_task_of(s.ref) for s in found.outdated} == changed
    for outdated in found.outdated:
        recorded = claimed[outdated.ref]
        assert outdated == replace(recorded, payload=b"")
    assert len(found.moved) == 4


def _task_of(ref: ExecutionRef) -> TaskRef:
    return TaskRef(ref.partition_id, ref.task_key)
