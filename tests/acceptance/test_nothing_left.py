"""The demo leaves no process behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mainspring.testing.external import external_sql_server
from mainspring.testing.member_process import import_environment
from mainspring.testing.run_folder import runs_folder

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc"),
    pytest.mark.skipif(external_sql_server() is not None, reason="the servers of the environment stay"),
]


def processes_of(folder: Path) -> set[int]:
    """Processes that hold a file of the run open: each has its log there. Zombies hold none."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                names = [os.readlink(link) for link in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(name.startswith(f"{folder}/") for name in names):
                found.add(int(entry.name))
    return found


def wait_until(wanted: Callable[[], bool], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not wanted():
        assert time.monotonic() < deadline, f"{what} within {within_s:g} s"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="sigterm"),
        pytest.param(signal.SIGHUP, 129, id="sighup"),
        pytest.param(signal.SIGKILL, -9, id="sigkill"),
    ],
)
def test_nothing_is_left_running(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "mainspring.testing.demo_cluster", "--tasks", "100"],
            env={**os.environ, **import_environment()},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        folder: list[Path] = []

        def is_complete() -> bool:
            assert demo.poll() is None, (tmp_path / "output").read_text()
            folder[:] = runs_folder().glob(f"demo-*-{demo.pid}")
            return bool(folder) and len(processes_of(folder[0])) >= 7  # 2 servers, 3 nodes, 2 executors

        wait_until(is_complete, 60, "the cluster runs")
        demo.send_signal(number)
        assert demo.wait(30) == code
        wait_until(lambda: not processes_of(folder[0]), 10, "everything has ended")
    finally:
        demo.kill()
        demo.wait(10)
