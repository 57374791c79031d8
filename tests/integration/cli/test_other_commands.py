"""The ledger, the cluster, and what happens where nobody answers; each command as a process."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import json_format
from integration.cli.conftest import Mainspring, environment_of_command, run_command
from integration.memory_node import MemoryNode

from mainspring.v1 import admin_service_pb2, execution_pb2

EXECUTION = json_format.ParseDict(
    {
        "namespace": "default",
        "task_id": "daily",
        "scheduled_time": "2030-06-01T12:00:00Z",
        "due_time": "2030-06-01T12:00:00Z",
        "state": "EXECUTION_STATE_SUCCEEDED",
        "attempt": 1,
        "epoch": 7,
        "pick_up_time": "2030-06-01T12:00:00.012500Z",
        "result": "aGVsbG8=",
    },
    execution_pb2.Execution(),
)


@pytest.fixture
def silent_address() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def free_address() -> str:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


async def test_execution_list_asks_for_what_was_said(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    memory_node.executions = [EXECUTION]
    bounds = ["--start", "2030-06-01T12:00:00Z", "--end", "2030-06-01T14:00:01+02:00"]
    done = await mainspring("execution", "list", "daily", *bounds, "--limit", "5", "--json")
    request = memory_node.requests[-1]
    assert (request.task_id, request.page_size) == ("daily", 6)
    assert request.end_time.seconds - request.start_time.seconds == 1
    assert [json_format.ParseDict(row, execution_pb2.Execution()) for row in done.json()] == [EXECUTION]


async def test_execution_tables(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    memory_node.executions = [EXECUTION]
    listed = await mainspring("execution", "list")
    row = listed.stdout.splitlines()[1].split()
    assert row == ["daily", "2030-06-01T14:00:00+02:00", "SUCCEEDED", "1", "12.5", "ms", "-", "-"]
    shown = await mainspring("execution", "get", "daily", row[1])
    assert memory_node.requests[-1].scheduled_time.ToJsonString() == "2030-06-01T12:00:00Z"
    assert ["result", "hello"] in [line.split() for line in shown.stdout.splitlines()]


async def test_cluster_commands(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    nodes = (await mainspring("cluster", "nodes", "--json")).json()
    parsed = json_format.ParseDict(nodes, admin_service_pb2.ListNodesResponse())
    assert (parsed.nodes[0].address, parsed.partition_count) == (memory_node.address, 2)
    table = await mainspring("cluster", "nodes", "--utc")
    assert f"n1    {memory_node.address}" in table.stdout
    assert "2 partitions; 2030-03-17T17:46:40Z\ntime zone database 2026f\n" in table.stdout
    assert "no executor is connected" in table.stderr
    partitions = (await mainspring("cluster", "partitions", "--json")).json()
    assert [(row["partition_id"], row["owner_id"]) for row in partitions] == [(0, "n1"), (1, "")]
    rows = (await mainspring("cluster", "partitions")).stdout.splitlines()
    assert rows[2].split() == ["1", "2", "-", "-"]


async def test_handovers_are_listed_with_their_spread(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    document = (
        await mainspring(
            "cluster",
            "handovers",
            "--json",
            "--node",
            "n1",
            "--since",
            "2030-01-31T09:00:00Z",
            "--limit",
            "7",
        )
    ).json()
    request = memory_node.requests[-1]
    assert (request.node_id, request.page_size) == ("n1", 8)
    assert request.since_time.ToJsonString() == "2030-01-31T09:00:00Z"
    assert document["handovers"][0]["reason"] == "HANDOVER_REASON_DRAINED"
    assert document["gaps"] == {
        "count": 1,
        "p50": "0.040s",
        "p99": "0.040s",
        "max": "0.040s",
        "late_execution_count": 2,
        "max_lateness": "0.030s",
    }
    lines = (await mainspring("cluster", "handovers", "--utc")).stdout.splitlines()
    row = "2030-03-17T17:46:40Z  3          8      drained  n1    n2  40.0 ms  2     30.0 ms"
    assert lines[1].split() == row.split()
    assert (
        lines[-1]
        == "1 gap: p50 40.0 ms, p99 40.0 ms, max 40.0 ms; 2 executions late by them, the latest 30.0 ms"
    )


async def test_drain_waits_until_the_node_is_empty(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    assert (await mainspring("cluster", "drain", "n1", "--wait")).stdout == "n1 is empty\n"
    assert (await mainspring("cluster", "undrain", "n1")).stdout == "n1 takes partitions again\n"
    memory_node.gives_away = False
    at_once = await mainspring("cluster", "drain", "n1", "--json")
    assert at_once.json() == {"node_id": "n1", "partition_count": 1}


async def test_a_drain_that_goes_wrong_says_how(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    memory_node.gives_away = False
    waited = await mainspring("cluster", "drain", "n1", "--wait", "--within", "300ms")
    assert waited.code == 1
    assert "still owns 1" in waited.stdout
    assert "not empty after 0.3 s" in waited.stderr
    unknown = await mainspring("cluster", "drain", "n9")
    assert unknown.code == 1
    assert "known: n1 (NOT_FOUND)" in unknown.stderr


async def test_a_node_without_zookeeper_says_so(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    memory_node.is_coordinator_connected = False
    assert "has lost ZooKeeper" in (await mainspring("cluster", "nodes")).stderr


async def test_nodes_with_different_time_zone_databases_are_told(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    memory_node.time_zone_databases = ["2026f", "2026a", "", "2026f"]
    done = await mainspring("cluster", "nodes")
    assert done.code == 0
    assert "different time zone databases: 2026f on n1, n4; 2026a on n2\n" in done.stderr
    assert "time zone database" not in done.stdout
    documents = (await mainspring("cluster", "nodes", "--json")).json()["nodes"]
    assert [node["time_zone_database"] for node in documents] == memory_node.time_zone_databases
    memory_node.time_zone_databases = ["", ""]
    silent = await mainspring("cluster", "nodes")
    assert "time zone" not in silent.stdout + silent.stderr


async def test_nobody_there(free_address: str) -> None:
    done = await run_command("task", "list", "--address", free_address, "--timeout", "300ms")
    assert (done.code, done.stdout) == (3, "")
    assert f"No node answered at {free_address}" in done.stderr
    assert "Traceback" not in done.stderr
    as_json = await run_command("task", "list", "--address", free_address, "--timeout", "300ms", "--json")
    assert (as_json.code, as_json.stdout) == (3, "")
    assert json.loads(as_json.stderr)["error"]["code"] == "UNAVAILABLE"


async def test_somebody_there_who_does_not_answer(silent_address: str) -> None:
    done = await run_command("task", "list", "--address", silent_address, "--timeout", "500ms")
    assert done.code == 3
    assert done.stderr.startswith("error: ")


async def test_one_address_of_several_is_enough(
    memory_node: MemoryNode, mainspring: Mainspring, free_address: str
) -> None:
    by_options = await mainspring("task", "list", "-a", free_address, "-a", memory_node.address, "--json")
    assert by_options.json() == []
    both = {"MAINSPRING_ADDRESS": f"{free_address},{memory_node.address}"}
    assert (await mainspring("task", "list", "--json", environment=both)).json() == []


async def test_the_database_away_is_unreachable_too_and_not_blamed_on_the_address(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    memory_node.is_database_away = True
    done = await mainspring("task", "get", "daily", "--timeout", "300ms")
    assert (done.code, done.stderr) == (3, "error: the database does not answer (UNAVAILABLE)\n")


async def test_letters_that_the_terminal_lacks(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    ascii_only = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = await mainspring("task", "create", "report", "--delay", "5s", "--id", "grüße")
    assert done.code == 0, done.stderr
    named = environment_of_command(MAINSPRING_ADDRESS=memory_node.address, **ascii_only)
    shown = await run_command("task", "list", environment=named)
    assert (shown.code, shown.stdout.splitlines()[1].split()[0]) == (0, "gr\\xfc\\xdfe")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["--handlers", "no_such_module:executor"], "No module named"),
        (["--handlers", "json:dumps"], "expected an Executor"),
        (["--mock", "--executor-id", "a b"], "1 to 64 characters"),
        (["--mock", "--run-log", "/proc/nowhere/run.log"], "--run-log"),
    ],
)
async def test_an_executor_that_cannot_start(command: list[str], complaint: str) -> None:
    done = await run_command("executor", *command)
    assert (done.code, done.stdout) == (2, "")
    assert complaint in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


async def test_migrate_tells_that_the_database_is_away(free_address: str) -> None:
    done = await run_command("migrate", "--mysql-url", f"mysql://user:secret@{free_address}/mainspring")
    assert done.code == 3
    assert done.stderr.startswith("error: ")
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


MISSING = """
import os, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in os.environ["MISSING"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (["server", "--mysql-url", "mysql://u:p@h/d", "--zookeeper", "z:1"], "kazoo"),
        (["migrate", "--mysql-url", "mysql://u:p@h/d"], "aiomysql"),
        (["task", "list"], "typer"),
    ],
)
async def test_a_missing_package_of_the_server_extra_is_named(
    command: list[str], missing: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(MISSING)
    done = await run_command(*command, environment=environment_of_command(tmp_path, MISSING=missing))
    assert (done.code, done.stdout) == (2, "")
    assert f"{missing} is not installed" in done.stderr
    assert "pip install 'mainspring[server]'" in done.stderr
    assert done.stderr.count("\n") == 1
