"""The real grpcurl binary against a node as it is: reflection, health, JSON in and out."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest


def grpcurl_binary() -> str:
    beside = Path(sys.executable).parent / "grpcurl"
    found = str(beside) if beside.exists() else shutil.which("grpcurl")
    assert found, "grpcurl is not installed: `make install-dev` brings it"
    return found


async def grpcurl(address: str, *words: str, data: Any = None) -> tuple[int, str, str]:
    arguments = ["-plaintext", *(["-d", json.dumps(data)] if data is not None else []), address, *words]
    process = await asyncio.create_subprocess_exec(
        grpcurl_binary(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_services_are_listed_and_described(node: Any) -> None:
    code, out, err = await grpcurl(node.address, "list")
    assert code == 0, err
    assert {"mainspring.v1.TaskService", "mainspring.v1.ExecutionService", "grpc.health.v1.Health"} <= set(
        out.split()
    )
    code, out, _ = await grpcurl(node.address, "describe", "mainspring.v1.CronSchedule")
    assert code == 0
    assert "time_zone" in out


async def test_health(node: Any) -> None:
    async with asyncio.timeout(10):
        while True:
            code, out, err = await grpcurl(node.address, "grpc.health.v1.Health/Check", data={})
            if code == 0 and json.loads(out) == {"status": "SERVING"}:
                break
    code, out, err = await grpcurl(
        node.address, "grpc.health.v1.Health/Check", data={"service": "mainspring.v1.TaskService"}
    )
    assert (code, json.loads(out)) == (0, {"status": "SERVING"}), err


async def test_a_task_by_json_from_creation_to_its_ledger_row(bench: Any, node: Any) -> None:
    bench.start_executor(node.address)
    task = {"id": "by-grpcurl", "handler": "echo", "payload": "aGVsbG8=", "schedule": {"delay": "0.5s"}}
    code, out, err = await grpcurl(node.address, "mainspring.v1.TaskService/CreateTask", data={"task": task})
    assert code == 0, err
    assert json.loads(out)["task"]["state"] == "TASK_STATE_ACTIVE"
    async with asyncio.timeout(20):
        while True:
            code, out, _ = await grpcurl(
                node.address, "mainspring.v1.ExecutionService/GetExecution", data={"taskId": "by-grpcurl"}
            )
            if code == 0 and json.loads(out)["execution"]["state"] == "EXECUTION_STATE_SUCCEEDED":
                break
    execution = json.loads(out)["execution"]
    assert execution["result"] == "aGVsbG8="
    assert execution["attempt"] == 1
    code, out, _ = await grpcurl(node.address, "mainspring.v1.AdminService/ListNodes", data={})
    assert any(n.get("is_self") for n in json.loads(out)["nodes"]), out


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            {"handler": "noop", "schedule": {"cron": {"expressions": ["61 * * * *"]}}},
            ["InvalidArgument", "expression"],
        ),
        ({"handler": "noop"}, ["InvalidArgument", "task.schedule"]),
    ],
)
async def test_a_wrong_request_is_explained(node: Any, task: dict[str, Any], words: list[str]) -> None:
    code, _, err = await grpcurl(node.address, "mainspring.v1.TaskService/CreateTask", data={"task": task})
    assert code != 0
    for word in words:
        assert word in err
