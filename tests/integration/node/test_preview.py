"""What a node says of a schedule: before a task exists, and when it is created."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from integration.node.test_grpcurl import grpcurl

from mainspring.v1 import task_service_pb2, task_service_pb2_grpc

NIGHTLY = {"cron": {"expressions": ["30 2 * * *"], "time_zone": "Europe/Berlin"}}
HERD = {"cron": {"expressions": ["H H * * *"], "time_zone": "America/New_York"}, "jitter": "600s"}

SCHEDULES: dict[str, dict[str, Any]] = {
    "delay": {"delay": "3600s"},
    "cron": {"cron": {"expressions": ["*/5 9-17 * * mon-fri", "@monthly"]}},
    "herd": HERD,
    "interval": {"interval": {"every": "90s", "phase": "30s"}, "max_executions": 2},
    "calendar": {
        "calendar_interval": {"unit": "CALENDAR_UNIT_MONTH", "days_of_month": [-1], "times": ["09:00"]},
        "exclusions": {"dates": ["2099-12-31"]},
    },
}


@pytest.fixture
async def stub(node: Any) -> AsyncIterator[task_service_pb2_grpc.TaskServiceStub]:
    async with grpc.aio.insecure_channel(node.address) as channel:
        yield task_service_pb2_grpc.TaskServiceStub(channel)


def preview_request(schedule: dict[str, Any], **fields: Any) -> task_service_pb2.PreviewScheduleRequest:
    return json_format.ParseDict({"schedule": schedule, **fields}, task_service_pb2.PreviewScheduleRequest())


def create_request(task_id: str, schedule: dict[str, Any]) -> task_service_pb2.CreateTaskRequest:
    task = {"id": task_id, "handler": "noop", "schedule": schedule}
    return json_format.ParseDict({"task": task}, task_service_pb2.CreateTaskRequest())


async def test_a_night_without_half_past_two(node: Any, stub: Any) -> None:
    question = {"schedule": NIGHTLY, "after_time": "2026-03-28T12:00:00Z", "count": 2}
    code, out, err = await grpcurl(node.address, "mainspring.v1.TaskService/PreviewSchedule", data=question)
    assert code == 0, err
    answer = json_format.Parse(out, task_service_pb2.PreviewScheduleResponse())
    assert json_format.MessageToDict(answer, preserving_proto_field_name=True) == {
        "schedule": {
            "cron": {
                **NIGHTLY["cron"],
                "gap_policy": "GAP_POLICY_FIRE_AFTER",
                "repeat_policy": "REPEAT_POLICY_FIRST",
            }
        },
        "meaning": "At 02:30 every day, Europe/Berlin. When clocks change, a time that is left out fires right after the"
        " gap and a time that comes twice fires the first time.",
        "fires": [
            {
                "scheduled_time": "2026-03-29T01:00:00Z",
                "due_time": "2026-03-29T01:00:00Z",
                "local_time": "2026-03-29T03:00:00+02:00",
                "notes": [
                    {
                        "effect": "CLOCK_CHANGE_EFFECT_MOVED",
                        "wall_time": "2026-03-29T02:30:00",
                        "count": 1,
                        "text": "02:30 does not exist on 2026-03-29 in Europe/Berlin, where clocks go forward from 02:00 to"
                        " 03:00: it fires at 03:00.",
                    }
                ],
            },
            {
                "scheduled_time": "2026-03-30T00:30:00Z",
                "due_time": "2026-03-30T00:30:00Z",
                "local_time": "2026-03-30T02:30:00+02:00",
            },
        ],
    }
    assert not (await stub.ListTasks(task_service_pb2.ListTasksRequest())).tasks


async def test_a_thousand_times(stub: Any) -> None:
    answer = await stub.PreviewSchedule(preview_request(NIGHTLY, count=1_000))
    times = [fire.scheduled_time.ToMicroseconds() for fire in answer.fires]
    assert len(times) == 1_000
    assert times == sorted(set(times))
    assert sum(bool(fire.notes) for fire in answer.fires) >= 4  # two nights a year


@pytest.mark.parametrize("name", SCHEDULES)
async def test_what_is_previewed_is_what_is_created(stub: Any, name: str) -> None:
    created = await stub.CreateTask(create_request(name, SCHEDULES[name]))
    after = created.task.create_time
    request = preview_request(SCHEDULES[name], id=name, count=5)
    request.after_time.CopyFrom(after)
    previewed = await stub.PreviewSchedule(request)
    assert created.task.schedule == previewed.schedule
    assert created.meaning == previewed.meaning != ""
    assert list(created.next_fires) == list(previewed.fires)
    assert created.task.next_scheduled_time == created.next_fires[0].scheduled_time
    assert previewed.is_complete == (name in ("delay", "interval"))


async def test_a_repeated_call_answers_the_same_again(stub: Any) -> None:
    first = await stub.CreateTask(create_request("twice", HERD))
    assert len(first.next_fires) == 5
    assert await stub.CreateTask(create_request("twice", HERD)) == first


async def test_a_cancelled_task_has_no_times(stub: Any) -> None:
    await stub.CreateTask(create_request("gone", NIGHTLY))
    await stub.CancelTask(task_service_pb2.CancelTaskRequest(id="gone"))
    again = await stub.CreateTask(create_request("gone", NIGHTLY))
    assert again.meaning
    assert not again.next_fires


@pytest.mark.parametrize(
    ("schedule", "fields", "path"),
    [
        ({"cron": {"expressions": ["0 9 * * *", "61 * * * *"]}}, {}, "schedule.cron.expressions[1]"),
        ({"interval": {"every": "0.5s"}}, {}, "schedule.interval.every"),
        ({"cron": {"expressions": ["0 9 * * *"]}}, {"count": 1_001}, "count"),
        (HERD, {}, "id"),
    ],
)
async def test_what_is_wrong_is_named(
    stub: Any, schedule: dict[str, Any], fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PreviewSchedule(preview_request(schedule, **fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    assert status is not None
    bad = error_details_pb2.BadRequest()
    assert any(packed.Unpack(bad) for packed in status.details)
    assert [violation.field for violation in bad.field_violations] == [path]
