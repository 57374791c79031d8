"""Child processes: ready, ended, frozen, and never left behind."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.testing.child_process import ChildProcess
from mainspring.testing.errors import ChildFailedError
from mainspring.testing.ports import free_port

SHELL = "/bin/sh"


def gone(pid: int) -> bool:
    """No such process, or a zombie that its new parent has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


class Children:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[ChildProcess] = []

    def shell(self, script: str) -> ChildProcess:
        child = ChildProcess("shell", [SHELL, "-c", script], log_path=self.folder / "log")
        self.made.append(child)
        child.start()
        return child


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    made = Children(tmp_path)
    yield made
    for child in made.made:
        child.kill()


def test_a_line_of_the_log_says_it_is_ready(children: Children) -> None:
    child = children.shell("echo starting; echo listening on 4711; exec sleep 60")
    assert child.wait_for_line(r"listening on (\d+)", timeout_s=10)[1] == "4711"
    assert child.is_running
    assert child.returncode is None


def test_a_port_says_it_is_ready(children: Children) -> None:
    port = free_port()
    server = f"import socket,time; s=socket.create_server(('127.0.0.1',{port})); time.sleep(60)"
    child = children.shell(f'exec {sys.executable} -c "{server}"')
    child.wait_for_port(port, timeout_s=10)


def test_an_early_end_is_reported_with_the_end_of_the_log(children: Children) -> None:
    child = children.shell("echo no such setting: colour; exit 3")
    with pytest.raises(ChildFailedError, match=r"(?s)ended with code 3.*no such setting: colour"):
        child.wait_for_line("ready", timeout_s=10)


def test_silence_is_reported_after_the_time_limit(children: Children) -> None:
    child = children.shell("echo still thinking; exec sleep 60")
    child.wait_for_line("thinking", timeout_s=10)
    with pytest.raises(ChildFailedError, match=r"(?s)did not log 'ready' within 0.05 s.*still thinking"):
        child.wait_for_line("ready", timeout_s=0.05)


def test_a_restarted_child_is_not_ready_because_of_old_lines(children: Children, tmp_path: Path) -> None:
    child = children.shell(f"test -e {tmp_path}/silent || echo ready; exec sleep 60")
    child.wait_for_line("ready", timeout_s=10)
    child.kill()
    (tmp_path / "silent").touch()
    child.start()
    with pytest.raises(ChildFailedError, match="did not log"):
        child.wait_for_line("ready", timeout_s=0.1)


def test_a_program_that_does_not_exist_is_named(children: Children, tmp_path: Path) -> None:
    child = ChildProcess("nothing", ["/no/such/program"], log_path=tmp_path / "log")
    child.start()
    assert child.wait(timeout_s=10) == 127
    assert "cannot run /no/such/program" in child.log_tail()


def test_stop_lets_it_clean_up(children: Children) -> None:
    child = children.shell("trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
    child.wait_for_line("ready", timeout_s=10)
    assert child.stop(grace_s=10) == 0
    assert "cleaned" in child.log_text()


def test_stop_uses_force_after_the_grace_period_and_on_the_whole_group(children: Children) -> None:
    child = children.shell("trap '' TERM; sleep 60 & echo helper $!; while :; do sleep 0.01; done")
    helper = int(child.wait_for_line(r"helper (\d+)", timeout_s=10)[1])
    assert child.stop(grace_s=0.1) == -signal.SIGKILL
    wait_until_gone(helper)


def test_what_an_ended_child_left_in_its_group_is_killed(children: Children) -> None:
    child = children.shell("sleep 60 & echo helper $!")
    helper = int(child.wait_for_line(r"helper (\d+)", timeout_s=10)[1])
    assert child.wait(timeout_s=10) == 0
    wait_until_gone(helper)


def test_a_frozen_child_can_be_stopped(children: Children) -> None:
    # Without processes of its own: a shell that is stopped while it waits for the vfork of one is never seen as stopped.
    child = children.shell("trap 'exit 7' TERM; echo ready; while :; do :; done")
    child.wait_for_line("ready", timeout_s=10)
    child.pause()
    assert child.is_running
    assert child.stop(grace_s=10) == 7


def test_stop_and_kill_may_be_repeated(children: Children) -> None:
    child = children.shell("exec sleep 60")
    child.kill()
    child.kill()
    assert child.stop() == -signal.SIGKILL
    assert not child.is_running


def test_starting_a_running_child_is_refused(children: Children) -> None:
    child = children.shell("exec sleep 60")
    with pytest.raises(ChildFailedError, match="running already"):
        child.start()


def test_a_child_outlives_the_thread_that_started_it(children: Children) -> None:
    """The kernel's parent-death signal follows threads; a child must not die with a worker thread."""

    def start_and_wait() -> ChildProcess:
        child = children.shell("echo ready; exec sleep 60")
        child.wait_for_line("ready", timeout_s=10)
        return child

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        child = pool.submit(start_and_wait).result()
    with pytest.raises(ChildFailedError, match="still ran"):
        child.wait(timeout_s=0.2)


PARENT = """
import sys
from pathlib import Path
from mainspring.testing.child_process import ChildProcess
child = ChildProcess("sleeper", ["/bin/sh", "-c", "echo ready; exec sleep 60"], log_path=Path(sys.argv[1]))
child.start()
child.wait_for_line("ready", timeout_s=10)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["killed", "returned"])
def test_a_child_dies_with_this_process(tmp_path: Path, ending: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    if ending == "killed":
        parent.kill()
    parent.stdin.close()
    parent.wait(timeout=20)
    parent.stdout.close()
    wait_until_gone(pid)
