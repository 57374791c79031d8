"""docs/tutorial.md, run: its commands in their order, against the processes that it starts, its programs from its text.

A fence says what it is by the words behind its language: `background=NAME` keeps running, `repeat` is tried until the output
that follows shows, `file=NAME` is saved, `not-run` is not; a comment `test: stop NAME` is the reader's Ctrl-C. Each line
of a `text` fence must be found in the output of the command before it; `...` stands for anything within the line.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mainspring.testing.child_process import ChildProcess
from mainspring.testing.errors import ChildFailedError
from mainspring.testing.member_process import import_environment
from mainspring.testing.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
DEFAULT_ADDRESS = "127.0.0.1:7300"
CLUSTER_SECTION = "## 9. A real cluster"
STEP = re.compile(
    r"^```(?P<language>\w*) ?(?P<role>[^\n]*)\n(?P<body>.*?)^```$|^<!-- test: stop (?P<stop>\w+) -->$",
    re.DOTALL | re.MULTILINE,
)
REPEAT_S = 20.0

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Step:
    """A fence or a comment of the page, with the output that the page shows behind it."""

    kind: str
    name: str
    body: str
    shown: tuple[str, ...] = ()


def steps_of(text: str) -> Iterator[Step]:
    matches = list(STEP.finditer(text))
    for index, match in enumerate(matches):
        if match["stop"]:
            yield Step("stop", match["stop"], "")
            continue
        shown: tuple[str, ...] = ()
        if index + 1 < len(matches) and matches[index + 1]["language"] == "text":
            shown = tuple(matches[index + 1]["body"].splitlines())
        kind, _, name = match["role"].partition("=")
        if match["language"] == "sh":
            yield Step(kind or "run", name, match["body"], shown)
        elif match["language"] == "python":
            assert kind == "file", match[0]
            yield Step(kind, name, match["body"])
        else:
            assert match["language"] == "text", f"a fence that no test understands: {match[0]}"


def shows(line: str, output: str) -> bool:
    """Whether the output has such a line, however its blanks fall."""
    words = [r"\s+".join(map(re.escape, part.split())) for part in line.split("...")]
    return re.search(r"[^\n]*?".join(words), output) is not None


class Reader:
    """Does what the page says, in a folder of its own, with the page's default address replaced by a free one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.background: dict[str, ChildProcess] = {}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")},
            **import_environment(),
            "PATH": path,
            "MAINSPRING_LISTEN": self.address,
            "MAINSPRING_ADDRESS": self.address,
            "COLUMNS": "200",
        }

    def follow(self, steps: list[Step]) -> None:
        for step in steps:
            match step.kind:
                case "not-run":
                    continue
                case "file":
                    (self.folder / step.name).write_text(step.body, encoding="utf-8")
                case "background":
                    self.start(step)
                case "stop":
                    self.stop(step.name)
                case "run" | "repeat" | "cluster":
                    self.run(step)
                case other:
                    pytest.fail(f"a fence that no test understands: {other}")

    def adapted(self, command: str) -> str:
        # The environment of the test is installed already, and not the test's to change.
        made = command.replace(DEFAULT_ADDRESS, self.address).replace("make ", f"make -C {ROOT} -o install ")
        return made.replace("MAINSPRING_ADDRESS=...", f"MAINSPRING_ADDRESS={self.address}")

    def run(self, step: Step) -> None:
        deadline = time.monotonic() + (REPEAT_S if step.kind == "repeat" else 0.0)
        while True:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", self.adapted(step.body)],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            missing = [line for line in step.shown if not shows(line, done.stdout)]
            if done.returncode == 0 and not missing:
                return
            if time.monotonic() > deadline:
                pytest.fail(f"{step.body}\n{done.stdout}\n{done.stderr}\nmissing: {missing}")
            time.sleep(0.1)

    def start(self, step: Step) -> None:
        # Later starts of one name are other runs: `log_text` gives the last one's output.
        child = ChildProcess(
            step.name,
            ["bash", "-c", f"exec {self.adapted(step.body)}"],
            log_path=self.folder / f"{step.name}.log",
            environment=self.environment,
            working_folder=self.folder,
        )
        self.background[step.name] = child
        child.start()
        shown = [line.replace(DEFAULT_ADDRESS, self.address) for line in step.shown]
        shown += {"dev": ["Mainspring is ready"], "cluster": ["Ctrl-C ends it."]}.get(step.name, [])
        child.wait_until(
            lambda: all(shows(line, child.log_text()) for line in shown), timeout_s=90, what=f"say {shown}"
        )
        if found := re.search(r"export MAINSPRING_ADDRESS=(\S+)", child.log_text()):
            self.address = self.environment["MAINSPRING_ADDRESS"] = found[1]  # as the reader exports it

    def stop(self, name: str) -> None:
        child = self.background.pop(name)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout_s=30) == 0, child.log_tail()

    def close(self) -> None:
        for child in self.background.values():
            child.kill()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    yield made
    made.close()


def test_every_command_up_to_the_cluster(reader: Reader) -> None:
    steps = list(steps_of(PAGE.partition(CLUSTER_SECTION)[0]))
    assert sum(step.kind in ("run", "repeat") for step in steps) >= 15, "the page was read"
    assert {step.name for step in steps if step.kind == "background"} == {"dev", "executor"}
    reader.follow(steps)


def test_the_commands_of_the_cluster(reader: Reader) -> None:
    _before, title, section = PAGE.partition(CLUSTER_SECTION)
    assert title, "the section has another name now"
    steps = [step for step in steps_of(section) if step.kind != "stop"]
    assert [step.kind for step in steps] == ["background", "cluster", "cluster"]
    try:
        reader.follow(steps)
    except ChildFailedError as error:
        if os.environ.get("CI") or "cannot be fetched" not in str(error):
            raise
        pytest.skip(str(error))


def test_a_command_that_says_something_else_is_found_out(reader: Reader) -> None:
    assert shows("state ... FAILED", "id x\nstate      FAILED\n")
    assert not shows("state ... FAILED", "state      RUNNING\nreason FAILED")
    with pytest.raises(pytest.fail.Exception, match="missing"):
        reader.run(Step("run", "", "echo state ACTIVE", ("state      CANCELLED",)))
