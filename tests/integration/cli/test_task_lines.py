"""`mainspring task create-many` against a real node: good lines, bad lines, files and standard input."""

import json
from pathlib import Path
from typing import Any

from integration.cli.conftest import Done, environment_of_command, run_command

from mainspring.client import MainspringClient

HOURLY = {"interval": {"every": "3600s"}}
LINES = [
    json.dumps({"id": "good", "handler": "noop", "schedule": HOURLY}),
    "",
    '{"id": "a", "handlr": "noop"}',
    json.dumps({"id": "b", "handler": "noop", "schedule": {"cron": {"expressions": ["* * * *"]}}}),
    "\xff",
    json.dumps({"id": "last", "handler": "noop", "schedule": HOURLY, "namespace": "other"}),
]


async def create_many(address: str, *words: str, lines: list[str]) -> Done:
    return await run_command(
        *("task", "create-many", *words, "--address", address, "--timeout", "30s"),
        stdin="\n".join(lines).encode("latin-1"),
        environment=environment_of_command(),
    )


async def test_each_line_is_answered_and_bad_ones_hold_nothing_back(
    node: Any, client: MainspringClient
) -> None:
    done = await create_many(node.address, "-", lines=LINES)
    assert (done.code, done.stdout) == (1, "2 of 5 tasks registered\n")
    told = done.stderr.splitlines()
    assert told[0].startswith(
        'line 3: the line cannot be read: Message type "mainspring.v1.Task" has no field'
    )
    assert told[1] == "line 4: the request is not valid (INVALID_ARGUMENT)"
    assert told[2].startswith("  task.schedule.cron.expressions[0]: ")
    assert told[3].startswith("line 5: the line cannot be read: ")
    assert len(told) == 4
    assert (await client.get_task("good")).handler == "noop"
    assert (await client.get_task("last", namespace="other")).handler == "noop"

    again = await create_many(node.address, "-", "--json", lines=LINES)
    answers = [json.loads(line) for line in again.stdout.splitlines()]
    assert (again.code, again.stderr) == (1, "")
    assert [(each["line"], "task" in each) for each in answers] == [
        (1, True),
        (3, False),
        (4, False),
        (5, False),
        (6, True),
    ]
    assert answers[2]["error"]["code"] == "INVALID_ARGUMENT"


async def test_a_file_of_more_lines_than_are_held_at_once(
    node: Any, client: MainspringClient, tmp_path: Path
) -> None:
    count = 4_100
    file = tmp_path / "tasks.jsonl"
    file.write_text(
        "\n".join(
            json.dumps({"id": f"t{n}", "handler": "noop", "schedule": HOURLY, "namespace": "many"})
            for n in range(count)
        )
    )
    done = await create_many(node.address, str(file), lines=[])
    assert (done.code, done.stdout, done.stderr) == (0, f"{count:,} of {count:,} tasks registered\n", "")
    assert (await client.count_tasks(namespace="many")).count == count


async def test_a_file_that_is_not_there(node: Any) -> None:
    done = await create_many(node.address, "/nowhere/tasks.jsonl", lines=[])
    assert done.code == 2
    assert "No such file" in done.stderr
