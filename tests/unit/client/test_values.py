"""Value types and their messages: exact instants, naive ones refused, nothing unknown breaks."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.client.schedule_strategies import DURATIONS, INSTANTS

from mainspring.client import Cron, Delivery, ExecutionState, NewTask, Task, TaskState, batches
from mainspring.client.addresses import parse_addresses
from mainspring.client.convert import (
    cluster_from_proto,
    execution_from_proto,
    new_task_to_proto,
    scheduled_task_from_proto,
    task_from_proto,
)
from mainspring.client.instants import from_duration, from_timestamp, to_duration, to_timestamp
from mainspring.v1 import admin_service_pb2, execution_pb2, schedule_pb2, task_pb2, task_service_pb2


@given(INSTANTS)
def test_instants_keep_every_microsecond(instant: datetime) -> None:
    timestamp = to_timestamp("time", instant)
    assert 0 <= timestamp.nanos < 10**9
    assert from_timestamp(timestamp) == instant
    assert from_timestamp(timestamp).tzinfo is UTC


@given(DURATIONS)
def test_durations_keep_every_microsecond_and_one_sign(duration: timedelta) -> None:
    message = to_duration(duration)
    assert message.seconds * message.nanos >= 0
    assert from_duration(message) == duration


def test_instants_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        to_timestamp("time", datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(TypeError, match="start must be datetime; got str 'noon'"):
        to_timestamp("start", "noon")  # type: ignore[arg-type]


def test_an_id_is_made_when_none_is_given_and_an_empty_one_is_left_to_the_server() -> None:
    made = new_task_to_proto(NewTask("h", Cron("@daily"), payload="grün"))
    assert len(made.id) == 32
    assert made.payload == "grün".encode()
    assert new_task_to_proto(NewTask("h", Cron("@daily"), task_id="")).id == ""


@pytest.mark.parametrize("delivery", [delivery for delivery in Delivery if delivery.value])
def test_the_delivery_survives_the_way_there_and_back(delivery: Delivery) -> None:
    message = new_task_to_proto(NewTask("h", Cron("@daily"), delivery=delivery))
    assert task_from_proto(message).delivery is delivery


def test_a_new_task_leaves_its_delivery_to_its_namespace() -> None:
    assert new_task_to_proto(NewTask("h", Cron("@daily"))).delivery == task_pb2.DELIVERY_MODE_UNSPECIFIED


def test_what_a_newer_server_says_does_not_break_this_client() -> None:
    task = task_from_proto(task_pb2.Task(state=99, delivery=99))  # type: ignore[arg-type]
    assert task.state is TaskState.UNSPECIFIED
    assert task.delivery is Delivery.UNSPECIFIED
    assert task.schedule is None
    assert task.create_time is None
    execution = execution_from_proto(execution_pb2.Execution(state=99))  # type: ignore[arg-type]
    assert execution.state is ExecutionState.UNSPECIFIED
    assert not execution.state.is_final


def test_a_created_task_is_the_task_with_what_its_schedule_means() -> None:
    task = task_pb2.Task(id="daily", version=3, execution_count=12)
    created = scheduled_task_from_proto(
        task_service_pb2.CreateTaskResponse(
            task=task,
            meaning="At noon.",
            next_fires=[schedule_pb2.FireTime(local_time="2030-06-01T12:00:00Z")],
        )
    )
    plain = task_from_proto(task)
    assert isinstance(created, Task)
    assert {field.name: getattr(created, field.name) for field in fields(plain)} == {
        field.name: getattr(plain, field.name) for field in fields(plain)
    }
    assert (created.execution_count, created.meaning) == (12, "At noon.")
    assert [fire.local_time for fire in created.next_fires] == [datetime(2030, 6, 1, 12, tzinfo=UTC)]


def test_nodes_tell_their_time_zone_database() -> None:
    nodes = [admin_service_pb2.Node(time_zone_database="2026f"), admin_service_pb2.Node()]
    cluster = cluster_from_proto(admin_service_pb2.ListNodesResponse(nodes=nodes))
    assert [node.time_zone_database for node in cluster.nodes] == ["2026f", ""]


def test_the_enums_are_those_of_the_proto() -> None:
    assert {f"TASK_STATE_{state.name}": state.value for state in TaskState} == dict(
        task_pb2.TaskState.items()
    )
    assert {f"DELIVERY_MODE_{delivery.name}": delivery.value for delivery in Delivery} == dict(
        task_pb2.DeliveryMode.items()
    )
    assert {f"EXECUTION_STATE_{state.name}": state.value for state in ExecutionState} == dict(
        execution_pb2.ExecutionState.items()
    )


class Item:
    def __init__(self, size: int) -> None:
        self.size = size

    def ByteSize(self) -> int:
        return self.size


@given(sizes=st.lists(st.integers(0, 60), max_size=60), limit=st.integers(1, 5))
def test_batches_keep_order_and_both_limits(sizes: list[int], limit: int) -> None:
    items = [Item(size) for size in sizes]
    cut = list(batches.cut(items, max_items=limit, max_bytes=100))
    assert [item for batch in cut for item in batch] == items
    for batch in cut:
        assert 1 <= len(batch) <= limit
        assert len(batch) == 1 or sum(item.size for item in batch) <= 100


def test_addresses() -> None:
    assert parse_addresses("a:1, b:2,a:1") == ("a:1", "b:2")
    assert parse_addresses(["a:1"]) == ("a:1",)
    for wrong in ("", "a:1,", []):
        with pytest.raises(ValueError, match="address"):
            parse_addresses(wrong)
