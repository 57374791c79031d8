"""Assigning, extending and completing attempts: only the latest attempt, only under the fence, never after the end."""

from __future__ import annotations

from dataclasses import replace

from contract.store.builders import (
    SECOND,
    T0,
    assignment,
    cancel,
    claimed_tasks,
    completion,
    execution_of,
    own_all,
    task_of,
)

from mainspring.server.core.attempt import Extension, FailedAttempt
from mainspring.server.core.model import ExecutionState
from mainspring.server.persistence.store import Store


def _extension(sent, wake_at: int = T0 + 9 * SECOND, **changes) -> Extension:  # type: ignore[no-untyped-def]
    return replace(
        Extension(sent.ref, sent.epoch, sent.attempt, ExecutionState.RUNNING, wake_at, T0 + 1, T0 + 2),
        **changes,
    )


def _failed(sent, **changes) -> FailedAttempt:  # type: ignore[no-untyped-def]
    return replace(
        FailedAttempt(
            sent.ref,
            sent.epoch,
            sent.attempt,
            "ValueError: no",
            "ValueError",
            T0 + 30 * SECOND,
            T0 + 1,
            T0 + 2,
        ),
        **changes,
    )


async def test_a_completion_writes_the_end(store: Store) -> None:
    plain, told = await claimed_tasks(store, "me", 2)

    refused = await store.complete(
        "me",
        [
            completion(plain),
            completion(
                told, state=ExecutionState.FAILED, reason="O'no \\ ünïcode \U0001f4a5", result=b"\x00\xff'"
            ),
        ],
        now=T0 + 9,
    )

    assert refused == frozenset()
    row = await execution_of(store, plain.ref)
    assert (row.state, row.reason, row.result) == (ExecutionState.SUCCEEDED, "", b"")
    assert (row.dispatched_at, row.picked_up_at, row.finished_at, row.saved_at) == (
        T0 + 1,
        T0 + 2,
        T0 + 3,
        T0 + 9,
    )
    assert (row.attempt, row.epoch, row.executor_id, row.node_id) == (1, 1, "executor-1", "me")
    row = await execution_of(store, told.ref)
    assert row.state is ExecutionState.FAILED
    assert (row.reason, row.result) == ("O'no \\ ünïcode \U0001f4a5", b"\x00\xff'")


async def test_large_results_and_long_reasons(store: Store) -> None:
    sent = await claimed_tasks(store, "me", 12)
    results = [bytes([n]) * 262_144 for n in range(12)]
    await store.complete(
        "me",
        [completion(s, reason="r" * 5000, result=result) for s, result in zip(sent, results, strict=True)],
        now=T0,
    )
    for s, result in zip(sent[::5], results[::5], strict=True):
        row = await execution_of(store, s.ref)
        assert row.result == result
        assert row.reason == "r" * 2000


async def test_the_end_is_written_once(store: Store) -> None:
    (sent,) = await claimed_tasks(store, "me", 1)
    await store.complete("me", [completion(sent, result=b"first")], now=T0 + 1)
    before = await execution_of(store, sent.ref)

    again = await store.complete(
        "me", [completion(sent, state=ExecutionState.FAILED, reason="late")], now=T0 + 2
    )
    extended = await store.extend("me", [_extension(sent)])
    assigned = await store.assign("me", [assignment(sent, "executor-2")], now=T0 + 3, wake_at=T0 + 9)

    assert (again, extended, assigned.refused) == (frozenset(), frozenset(), frozenset())
    assert (assigned.dispatchable, assigned.cancelled) == ([], [])
    assert await execution_of(store, sent.ref) == before


async def test_an_old_attempt_changes_nothing(store: Store) -> None:
    (sent,) = await claimed_tasks(store, "me", 1)
    assigned = await store.assign("me", [assignment(sent, "executor-2")], now=T0 + 1, wake_at=T0 + 9)
    (second,) = assigned.dispatchable
    assert second.attempt == 2
    before = await execution_of(store, sent.ref)

    assert await store.complete("me", [completion(sent, reason="late")], now=T0 + 2) == frozenset()
    assert await store.extend("me", [_extension(sent)]) == frozenset()

    assert await execution_of(store, sent.ref) == before
    await store.complete("me", [completion(second)], now=T0 + 3)
    row = await execution_of(store, sent.ref)
    assert (row.state, row.attempt, row.executor_id) == (ExecutionState.SUCCEEDED, 2, "executor-2")


