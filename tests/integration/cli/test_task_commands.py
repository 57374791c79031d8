"""`mainspring task` as a process, against a node in memory, over real gRPC."""

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from google.protobuf import json_format
from integration.cli.conftest import Mainspring
from integration.memory import MEANING
from integration.memory_node import MemoryNode

from mainspring.client import (
    At,
    CalendarInterval,
    CalendarUnit,
    Cron,
    Delay,
    Every,
    Exclusions,
    GapPolicy,
    RepeatPolicy,
    Schedule,
    Weekday,
)
from mainspring.client.schedule_convert import schedule_to_proto
from mainspring.v1 import schedule_pb2, task_pb2, task_service_pb2

NINE = datetime(2030, 1, 31, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def test_create_sends_what_was_said(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    done = await mainspring(
        *("task", "create", "report", "--cron", "0 9 * * *", "--id", "daily", "-n", "billing"),
        *("--payload", "grüße", "--json"),
    )
    task = memory_node.requests[-1].task
    assert (task.namespace, task.id, task.handler) == ("billing", "daily", "report")
    assert task.payload == "grüße".encode()
    assert task.schedule == schedule_to_proto(Cron("0 9 * * *"))
    assert json_format.ParseDict(done.json(), task_service_pb2.CreateTaskResponse()) == (
        task_service_pb2.CreateTaskResponse(task=memory_node.tasks["billing", "daily"], meaning=MEANING)
    )


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        (["--at", "2030-01-31T10:00:00+01:00"], At(NINE)),
        (["--at", "2030-01-31T09:00:00Z", "--jitter", "1m"], At(NINE, jitter=MINUTE)),
        (["--delay", "2h30m"], Delay(150 * MINUTE)),
        (["--delay", "0s", "--jitter", "1m"], Delay(timedelta(0), jitter=MINUTE)),
        (["--cron", "0 9 * * *"], Cron("0 9 * * *")),
        (
            ["--cron", "0 9 * * *", "--cron", "@daily", "--time-zone", "Europe/Berlin"],
            Cron(["0 9 * * *", "@daily"], "Europe/Berlin"),
        ),
        (
            ["--cron", "@daily", "--gap", "skip", "--repeat", "last"],
            Cron("@daily", "UTC", GapPolicy.SKIP, RepeatPolicy.LAST),
        ),
        (
            ["--cron", "@daily", "--gap", "fire-after", "--repeat", "both"],
            Cron("@daily", repeat=RepeatPolicy.BOTH),
        ),
        (["--every", "90s"], Every(1.5 * MINUTE)),
        (["--every", "90s", "--phase", "0s"], Every(1.5 * MINUTE, timedelta(0))),
        (
            [
                *("--every", "1m", "--phase", "20s", "--start", "2030-01-31T09:00:00Z"),
                *("--end", "2030-01-31T09:01:00Z", "--max-executions", "7", "--jitter", "20s"),
                *("--exclude-date", "2030-12-24,2030-12-25", "--exclude-date", "2031-01-01"),
                *(
                    "--exclude-cron",
                    "* 12 * * *",
                    "--exclude-cron",
                    "@hourly",
                    "--exclude-time-zone",
                    "Asia/Tokyo",
                ),
            ],
            Every(
                MINUTE,
                MINUTE / 3,
                start=NINE,
                end=NINE + MINUTE,
                max_executions=7,
                jitter=MINUTE / 3,
                exclusions=Exclusions(
                    [date(2030, 12, 24), date(2030, 12, 25), date(2031, 1, 1)],
                    ["* 12 * * *", "@hourly"],
                    "Asia/Tokyo",
                ),
            ),
        ),
        (["--calendar", "day", "--time", "09:00"], CalendarInterval(CalendarUnit.DAY, [time(9)])),
        (
            [
                *("--calendar", "2 weeks", "--on", "mon,thursday", "--on", "sun", "--time", "09:00,17:30:05"),
                *("--time", "23:00", "--start-date", "2026-11-30", "--time-zone", "Europe/Berlin"),
                *("--gap", "skip", "--repeat", "both", "--max-executions", "3"),
            ],
            CalendarInterval(
                CalendarUnit.WEEK,
                [time(9), time(17, 30, 5), time(23)],
                every=2,
                weekdays=[Weekday.MONDAY, Weekday.THURSDAY, Weekday.SUNDAY],
                time_zone="Europe/Berlin",
                start_date=date(2026, 11, 30),
                gap=GapPolicy.SKIP,
                repeat=RepeatPolicy.BOTH,
                max_executions=3,
            ),
        ),
        (
            ["--calendar", "3 months", "--on", "1,-1", "--on", "-2", "--time", "09:00"],
            CalendarInterval(CalendarUnit.MONTH, [time(9)], every=3, days_of_month=[1, -1, -2]),
        ),
    ],
)
async def test_every_schedule_can_be_said_and_is_answered(
    memory_node: MemoryNode, mainspring: Mainspring, options: list[str], schedule: Schedule
) -> None:
    done = await mainspring("task", "preview", "--id", "daily", *options, "--json")
    assert memory_node.requests[-1].schedule == schedule_to_proto(schedule)
    answer = json_format.ParseDict(done.json(), task_service_pb2.PreviewScheduleResponse())
    assert answer.schedule == schedule_to_proto(schedule)


