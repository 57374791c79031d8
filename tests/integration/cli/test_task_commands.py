"""`mainspring task` as a process, against a node in memory, over real gRPC."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from integration.cli.conftest import Mainspring, MemoryNode

from mainspring.v1 import schedule_pb2, task_pb2


def schedule(document: str) -> schedule_pb2.Schedule:
    return json_format.Parse(document, schedule_pb2.Schedule())


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (["--at", "2030-01-31T10:00:00+01:00"], '{"at": "2030-01-31T09:00:00Z"}'),
        (["--delay", "2h30m"], '{"delay": "9000s"}'),
        (["--cron", "0 9 * * *"], '{"cron": {"expressions": ["0 9 * * *"], "time_zone": "UTC"}}'),
        (
            ["--cron", "0 9 * * *", "--time-zone", "Europe/Berlin"],
            '{"cron": {"expressions": ["0 9 * * *"], "time_zone": "Europe/Berlin"}}',
        ),
        (["--every", "90s"], '{"interval": {"every": "90s"}}'),
        (
            ["--every", "90s", "--start", "2030-01-31T09:00:00Z"],
            '{"interval": {"every": "90s"}, "start_time": "2030-01-31T09:00:00Z"}',
        ),
    ],
)
async def test_create_sends_what_was_said(
    memory_node: MemoryNode, mainspring: Mainspring, when: list[str], expected: str
) -> None:
    done = await mainspring(
        "task", "create", "report", *when, "--id", "daily", "-n", "billing", "--payload", "grüße", "--json"
    )
    task = memory_node.requests[-1].task
    assert (task.namespace, task.id, task.handler) == ("billing", "daily", "report")
    assert task.payload == "grüße".encode()
    assert task.schedule == schedule(expected)
    assert json_format.ParseDict(done.json(), task_pb2.Task()) == memory_node.tasks["billing", "daily"]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ([], task_pb2.DELIVERY_MODE_AT_LEAST_ONCE),
        (["--delivery", "at-least-once"], task_pb2.DELIVERY_MODE_AT_LEAST_ONCE),
        (["--delivery", "at-most-once"], task_pb2.DELIVERY_MODE_AT_MOST_ONCE),
    ],
)
async def test_create_sends_the_delivery(
    memory_node: MemoryNode, mainspring: Mainspring, options: list[str], sent: task_pb2.DeliveryMode
) -> None:
    done = await mainspring("task", "create", "report", "--delay", "5s", *options, "--json")
    assert memory_node.requests[-1].task.delivery == sent
    assert done.json()["delivery"] == task_pb2.DeliveryMode.Name(sent)


async def test_create_without_an_id_answers_the_one_that_was_made(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    done = await mainspring("task", "create", "report", "--delay", "5s", "--json")
    assert ("default", done.json()["id"]) in memory_node.tasks
    assert len(done.json()["id"]) == 32


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
    assert (await mainspring("task", "cancel", "daily", "--json")).json()["state"] == "TASK_STATE_CANCELLED"


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
