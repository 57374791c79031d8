"""PreviewSchedule, and what CreateTask tells about a schedule."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf import json_format

from mainspring.server.clock import ClusterClock
from mainspring.server.core.model import Delivery, Task, TaskRef, TaskState
from mainspring.server.core.next_fire import first_fire
from mainspring.server.core.schedule_text import decode
from mainspring.server.errors import InvalidField, ResourceExhausted
from mainspring.server.rpc import schedule_preview
from mainspring.server.rpc.schedule_preview import preview_schedule, put_meaning
from mainspring.v1 import task_service_pb2

AFTER = "2026-03-28T00:00:00Z"
AFTER_AT = 1_774_656_000_000_000
HOUR = 3_600_000_000


async def preview(schedule: dict[str, Any], **fields: Any) -> task_service_pb2.PreviewScheduleResponse:
    message = {"schedule": schedule, "after_time": AFTER, **fields}
    request = json_format.ParseDict(message, task_service_pb2.PreviewScheduleRequest())
    return await preview_schedule(request, ClusterClock(), partition_count=16)


def cron(*expressions: str, zone: str = "Europe/Berlin", **fields: Any) -> dict[str, Any]:
    return {"cron": {"expressions": list(expressions), "time_zone": zone}, **fields}


async def test_meaning_times_and_notes() -> None:
    answer = await preview(cron("30 2 * * *"), count=3)
    assert answer.meaning.startswith("At 02:30 every day, Europe/Berlin.")
    assert [fire.local_time for fire in answer.fires] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert [len(fire.notes) for fire in answer.fires] == [0, 1, 0]
    assert not answer.is_complete


async def test_defaults() -> None:
    request = json_format.ParseDict(
        {"schedule": {"interval": {"every": "60s"}}}, task_service_pb2.PreviewScheduleRequest()
    )
    clock = ClusterClock()
    began_at = clock.now()
    answer = await preview_schedule(request, clock, partition_count=16)
    assert len(answer.fires) == 10
    first_at = answer.fires[0].scheduled_time.ToMicroseconds()
    assert began_at + 60_000_000 <= first_at <= clock.now() + 60_000_000


@pytest.mark.parametrize(
    ("schedule", "number"),
    [
        ({"delay": "90s"}, 1),
        (cron("0 9 * * *", max_executions=4), 4),
        (cron("0 9 * * *", end_time="2026-03-31T00:00:00Z"), 3),
    ],
)
async def test_the_last_time_is_known(schedule: dict[str, Any], number: int) -> None:
    for count in (number, number + 1):
        answer = await preview(schedule, count=count)
        assert (len(answer.fires), answer.is_complete) == (number, True)
    if number > 1:
        assert not (await preview(schedule, count=number - 1)).is_complete


async def test_the_task_gives_the_values() -> None:
    herd = cron("H H * * *", jitter="600s")
    one, other = await preview(herd, id="one"), await preview(herd, id="other")
    assert one == await preview(herd, id="one", namespace="default")
    assert one.schedule.cron.expressions != other.schedule.cron.expressions
    assert one != await preview(herd, id="one", namespace="else")
    fire = one.fires[0]
    delay_us = fire.due_time.ToMicroseconds() - fire.scheduled_time.ToMicroseconds()
    assert 0 < delay_us < 600_000_000


@pytest.mark.parametrize(
    ("schedule", "fields", "path"),
    [
        (cron("61 * * * *"), {}, "schedule.cron.expressions[0]"),
        (cron("0 9 * * *", zone="Mars/Olympus"), {}, "schedule.cron.time_zone"),
        ({}, {}, "schedule.kind"),
        (cron("0 9 * * *", end_time="2026-03-01T00:00:00Z"), {}, "schedule"),
        (cron("0 9 * * *"), {"count": -1}, "count"),
        (cron("0 9 * * *"), {"count": 1_001}, "count"),
        (cron("0 9 * * *"), {"after_time": "1969-12-31T23:59:59Z"}, "after_time"),
        (cron("0 9 * * *"), {"after_time": "9999-12-31T23:59:59Z"}, "after_time"),
        (cron("0 9 * * *"), {"id": "a\nb"}, "id"),
        (cron("0 9 * * *"), {"namespace": "n" * 201}, "namespace"),
        (cron(" h 9 * * *"), {}, "id"),
        (cron("0 9 * * *", exclusions={"expressions": ["* * H * *"]}), {}, "id"),
        (cron("0 9 * * *", jitter="1s"), {}, "id"),
    ],
)
async def test_what_is_wrong_is_named(schedule: dict[str, Any], fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidField) as caught:
        await preview(schedule, **fields)
    assert caught.value.field == path


async def test_a_schedule_is_required() -> None:
    with pytest.raises(InvalidField, match="schedule: is required"):
        await preview_schedule(task_service_pb2.PreviewScheduleRequest(), ClusterClock(), partition_count=16)


async def test_others_have_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_preview, "SLICE_S", 0.0)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await preview(cron("* * * * *"), count=500)
    counting.cancel()
    assert turns >= 500


async def test_a_preview_that_takes_too_long_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_preview, "SLICE_S", 0.0)
    monkeypatch.setattr(schedule_preview, "LONGEST_PREVIEW_S", 0.0)
    with pytest.raises(ResourceExhausted, match=r"found \d+ of 1000 times in 0 s: ask for fewer"):
        await preview(cron("* * * * *"), count=1_000)


def stored(text: str, **fields: Any) -> Task:
    values: dict[str, Any] = {
        "ref": TaskRef(1, bytes(range(16))),
        "namespace": "default",
        "task_id": "t",
        "handler": "noop",
        "payload": b"",
        "schedule": text,
        "definition_hash": b"",
        "state": TaskState.ACTIVE,
        "version": 1,
        "scheduled_at": first_fire(decode(text), AFTER_AT),
        "due_at": None,
        "last_scheduled_at": None,
        "execution_count": 0,
        "created_at": AFTER_AT,
        "updated_at": AFTER_AT,
        "delivery": Delivery.AT_LEAST_ONCE,
        **fields,
    }
    return Task(**values)


NIGHTLY = '{"expression":"30 2 * * *","kind":"cron","time_zone":"Europe/Berlin"'


def told(task: Task) -> task_service_pb2.CreateTaskResponse:
    response = task_service_pb2.CreateTaskResponse()
    put_meaning(task, response)
    return response


@pytest.mark.parametrize("bounds", ["}", ',"jitter_us":1}', ',"max_executions":9}'])
def test_a_created_task_tells_its_next_five_times(bounds: str) -> None:
    answer = told(stored(NIGHTLY + bounds))
    assert answer.meaning.startswith("At 02:30 every day, Europe/Berlin.")
    assert [(fire.local_time[:10], len(fire.notes)) for fire in answer.next_fires] == [
        ("2026-03-28", 0),
        ("2026-03-29", 1),
        ("2026-03-30", 0),
        ("2026-03-31", 0),
        ("2026-04-01", 0),
    ]


def test_the_gap_before_the_first_time_is_told_to_those_who_were_there() -> None:
    """What tasks of one schedule share leaves out what comes before the first of their times."""
    text = NIGHTLY + ',"gap":"SKIP"}'
    before_at, after_at = AFTER_AT + 2 * HOUR, AFTER_AT + 36 * HOUR
    scheduled_at = first_fire(decode(text), before_at)
    assert scheduled_at == first_fire(decode(text), after_at)
    early = stored(text, created_at=before_at, scheduled_at=scheduled_at)
    late = stored(text, created_at=after_at, scheduled_at=scheduled_at)
    assert [len(fire.notes) for fire in told(early).next_fires] == [1, 0, 0, 0, 0]
    assert [len(fire.notes) for fire in told(late).next_fires] == [0, 0, 0, 0, 0]


def test_a_task_with_few_times_left() -> None:
    once = stored('{"at":1774656001000000,"kind":"once"}')
    assert told(once).meaning == "Once, at 2026-03-28T00:00:01Z."
    assert len(told(once).next_fires) == 1
    assert len(told(stored(NIGHTLY + ',"max_executions":2}')).next_fires) == 2
    assert len(told(stored(NIGHTLY + ',"max_executions":9}', execution_count=8)).next_fires) == 1
    spent = told(stored(NIGHTLY + "}", scheduled_at=None))
    assert spent.meaning
    assert not spent.next_fires
