"""Updates: what is said is in the mask with its new value, what is not said is in neither."""

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from unit.client.policy_strategies import LABELS, POLICIES
from unit.client.schedule_strategies import INSTANTS, SCHEDULES, TEXTS

from mainspring.client import (
    UNCHANGED,
    Cron,
    Delivery,
    NewTask,
    RetryPolicy,
    TaskFilter,
    TaskState,
    TaskUpdate,
)
from mainspring.client.convert import (
    filter_to_proto,
    new_task_to_proto,
    task_count_from_proto,
    update_to_proto,
)
from mainspring.client.instants import from_timestamp
from mainspring.v1 import task_pb2, task_service_pb2

NAMES = [each.name for each in fields(TaskUpdate)]
VALUES: dict[str, st.SearchStrategy[object]] = {
    "handler": TEXTS,
    "payload": st.binary(),
    "schedule": SCHEDULES,
    "delivery": st.sampled_from([delivery for delivery in Delivery if delivery.value]),
    "labels": LABELS,
    **POLICIES,
}


def test_it_names_what_the_api_lets_change() -> None:
    assert NAMES == [
        "handler",
        "payload",
        "schedule",
        "delivery",
        "labels",
        "misfire",
        "overlap",
        "retry",
        "timeouts",
        "lateness_objective",
        "keep_executions",
    ]
    assert set(NAMES) <= set(task_pb2.Task.DESCRIPTOR.fields_by_name)
    assert set(NAMES) == {each.name for each in fields(NewTask)} - {"namespace", "task_id"}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_the_mask_names_what_is_said_and_the_task_has_its_values(said: dict[str, object]) -> None:
    request = update_to_proto("billing", "daily", TaskUpdate(**said))  # type: ignore[arg-type]
    assert sorted(request.update_mask.paths) == sorted(said)
    filled = {"handler": "", "schedule": Cron("* * * * *"), **said}
    whole = new_task_to_proto(NewTask(namespace="billing", task_id="daily", **filled))  # type: ignore[arg-type]
    for name in {"handler", "schedule", "delivery"} - said.keys():
        whole.ClearField(name)  # type: ignore[arg-type]
    assert request.task == whole


def test_none_goes_back_to_the_default_and_is_no_silence() -> None:
    update = TaskUpdate(retry=None, labels={}, delivery=None)
    assert update.changed() == ("delivery", "labels", "retry")
    assert update.handler is UNCHANGED
    request = update_to_proto("default", "daily", update)
    assert list(request.update_mask.paths) == ["delivery", "labels", "retry"]
    assert not request.task.HasField("retry")
    assert request.task.delivery == task_pb2.DELIVERY_MODE_UNSPECIFIED
    assert TaskUpdate().changed() == ()


def test_mistakes_show_where_they_are_made() -> None:
    with pytest.raises(TypeError, match="retry must be RetryPolicy or None"):
        TaskUpdate(retry=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="labels must be a mapping"):
        TaskUpdate(labels=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keep_executions must be at least 1"):
        TaskUpdate(keep_executions=0)
    with pytest.raises(ValueError, match=re.escape("delivery is Delivery.UNSPECIFIED")):
        update_to_proto("default", "daily", TaskUpdate(delivery=Delivery.UNSPECIFIED))
    assert TaskUpdate(retry=RetryPolicy(3)) == TaskUpdate(retry=RetryPolicy(3))


@given(
    st.builds(
        TaskFilter,
        st.lists(st.sampled_from([state for state in TaskState if state.value])),
        TEXTS,
        LABELS,
        st.none() | INSTANTS,
        st.none() | INSTANTS,
    )
)
def test_a_filter_is_sent_as_it_is(chosen: TaskFilter) -> None:
    message = filter_to_proto(chosen)
    assert message is not None
    assert [TaskState(number) for number in message.states] == list(chosen.states)
    assert (message.handler, dict(message.labels)) == (chosen.handler, chosen.labels)
    assert (from_timestamp(message.next_from_time) if message.HasField("next_from_time") else None) == (
        chosen.next_from
    )
    assert (from_timestamp(message.next_until_time) if message.HasField("next_until_time") else None) == (
        chosen.next_until
    )


def test_a_filter_has_every_field_of_the_api_and_refuses_what_is_none() -> None:
    api = [field.name for field in task_service_pb2.TaskFilter.DESCRIPTOR.fields]
    assert [field.removesuffix("_time") for field in api] == [each.name for each in fields(TaskFilter)]
    kinds = {field.type for field in task_service_pb2.TaskFilter.DESCRIPTOR.fields}
    assert FieldDescriptor.TYPE_ENUM in kinds
    assert filter_to_proto(None) is None
    with pytest.raises(TypeError, match=r"states\[0\] must be TaskState"):
        TaskFilter(["ACTIVE"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="next_until must be timezone-aware"):
        TaskFilter(next_until=datetime(2030, 6, 1))  # noqa: DTZ001
    soon = datetime(2030, 6, 1, tzinfo=UTC)
    assert hash(TaskFilter(next_from=soon)) == hash(TaskFilter(next_from=soon + timedelta(0)))
    with pytest.raises(ValueError, match=re.escape("states is TaskState.UNSPECIFIED")):
        filter_to_proto(TaskFilter([TaskState.UNSPECIFIED]))


def test_a_count_keeps_each_state() -> None:
    counts = [
        task_service_pb2.TaskStateCount(state=number, count=count)  # type: ignore[arg-type]
        for number, count in ((1, 5), (98, 1), (99, 2))
    ]
    found = task_count_from_proto(task_service_pb2.CountTasksResponse(count=8, by_state=counts))
    assert (found.count, found.by_state) == (8, {TaskState.ACTIVE: 5, TaskState.UNSPECIFIED: 3})