FIRES = [
    json_format.ParseDict(fire, schedule_pb2.FireTime())
    for fire in (
        {
            "scheduled_time": "2030-03-30T01:30:00Z",
            "due_time": "2030-03-30T01:30:00Z",
            "local_time": "2030-03-30T02:30:00+01:00",
        },
        {
            "scheduled_time": "2030-03-31T01:00:00Z",
            "due_time": "2030-03-31T01:00:41.500Z",
            "local_time": "2030-03-31T03:00:00+02:00",
            "notes": [
                {
                    "effect": "CLOCK_CHANGE_EFFECT_MOVED",
                    "wall_time": "2030-03-31T02:30:00",
                    "count": 1,
                    "text": "02:30 does not exist that day.",
                }
            ],
        },
    )
]
BERLIN = ["--cron", "30 2 * * *", "--time-zone", "Europe/Berlin"]


async def test_preview_shows_the_schedule_its_meaning_and_the_next_fires(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    memory_node.fires = FIRES
    done = await mainspring("task", "preview", *BERLIN, "--count", "2", "--utc")
    assert done.stdout.splitlines() == [
        "schedule  cron 30 2 * * * (Europe/Berlin)",
        f"meaning   {MEANING}",
        "",
        "LOCAL TIME                 UTC                   DUE                       NOTE",
        "2030-03-30T02:30:00+01:00  2030-03-30T01:30:00Z",
        "2030-03-31T03:00:00+02:00  2030-03-31T01:00:00Z  2030-03-31T01:00:41.500Z  02:30 does not exist that day.",
        "",
        "Nothing comes after these.",
    ]
    one = await mainspring("task", "preview", *BERLIN, "--count", "1")
    assert one.stdout.splitlines()[3:] == [
        "LOCAL TIME                 UTC",
        "2030-03-30T02:30:00+01:00  2030-03-30T01:30:00Z",
    ]


async def test_preview_asks_for_what_was_said(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    memory_node.fires = FIRES
    done = await mainspring(
        *("task", "preview", *BERLIN, "--count", "1000", "--after", "2030-03-30T01:00:00+01:00"),
        *("--id", "backup", "-n", "billing", "--json"),
    )
    request = memory_node.requests[-1]
    assert (request.namespace, request.id, request.count) == ("billing", "backup", 1_000)
    assert request.after_time.ToJsonString() == "2030-03-30T00:00:00Z"
    answer = json_format.ParseDict(done.json(), task_service_pb2.PreviewScheduleResponse())
    assert (list(answer.fires), answer.meaning, answer.is_complete) == (FIRES, MEANING, True)
    await mainspring("task", "preview", *BERLIN)
    assert not memory_node.requests[-1].HasField("after_time")
    assert (memory_node.requests[-1].namespace, memory_node.requests[-1].count) == ("default", 10)


async def test_preview_of_what_never_fires_and_of_what_is_wrong(mainspring: Mainspring) -> None:
    nothing = await mainspring("task", "preview", *BERLIN)
    assert (nothing.code, nothing.stderr) == (0, "nothing is left to fire\n")
    assert "Nothing comes after these" not in nothing.stdout
    wrong = await mainspring("task", "preview", *BERLIN, "--jitter", "5s")
    assert (wrong.code, wrong.stdout) == (1, "")
    assert "  id: is required with jitter\n" in wrong.stderr


async def test_create_tells_what_the_schedule_means_and_the_next_fires(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    memory_node.fires = FIRES
    done = await mainspring("task", "create", "report", *BERLIN, "--id", "daily")
    lines = done.stdout.splitlines()
    assert f"meaning     {MEANING}" in lines
    assert lines[-4:-2] == [
        "",
        "LOCAL TIME                 UTC                   DUE                       NOTE",
    ]
    assert lines[-2].split() == ["2030-03-30T02:30:00+01:00", "2030-03-30T01:30:00Z"]
    as_json = await mainspring("task", "create", "report", *BERLIN, "--id", "daily", "--json")
    answer = json_format.ParseDict(as_json.json(), task_service_pb2.CreateTaskResponse())
    assert (list(answer.next_fires), answer.meaning, answer.task.id) == (FIRES, MEANING, "daily")


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ([], task_pb2.DELIVERY_MODE_UNSPECIFIED),
        (["--delivery", "at-least-once"], task_pb2.DELIVERY_MODE_AT_LEAST_ONCE),
        (["--delivery", "at-most-once"], task_pb2.DELIVERY_MODE_AT_MOST_ONCE),
    ],
)
async def test_create_sends_the_delivery(
    memory_node: MemoryNode, mainspring: Mainspring, options: list[str], sent: task_pb2.DeliveryMode
) -> None:
    done = await mainspring("task", "create", "report", "--delay", "5s", *options, "--json")
    assert memory_node.requests[-1].task.delivery == sent
    assert done.json()["task"]["delivery"] == task_pb2.DeliveryMode.Name(sent)


async def test_create_without_an_id_answers_the_one_that_was_made(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    done = await mainspring("task", "create", "report", "--delay", "5s", "--json")
    task_id = done.json()["task"]["id"]
    assert ("default", task_id) in memory_node.tasks
    assert len(task_id) == 32


@pytest.mark.parametrize("options", [["--payload", "-"], ["--payload-file", "-"], ["--payload-file", "FILE"]])
async def test_payloads_go_through_byte_by_byte(
    memory_node: MemoryNode, mainspring: Mainspring, options: list[str], tmp_path: Path
) -> None:
    content = bytes(range(256)) + b"\r\n"
    file = tmp_path / "payload.bin"
    file.write_bytes(content)
    chosen = [option.replace("FILE", str(file)) for option in options]
    done = await mainspring("task", "create", "report", "--delay", "5s", *chosen, stdin=content)
    assert done.code == 0, done.stderr
    assert memory_node.requests[-1].task.payload == content


async def test_details_are_in_local_time_or_utc(mainspring: Mainspring) -> None:
    local = await mainspring("task", "create", "report", "--delay", "5s", "--id", "daily")
    assert "2030-03-17T18:47:40.500+01:00" in local.stdout
    shown = await mainspring("task", "get", "daily", "--utc")
    assert shown.code == 0
    lines = [line.split(maxsplit=1) for line in shown.stdout.splitlines()]
    assert ["id", "daily"] in lines
    assert ["next", "2030-03-17T17:47:40.500Z"] in lines


async def test_list_follows_pages_up_to_its_limit(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    for number in range(2_500):
        memory_node.tasks["default", f"t{number}"] = task_pb2.Task(namespace="default", id=f"t{number}")
    some = await mainspring("task", "list", "--limit", "3", "--json")
    assert [task["id"] for task in some.json()] == ["t0", "t1", "t2"]
    assert "only the first 3 are shown" in some.stderr
    every = await mainspring("task", "list", "--limit", "0", "--json")
    assert [task["id"] for task in every.json()] == [f"t{number}" for number in range(2_500)]
    assert every.stderr == ""
    assert memory_node.requests[-1].omit_payload


async def test_list_as_a_table_has_a_row_for_each_line_however_long(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    long_id = "[bold]" + "x" * 194
    await mainspring("task", "create", "report", "--cron", "0 9 * * *", "--id", long_id)
    await mainspring("task", "create", "report", "--cron", "0 9 * * *", "--id", "\x1b[31m")
    done = await mainspring("task", "list")
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["ID", "HANDLER", "SCHEDULE", "STATE", "NEXT", "LAST"]
    assert rows[0].split()[0] == long_id
    assert rows[1].split()[0] == "\\x1b[31m"


async def test_an_empty_list_is_an_empty_array_or_a_sentence(mainspring: Mainspring) -> None:
    assert (await mainspring("task", "list", "--json")).json() == []
    table = await mainspring("task", "list")
    assert (table.code, table.stdout) == (0, "")
    assert "no task in namespace 'default'" in table.stderr


async def test_cancel_answers_the_cancelled_task(mainspring: Mainspring) -> None:
    await mainspring("task", "create", "report", "--delay", "5s", "--id", "daily")
    done = await mainspring("task", "cancel", "daily", "--note", "over", "--by", "ada", "--json")
    answer = done.json()
    assert (answer["state"], answer["note"], answer["changed_by"]) == ("TASK_STATE_CANCELLED", "over", "ada")


async def test_a_task_that_is_not_there(mainspring: Mainspring) -> None:
    done = await mainspring("task", "get", "nowhere")
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr == "error: task 'default/nowhere' does not exist (NOT_FOUND)\n"


async def test_every_wrong_field_is_named(mainspring: Mainspring) -> None:
    done = await mainspring("task", "create", "refused", "--delay", "5s")
    assert done.code == 1
    assert "  task.schedule.cron.expressions[0]: never fires\n" in done.stderr
    assert "  task.id: holds a control character\n" in done.stderr
    as_json = await mainspring("task", "create", "refused", "--delay", "5s", "--json")
    assert (as_json.code, as_json.stdout) == (1, "")
    error = json.loads(as_json.stderr)["error"]
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert error["field_violations"][0] == {
        "field": "task.schedule.cron.expressions[0]",
        "description": "never fires",
    }
