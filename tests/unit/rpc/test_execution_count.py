"""The count of executions goes over the wire: to the owner with a hint, to clients with the task."""

from mainspring.server.core.model import Delivery, DueTask, Task, TaskRef, TaskState
from mainspring.server.core.schedule import Interval, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.engine.peers import Hint
from mainspring.server.engine.planning import due_task_of
from mainspring.server.rpc.convert import hint_from_proto, hint_to_proto, task_to_proto

TASK = Task(
    ref=TaskRef(3, bytes(range(16))),
    namespace="default",
    task_id="t",
    handler="noop",
    payload=b"",
    schedule=encode(Schedule(Interval(1_000_000, 5), max_executions=90)),
    definition_hash=bytes(16),
    state=TaskState.ACTIVE,
    version=2,
    scheduled_at=7_000_005,
    due_at=7_400_005,
    last_scheduled_at=6_000_005,
    execution_count=77,
    created_at=5,
    updated_at=6,
    delivery=Delivery.AT_LEAST_ONCE,
    policies='{"keep":2}',
)


def test_a_hint_tells_the_owner_everything_that_the_window_remembers() -> None:
    due = due_task_of(TASK)
    assert due == DueTask(
        7_400_005,
        3,
        bytes(range(16)),
        7_000_005,
        2,
        "noop",
        TASK.schedule,
        execution_count=77,
        policies='{"keep":2}',
    )
    assert hint_from_proto(hint_to_proto(Hint(due.ref, due))) == Hint(TASK.ref, due)


def test_a_task_shows_how_many_scheduled_times_its_ledger_holds() -> None:
    assert task_to_proto(TASK).execution_count == 77
