"""Adjusted scheduled times: what a store keeps of them, hands to the claim, and drops once it was used."""

from __future__ import annotations

from dataclasses import replace

from contract.store.builders import (
    ALL,
    SECOND,
    T0,
    assignment,
    change,
    claim,
    execution_of,
    history,
    item,
    load_due,
    new_task,
    own_all,
)

from mainspring.server.core import adjustments as adjusting
from mainspring.server.core.adjustments import SKIPPED, Adjustment
from mainspring.server.core.claim import ClaimRun
from mainspring.server.core.life_cycle import StateChange
from mainspring.server.core.model import DueTask, ExecutionState, NewTask, Task, TaskRef
from mainspring.server.core.schedule import Interval, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.core.task_adjustment import WantedAdjustment, with_adjustment
from mainspring.server.persistence.store import Store

SKIP = WantedAdjustment(is_skipped=True)
MINUTE = 60 * SECOND
OWN = b"\x00own\xff" * 1_000


def every_minute(task_id: str) -> NewTask:
    return replace(new_task(task_id), schedule=encode(Schedule(Interval(MINUTE, T0))))


async def adjust(store: Store, ref: TaskRef, at: int, wanted: WantedAdjustment) -> Task:
    """Adjusts one time, as a call does."""
    (changed,) = await store.change_tasks(
        [ref], lambda task: with_adjustment(task, at, wanted, now=T0 - SECOND, payload_bytes=10_000)
    )
    assert changed is not None
    return changed.task


async def only_due(store: Store) -> DueTask:
    (due,) = await load_due(store, T0 + 1_000 * MINUTE)
    return due


async def test_a_task_keeps_its_adjustments_until_their_times_were_claimed(store: Store) -> None:
    epochs = await own_all(store, "me")
    task = every_minute("a")
    await store.create_tasks([task])
    before = await only_due(store)
    assert (before.adjustments_version, before.adjustments) == (0, None)

    await adjust(store, task.ref, T0, WantedAdjustment(due_at=T0 + 7))
    adjusted = await adjust(store, task.ref, T0 + 2 * MINUTE, SKIP)

    due = await only_due(store)
    assert (due.version, due.scheduled_at, due.due_at, due.adjustments_version) == (1, T0, T0 + 7, 2)
    assert due.adjustments == adjusted.adjustments
    assert adjusting.decode(due.adjustments) == {
        T0: Adjustment(T0 + 7),
        T0 + 2 * MINUTE: Adjustment(is_skipped=True),
    }
    assert await store.get_task(task.ref) == adjusted

    left = adjusting.left_from(due.adjustments, T0 + MINUTE)
    outcome = await claim(
        store, "me", epochs, [replace(item(due, next_at=T0 + MINUTE), next_adjustments=left)]
    )
    assert len(outcome.moved) == 1
    due = await only_due(store)
    assert (due.scheduled_at, due.adjustments_version) == (T0 + MINUTE, 2)
    assert adjusting.decode(due.adjustments) == {T0 + 2 * MINUTE: Adjustment(is_skipped=True)}

    skipped = ClaimRun(T0 + 2 * MINUTE, T0 + 2 * MINUTE, None, skip_reason=SKIPPED)
    outcome = await claim(
        store, "me", epochs, [item(due, runs=[T0 + MINUTE, skipped], next_at=T0 + 3 * MINUTE)]
    )
    assert [sent.ref.scheduled_at for sent in outcome.claimed] == [T0 + MINUTE]
    assert (await only_due(store)).adjustments is None
    newest = (await history(store, task.ref))[0]
    assert (newest.state, newest.reason, newest.ref.scheduled_at) == (
        ExecutionState.SKIPPED,
        SKIPPED,
        T0 + 2 * MINUTE,
    )