async def test_a_future_attempt_changes_nothing(store: Store) -> None:
    (sent,) = await claimed_tasks(store, "me", 1)
    before = await execution_of(store, sent.ref)
    await store.complete("me", [completion(sent, attempt=2)], now=T0)
    await store.assign("me", [replace(assignment(sent, "x"), expected_attempt=2)], now=T0, wake_at=T0 + 9)
    assert await execution_of(store, sent.ref) == before


async def test_assigning_records_executor_attempt_and_epoch(store: Store) -> None:
    waiting = await claimed_tasks(store, "me", 4, executor_id=None)

    outcome = await store.assign(
        "me", [assignment(w, f"executor-{n}") for n, w in enumerate(waiting)], now=T0 + 5, wake_at=T0 + 9
    )

    assert (outcome.cancelled, outcome.refused) == ([], frozenset())
    by_ref = {sent.ref: sent for sent in outcome.dispatchable}
    for n, was in enumerate(waiting):
        sent = by_ref[was.ref]
        assert (sent.executor_id, sent.attempt, sent.epoch) == (f"executor-{n}", 1, 1)
        assert (sent.namespace, sent.task_id, sent.handler, sent.payload) == (
            "default",
            was.task_id,
            "noop",
            b"payload",
        )
        assert (sent.due_at, sent.task_version, sent.claimed_at) == (T0, 1, T0)
        row = await execution_of(store, was.ref)
        assert (row.state, row.attempt, row.executor_id) == (ExecutionState.DISPATCHED, 1, f"executor-{n}")


async def test_assigning_again_with_the_same_arguments_answers_the_same(store: Store) -> None:
    waiting = await claimed_tasks(store, "me", 3, executor_id=None)
    items = [assignment(w, "executor-1") for w in waiting]
    first = await store.assign("me", items, now=T0 + 5, wake_at=T0 + 9)
    again = await store.assign("me", items, now=T0 + 5, wake_at=T0 + 9)
    assert sorted(again.dispatchable, key=lambda s: s.ref) == sorted(first.dispatchable, key=lambda s: s.ref)
    other = await store.assign("me", [assignment(waiting[0], "executor-2")], now=T0 + 6, wake_at=T0 + 9)
    assert other.dispatchable == []


async def test_executions_of_a_cancelled_task_end_instead(store: Store) -> None:
    epochs_task = await claimed_tasks(store, "me", 2, executor_id=None)
    stopped, going = epochs_task
    # The task has completed by its only claim; a recurring one can be cancelled while an execution waits.
    outcome = await _recurring_waiting(store)
    await cancel(store, task_of(outcome.ref), T0 + 4)

    assigned = await store.assign(
        "me", [assignment(e, "executor-1") for e in (stopped, going, outcome)], now=T0 + 5, wake_at=T0 + 9
    )

    assert assigned.cancelled == [outcome.ref]
    assert {sent.ref for sent in assigned.dispatchable} == {stopped.ref, going.ref}
    row = await execution_of(store, outcome.ref)
    assert (row.state, row.attempt, row.executor_id) == (ExecutionState.CANCELLED, 0, None)
    assert (row.finished_at, row.saved_at) == (T0 + 5, T0 + 5)
    assert row.reason
    open_rows = await store.load_open_executions(range(8), until_at=None, after=None, limit=10)
    assert {r.ref for r in open_rows} == {stopped.ref, going.ref}


async def test_an_execution_that_is_cancelled_after_an_attempt_still_tells_of_that_attempt(
    store: Store,
) -> None:
    """Its executor died, another node took over and finds the task cancelled: attempt 1 was the first owner's."""
    await own_all(store, "me")
    sent = await _recurring_waiting(store, executor_id="executor-1")
    await store.extend("me", [_extension(sent)])
    await cancel(store, task_of(sent.ref), T0 + 4)
    rows = {row.partition_id: row for row in await store.read_partitions()}
    (lease,) = await store.take_partitions(
        [(sent.ref.partition_id, rows[sent.ref.partition_id].epoch)], "other"
    )
    taken = replace(assignment(sent, "executor-2"), epoch=lease.epoch, expected_attempt=1)

    assigned = await store.assign("other", [taken], now=T0 + 5, wake_at=T0 + 9)
    again = await store.assign("other", [taken], now=T0 + 5, wake_at=T0 + 9)

    assert (assigned.cancelled, assigned.dispatchable, assigned.refused) == ([sent.ref], [], frozenset())
    assert again.cancelled == [sent.ref]
    row = await execution_of(store, sent.ref)
    assert (row.state, row.saved_at) == (ExecutionState.CANCELLED, T0 + 5)
    assert (row.attempt, row.epoch, row.node_id, row.executor_id) == (1, sent.epoch, "me", "executor-1")
    assert (row.dispatched_at, row.picked_up_at) == (T0 + 1, T0 + 2)


