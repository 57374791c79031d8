"""What a task owes of earlier schedules is kept until claims have recorded it."""

from __future__ import annotations

from dataclasses import replace

from contract.store.builders import SECOND, T0, change, claim, history, item, load_due, new_task, own_all

from mainspring.server.core.claim import ClaimGap
from mainspring.server.core.life_cycle import StateChange
from mainspring.server.core.owed_times import OwedTimes, encode
from mainspring.server.core.policies import Misfire
from mainspring.server.core.schedule import Interval, Schedule
from mainspring.server.persistence.store import Store

MINUTE = 60 * SECOND
STRETCHES = [
    OwedTimes(Schedule(Interval(MINUTE, T0)), Misfire(), 3, T0 + 9 * MINUTE),
    OwedTimes(Schedule(Interval(7 * MINUTE, T0)), Misfire(), 1, T0 + 20 * MINUTE),
]


async def test_what_is_owed_is_loaded_and_goes_with_the_claims(store: Store) -> None:
    epochs = await own_all(store, "me")
    tasks = [new_task("a"), new_task("b")]
    await store.create_tasks(tasks)
    both, last = encode(STRETCHES), encode(STRETCHES[1:])
    await store.change_tasks([tasks[0].ref], lambda task: replace(task, version=2, owed=both))
    for state_change in (StateChange.PAUSE, StateChange.RESUME):
        await change(store, tasks[0].ref, state_change)
    for with_payload in (True, False):
        listed = await store.list_tasks("default", None, 9, with_payload=with_payload)
        assert {task.task_id: task.owed for task in listed} == {"a": both, "b": None}

    due = {one.ref: one for one in await load_due(store)}
    assert (due[tasks[0].ref].owed, due[tasks[1].ref].owed) == (both, None)
    owing = replace(
        item(
            due[tasks[0].ref],
            runs=[T0 + 2 * MINUTE],
            gap=ClaimGap(T0, T0 + MINUTE, 2, "missed"),
            next_at=T0 + 9 * MINUTE,
        ),
        next_owed=last,
    )
    other = item(due[tasks[1].ref], next_at=T0 + MINUTE)
    assert len((await claim(store, "me", epochs, [owing, other])).moved) == 2

    due = {one.ref: one for one in await load_due(store, T0 + 99 * MINUTE)}
    assert (due[tasks[0].ref].owed, due[tasks[0].ref].scheduled_at) == (last, T0 + 9 * MINUTE)
    assert due[tasks[1].ref].owed is None
    await claim(store, "me", epochs, [item(due[tasks[0].ref], next_at=T0 + 20 * MINUTE)])
    stored = await store.get_task(tasks[0].ref)
    assert stored is not None
    assert (stored.owed, stored.execution_count) == (None, 4)
    assert [row.ref.scheduled_at for row in await history(store, tasks[0].ref)] == [
        T0 + 9 * MINUTE,
        T0 + 2 * MINUTE,
        T0,
    ]
