"""Value types and their messages: exact instants, naive ones refused, nothing unknown breaks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.client import At, Cron, Delay, Delivery, Every, ExecutionState, NewTask, TaskState, batches
from mainspring.client.addresses import parse_addresses
from mainspring.client.convert import (
    execution_from_proto,
    new_task_to_proto,
    schedule_from_proto,
    schedule_to_proto,
    task_from_proto,
)
from mainspring.client.instants import from_duration, from_timestamp, to_duration, to_timestamp
from mainspring.v1 import execution_pb2, task_pb2

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))])
INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001


@given(INSTANTS)
def test_instants_keep_every_microsecond(instant: datetime) -> None:
    timestamp = to_timestamp("time", instant)
    assert 0 <= timestamp.nanos < 10**9
    assert from_timestamp(timestamp) == instant
    assert from_timestamp(timestamp).tzinfo is UTC


@given(st.timedeltas(timedelta(days=-3_650), timedelta(days=3_650)))
def test_durations_keep_every_microsecond_and_one_sign(duration: timedelta) -> None:
    message = to_duration(duration)
    assert message.seconds * message.nanos >= 0
    assert from_duration(message) == duration


def test_naive_datetimes_are_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="timezone-aware"):
        At(naive)
    with pytest.raises(ValueError, match="timezone-aware"):
        Every(timedelta(seconds=1), start=naive)


@pytest.mark.parametrize(
    "schedule",
    [
        At(datetime(2030, 5, 1, 12, 0, 0, 7, tzinfo=UTC)),
        Delay(timedelta(milliseconds=1)),
        Cron("*/5 * * * *", "Europe/Berlin"),
        Every(timedelta(seconds=90)),
        Every(timedelta(seconds=90), start=datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_schedules_survive_the_way_there_and_back(schedule: At | Delay | Cron | Every) -> None:
    assert schedule_from_proto(schedule_to_proto(schedule)) == schedule


def test_anything_else_is_no_schedule() -> None:
    with pytest.raises(TypeError, match="At, Delay, Cron or Every"):
        schedule_to_proto("* * * * *")  # type: ignore[arg-type]


def test_an_id_is_made_when_none_is_given_and_an_empty_one_is_left_to_the_server() -> None:
    made = new_task_to_proto(NewTask("h", Cron("@daily"), payload="grün"))
    assert len(made.id) == 32
    assert made.payload == "grün".encode()
    assert new_task_to_proto(NewTask("h", Cron("@daily"), task_id="")).id == ""


@pytest.mark.parametrize("delivery", Delivery)
def test_the_delivery_survives_the_way_there_and_back(delivery: Delivery) -> None:
    message = new_task_to_proto(NewTask("h", Cron("@daily"), delivery=delivery))
    assert task_from_proto(message).delivery is delivery


def test_a_new_task_says_its_default_delivery() -> None:
    assert new_task_to_proto(NewTask("h", Cron("@daily"))).delivery == task_pb2.DELIVERY_MODE_AT_LEAST_ONCE


def test_what_a_newer_server_says_does_not_break_this_client() -> None:
    task = task_from_proto(task_pb2.Task(state=99, delivery=99))  # type: ignore[arg-type]
    assert task.state is TaskState.UNSPECIFIED
    assert task.delivery is Delivery.UNSPECIFIED
    assert task.schedule is None
    assert task.create_time is None
    execution = execution_from_proto(execution_pb2.Execution(state=99))  # type: ignore[arg-type]
    assert execution.state is ExecutionState.UNSPECIFIED
    assert not execution.state.is_final


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