async def _recurring_waiting(store: Store, executor_id: str | None = None):  # type: ignore[no-untyped-def]
    from contract.store.builders import claim, item, load_due, new_task

    await store.create_tasks([new_task("recurring", at=T0 - 1)])
    (due,) = await load_due(store, until_at=T0)
    epochs = {row.partition_id: row.epoch for row in await store.read_partitions()}
    outcome = await claim(store, "me", epochs, [item(due, executor_id=executor_id, next_at=T0 + 60 * SECOND)])
    return outcome.claimed[0]


async def test_extending_moves_the_deadline_and_keeps_the_first_times(store: Store) -> None:
    (sent,) = await claimed_tasks(store, "me", 1)
    await store.extend("me", [_extension(sent)])
    await store.extend("me", [_extension(sent, T0 + 20 * SECOND, dispatched_at=None, picked_up_at=None)])
    row = await execution_of(store, sent.ref)
    assert (row.state, row.dispatched_at, row.picked_up_at) == (ExecutionState.RUNNING, T0 + 1, T0 + 2)
    (open_row,) = await store.load_open_executions(range(8), until_at=None, after=None, limit=10)
    assert open_row.wake_at == T0 + 20 * SECOND


async def test_progress_and_a_wish_to_stop_are_kept_until_there_is_news(store: Store) -> None:
    plain, told = await claimed_tasks(store, "me", 2)
    progress = bytes(range(256)) * 4
    await store.extend(
        "me",
        [
            _extension(plain),
            _extension(told, progress=progress, progress_at=T0 + 7, stop_reason="O'stop \\ \U0001f6d1"),
        ],
    )
    await store.extend("me", [_extension(plain), _extension(told, T0 + 20 * SECOND)])
    row = await execution_of(store, told.ref)
    assert (row.progress, row.progress_at, row.reason) == (progress, T0 + 7, "O'stop \\ \U0001f6d1")
    row = await execution_of(store, plain.ref)
    assert (row.progress, row.progress_at, row.reason) == (b"", None, "")
    opened = await store.load_open_executions(range(8), until_at=None, after=None, limit=10)
    assert {row.ref: row.stop_reason for row in opened} == {
        plain.ref: "",
        told.ref: "O'stop \\ \U0001f6d1",
    }

    await store.extend("me", [_extension(told, progress=b"", progress_at=T0 + 8)])
    row = await execution_of(store, told.ref)
    assert (row.progress, row.progress_at, row.reason) == (b"", T0 + 8, "O'stop \\ \U0001f6d1")


async def test_a_failure_that_is_retried_waits_for_its_time(store: Store) -> None:
    (sent,) = await claimed_tasks(store, "me", 1)

    assert await store.retry("me", [_failed(sent, reason="O'no \\ \U0001f4a5" + "r" * 5000)]) == frozenset()
    again = await store.retry("me", [_failed(sent, error_kind="Other", retry_at=T0)])  # an answer was lost

    assert again == frozenset()
    row = await execution_of(store, sent.ref)
    assert (row.state, row.attempt, row.executor_id) == (ExecutionState.WAITING, 1, "executor-1")
    assert (row.failure_count, row.error_kind, row.retry_at) == (1, "ValueError", T0 + 30 * SECOND)
    assert row.reason == ("O'no \\ \U0001f4a5" + "r" * 5000)[:2000]
    assert (row.dispatched_at, row.picked_up_at, row.finished_at) == (T0 + 1, T0 + 2, None)
    (waiting,) = await store.load_open_executions(range(8), until_at=None, after=None, limit=10)
    assert (waiting.state, waiting.wake_at, waiting.failure_count, waiting.stop_reason) == (
        ExecutionState.WAITING,
        T0 + 30 * SECOND,
        1,
        "",
    )

    # A sign of life that was under way beside the failure.
    await store.extend("me", [_extension(sent, stop_reason="late")])
    assert await execution_of(store, sent.ref) == row

    (second,) = (
        await store.assign("me", [assignment(sent, "executor-2")], now=T0 + 31 * SECOND, wake_at=T0)
    ).dispatchable
    assert second.attempt == 2
    row = await execution_of(store, sent.ref)
    assert (row.state, row.reason, row.retry_at) == (ExecutionState.DISPATCHED, "", None)
    assert (row.failure_count, row.error_kind) == (1, "ValueError")
    assert await store.retry("me", [_failed(sent)]) == frozenset()
    assert (await execution_of(store, sent.ref)).state is ExecutionState.DISPATCHED
    await store.retry("me", [_failed(second, dispatched_at=None, picked_up_at=None)])
    assert (await execution_of(store, sent.ref)).failure_count == 2


