"""`mainspring dev` end to end: grpcurl, the command line, other executors, its start and its ends."""

import base64
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.dev.conftest import Dev, run_cli

from mainspring.server.core.time_zone import DATABASE_RELEASE
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.ports import LOOPBACK

OWN_HANDLERS = """
import time
from mainspring.executor import HandlerRegistry, Job

registry = HandlerRegistry()


@registry.handler("echo")
def own_echo(job: Job) -> str:
    return "mine: " + job.payload.decode()


@registry.handler("hold")
def hold(job: Job) -> None:
    print("holding", flush=True)
    time.sleep(float(job.payload))
"""


def test_it_is_ready_soon_and_says_what_to_try(shared_dev: Dev) -> None:
    print(f"ready after {shared_dev.ready_s:.2f} s")
    assert shared_dev.ready_s < 10, "2 s are promised on a machine that has nothing else to do"
    said = shared_dev.running.child.log_text()
    assert f"Mainspring is ready on {shared_dev.address}" in said
    assert "echo, fail, noop, sleep" in said
    assert (
        len([line for line in said.splitlines() if " task create " in line or " execution list" in line]) == 3
    )
    assert f"export MAINSPRING_ADDRESS={shared_dev.address}" in said


def test_once_it_says_so_it_is_healthy_and_owns_everything(dev: Dev) -> None:
    dev.start()
    health = dev.grpcurl("grpc.health.v1.Health/Check", data={"service": "mainspring.v1.TaskService"})
    assert json.loads(health) == {"status": "SERVING"}
    cluster = dev.cli("cluster", "nodes")
    assert [(node["is_ready"], node["partition_count"]) for node in cluster["nodes"]] == [(True, 16)]
    (node,) = json.loads(dev.grpcurl("mainspring.v1.AdminService/ListNodes", data={}))["nodes"]
    assert node["time_zone_database"] == DATABASE_RELEASE
    assert len(cluster["executors"]) == 1


def test_grpcurl_needs_no_files(shared_dev: Dev) -> None:
    services = shared_dev.grpcurl("list").split()
    assert {
        "mainspring.v1.TaskService",
        "mainspring.v1.ExecutionService",
        "mainspring.v1.AdminService",
    } <= set(services)
    assert "mainspring.v1.DevService" not in services
    task = {"id": "by-grpcurl", "handler": "echo", "payload": "aGVsbG8=", "schedule": {"delay": "0.2s"}}
    created = shared_dev.grpcurl("mainspring.v1.TaskService/CreateTask", data={"task": task})
    assert json.loads(created)["task"]["state"] == "TASK_STATE_ACTIVE"
    execution = shared_dev.final("by-grpcurl")
    assert execution["result"] == "aGVsbG8="


def test_the_command_line_from_creation_to_the_ledger(shared_dev: Dev) -> None:
    shared_dev.cli("task", "create", "echo", "--id", "by-cli", "--delay", "200ms", "--payload", "hi")
    execution = shared_dev.final("by-cli")
    assert base64.b64decode(execution["result"]) == b"hi"
    assert execution["attempt"] == 1
    shared_dev.cli("task", "create", "noop", "--id", "tick", "--every", "1s")
    assert shared_dev.cli("task", "cancel", "tick")["state"] == "TASK_STATE_CANCELLED"
    assert "by-cli" in {task["id"] for task in shared_dev.cli("task", "list")}


