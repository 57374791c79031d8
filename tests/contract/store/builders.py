"""Short ways to make the values that the store's contract tests need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mainspring.server.core.attempt import Assignment, Completion, Dispatchable
from mainspring.server.core.claim import ClaimGap, ClaimItem, ClaimOutcome, ClaimRun
from mainspring.server.core.life_cycle import StateChange, with_state_changed
from mainspring.server.core.model import (
    Delivery,
    DueTask,
    Execution,
    ExecutionRef,
    ExecutionState,
    NewTask,
    TaskRef,
)
from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.tasks import Changed
from mainspring.shard_manager.hashing import partition_of, task_key

PARTITIONS = 8
ALL = range(PARTITIONS)
SECOND = 1_000_000
T0 = 1_800_000_000 * SECOND
"""The instant most tests call now."""


def task_ref(task_id: str, namespace: str = "default") -> TaskRef:
    key = task_key(namespace, task_id)
    return TaskRef(partition_of(key, PARTITIONS), key)


def new_task(
    task_id: str,
    *,
    namespace: str = "default",
    at: int = T0,
    due_at: int | None = None,
    payload: bytes = b"payload",
    definition: bytes = b"definition-no-01",
    handler: str = "noop",
    delivery: Delivery = Delivery.AT_LEAST_ONCE,
) -> NewTask:
    return NewTask(
        ref=task_ref(task_id, namespace),
        namespace=namespace,
        task_id=task_id,
        handler=handler,
        payload=payload,
        schedule='{"kind":"once"}',
        definition_hash=definition,
        scheduled_at=at,
        due_at=at if due_at is None else due_at,
        created_at=T0 - SECOND,
        delivery=delivery,
    )


async def create(store: Store, count: int, *, prefix: str = "task", at: int = T0) -> list[NewTask]:
    tasks = [new_task(f"{prefix}-{number}", at=at) for number in range(count)]
    await store.create_tasks(tasks)
    return tasks


async def change(store: Store, ref: TaskRef, change: StateChange, now: int = T0) -> Changed | None:
    """Changes the state of one task, as a call does."""
    (changed,) = await store.change_tasks([ref], lambda task: with_state_changed(task, change, now=now))
    return changed


async def cancel(store: Store, ref: TaskRef, now: int = T0) -> Changed | None:
    """Cancels one task."""
    return await change(store, ref, StateChange.CANCEL, now)


async def own_all(store: Store, owner_id: str) -> dict[int, int]:
    """Takes every partition, whoever has it; answers the epochs."""
    rows = await store.read_partitions()
    leases = await store.take_partitions([(row.partition_id, row.epoch) for row in rows], owner_id)
    assert len(leases) == PARTITIONS
    return {lease.partition_id: lease.epoch for lease in leases}


async def load_due(store: Store, until_at: int = T0 + 1, limit: int = 10_000) -> list[DueTask]:
    return await store.load_due_tasks(ALL, from_at=0, until_at=until_at, after=None, limit=limit)


def item(
    due: DueTask,
    *,
    executor_id: str | None = "executor-1",
    runs: Sequence[int | ClaimRun] | None = None,
    next_at: int | None = None,
    gap: ClaimGap | None = None,
) -> ClaimItem:
    times = [due.scheduled_at] if runs is None else runs
    return ClaimItem(
        due=due,
        runs=tuple(at if isinstance(at, ClaimRun) else ClaimRun(at, at, executor_id) for at in times),
        gap=gap,
        next_scheduled_at=next_at,
        next_due_at=next_at,
    )


async def claim(
    store: Store,
    owner_id: str,
    epochs: dict[int, int],
    items: Sequence[ClaimItem],
    *,
    now: int = T0,
    wake_at: int = T0 + 5 * SECOND,
) -> ClaimOutcome:
    return await store.claim(owner_id, epochs, items, now=now, wake_at=wake_at)


async def claimed_tasks(
    store: Store, owner_id: str, count: int, *, executor_id: str | None = "executor-1"
) -> list[Dispatchable]:
    """Owns everything, creates tasks and claims them; answers what may be sent, in the order of the ledger."""
    epochs = await own_all(store, owner_id)
    await create(store, count)
    items = [item(due, executor_id=executor_id) for due in await load_due(store)]
    outcome = await claim(store, owner_id, epochs, items)
    assert len(outcome.claimed) == count
    return sorted(outcome.claimed, key=lambda dispatchable: dispatchable.ref)


def task_of(ref: ExecutionRef) -> TaskRef:
    return TaskRef(ref.partition_id, ref.task_key)


async def execution_of(store: Store, ref: ExecutionRef) -> Execution:
    execution = await store.get_execution(task_of(ref), ref.scheduled_at)
    assert execution is not None
    return execution


async def history(store: Store, ref: TaskRef) -> list[Execution]:
    """All of a task's executions, newest recorded first."""
    return (await store.list_task_executions(ref, limit=1000)).executions


async def every_execution(store: Store, namespace: str = "default") -> list[Execution]:
    """All executions of a namespace, in the order of the ledger."""
    found: list[Execution] = []
    page = await store.list_executions(namespace, limit=1000)
    while True:
        found += page.executions
        if page.next is None:
            return found
        page = await store.list_executions(namespace, after=page.next, limit=1000)


def completion(
    sent: Dispatchable,
    *,
    state: ExecutionState = ExecutionState.SUCCEEDED,
    attempt: int | None = None,
    epoch: int | None = None,
    reason: str = "",
    result: bytes = b"",
    is_waiting: bool = False,
) -> Completion:
    return Completion(
        ref=sent.ref,
        epoch=sent.epoch if epoch is None else epoch,
        attempt=sent.attempt if attempt is None else attempt,
        state=state,
        reason=reason,
        result=result,
        dispatched_at=T0 + 1,
        picked_up_at=T0 + 2,
        finished_at=T0 + 3,
        is_waiting=is_waiting,
    )


def assignment(sent: Dispatchable, executor_id: str, *, epoch: int | None = None) -> Assignment:
    return Assignment(
        ref=sent.ref,
        epoch=sent.epoch if epoch is None else epoch,
        expected_attempt=sent.attempt,
        executor_id=executor_id,
        task_version=sent.task_version,
    )


def ids(tasks: Iterable[DueTask | NewTask]) -> set[bytes]:
    return {task.ref.task_key for task in tasks}
