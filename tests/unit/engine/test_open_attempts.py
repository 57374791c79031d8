"""Where every open execution is: at an executor, queued, being assigned; and when it is looked at again."""

from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.model import ExecutionRef, ExecutionState, OpenExecution
from mainspring.server.engine.open_attempts import OpenAttempts, Place


def dispatchable(number: int, executor_id: str | None = "e1", attempt: int = 1) -> Dispatchable:
    ref = ExecutionRef(0, 1000, number.to_bytes(16, "big"))
    return Dispatchable(ref, 7, attempt, executor_id, "default", str(number), "noop", b"", 1000, 1, 900)


def row(number: int, executor_id: str | None) -> OpenExecution:
    ref = ExecutionRef(0, 1000, number.to_bytes(16, "big"))
    state, attempt = (ExecutionState.WAITING, 0) if executor_id is None else (ExecutionState.DISPATCHED, 1)
    return OpenExecution(ref, state, attempt, 7, executor_id, "noop", 1000, 2000, 900, None, None)


def test_losing_an_executor_queues_what_was_there_and_nothing_else() -> None:
    table = OpenAttempts(0)
    for number in range(3):
        table.add(dispatchable(number, "e1" if number < 2 else "e2"), dispatched_at=1, wake_at=5_000_000)
    lost = table.at_executor("e1")
    for attempt in lost:
        table.queue(attempt)
    assert len(lost) == 2
    assert table.queued_count("noop") == 2
    assert table.count_at("e1") == 0
    assert table.count_at("e2") == 1


def test_assigning_takes_the_longest_waiting_first_and_a_new_attempt_replaces_the_old() -> None:
    table = OpenAttempts(0)
    for number in range(3):
        table.add(dispatchable(number, None, attempt=0), dispatched_at=1, wake_at=5_000_000)
    first, second = table.begin_assigning("noop", 2)
    assert [first.ref.task_key[-1], second.ref.task_key[-1]] == [0, 1]
    assert first.place is Place.ASSIGNING
    assert table.queued_count("noop") == 1
    table.add(dispatchable(0, "e9", attempt=1), dispatched_at=2, wake_at=5_000_000)
    found = table.get(first.ref)
    assert found is not None
    assert (found.executor_id, found.attempt, found.place) == ("e9", 1, Place.AT_EXECUTOR)
    assert len(table) == 3


def test_absorbed_rows_at_an_executor_are_to_be_confirmed_and_known_ones_stay() -> None:
    table = OpenAttempts(0)
    absorbed = table.absorb(row(1, "e1"), now=0, wake_at=10)
    assert absorbed is not None
    assert not absorbed.is_confirmed
    assert table.absorb(row(1, "e1"), now=0, wake_at=10) is None
    waiting = table.absorb(row(2, None), now=0, wake_at=10)
    assert waiting is not None
    assert waiting.place is Place.QUEUED


def test_every_open_execution_comes_out_of_the_wheel_by_its_wake_time() -> None:
    table = OpenAttempts(0)
    attempt = table.add(dispatchable(1), dispatched_at=1, wake_at=1_000_000)
    assert table.wake(900_000) == []
    assert table.wake(1_100_000) == [attempt]
    table.wake_later(attempt, 2_000_000)
    table.end(attempt.ref)
    assert table.wake(3_000_000) == []
    table.wake_later(attempt, 4_000_000)
    assert table.wake(5_000_000) == []


def test_forgetting_partitions_leaves_no_trace() -> None:
    table = OpenAttempts(0)
    table.add(dispatchable(1), dispatched_at=1, wake_at=1)
    table.add(dispatchable(2, None, attempt=0), dispatched_at=1, wake_at=1)
    table.forget_partitions({0})
    assert len(table) == 0
    assert table.queued_handlers() == []
    assert list(table.executors()) == []
