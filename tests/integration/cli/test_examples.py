"""The examples and an executor process, on a real node."""

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from integration.cli.conftest import ROOT, environment_of_command, run_command

from mainspring.client import Delay, Execution, MainspringClient, NotFound

TIMEOUT_S = 30.0


async def finished(client: MainspringClient, task_id: str) -> Execution:
    """The latest execution of the task, once it is final."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                execution = await client.get_execution(task_id)
                if execution.state.is_final:
                    return execution
            except NotFound:
                pass
            await asyncio.sleep(0.1)


async def test_quickstart(node: Any) -> None:
    done = await run_command(
        program=ROOT / "examples" / "quickstart.py",
        environment=environment_of_command(MAINSPRING_ADDRESS=node.address),
    )
    assert done.code == 0, done.stderr
    registered, outcome = done.stdout.splitlines()
    assert registered.startswith("registered ")
    assert outcome.startswith("SUCCEEDED hello world, you were due at ")


async def test_an_executor_process_runs_handlers_of_a_module_until_sigterm(node: Any, tmp_path: Path) -> None:
    run_log = tmp_path / "runs.jsonl"
    command = [sys.executable, "-m", "mainspring.cli", "executor", "--handlers", "examples.jobs:registry"]
    executor = await asyncio.create_subprocess_exec(
        *(*command, "--run-log", str(run_log), "--executor-id", "jobs-1"),
        cwd=ROOT,
        env=environment_of_command(MAINSPRING_ADDRESS=node.address),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with MainspringClient(node.address) as client:
            payload = '{"image": "cat.png"}'
            await client.create_task("resize-image", Delay(timedelta()), payload=payload, task_id="img")
            execution = await finished(client, "img")
        assert execution.executor_id == "jobs-1"
        assert execution.result.startswith(b"cat.png resized under token ")
        executor.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_S):
            _, said = await executor.communicate()
        assert executor.returncode == 0, said.decode()
        assert run_log.read_text().count('"task_id":"img"') == 2
    finally:
        if executor.returncode is None:
            executor.kill()
            await executor.wait()
