"""UpdateTask's rules: what a mask does to a stored task, when its next time is, and what the hash says afterwards."""

from dataclasses import replace

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.server.core.model import NewTask, Task, TaskState
from mainspring.server.errors import InvalidField, InvalidRequest
from mainspring.server.rpc.convert import task_to_proto
from mainspring.server.rpc.task_update import FIELDS, checked_mask, updated
from mainspring.server.rpc.validation import Limits, new_task
from mainspring.v1 import policy_pb2, schedule_pb2, task_pb2

SECOND = 1_000_000
NOW = 1_900_000_000 * SECOND
DAILY = schedule_pb2.Schedule(cron=schedule_pb2.CronSchedule(expressions=["0 9 * * *"]))
HOURLY = schedule_pb2.Schedule(cron=schedule_pb2.CronSchedule(expressions=["0 * * * *"]))
DELAY = schedule_pb2.Schedule(delay=Duration(seconds=60))


def as_stored(new: NewTask) -> Task:
    """A task that was just registered."""
    return Task(
        ref=new.ref,
        namespace=new.namespace,
        task_id=new.task_id,
        handler=new.handler,
        payload=new.payload,
        schedule=new.schedule,
        definition_hash=new.definition_hash,
        state=TaskState.ACTIVE,
        version=1,
        scheduled_at=new.scheduled_at,
        due_at=new.due_at,
        last_scheduled_at=None,
        execution_count=0,
        created_at=new.created_at,
        updated_at=new.created_at,
        delivery=new.delivery,
        policies=new.policies,
        labels=new.labels,
    )


def _register(task: task_pb2.Task, now: int = NOW) -> Task:
    return as_stored(new_task(task, prefix="task", now=now, partition_count=16, limits=Limits()))


def _stored(schedule: schedule_pb2.Schedule = DAILY, **fields: object) -> Task:
    return _register(task_pb2.Task(id="t", handler="report", payload=b"pay", schedule=schedule, **fields))  # type: ignore[arg-type]


def _updated(stored: Task, given: task_pb2.Task, *mask: str, now: int = NOW + SECOND) -> Task | None:
    return updated(stored, given, checked_mask(mask), now=now, partition_count=16, limits=Limits())


def test_fields_of_the_mask_change_and_the_others_do_not() -> None:
    stored = _stored(
        labels={"a": "1"}, retry=policy_pb2.RetryPolicy(max_attempts=3), timeouts=policy_pb2.Timeouts()
    )
    given = task_pb2.Task(handler="other", payload=b"ignored", labels={"b": "2"})

    changed = _updated(stored, given, "handler", "labels")

    assert changed is not None
    assert (changed.handler, changed.payload, changed.labels) == ("other", b"pay", '{"b":"2"}')
    assert (changed.policies, changed.schedule) == (stored.policies, stored.schedule)
    assert (changed.scheduled_at, changed.due_at) == (stored.scheduled_at, stored.due_at)
    assert (changed.version, changed.updated_at, changed.created_at) == (2, NOW + SECOND, NOW)


def test_what_the_mask_names_and_the_task_leaves_out_gets_its_default() -> None:
    stored = _stored(labels={"a": "1"}, retry=policy_pb2.RetryPolicy(max_attempts=3), keep_executions=7)
    changed = _updated(stored, task_pb2.Task(), "labels", "retry", "keep_executions", "payload")
    assert changed is not None
    assert (changed.labels, changed.policies, changed.payload) == ("", "", b"")


def test_the_same_again_changes_nothing() -> None:
    stored = _stored(labels={"a": "1"})
    assert _updated(stored, task_to_proto(stored), *FIELDS) is None


@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.CANCELLED])
def test_what_has_ended_does_not_change(state: TaskState) -> None:
    assert _updated(replace(_stored(), state=state), task_pb2.Task(handler="other"), "handler") is None


def test_a_new_schedule_counts_from_now() -> None:
    stored = _stored()
    changed = _updated(stored, task_pb2.Task(schedule=HOURLY), "schedule")
    assert changed is not None
    assert changed.scheduled_at == changed.due_at == -(-NOW // (3_600 * SECOND)) * 3_600 * SECOND

    paused = _updated(
        replace(stored, state=TaskState.PAUSED, due_at=None), task_pb2.Task(schedule=DELAY), "schedule"
    )
    assert paused is not None
    assert (paused.scheduled_at, paused.due_at) == (NOW + 61 * SECOND, None)


def test_a_time_that_has_passed_stays_for_the_claim_to_decide_about() -> None:
    stored = replace(_stored(), scheduled_at=NOW - 5, due_at=NOW - 5)
    changed = _updated(stored, task_pb2.Task(schedule=HOURLY), "schedule")
    assert changed is not None
    assert changed.schedule != stored.schedule
    assert (changed.scheduled_at, changed.due_at) == (NOW - 5, NOW - 5)


def test_a_one_time_task_of_long_ago_can_be_updated_beside_its_schedule() -> None:
    stored = _stored(DELAY)
    long_after = NOW + 90 * 86_400 * SECOND
    changed = _updated(stored, task_pb2.Task(payload=b"new"), "payload", now=long_after)
    assert changed is not None
    assert (changed.scheduled_at, changed.schedule) == (stored.scheduled_at, stored.schedule)


def test_the_default_overlap_follows_the_kind_of_schedule() -> None:
    changed = _updated(_stored(DELAY), task_pb2.Task(schedule=HOURLY), "schedule")
    assert changed is not None
    assert task_to_proto(changed).overlap == policy_pb2.OVERLAP_POLICY_SKIP


@pytest.mark.parametrize(
    "schedule",
    [
        DAILY,
        DELAY,
        schedule_pb2.Schedule(at=Timestamp(seconds=NOW // SECOND + 50)),
        schedule_pb2.Schedule(interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=90))),
        schedule_pb2.Schedule(
            calendar_interval=schedule_pb2.CalendarIntervalSchedule(
                every=2, unit=schedule_pb2.CALENDAR_UNIT_WEEK, weekdays=[1], times=["09:00"]
            ),
            max_executions=9,
        ),
    ],
    ids=["cron", "delay", "at", "interval", "calendar"],
)
def test_after_an_update_creating_what_is_answered_is_the_same_call_again(
    schedule: schedule_pb2.Schedule,
) -> None:
    for stored, mask in ((_stored(schedule), "payload"), (_stored(HOURLY), "schedule")):
        changed = _updated(stored, task_pb2.Task(payload=b"new", schedule=schedule), mask)
        assert changed is not None
        again = _register(task_to_proto(changed), now=NOW + 2 * SECOND)
        assert again.definition_hash == changed.definition_hash != stored.definition_hash


@pytest.mark.parametrize(
    ("paths", "complaint"),
    [
        ((), "is required"),
        (("retry.max_attempts",), "names 'retry.max_attempts'"),
        (("state",), "names 'state'"),
    ],
)
def test_a_mask_names_fields_of_the_definition(paths: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(InvalidField, match=complaint):
        checked_mask(paths)


def test_complaints_are_those_of_a_registration() -> None:
    with pytest.raises(InvalidRequest, match=r"task.handler: is required"):
        _updated(_stored(), task_pb2.Task(), "handler")
    with pytest.raises(InvalidRequest, match=r"task.schedule: is required"):
        _updated(_stored(), task_pb2.Task(), "schedule")
    few = schedule_pb2.Schedule(cron=HOURLY.cron, max_executions=3)
    with pytest.raises(InvalidField, match=r"task.schedule.max_executions: must be more than 3"):
        _updated(replace(_stored(), execution_count=3), task_pb2.Task(schedule=few), "schedule")