def test_own_handlers_stand_beside_the_mock_ones_and_win_over_them(
    dev: Dev, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN_HANDLERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    dev.start("--handlers", "own:registry")
    assert "echo, fail, hold, noop, sleep" in dev.running.child.log_text()
    dev.cli("task", "create", "echo", "--id", "own", "--delay", "0s", "--payload", "x")
    assert base64.b64decode(dev.final("own")["result"]) == b"mine: x"


def test_executors_of_other_processes_connect_as_to_any_node(dev: Dev, tmp_path: Path) -> None:
    dev.start("--no-executor")
    assert "no executor" in dev.running.child.log_text()
    dev.cli("task", "create", "echo", "--id", "waits", "--delay", "0s")
    other = MemberProcess(
        "executor", ["executor", "--mock", "--address", dev.address, "--executor-id", "other"], {}, tmp_path
    )
    other.start()
    try:
        assert dev.final("waits")["executor_id"] == "other"
    finally:
        assert other.stop() == 0


def test_a_file_keeps_tasks_and_ledger_over_an_orderly_end(dev: Dev, tmp_path: Path) -> None:
    file, run_log = tmp_path / "kept.db", tmp_path / "logs" / "run.jsonl"
    dev.start("--file", file, "--partitions", "4", "--run-log", run_log)
    dev.cli("task", "create", "noop", "--id", "done", "--delay", "0s")
    dev.cli("task", "create", "noop", "--id", "later", "--delay", "2s")
    before = dev.final("done")
    assert dev.running.stop() == 0
    dev.start("--file", file, "--run-log", run_log)
    assert dev.cli("execution", "get", "done") == before
    assert dev.final("later")["state"] == "EXECUTION_STATE_SUCCEEDED"
    assert dev.cli("cluster", "nodes")["partition_count"] == 4
    starts = [json.loads(line) for line in run_log.read_text().splitlines() if '"start"' in line]
    assert [start["task_id"] for start in starts] == ["done", "later"]


def test_a_file_keeps_where_a_virtual_clock_stood(dev: Dev, tmp_path: Path) -> None:
    options = ["--virtual-clock", "--file", str(tmp_path / "kept.db")]
    dev.start(*options, "--start-time", "2030-01-31T09:30:00Z")
    moved = dev.grpcurl("mainspring.v1.DevService/AdvanceTime", data={"by": "90s"})
    assert json.loads(moved)["time"] == "2030-01-31T09:31:30Z"
    dev.running.kill()
    earlier = ["--start-time", "2030-01-31T09:31:29Z"]
    refused(["dev", "--listen", "127.0.0.1:0", *options, *earlier], "--start-time", "2030-01-31T09:31:30Z")
    dev.start(*options)
    assert "Time stands still at 2030-01-31T09:31:30Z" in dev.running.child.log_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_lets_running_handlers_finish_and_warns_of_nothing(
    dev: Dev, number: signal.Signals, tmp_path: Path
) -> None:
    file = tmp_path / "kept.db"
    dev.start("--file", file)
    dev.cli("task", "create", "sleep", "--id", "short", "--delay", "0s", "--payload", "1")
    until_running(dev, "short")
    dev.running.child.send_signal(number)
    assert dev.running.child.wait(timeout_s=15) == 0
    assert "warning" not in dev.running.child.log_text().lower()
    with sqlite3.connect(file) as database:
        [[states]] = database.execute(
            "SELECT count(*) FROM executions WHERE finished_at IS NOT NULL"
        ).fetchall()
    database.close()
    assert states == 1


def test_a_second_ctrl_c_ends_it_at_once(dev: Dev, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(OWN_HANDLERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    dev.start("--handlers", "own:registry", "--file", tmp_path / "kept.db")
    dev.cli("task", "create", "hold", "--id", "long", "--delay", "0s", "--payload", "60")
    dev.running.child.wait_for_line("^holding", timeout_s=10)
    dev.running.child.send_signal(signal.SIGINT)
    with pytest.raises(Exception, match="still ran"):
        dev.running.child.wait(timeout_s=0.5)
    dev.running.child.send_signal(signal.SIGINT)
    assert dev.running.child.wait(timeout_s=3) == 1


def until_running(dev: Dev, task_id: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if dev.cli("execution", "list", task_id):
            return
    raise AssertionError(f"{task_id} was not claimed")


@pytest.fixture
def taken_address() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield f"{LOOPBACK}:{listener.getsockname()[1]}"


def a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def a_text(path: Path) -> Path:
    path.write_text("no database, only text " * 100)
    return path


def a_database_of_others(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE cats (name TEXT)")
    database.close()
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(a_folder, ["--file", "folder"], id="folder"),
        pytest.param(a_text, ["--file"], id="no-database"),
        pytest.param(a_database_of_others, ["--file"], id="another-database"),
        pytest.param(lambda path: path / "missing" / "x.db", ["--file"], id="folder-missing"),
    ],
)
def test_a_file_that_cannot_serve_is_one_line(
    make: Callable[[Path], Path], words: list[str], tmp_path: Path
) -> None:
    refused(["dev", "--listen", "127.0.0.1:0", "--file", str(make(tmp_path / "thing"))], *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--handlers", "no.such:thing"], ["--handlers", "no.such"]),
        (["--handlers", "json:dumps"], ["--handlers", "expected an Executor"]),
        (["--no-executor", "--handlers", "a:b"], ["--handlers", "--no-executor"]),
        (["--no-executor", "--run-log", "x"], ["--run-log", "--no-executor"]),
        (["--listen", "7300"], ["--listen", "host:port"]),
        (["--listen", "0.0.0.0:7300"], ["--listen"]),
        (["--run-log", "/proc/x/y.jsonl"], ["--run-log", "/proc/x"]),
        (["--partitions", "0"], ["--partitions"]),
        (["--capacity", "0"], ["--capacity"]),
    ],
)
def test_a_wrong_option_is_one_line(options: list[str], words: list[str]) -> None:
    refused(["dev", "--listen", "127.0.0.1:0", *options], *words)


def test_a_port_that_is_taken_names_the_way_out(taken_address: str) -> None:
    refused(["dev", "--listen", taken_address], "--listen", taken_address, "127.0.0.1:0")


def test_a_file_serves_one_process_with_its_own_number_of_partitions(dev: Dev, tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    dev.start("--file", file)
    refused(["dev", "--listen", "127.0.0.1:0", "--file", str(file)], "--file")
    assert dev.running.stop() == 0
    refused(["dev", "--listen", "127.0.0.1:0", "--file", str(file), "--partitions", "4"], "4", "16")


def refused(arguments: list[str], *words: str) -> None:
    done = run_cli(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    said = " ".join(done.stderr.replace("│", " ").split())
    for word in words:
        assert word in said
