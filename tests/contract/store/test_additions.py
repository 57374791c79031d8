"""Executions that calls add to a task's history, and the removal of tasks with theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract.store.builders import (
    ALL,
    SECOND,
    T0,
    cancel,
    change,
    claim,
    completion,
    create,
    execution_of,
    item,
    load_due,
    own_all,
    task_ref,
)

from mainspring.server.core.attempt import Assignment
from mainspring.server.core.claim import ClaimGap
from mainspring.server.core.life_cycle import StateChange
from mainspring.server.core.model import (
    AddedExecution,
    AddOutcome,
    ExecutionOrigin,
    ExecutionState,
    NewTask,
    TaskRef,
    TaskState,
)
from mainspring.server.persistence.store import Store

NOW = T0 + 40 * SECOND


def _added(at: int, **fields: object) -> AddedExecution:
    made = AddedExecution(at, NOW, NOW + SECOND, ExecutionOrigin.TRIGGER)
    return replace(made, **fields)  # type: ignore[arg-type]


async def _add(store: Store, ref: TaskRef, *items: AddedExecution, epoch: int = 1) -> AddOutcome:
    return await store.add_executions("me", epoch, ref, items, now=NOW)


async def _history(store: Store, ref: TaskRef) -> list[int]:
    """Scheduled times, newest first, the same however it is paged."""
    times = await _paged(store, ref, 1_000)
    for limit in (1, 2, 3):
        assert await _paged(store, ref, limit) == times
    assert times == sorted(set(times), reverse=True)
    return times


async def _paged(store: Store, ref: TaskRef, limit: int) -> list[int]:
    page = await store.list_task_executions(ref, limit=limit)
    found = [row.ref.scheduled_at for row in page.executions]
    while page.next is not None:
        page = await store.list_task_executions(ref, from_at=page.next.scheduled_at, limit=limit)
        found += [row.ref.scheduled_at for row in page.executions]
    return found


async def _claimed(store: Store, times: list[int], next_at: int | None = None) -> NewTask:
    """A task of which these times have been claimed and have ended."""
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1, at=times[0])
    (due,) = await load_due(store, T0 + 1)
    outcome = await claim(store, "me", epochs, [item(due, runs=times, next_at=next_at)])
    await store.complete("me", [completion(sent) for sent in outcome.claimed], now=T0)
    return task


async def test_what_is_added_waits_is_not_counted_and_stands_in_its_place(store: Store) -> None:
    task = await _claimed(store, [T0, T0 + 10, T0 + 20], T0 + 90 * SECOND)

    outcome = await _add(
        store,
        task.ref,
        _added(NOW, payload=b"its own"),
        _added(T0 + 15, origin=ExecutionOrigin.BACKFILL),
        _added(T0 - 5, payload_of=T0),
        _added(T0 + 10),
    )

    assert (outcome.is_refused, outcome.state, outcome.existing) == (False, TaskState.ACTIVE, [T0 + 10])
    assert [row.ref.scheduled_at for row in outcome.added] == [T0 - 5, T0 + 15, NOW]
    assert sorted(
        await store.load_open_executions(ALL, until_at=None, after=None, limit=9), key=str
    ) == sorted(outcome.added, key=str)
    assert await _history(store, task.ref) == [NOW, T0 + 20, T0 + 15, T0 + 10, T0, T0 - 5]
    row = await store.get_execution(task.ref, None)
    assert row is not None
    assert (row.ref.scheduled_at, row.state, row.attempt) == (NOW, ExecutionState.WAITING, 0)
    assert (row.due_at, row.claimed_at, row.origin, row.node_id) == (NOW, NOW, ExecutionOrigin.TRIGGER, "me")
    stored = await store.get_task(task.ref)
    assert stored is not None
    assert (stored.execution_count, stored.version, stored.scheduled_at) == (3, 1, T0 + 90 * SECOND)

    again = await _add(store, task.ref, _added(NOW + 1, payload_of=NOW))
    items = [
        Assignment(row.ref, row.epoch, 0, "executor-1", row.task_version)
        for row in (*outcome.added, *again.added)
    ]
    sent = await store.assign("me", items, now=NOW, wake_at=NOW + SECOND)
    assert {d.ref.scheduled_at: d.payload for d in sent.dispatchable} == {
        T0 - 5: b"payload",
        T0 + 15: b"payload",
        NOW: b"its own",
        NOW + 1: b"its own",
    }


async def test_the_first_execution_of_a_task_may_be_an_added_one(store: Store) -> None:
    await own_all(store, "me")
    (task,) = await create(store, 1, at=T0 + 90 * SECOND)
    outcome = await _add(store, task.ref, _added(NOW))
    assert len(outcome.added) == 1
    assert await _history(store, task.ref) == [NOW]


async def test_a_time_that_is_taken_moves_on_when_it_may(store: Store) -> None:
    task = await _claimed(store, [T0])
    first = await _add(store, task.ref, _added(NOW, is_movable=True))
    second = await _add(store, task.ref, _added(NOW, is_movable=True))
    assert [row.ref.scheduled_at for row in (*first.added, *second.added)] == [NOW, NOW + 1]
    third = await _add(store, task.ref, _added(T0, is_movable=True))
    assert [row.ref.scheduled_at for row in third.added] == [T0 + 1]
    assert await _history(store, task.ref) == [NOW + 1, NOW, T0 + 1, T0]


async def test_a_time_that_moves_on_leaves_the_schedule_its_own(store: Store) -> None:
    task = await _claimed(store, [T0])
    coming = frozenset({NOW, NOW + 2})
    added = [await _add(store, task.ref, _added(NOW, is_movable=True, kept_free=coming)) for _ in range(2)]
    assert [row.ref.scheduled_at for one in added for row in one.added] == [NOW + 1, NOW + 3]


async def test_a_request_adds_once_within_a_day(store: Store) -> None:
    task = await _claimed(store, [T0])
    key = b"0123456789abcdef"
    first = await _add(store, task.ref, _added(NOW, request_key=key, is_movable=True))
    again = await _add(store, task.ref, _added(NOW + 7, request_key=key, is_movable=True))
    other = await _add(store, task.ref, _added(NOW + 7, request_key=key[::-1], is_movable=True))
    assert [row.ref.scheduled_at for row in first.added] == [NOW]
    assert (again.added, again.existing) == ([], [NOW])
    assert [row.ref.scheduled_at for row in other.added] == [NOW + 7]

    later = NOW + 25 * 3_600 * SECOND
    await store.add_executions("me", 1, task.ref, [_added(later, request_key=b"another key 0001")], now=later)
    anew = await _add(store, task.ref, _added(later + 1, request_key=key, is_movable=True))
    assert [row.ref.scheduled_at for row in anew.added] == [later + 1]


async def test_a_long_history_is_walked_through(store: Store) -> None:
    times = [T0 + 2 * n for n in range(1_203)]
    task = await _claimed(store, times)
    outcome = await _add(store, task.ref, _added(T0 + 1), _added(T0 + 1_001), _added(T0 + 2_401))
    assert len(outcome.added) == 3
    found = await _paged(store, task.ref, 500)
    assert found == sorted([*times, T0 + 1, T0 + 1_001, T0 + 2_401], reverse=True)


async def test_what_is_claimed_behind_an_added_one_takes_its_place_too(store: Store) -> None:
    """No executor was there at its times: they are claimed when one has come, and a call has come in between."""
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1)
    (due,) = await load_due(store)
    await _add(store, task.ref, _added(T0 + 15), _added(T0 + 40), _added(T0 + 50))

    outcome = await claim(
        store,
        "me",
        epochs,
        [item(due, runs=[T0 + 20, T0 + 30, T0 + 45], next_at=T0 + 60, gap=ClaimGap(T0, T0 + 10, 2, "gap"))],
    )

    assert len(outcome.claimed) == 3
    assert await _history(store, task.ref) == [T0 + n for n in (50, 45, 40, 30, 20, 15, 0)]
    stored = await store.get_task(task.ref)
    assert stored is not None
    assert (stored.last_scheduled_at, stored.execution_count) == (T0 + 50, 5)


async def test_only_the_owner_adds_and_removes(store: Store) -> None:
    task = await _claimed(store, [T0], T0 + SECOND)
    assert (await _add(store, task.ref, _added(NOW), epoch=2)).is_refused
    other = await store.add_executions("you", 1, task.ref, [_added(NOW)], now=NOW)
    assert other.is_refused
    await cancel(store, task.ref)
    assert (await store.remove_task("you", 1, task.ref, limit=10)).is_refused
    assert await _history(store, task.ref) == [T0]


@pytest.mark.parametrize("stop", [StateChange.PAUSE, StateChange.CANCEL])
async def test_nothing_is_added_to_a_task_that_does_not_run(store: Store, stop: StateChange) -> None:
    task = await _claimed(store, [T0], T0 + SECOND)
    await change(store, task.ref, stop)
    outcome = await _add(store, task.ref, _added(NOW))
    assert (outcome.added, outcome.state) == (
        [],
        TaskState.PAUSED if stop is StateChange.PAUSE else TaskState.CANCELLED,
    )
    nobody = await _add(store, task_ref("nothing"), _added(NOW))
    assert (nobody.is_refused, nobody.state, nobody.added) == (False, None, [])


async def test_a_task_is_removed_with_its_history_in_slices_and_its_name_is_free(store: Store) -> None:
    task = await _claimed(store, [T0 + n for n in range(7)], T0 + 90 * SECOND)
    await _add(store, task.ref, _added(NOW, request_key=b"0123456789abcdef"))
    left = await store.remove_task("me", 1, task.ref, limit=3)
    assert (left.is_done, left.has_open) == (False, False)
    assert len(await _history(store, task.ref)) == 8  # it is not cancelled

    await cancel(store, task.ref)
    open_one = await store.remove_task("me", 1, task.ref, limit=3)
    assert (open_one.is_done, open_one.has_open) == (False, True)
    (waiting,) = await store.load_open_executions(ALL, until_at=None, after=None, limit=9)
    item = Assignment(waiting.ref, 1, 0, "executor-1", waiting.task_version)
    assert (await store.assign("me", [item], now=NOW, wake_at=NOW)).cancelled == [waiting.ref]

    assert not (await store.remove_task("me", 1, task.ref, limit=3)).is_done
    assert len(await _history(store, task.ref)) == 5
    while not (await store.remove_task("me", 1, task.ref, limit=3)).is_done:
        pass
    assert await store.get_task(task.ref) is None
    assert (await store.remove_task("me", 1, task.ref, limit=3)).is_done

    await store.create_tasks([task])
    assert await _history(store, task.ref) == []
    anew = await _add(store, task.ref, _added(T0, request_key=b"0123456789abcdef"))
    assert [row.ref.scheduled_at for row in anew.added] == [T0]


async def test_executions_of_a_task_that_was_paused_or_changed_end_instead_of_being_sent(
    store: Store,
) -> None:
    """Those that were never sent; what ran before goes on with the new definition, unless the task is paused."""
    await own_all(store, "me")
    tasks = {task.task_id: task for task in await create(store, 4, at=T0 + 90 * SECOND)}
    rows = {}
    for name, task in tasks.items():
        (rows[name],) = (await _add(store, task.ref, _added(NOW))).added
    first = [Assignment(rows[name].ref, 1, 0, "executor-1", 1) for name in ("task-2", "task-3")]
    await store.assign("me", first, now=NOW, wake_at=NOW)
    for name, task in tasks.items():
        if name in ("task-0", "task-2"):
            await change(store, task.ref, StateChange.PAUSE)
        else:
            await store.change_tasks([task.ref], lambda task: replace(task, version=2, payload=b"new"))

    items = [
        Assignment(row.ref, 1, int(name in ("task-2", "task-3")), "executor-2", 1)
        for name, row in rows.items()
    ]
    outcome = await store.assign("me", items, now=NOW + 1, wake_at=NOW)

    (sent,) = outcome.dispatchable
    assert (sent.task_id, sent.attempt, sent.task_version, sent.payload) == ("task-3", 2, 2, b"new")
    assert set(outcome.cancelled) == {rows[name].ref for name in ("task-0", "task-1", "task-2")}
    reasons = [(await execution_of(store, rows[name].ref)).reason for name in ("task-0", "task-1", "task-2")]
    assert reasons == [
        "the task was paused",
        "the task was changed before this was sent",
        "the task was paused",
    ]


async def test_the_gap_row_around_what_was_added_before_it(store: Store) -> None:
    """A task that nothing runs is triggered, and what it missed before and after becomes one gap."""
    epochs = await own_all(store, "me")
    (task,) = await create(store, 1)
    triggered = T0 + 20 * SECOND + 1
    added = replace(_added(triggered), due_at=triggered)
    await store.add_executions("me", 1, task.ref, [added], now=triggered)
    gap = ClaimGap(T0, T0 + 90 * SECOND, 10, "away")
    (due,) = await load_due(store)
    later = T0 + 100 * SECOND
    await claim(store, "me", epochs, [item(due, runs=[], gap=gap, next_at=later)], now=later)

    for at in (T0, triggered + 1, T0 + 60 * SECOND, T0 + 90 * SECOND):
        found = await store.get_gap(task.ref, at)
        assert found is not None
        assert found.ref.scheduled_at == T0
    assert await store.get_gap(task.ref, T0 + 90 * SECOND + 1) is None