async def test_a_late_result_ends_nothing_that_waits_for_a_retry_and_a_cancel_does(store: Store) -> None:
    late, cancelled, gone = await claimed_tasks(store, "me", 3)
    await store.complete("me", [completion(gone)], now=T0 + 1)
    await store.retry("me", [_failed(sent) for sent in (late, cancelled, gone)])
    assert (await execution_of(store, gone.ref)).state is ExecutionState.SUCCEEDED

    refused = await store.complete(
        "me",
        [
            completion(late, state=ExecutionState.CANCELLED, reason="late"),
            completion(cancelled, state=ExecutionState.CANCELLED, reason="asked for", is_waiting=True),
        ],
        now=T0 + 9,
    )
    await store.complete("me", [completion(late)], now=T0 + 9)

    assert refused == frozenset()
    assert (await execution_of(store, late.ref)).state is ExecutionState.WAITING
    row = await execution_of(store, cancelled.ref)
    assert (row.state, row.reason, row.failure_count) == (ExecutionState.CANCELLED, "asked for", 1)


async def test_what_was_never_sent_ends_only_while_it_waits(store: Store) -> None:
    waiting, sent = await claimed_tasks(store, "me", 2, executor_id=None)
    await store.assign("me", [assignment(sent, "executor-1")], now=T0 + 1, wake_at=T0 + 9)
    expired = [
        completion(item, state=ExecutionState.EXPIRED, reason="late", is_waiting=True)
        for item in (waiting, sent)
    ]
    await store.complete("me", expired, now=T0 + 2)
    row = await execution_of(store, waiting.ref)
    assert (row.state, row.attempt, row.reason) == (ExecutionState.EXPIRED, 0, "late")
    assert (await execution_of(store, sent.ref)).state is ExecutionState.DISPATCHED


async def test_partitions_that_were_taken_refuse_every_write_and_the_others_go_on(store: Store) -> None:
    sent = await claimed_tasks(store, "me", 60)
    taken = await store.take_partitions([(3, 1), (4, 1)], "you")
    assert len(taken) == 2
    before = {s.ref: await execution_of(store, s.ref) for s in sent if s.ref.partition_id in (3, 4)}
    assert before

    assert await store.extend("me", [_extension(s) for s in sent]) == {3, 4}
    assert await store.retry("me", [_failed(s) for s in sent if s.ref in before]) == {3, 4}
    assigned = await store.assign(
        "me", [assignment(s, "executor-2") for s in sent[:30]], now=T0, wake_at=T0 + 9
    )
    assert assigned.refused == {s.ref.partition_id for s in sent[:30]} & {3, 4}
    assert await store.complete("me", [completion(s) for s in sent[30:]], now=T0) == {
        s.ref.partition_id for s in sent[30:]
    } & {3, 4}

    for ref, execution in before.items():
        assert await execution_of(store, ref) == execution
    for s in sent[30:]:
        if s.ref.partition_id not in (3, 4):
            assert (await execution_of(store, s.ref)).state is ExecutionState.SUCCEEDED


async def test_the_new_owner_writes_about_attempts_of_the_old_one(store: Store, other_store: Store) -> None:
    sent = await claimed_tasks(store, "me", 10)
    leases = await other_store.take_partitions([(p, 1) for p in range(8)], "you")
    epochs = {lease.partition_id: lease.epoch for lease in leases}
    items = [completion(s, epoch=epochs[s.ref.partition_id]) for s in sent[:5]]
    assert await other_store.complete("you", items, now=T0) == frozenset()
    retry = [assignment(s, "executor-2", epoch=epochs[s.ref.partition_id]) for s in sent[5:]]
    outcome = await other_store.assign("you", retry, now=T0, wake_at=T0 + 9)
    assert {(s.attempt, s.epoch) for s in outcome.dispatchable} == {(2, 2)}
    row = await execution_of(store, sent[7].ref)
    assert (row.node_id, row.epoch, row.attempt) == ("you", 2, 2)


async def test_empty_batches_are_no_work(store: Store) -> None:
    assert await store.complete("me", [], now=T0) == frozenset()
    assert await store.extend("me", []) == frozenset()
    assert await store.retry("me", []) == frozenset()
    assert (await store.assign("me", [], now=T0, wake_at=T0)).dispatchable == []
