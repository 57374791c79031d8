"""JSON: a protobuf parser reads every document back as the message that the API answered."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from unit.cli.samples import (
    BOUNDED,
    CALENDAR_INTERVAL,
    CRON,
    EXECUTION,
    EXPLANATION,
    FIRE,
    HANDOVER,
    NOON,
    TASK,
)
from unit.client.schedule_strategies import SCHEDULES

from mainspring.cli.json_form import (
    cluster_json,
    error_json,
    execution_json,
    handover_json,
    partition_json,
    scheduled_task_json,
    task_json,
)
from mainspring.cli.schedule_json import preview_json, schedule_json
from mainspring.client import (
    At,
    Cluster,
    ConnectedExecutor,
    FieldViolation,
    InvalidArgument,
    Node,
    NotFound,
    Partition,
    Preview,
    Schedule,
    ScheduledTask,
)
from mainspring.client.convert import (
    cluster_from_proto,
    execution_from_proto,
    handover_from_proto,
    partition_from_proto,
    scheduled_task_from_proto,
    task_from_proto,
)
from mainspring.client.schedule_convert import preview_from_proto, schedule_from_proto
from mainspring.v1 import (
    admin_service_pb2,
    execution_pb2,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
)


def parsed(document: dict[str, Any], message: Message) -> Any:
    return json_format.Parse(json.dumps(document), message)


def names(message: type[Message]) -> list[str]:
    return [field.name for field in message.DESCRIPTOR.fields]


def test_task_has_every_name_of_the_message_and_reads_back() -> None:
    document = task_json(TASK)
    assert list(document) == names(task_pb2.Task)
    assert task_from_proto(parsed(document, task_pb2.Task())) == TASK


def test_execution_has_every_name_of_the_message_and_reads_back() -> None:
    document = execution_json(EXECUTION)
    assert list(document) == names(execution_pb2.Execution)
    assert execution_from_proto(parsed(document, execution_pb2.Execution())) == EXECUTION


def test_what_is_not_set_is_null_and_reads_back() -> None:
    bare = replace(EXECUTION, pick_up_time=None, gap=None, save_time=None)
    document = execution_json(bare)
    assert document["pick_up_time"] is None
    assert document["gap"] is None
    assert execution_from_proto(parsed(document, execution_pb2.Execution())) == bare


@given(SCHEDULES)
def test_every_schedule_reads_back(schedule: Schedule) -> None:
    task = parsed(task_json(replace(TASK, schedule=schedule)), task_pb2.Task())
    assert schedule_from_proto(task.schedule) == schedule


def test_schedules_have_every_name_of_the_message_and_of_its_parts() -> None:
    bounds = ["start_time", "end_time", "max_executions", "jitter", "exclusions"]
    assert names(schedule_pb2.Schedule)[-5:] == bounds
    for schedule, kind, message in (
        (BOUNDED, "interval", schedule_pb2.IntervalSchedule),
        (CRON, "cron", schedule_pb2.CronSchedule),
        (CALENDAR_INTERVAL, "calendar_interval", schedule_pb2.CalendarIntervalSchedule),
    ):
        document = schedule_json(schedule)
        assert document is not None
        assert list(document) == [kind, *bounds]
        assert list(document[kind]) == names(message)
    assert list((schedule_json(BOUNDED) or {})["exclusions"]) == names(schedule_pb2.Exclusions)
    assert schedule_json(At(NOON)) == {"at": "2030-06-01T12:00:00Z", **dict.fromkeys(bounds)}
    assert schedule_json(None) is None


def test_a_created_task_has_every_name_of_the_message_and_reads_back() -> None:
    created = ScheduledTask(
        **{field.name: getattr(TASK, field.name) for field in fields(TASK)},
        meaning="Hourly.",
        next_fires=(FIRE,),
    )
    document = scheduled_task_json(created)
    assert list(document) == names(task_service_pb2.CreateTaskResponse)
    read = scheduled_task_from_proto(parsed(document, task_service_pb2.CreateTaskResponse()))
    assert read == created
    assert read.next_fires[0].local_time.utcoffset() == FIRE.local_time.utcoffset()


def test_a_preview_has_every_name_of_the_message_and_reads_back() -> None:
    preview = Preview(CRON, "At nine.", (FIRE, replace(FIRE, notes=())), True)
    document = preview_json(preview)
    assert list(document) == names(task_service_pb2.PreviewScheduleResponse)
    assert list(document["fires"][0]) == names(schedule_pb2.FireTime)
    assert list(document["fires"][0]["notes"][0]) == names(schedule_pb2.ClockChangeNote)
    assert preview_from_proto(parsed(document, task_service_pb2.PreviewScheduleResponse())) == preview
    unread = replace(FIRE, notes=(replace(FIRE.notes[0], wall_time=None),))
    assert preview_json(replace(preview, fires=(unread,)))["fires"][0]["notes"][0]["wall_time"] is None


def test_cluster_reads_back() -> None:
    cluster = Cluster(
        nodes=(Node("n1", "127.0.0.1:7300", "0.1.0", False, 128, True, ("drained",), "2026f"),),
        executors=(ConnectedExecutor("e1", ("echo", "noop"), 10, 4, 6, False, NOON),),
        partition_count=256,
        is_coordinator_connected=True,
        cluster_time=NOON,
    )
    document = cluster_json(cluster)
    assert list(document) == names(admin_service_pb2.ListNodesResponse)
    assert list(document["nodes"][0]) == names(admin_service_pb2.Node)
    assert list(document["executors"][0]) == names(admin_service_pb2.ConnectedExecutor)
    assert cluster_from_proto(parsed(document, admin_service_pb2.ListNodesResponse())) == cluster


def test_partition_reads_back() -> None:
    partition = Partition(3, 9, "n1", "127.0.0.1:7300")
    document = partition_json(partition)
    assert list(document) == names(admin_service_pb2.Partition)
    assert partition_from_proto(parsed(document, admin_service_pb2.Partition())) == partition


def test_handover_has_every_name_of_the_message_and_reads_back() -> None:
    for handover in (HANDOVER, replace(HANDOVER, release_time=NOON, notice_time=None, gap=None)):
        document = handover_json(handover)
        assert list(document) == names(admin_service_pb2.Handover)
        assert handover_from_proto(parsed(document, admin_service_pb2.Handover())) == handover


def test_the_samples_leave_nothing_at_its_default() -> None:
    for sample in (TASK, EXECUTION, EXPLANATION, replace(HANDOVER, release_time=NOON)):
        assert all(getattr(sample, field.name) for field in fields(sample))


@pytest.mark.parametrize(
    ("error", "violations"),
    [
        (NotFound("no such task", reason="NOT_FOUND", metadata={"name": "a/b"}), []),
        (
            InvalidArgument(
                "bad", reason="INVALID_FIELD", fields=[FieldViolation("task.handler", "is required")]
            ),
            [{"field": "task.handler", "description": "is required"}],
        ),
    ],
)
def test_errors_have_one_form(error: NotFound | InvalidArgument, violations: list[dict[str, str]]) -> None:
    assert error_json(error) == {
        "error": {
            "code": error.code,
            "reason": error.reason,
            "message": error.message,
            "metadata": error.metadata,
            "field_violations": violations,
        }
    }
