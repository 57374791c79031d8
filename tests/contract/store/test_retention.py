"""What has ended and is old is removed by its owner; the rest stays and can still be reached."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from contract.store.builders import (
    SECOND,
    T0,
    cancel,
    claim,
    completion,
    every_execution,
    execution_of,
    history,
    item,
    load_due,
    new_task,
    own_all,
    task_of,
    task_ref,
)

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.claim import ClaimGap
from mainspring.server.core.model import (
    AddedExecution,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    TaskRef,
)
from mainspring.server.core.namespaces import DAY_US, EARLIEST, Cutoffs, Span
from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.retention import Slice
from mainspring.shard_manager.lease import PartitionLease

OLD = T0 - 40 * DAY_US
CUTOFFS = Cutoffs(T0 - 30 * DAY_US, {"short": T0 - DAY_US, "long": T0 - 100 * DAY_US})
EVERYWHERE = Span(EARLIEST, T0 - DAY_US)


async def _remove(
    store: Store,
    epochs: dict[int, int],
    *,
    owner_id: str = "me",
    cutoffs: Cutoffs = CUTOFFS,
    span: Span = EVERYWHERE,
    limit: int = 1000,
) -> int:
    """Walks every partition to its end; answers how many executions were removed."""
    removed = 0
    for partition_id, epoch in epochs.items():
        after: ExecutionRef | None = None
        while True:
            lease = PartitionLease(partition_id, epoch)
            step = await store.remove_executions(owner_id, lease, cutoffs, span, after=after, limit=limit)
            assert step.removed <= limit
            assert not step.is_refused
            removed += step.removed
            after = step.next
            if after is None:
                break
    return removed


async def _remove_tasks(store: Store, epochs: dict[int, int], *, limit: int = 1000) -> int:
    removed = 0
    for partition_id, epoch in epochs.items():
        after: ExecutionRef | None = None
        while True:
            lease = PartitionLease(partition_id, epoch)
            step = await store.remove_tasks("me", lease, CUTOFFS, after=after, limit=limit)
            removed += step.removed
            after = step.next
            if after is None:
                break
    return removed


async def _run(
    store: Store, epochs: dict[int, int], at: int, names: list[str], namespace: str = "default"
) -> list[Dispatchable]:
    """One-time tasks that are claimed at an instant."""
    await store.create_tasks(
        [replace(new_task(name, namespace=namespace, at=at), created_at=at) for name in names]
    )
    due = await load_due(store, until_at=at + 1)
    return (await claim(store, "me", epochs, [item(d) for d in due], now=at)).claimed


async def test_only_what_ended_before_the_cutoff_of_its_namespace_goes(store: Store) -> None:
    epochs = await own_all(store, "me")
    for namespace, age_days in (("default", 40), ("default", 20), ("short", 2), ("long", 40)):
        at = T0 - age_days * DAY_US
        sent = await _run(store, epochs, at, [f"{namespace}-{age_days}-{n}" for n in range(5)], namespace)
        await store.complete("me", [completion(s) for s in sent], now=at + SECOND)
    open_one = await _run(store, epochs, OLD, ["open"])
    late = await _run(store, epochs, OLD, ["ended-late"])
    await store.complete("me", [completion(s) for s in late], now=T0 - 5 * DAY_US)

    assert await _remove(store, epochs, limit=3) == 10

    left = {row.task_id for row in await every_execution(store)}
    assert left == {f"default-20-{n}" for n in range(5)} | {"open", "ended-late"}
    assert await every_execution(store, "short") == []
    assert len(await every_execution(store, "long")) == 5
    assert (await execution_of(store, open_one[0].ref)).state is ExecutionState.DISPATCHED
    assert await _remove(store, epochs) == 0


async def test_a_span_bounds_what_is_looked_at(store: Store) -> None:
    epochs = await own_all(store, "me")
    for step in range(6):
        sent = await _run(store, epochs, OLD + step, [f"t{step}"])
        await store.complete("me", [completion(s) for s in sent], now=OLD + step)

    assert await _remove(store, epochs, span=Span(OLD + 1, OLD + 4)) == 3
    assert {row.task_id for row in await every_execution(store)} == {"t0", "t4", "t5"}


async def test_a_history_ends_where_old_rows_are_gone(store: Store) -> None:
    epochs = await own_all(store, "me")
    await store.create_tasks([replace(new_task("subject", at=OLD), created_at=OLD)])
    ref = task_ref("subject")
    times = [OLD, OLD + SECOND, T0 - 2 * SECOND, T0 - SECOND, T0]
    for at, next_at in pairwise(times):
        due = await load_due(store, until_at=at + 1)
        gap = ClaimGap(at - 10, at - 5, 2, "away") if at == OLD + SECOND else None
        outcome = await claim(store, "me", epochs, [item(d, gap=gap, next_at=next_at) for d in due], now=at)
        await store.complete("me", [completion(s) for s in outcome.claimed], now=at)
    assert len(await history(store, ref)) == 5

    assert await _remove(store, epochs) == 3

    assert [row.ref.scheduled_at for row in await history(store, ref)] == [T0 - SECOND, T0 - 2 * SECOND]
    assert await store.get_gap(ref, OLD + SECOND - 7) is None
    task = await store.get_task(ref)
    assert task is not None
    assert task.execution_count == 6
    assert await _remove_tasks(store, epochs) == 0


async def test_ended_tasks_go_after_their_last_execution(store: Store) -> None:
    epochs = await own_all(store, "me")
    ran = await _run(store, epochs, OLD, ["ran-0", "ran-1"])
    await store.complete("me", [completion(s) for s in ran], now=OLD + SECOND)
    late = await _run(store, epochs, OLD, ["ended-late"])
    await store.complete("me", [completion(s) for s in late], now=T0 - 5 * DAY_US)
    await _run(store, epochs, OLD, ["open"])
    never = [replace(new_task(f"never-{n}", at=T0), created_at=OLD) for n in range(4)]
    await store.create_tasks([*never, replace(new_task("active", at=T0), created_at=OLD)])
    for task in never[:3]:
        await cancel(store, task.ref, OLD)
    await cancel(store, never[3].ref, T0)

    assert await _remove_tasks(store, epochs, limit=2) == 5

    left = [task.task_id for task in await store.list_tasks("default", None, 99, with_payload=False)]
    assert sorted(left) == ["active", "ended-late", "never-3", "open"]
    assert await store.get_task(task_of(ran[0].ref)) is None


async def test_an_open_execution_keeps_its_task_whatever_came_after_it(store: Store) -> None:
    epochs = await own_all(store, "me")
    await store.create_tasks([replace(new_task("subject", at=OLD), created_at=OLD)])
    (due,) = await load_due(store, until_at=OLD + 1)
    runs = [OLD, OLD + SECOND]
    outcome = await claim(store, "me", epochs, [item(due, runs=runs)], now=OLD)
    first, second = sorted(outcome.claimed, key=lambda sent: sent.ref)
    await store.complete("me", [completion(second)], now=OLD)

    assert await _remove_tasks(store, epochs) == 0
    await store.complete("me", [completion(first)], now=OLD)
    assert await _remove_tasks(store, epochs) == 1


@pytest.mark.parametrize("unit", ["executions", "tasks", "trim"])
async def test_who_does_not_own_the_partition_removes_nothing(
    store: Store, other_store: Store, unit: str
) -> None:
    epochs = await own_all(store, "me")
    (sent,) = await _run(store, epochs, OLD, ["t"])
    await store.complete("me", [completion(sent)], now=OLD)
    await own_all(other_store, "you")
    stale = PartitionLease(sent.ref.partition_id, epochs[sent.ref.partition_id])

    if unit == "executions":
        step = await store.remove_executions("me", stale, CUTOFFS, EVERYWHERE, after=None, limit=9)
        assert step == Slice(0, None, is_refused=True)
    elif unit == "tasks":
        step = await store.remove_tasks("me", stale, CUTOFFS, after=None, limit=9)
        assert step == Slice(0, None, is_refused=True)
    else:
        await store.create_tasks([new_task("u")])
        assert await store.trim_histories("me", stale, {sent.ref.task_key: 1}, limit=9) in (
            {},
            {sent.ref.task_key: False},
        )
    assert len(await every_execution(store)) == 1
    assert await store.get_task(task_of(sent.ref)) is not None


async def _long_history(store: Store, states: str) -> tuple[TaskRef, dict[int, int], list[Dispatchable]]:
    """A task with an execution for each letter, oldest first, a second apart: f is final, o is open, g a gap row."""
    epochs = await own_all(store, "me")
    await store.create_tasks([new_task("subject"), new_task("beside")])
    sent: list[Dispatchable] = []
    for step, letter in enumerate(states):
        at = T0 + step * SECOND
        (due,) = [d for d in await load_due(store, until_at=at + 1) if d.ref == task_ref("subject")]
        gap = ClaimGap(at, at, 1, "away") if letter == "g" else None
        runs = [] if letter == "g" else [at]
        outcome = await claim(
            store, "me", epochs, [item(due, gap=gap, runs=runs, next_at=at + SECOND)], now=at
        )
        sent += outcome.claimed
        if letter == "f":
            await store.complete("me", [completion(s) for s in outcome.claimed], now=at)
    return task_ref("subject"), epochs, sent


async def _seconds(store: Store, ref: TaskRef) -> list[int]:
    return [(row.ref.scheduled_at - T0) // SECOND for row in await history(store, ref)]


@pytest.mark.parametrize(
    ("states", "keep", "left"),
    [
        ("ffffff", 2, [5, 4]),
        ("ffffff", 1, [5]),
        ("ffffff", 6, [5, 4, 3, 2, 1, 0]),
        ("ffffff", 700, [5, 4, 3, 2, 1, 0]),
        ("fgfgff", 3, [5, 4, 3]),
        ("ffoffo", 1, [5, 4, 2]),
        ("offffo", 2, [5, 4, 3, 0]),
        ("oooo", 1, [3, 2, 1, 0]),
    ],
)
async def test_the_newest_final_executions_of_a_task_stay(
    store: Store, states: str, keep: int, left: list[int]
) -> None:
    ref, epochs, _ = await _long_history(store, states)
    lease = PartitionLease(ref.partition_id, epochs[ref.partition_id])

    answer = await store.trim_histories("me", lease, {ref.task_key: keep}, limit=100)

    assert answer == {ref.task_key: False}
    assert await _seconds(store, ref) == left
    assert len(await every_execution(store)) == len(left)
    assert await store.trim_histories("me", lease, {ref.task_key: keep}, limit=100) == {ref.task_key: False}
    assert await _seconds(store, ref) == left


async def test_a_long_surplus_goes_in_steps_and_what_is_left_can_be_reached(store: Store) -> None:
    ref, epochs, sent = await _long_history(store, "ffoffffff")
    lease = PartitionLease(ref.partition_id, epochs[ref.partition_id])

    steps = [[8, 7, 4, 3, 2, 1, 0], [8, 7, 2, 1, 0], [8, 7, 2]]
    for left in steps:
        answer = await store.trim_histories("me", lease, {ref.task_key: 2}, limit=2)
        assert await _seconds(store, ref) == left
        assert answer == {ref.task_key: left != steps[-1]}
    open_one = next(s for s in sent if s.ref.scheduled_at == T0 + 2 * SECOND)
    await store.complete("me", [completion(open_one)], now=T0)
    await store.trim_histories("me", lease, {ref.task_key: 2}, limit=2)
    assert await _seconds(store, ref) == [8, 7]


async def test_a_history_that_ends_at_a_missing_row_is_trimmed_up_to_it(store: Store) -> None:
    ref, epochs, _ = await _long_history(store, "fffff")
    span = Span(T0 + SECOND, T0 + 2 * SECOND)
    later = Cutoffs(T0 + DAY_US, {})
    lease = PartitionLease(ref.partition_id, epochs[ref.partition_id])
    assert await _remove(store, epochs, cutoffs=later, span=span) == 1

    assert await store.trim_histories("me", lease, {ref.task_key: 2}, limit=9) == {ref.task_key: False}
    assert await _seconds(store, ref) == [4, 3]
    assert await store.trim_histories("me", lease, {task_ref("beside").task_key: 2}, limit=9) == {
        task_ref("beside").task_key: False
    }
    assert await store.trim_histories("me", lease, {b"n" * 16: 2}, limit=9) == {b"n" * 16: False}


async def test_removals_beside_claims_and_results(store: Store, other_store: Store) -> None:
    """Nothing is lost that was not to be removed, and nobody waits for long."""
    epochs = await own_all(store, "me")
    sent = await _run(store, epochs, OLD, [f"old-{n}" for n in range(200)])
    await store.complete("me", [completion(s) for s in sent], now=OLD)
    await store.create_tasks([new_task(f"new-{n}") for n in range(100)])

    async def work() -> None:
        due = await load_due(other_store)
        for begin in range(0, len(due), 10):
            outcome = await claim(other_store, "me", epochs, [item(d) for d in due[begin : begin + 10]])
            await other_store.complete("me", [completion(s) for s in outcome.claimed], now=T0)

    removed, _ = await asyncio.gather(_remove(store, epochs, limit=7), work())

    assert removed == 200
    rows = await every_execution(store)
    assert {row.task_id for row in rows} == {f"new-{n}" for n in range(100)}
    assert {row.state for row in rows} == {ExecutionState.SUCCEEDED}


async def test_what_a_call_adds_to_a_history_while_it_is_cut_stays_in_it(
    store: Store, other_store: Store
) -> None:
    ref, epochs, _ = await _long_history(store, "f" * 40)
    epoch = epochs[ref.partition_id]
    lease = PartitionLease(ref.partition_id, epoch)
    added = [
        AddedExecution(T0 + n * SECOND + 1, T0, T0 + n, ExecutionOrigin.BACKFILL) for n in range(0, 38, 2)
    ]

    async def add() -> None:
        for one in added:
            await other_store.add_executions("me", epoch, ref, [one], now=T0)

    async def cut() -> None:
        for keep in range(35, 1, -3):
            while (await store.trim_histories("me", lease, {ref.task_key: keep}, limit=4))[ref.task_key]:
                pass

    await asyncio.gather(cut(), add())
    await cut()

    rows = await history(store, ref)
    assert {row.ref for row in rows} == {row.ref for row in await every_execution(store)}
    assert [row.ref for row in rows if not row.state.is_final] == [
        ExecutionRef(ref.partition_id, one.scheduled_at, ref.task_key) for one in reversed(added)
    ]
    assert sum(row.state.is_final for row in rows) == 2
