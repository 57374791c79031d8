"""The claim: every scheduled time becomes one row, under the fence, and the task moves on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract.store.builders import (
    ALL,
    PARTITIONS,
    SECOND,
    T0,
    cancel,
    claim,
    create,
    execution_of,
    history,
    item,
    load_due,
    new_task,
    own_all,
    task_of,
)
from contract.store.conftest import Backend

from mainspring.server.core.claim import ClaimGap, ClaimRun
from mainspring.server.core.model import ExecutionOrigin, ExecutionRef, ExecutionState, TaskRef, TaskState
from mainspring.server.persistence.store import Store


async def test_a_one_time_task_becomes_an_execution_and_completes(store: Store) -> None:
    epochs = await own_all(store, "me")
    task = new_task("a", at=T0 - 3, due_at=T0 - 1, payload=b"work")
    await store.create_tasks([task])
    (due,) = await load_due(store)

    outcome = await claim(store, "me", epochs, [item(due)])

    (sent,) = outcome.claimed
    assert (sent.ref, sent.epoch, sent.attempt) == (
        ExecutionRef(due.partition_id, T0 - 3, due.task_key),
        1,
        1,
    )
    assert (sent.executor_id, sent.namespace, sent.task_id) == ("executor-1", "default", "a")
    assert (sent.handler, sent.payload, sent.task_version, sent.claimed_at) == ("noop", b"work", 1, T0)
    assert (len(outcome.moved), outcome.dropped, outcome.refused) == (1, [], frozenset())
    row = await execution_of(store, sent.ref)
    assert (row.state, row.attempt, row.epoch) == (ExecutionState.DISPATCHED, 1, 1)
    assert (row.executor_id, row.node_id, row.claimed_at, row.saved_at) == ("executor-1", "me", T0, None)
    stored = await store.get_task(task.ref)
    assert stored is not None
    assert (stored.state, stored.scheduled_at, stored.due_at) == (TaskState.COMPLETED, None, None)
    assert (stored.last_scheduled_at, stored.version, stored.updated_at) == (T0 - 3, 1, task.created_at)


async def test_a_recurring_task_moves_on_in_place(store: Store) -> None:
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1)
    (due,) = await load_due(store)
    moving = replace(item(due), next_scheduled_at=T0 + 60 * SECOND, next_due_at=T0 + 61 * SECOND)
    await claim(store, "me", epochs, [moving])
    stored = await store.get_task(task.ref)
    assert stored is not None
    assert (stored.state, stored.scheduled_at, stored.due_at) == (
        TaskState.ACTIVE,
        T0 + 60 * SECOND,
        T0 + 61 * SECOND,
    )


async def test_without_an_executor_the_execution_waits_and_was_never_sent(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 1)
    (due,) = await load_due(store)
    outcome = await claim(store, "me", epochs, [item(due, executor_id=None)])
    (waiting,) = outcome.claimed
    assert (waiting.executor_id, waiting.attempt, waiting.task_id) == (None, 0, "task-0")
    row = await execution_of(store, waiting.ref)
    assert (row.state, row.attempt, row.executor_id) == (ExecutionState.WAITING, 0, None)


async def test_a_backlog_is_one_gap_row_and_the_runs_behind_it(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 1)
    (due,) = await load_due(store)
    gap = ClaimGap(T0, T0 + 8, 9, "the node was away")
    runs = [T0 + 9, T0 + 10]

    outcome = await claim(store, "me", epochs, [item(due, gap=gap, runs=runs, next_at=T0 + SECOND)])

    assert [sent.ref.scheduled_at for sent in outcome.claimed] == runs
    rows = await history(store, due.ref)
    assert [row.ref.scheduled_at for row in rows] == [T0 + 10, T0 + 9, T0]
    skipped = rows[-1]
    assert (skipped.state, skipped.reason, skipped.attempt) == (
        ExecutionState.SKIPPED,
        "the node was away",
        0,
    )
    assert (skipped.gap_last_scheduled_at, skipped.gap_count, skipped.saved_at) == (T0 + 8, 9, T0)
    assert [row.gap_count for row in rows[:2]] == [None, None]
    open_rows = await store.load_open_executions(ALL, until_at=None, after=None, limit=10)
    assert len(open_rows) == 2


async def test_what_is_made_up_for_waits_for_its_time_and_what_is_skipped_is_final(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 1)
    (due,) = await load_due(store)
    runs = [
        *(ClaimRun(T0 + n, T0 + n, None, ExecutionOrigin.CATCH_UP, T0 + n * SECOND) for n in (2, 3)),
        ClaimRun(T0 + 4, T0 + 44, "executor-1"),
        ClaimRun(T0 + 5, T0 + 45, None),
        ClaimRun(T0 + 6, T0 + 46, None, skip_reason="it's \\ taken"),
    ]
    gap = ClaimGap(T0, T0 + 1, 2, "the node was away")

    outcome = await claim(store, "me", epochs, [item(due, gap=gap, runs=runs, next_at=T0 + SECOND)])

    assert [(sent.ref.scheduled_at - T0, sent.attempt, sent.origin) for sent in outcome.claimed] == [
        (2, 0, ExecutionOrigin.CATCH_UP),
        (3, 0, ExecutionOrigin.CATCH_UP),
        (4, 1, ExecutionOrigin.SCHEDULE),
        (5, 0, ExecutionOrigin.SCHEDULE),
    ]
    assert [sent.wake_at for sent in outcome.claimed] == [T0 + 2 * SECOND, T0 + 3 * SECOND, None, None]
    rows = (await store.list_task_executions(due.ref, limit=10)).executions
    assert [row.ref.scheduled_at - T0 for row in rows] == [6, 5, 4, 3, 2, 0]
    skipped = rows[0]
    assert (skipped.state, skipped.reason, skipped.due_at) == (
        ExecutionState.SKIPPED,
        "it's \\ taken",
        T0 + 46,
    )
    assert (skipped.attempt, skipped.saved_at, skipped.gap_count, skipped.origin) == (
        0,
        T0,
        None,
        ExecutionOrigin.SCHEDULE,
    )
    opened = await store.load_open_executions(ALL, until_at=None, after=None, limit=10)
    assert {(row.ref.scheduled_at - T0, row.origin, row.wake_at) for row in opened} == {
        (2, ExecutionOrigin.CATCH_UP, T0 + 2 * SECOND),
        (3, ExecutionOrigin.CATCH_UP, T0 + 3 * SECOND),
        (4, ExecutionOrigin.SCHEDULE, T0 + 5 * SECOND),
        (5, ExecutionOrigin.SCHEDULE, T0 + 5 * SECOND),
    }
    stored = await store.get_task(due.ref)
    assert stored is not None
    assert (stored.execution_count, stored.last_scheduled_at) == (7, T0 + 6)


async def test_what_is_too_late_to_start_is_recorded_as_expired(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 1)
    (due,) = await load_due(store)
    late = {"skip_reason": "it could not start within 5 s", "is_expired": True}
    runs = [ClaimRun(T0, T0 + 7, None, **late), ClaimRun(T0 + 1, T0 + 1, None)]
    outcome = await claim(store, "me", epochs, [item(due, runs=runs, next_at=T0 + SECOND)])
    assert [sent.ref.scheduled_at for sent in outcome.claimed] == [T0 + 1]
    (_, row) = (await store.list_task_executions(due.ref, limit=10)).executions
    assert (row.state, row.reason) == (ExecutionState.EXPIRED, "it could not start within 5 s")
    assert (row.due_at, row.attempt, row.executor_id, row.finished_at, row.saved_at) == (
        T0 + 7,
        0,
        None,
        T0,
        T0,
    )
    stored = await store.get_task(due.ref)
    assert stored is not None
    assert stored.execution_count == 2


async def test_a_skipped_time_that_is_in_the_ledger_already_stays_as_it_is(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 1)
    (due,) = await load_due(store)
    await claim(store, "me", epochs, [item(due, runs=[T0, T0 + 1], next_at=T0)])
    (due,) = await load_due(store)
    again = item(due, runs=[ClaimRun(T0 + n, T0 + n, None, skip_reason="taken") for n in (0, 1, 2)])
    outcome = await claim(store, "me", epochs, [again])
    assert (outcome.claimed, outcome.moved) == ([], [again])
    rows = (await store.list_task_executions(due.ref, limit=10)).executions
    assert [row.state for row in rows] == [
        ExecutionState.SKIPPED,
        ExecutionState.DISPATCHED,
        ExecutionState.DISPATCHED,
    ]
    stored = await store.get_task(due.ref)
    assert stored is not None
    assert stored.execution_count == 3


async def test_a_gap_alone_moves_the_task(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 1)
    (due,) = await load_due(store)
    skipping = item(due, gap=ClaimGap(T0, T0, 1, "skipped"), runs=[], next_at=T0 + SECOND)
    outcome = await claim(store, "me", epochs, [skipping])
    assert (outcome.claimed, outcome.moved) == ([], [skipping])
    stored = await store.get_task(due.ref)
    assert stored is not None
    assert (stored.scheduled_at, stored.last_scheduled_at) == (T0 + SECOND, T0)


async def test_what_changed_since_it_was_loaded_is_dropped_and_the_rest_goes_on(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 5)
    good, old_version, other_time, cancelled, missing = await load_due(store)
    await cancel(store, cancelled.ref, T0)
    items = [
        item(good),
        item(old_version._replace(version=7)),
        item(other_time._replace(scheduled_at=T0 - 1)),
        item(cancelled),
        item(missing._replace(task_key=bytes(16))),
    ]

    outcome = await claim(store, "me", epochs, items)

    assert [sent.ref.task_key for sent in outcome.claimed] == [good.task_key]
    assert outcome.moved == [items[0]]
    assert {id(dropped) for dropped in outcome.dropped} == {id(i) for i in items[1:]}


async def test_a_second_claim_of_the_same_times_is_dropped(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 10)
    items = [item(due, next_at=T0 + SECOND) for due in await load_due(store)]
    await claim(store, "me", epochs, items)
    again = await claim(store, "me", epochs, items)
    assert (again.claimed, again.moved, len(again.dropped)) == ([], [], 10)


async def test_a_locked_task_waits_for_the_next_round_and_holds_up_nobody(
    store: Store, backend: Backend
) -> None:
    if not backend.has_row_locks:
        pytest.skip("nobody can lock one row of this database")
    epochs = await own_all(store, "me")
    tasks = await create(store, 10)
    items = [item(due) for due in await load_due(store)]

    async with backend.hold_task(tasks[4].ref):
        outcome = await claim(store, "me", epochs, items)

    assert len(outcome.claimed) == 9
    assert [dropped.due.ref for dropped in outcome.dropped] == [tasks[4].ref]
    again = await claim(store, "me", epochs, outcome.dropped)
    assert [sent.task_id for sent in again.claimed] == ["task-4"]


async def test_partitions_of_another_owner_or_epoch_are_refused_and_the_others_go_on(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 80)
    items = [item(due) for due in await load_due(store)]
    taken = await store.take_partitions([(2, epochs[2])], "you")
    assert [lease.partition_id for lease in taken] == [2]
    stale = {**epochs, 5: epochs[5] + 1}
    stale.pop(6)

    outcome = await claim(store, "me", stale, items)

    assert outcome.refused == {2, 5, 6}
    held = {p for p in ALL if p not in {2, 5, 6}}
    assert {sent.ref.partition_id for sent in outcome.claimed} == held
    assert {moved.due.partition_id for moved in outcome.moved} == held
    assert outcome.dropped == []
    still_due = await load_due(store)
    assert {due.partition_id for due in still_due} == {2, 5, 6}
    assert len(still_due) + len(outcome.claimed) == 80


async def test_the_right_epoch_of_the_wrong_owner_is_refused(store: Store) -> None:
    epochs = await own_all(store, "you")
    await create(store, 8)
    outcome = await claim(store, "me", epochs, [item(due) for due in await load_due(store)])
    assert outcome.claimed == []
    assert len(outcome.refused) >= 1
    assert len(await load_due(store)) == 8


async def test_an_existing_execution_is_kept_and_its_task_moves_on(store: Store) -> None:
    """A schedule that comes by a recorded time again must not run it twice."""
    epochs = await own_all(store, "me")
    await create(store, 6)
    first = await claim(
        store, "me", epochs, [item(due, runs=[T0, T0 + 1], next_at=T0 + 1) for due in await load_due(store)]
    )
    assert len(first.claimed) == 12
    due = await load_due(store, until_at=T0 + 2)
    assert {d.scheduled_at for d in due} == {T0 + 1}

    again = await claim(store, "me", epochs, [item(d, runs=[T0 + 1, T0 + 2]) for d in due], now=T0 + SECOND)

    assert {sent.ref.scheduled_at for sent in again.claimed} == {T0 + 2}
    assert (len(again.claimed), len(again.moved), again.dropped) == (6, 6, [])
    for d in due:
        rows = await history(store, d.ref)
        assert [row.ref.scheduled_at for row in rows] == [T0 + 2, T0 + 1, T0]
        assert [row.claimed_at for row in rows] == [T0 + SECOND, T0, T0]
        task = await store.get_task(d.ref)
        assert task is not None
        assert task.state is TaskState.COMPLETED


async def test_a_task_named_twice_in_a_claim_is_claimed_once(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 3)
    due = await load_due(store)
    outcome = await claim(store, "me", epochs, [item(d) for d in [*due, *due]])
    assert len(outcome.claimed) == 3
    assert len(await store.load_open_executions(ALL, until_at=None, after=None, limit=9)) == 3


async def test_history_links_every_claim_of_a_task(store: Store) -> None:
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1)
    for step in range(5):
        (due,) = await load_due(store, until_at=T0 + step + 1)
        await claim(store, "me", epochs, [item(due, next_at=T0 + step + 1)], now=T0 + step)
    rows = await history(store, task.ref)
    assert [row.ref.scheduled_at - T0 for row in rows] == [4, 3, 2, 1, 0]


async def test_a_large_batch_is_one_unit(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = await create(store, 1000)
    outcome = await claim(store, "me", epochs, [item(due) for due in await load_due(store)])
    assert {task_of(sent.ref) for sent in outcome.claimed} == {task.ref for task in tasks}
    assert {sent.ref.partition_id for sent in outcome.claimed} == set(range(PARTITIONS))
    empty = await claim(store, "me", epochs, [])
    assert (empty.claimed, empty.moved, empty.dropped, empty.refused) == ([], [], [], frozenset())


async def test_one_bad_row_is_parked_and_the_rest_goes_on(store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 9)
    items = [item(due) for due in await load_due(store)]
    bad = items[4] = item(items[4].due, executor_id="x" * 300)

    outcome = await claim(store, "me", epochs, items)

    assert len(outcome.claimed) == 8
    assert outcome.dropped == outcome.parked == [bad]
    assert await load_due(store) == []
    (parked,) = await load_due(store, until_at=T0 + 3600 * SECOND)
    assert (parked.ref, parked.scheduled_at) == (bad.due.ref, T0)
    assert parked.due_at > T0 + 10 * SECOND
    retried = await claim(store, "me", epochs, [item(parked)])
    assert [sent.ref for sent in retried.claimed] == [ExecutionRef(parked.partition_id, T0, parked.task_key)]


async def test_payloads_belong_to_their_tasks(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = [new_task(f"t{n}", payload=str(n).encode()) for n in range(30)]
    await store.create_tasks(tasks)
    outcome = await claim(store, "me", epochs, [item(due) for due in reversed(await load_due(store))])
    assert {sent.task_id: sent.payload for sent in outcome.claimed} == {t.task_id: t.payload for t in tasks}
    assert all(task_of(sent.ref) == TaskRef(*new_task(sent.task_id).ref) for sent in outcome.claimed)
