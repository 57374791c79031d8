"""The main job in one process: `make demo`'s run, smaller, and its verdict."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mainspring.dev.demo import DevDemoSettings, fewest_cron_fires, run_dev_demo
from mainspring.testing.demo import judge
from mainspring.testing.history import KINDS, History
from mainspring.testing.member_process import import_environment
from mainspring.testing.ports import LOOPBACK, accepts_connections
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.tampering import PLANTS

SMALL = DevDemoSettings(tasks=1_000)

T = TypeVar("T")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def history() -> History:
    """The evidence of one run; logs stay in build/runs."""
    progress = Progress("acceptance", on_event=lambda elapsed_s, text: print(f"{elapsed_s:6.1f} s {text}"))
    return asyncio.run(run_dev_demo(SMALL, RunFolder.create("dev-acceptance"), progress))


def test_every_scheduled_time_ran_exactly_once_and_in_time(history: History) -> None:
    judgement = judge(history)
    assert judgement.verdict.violations == ()
    assert judgement.verdict.vacuous == ()
    assert judgement.complaints == ()
    assert judgement.report.scheduled > SMALL.tasks
    assert all(judgement.report.by_kind[kind] > 0 for kind in KINDS)


def test_each_cron_fires_four_times_and_more_and_the_herd_at_one_instant(history: History) -> None:
    assert fewest_cron_fires(history) >= 4
    assert max(Counter(row.due_at for row in history.ledger).values()) >= SMALL.tasks // 5


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_planted_run_turns_the_verdict_red(plant: Callable[[History], History], history: History) -> None:
    assert not judge(plant(history)).is_ok


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "sigkill"])
def test_nothing_is_left_running(number: signal.Signals, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "mainspring.dev.demo", "--tasks", "100"],
            env={**os.environ, **import_environment()},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = until(lambda: re.search(r"serves on \S+:(\d+)", (tmp_path / "output").read_text()), 20)
        demo.send_signal(number)
        assert demo.wait(10) == (130 if number is signal.SIGINT else -number)
        until(lambda: not accepts_connections(LOOPBACK, int(address[1])), 5)
    finally:
        demo.kill()
        demo.wait(10)


@pytest.mark.slow
def test_a_planted_lie_is_the_exit_code(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["--tasks", "200", "--plant", "lost-run", "--json", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "mainspring.dev.demo", *words],
        env={**os.environ, **import_environment()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "verdict: NOT OK" in done.stdout
    assert json.loads(report.read_text())["is_ok"] is False


def until(wanted: Callable[[], T | None], within_s: float) -> T:
    deadline = time.monotonic() + within_s
    while not (found := wanted()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.05)
    return found
