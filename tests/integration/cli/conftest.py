"""The command as a process of its own, and a node for it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.command import run_here
from integration.memory_node import MemoryNode, serving

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("protos", "server", "shard_manager", "executor", "client_sdk", "cli", "testing")


@pytest.fixture
async def memory_node() -> AsyncIterator[MemoryNode]:
    """A node on a free loopback port."""
    node = MemoryNode()
    async with serving(node):
        yield node


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """The one JSON document on stdout."""
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)


Mainspring = Callable[..., Awaitable[Done]]


def environment_of_command(*first_on_path: Path, **more: str) -> dict[str, str]:
    """An environment in which `python -m mainspring.cli` runs, with no setting of the developer's."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAINSPRING_")}
    path = os.pathsep.join(map(str, [*first_on_path, *(ROOT / source for source in SOURCES)]))
    return {**inherited, "PYTHONPATH": path, "TZ": "Europe/Berlin", "COLUMNS": "200", **more}


async def run_command(
    *arguments: str,
    stdin: bytes = b"",
    environment: dict[str, str] | None = None,
    program: Path | None = None,
) -> Done:
    """Run the command, or another program, as a process of its own; 60 s are the limit of a hanging one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *([str(program)] if program else ["-m", "mainspring.cli"]),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment or environment_of_command(),
    )
    try:
        async with asyncio.timeout(60):
            stdout, stderr = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Done(process.returncode, stdout.decode(), stderr.decode())


@pytest.fixture
def mainspring(memory_node: MemoryNode) -> Mainspring:
    """Run the command against the node, which the environment names: in this process."""

    async def run(*arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None) -> Done:
        named = {"MAINSPRING_ADDRESS": memory_node.address, **(environment or {})}
        done = await asyncio.to_thread(run_here, *arguments, stdin=stdin, environment=named)
        return Done(done.exit_code, done.stdout, done.stderr)

    return run