async def test_a_claim_that_was_planned_before_an_adjustment_is_dropped(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = [every_minute(f"t{n}") for n in range(3)]
    await store.create_tasks(tasks)
    planned = [item(due, next_at=T0 + MINUTE) for due in await load_due(store)]
    await adjust(store, tasks[0].ref, T0 + 5 * MINUTE, SKIP)
    again = [item(due, next_at=T0 + MINUTE) for due in await load_due(store)]
    await adjust(store, tasks[0].ref, T0 + 5 * MINUTE, WantedAdjustment())

    outcome = await claim(store, "me", epochs, planned)
    assert {claimed.task_id for claimed in outcome.claimed} == {"t1", "t2"}
    assert [dropped.due.ref for dropped in outcome.dropped] == [tasks[0].ref]

    # Reset, it looks as before, but for its number.
    outcome = await claim(store, "me", epochs, [one for one in again if one.due.ref == tasks[0].ref])
    assert (len(outcome.claimed), len(outcome.dropped)) == (0, 1)
    due = await only_due_of(store, tasks[0].ref)
    assert (due.adjustments_version, due.adjustments) == (2, None)
    assert len((await claim(store, "me", epochs, [item(due)])).claimed) == 1


async def only_due_of(store: Store, ref: TaskRef) -> DueTask:
    (due,) = [due for due in await load_due(store) if due.ref == ref]
    return due


async def test_an_execution_gets_the_payload_of_its_own(store: Store) -> None:
    epochs = await own_all(store, "me")
    task = every_minute("a")
    await store.create_tasks([task])
    await adjust(store, task.ref, T0, WantedAdjustment(payload=OWN))
    await adjust(store, task.ref, T0 + 2 * MINUTE, WantedAdjustment(payload=b""))
    due = await only_due(store)
    runs = [
        ClaimRun(T0, T0, "executor-1", has_payload=True),
        ClaimRun(T0 + MINUTE, T0 + MINUTE, "executor-1"),
        ClaimRun(T0 + 2 * MINUTE, T0 + 2 * MINUTE, None, has_payload=True),
    ]
    wanted = [item(due, runs=runs, next_at=T0 + 3 * MINUTE)]

    outcome = await claim(store, "me", epochs, wanted)

    assert [sent.payload for sent in outcome.claimed] == [OWN, b"payload", b""]
    recovered = await store.recover_claim("me", epochs, wanted, now=T0, wake_at=T0 + 5 * SECOND)
    assert [sent.payload for sent in sorted(recovered.claimed, key=lambda sent: sent.ref)] == [
        OWN,
        b"payload",
        b"",
    ]
    waiting = outcome.claimed[-1]
    assert (await execution_of(store, waiting.ref)).state is ExecutionState.WAITING
    assigned = await store.assign("me", [assignment(waiting, "e")], now=T0 + 1, wake_at=T0 + 9 * SECOND)
    assert [sent.payload for sent in assigned.dispatchable] == [b""]
    lost = await store.assign(
        "me", [assignment(outcome.claimed[0], "e")], now=T0 + 1, wake_at=T0 + 9 * SECOND
    )
    assert [sent.payload for sent in lost.dispatchable] == [OWN], "the second attempt, too"


async def test_payloads_stay_while_adjustments_do(store: Store) -> None:
    epochs = await own_all(store, "me")
    task = every_minute("a")
    await store.create_tasks([task])
    await adjust(store, task.ref, T0 + 2 * MINUTE, WantedAdjustment(payload=OWN))
    # Changes that see no payloads leave them alone, and so do claims of other times.
    for state_change in (StateChange.PAUSE, StateChange.RESUME):
        await change(store, task.ref, state_change)
    await store.change_tasks(
        [task.ref], lambda task: replace(task, version=task.version + 1, note="seen"), with_payload=False
    )
    due = await only_due(store)
    await claim(
        store,
        "me",
        epochs,
        [replace(item(due, next_at=T0 + MINUTE), next_adjustments=due.adjustments)],
    )
    due = await only_due(store)
    run = ClaimRun(T0 + 2 * MINUTE, T0 + 2 * MINUTE, "executor-1", has_payload=True)
    outcome = await claim(store, "me", epochs, [item(due, runs=[T0 + MINUTE, run], next_at=T0 + 3 * MINUTE)])
    assert [sent.payload for sent in outcome.claimed] == [b"payload", OWN]

    stored: list[Task] = []
    await store.change_tasks([task.ref], lambda task: stored.append(task))
    assert [(task.adjustments, task.adjusted_payloads) for task in stored] == [(None, None)]


async def test_a_listing_tells_adjustments(store: Store) -> None:
    task = every_minute("a")
    await store.create_tasks([task, every_minute("b")])
    adjusted = await adjust(store, task.ref, T0, WantedAdjustment(payload=OWN))
    for with_payload in (True, False):
        listed = await store.list_tasks("default", None, 10, with_payload=with_payload)
        assert {task.task_id: task.adjustments for task in listed} == {"a": adjusted.adjustments, "b": None}
    assert [due.adjustments for due in await load_due(store) if due.ref == task.ref] == [adjusted.adjustments]
    assert len(await store.load_due_tasks(ALL, from_at=0, until_at=T0 + 1, after=None, limit=9)) == 2
