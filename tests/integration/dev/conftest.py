"""`mainspring dev` as a process."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from integration.command import run_here

from mainspring.testing.member_process import MemberProcess, import_environment, mainspring_command
from mainspring.testing.ports import LOOPBACK, free_port


@dataclass
class Dev:
    """One `mainspring dev` and what is said to it. Used from tests' threads and loops alike: everything blocks."""

    folder: Path
    address: str = field(default_factory=lambda: f"{LOOPBACK}:{free_port()}")
    member: MemberProcess | None = None
    ready_s: float = 0.0

    def start(self, *options: str | Path) -> "Dev":
        """Start it (again) and wait until it says that it is ready."""
        words = ["dev", "--listen", self.address, *map(str, options)]
        self.member = MemberProcess("dev", words, {}, self.folder, address=self.address)
        began_s = time.monotonic()
        self.member.start()
        self.member.child.wait_for_line("^Mainspring is ready", timeout_s=20)
        self.ready_s = time.monotonic() - began_s
        return self

    @property
    def running(self) -> MemberProcess:
        assert self.member is not None
        return self.member

    def cli(self, *words: str) -> Any:
        """The JSON that a command answers."""
        done = run_here(*words, "--address", self.address, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def grpcurl(self, *words: str, data: Any = None) -> str:
        """What grpcurl prints."""
        beside = Path(sys.executable).parent / "grpcurl"
        binary = str(beside) if beside.exists() else shutil.which("grpcurl")
        assert binary, "grpcurl is not installed: `make install-dev` brings it"
        arguments = [
            "-plaintext",
            *(["-d", json.dumps(data)] if data is not None else []),
            self.address,
            *words,
        ]
        done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def final(self, task_id: str, within_s: float = 15.0) -> Any:
        """The task's latest execution once it is final."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            done = run_here("execution", "get", task_id, "--address", self.address, "--json")
            if done.exit_code == 0:
                execution = json.loads(done.stdout)
                if execution["state"].rpartition("_")[2] in ("SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"):
                    return execution
            time.sleep(0.05)
        raise AssertionError(f"{task_id} is not final after {within_s:g} s: {done.stdout or done.stderr}")


def run_cli(*words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """`mainspring WORDS` to its end."""
    return subprocess.run(
        mainspring_command(*words),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=cwd,
        env={**environment(), "COLUMNS": "200"},
    )


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
    return {**own, **import_environment()}


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    """Not started yet."""
    made = Dev(tmp_path)
    yield made
    if made.member is not None:
        made.member.kill()


@pytest.fixture(scope="module")
def shared_dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Started, in memory, for the tests of a module that change nothing about it."""
    made = Dev(tmp_path_factory.mktemp("dev")).start()
    yield made
    made.running.kill()
