"""Simulations, scaled down: each example in one process, the command as a program, one on a real cluster."""

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mainspring.dev.simulate.config import Cron, Herd, Interval, Simulation, Spread
from mainspring.dev.simulate.course import Outcome, run_course
from mainspring.dev.simulate.in_process import InProcessRun
from mainspring.dev.simulate.reading import example_names, find_text, parse
from mainspring.executor.event_loop import loop_factory
from mainspring.testing.load_run import member_name
from mainspring.testing.member_process import import_environment
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
RED = """
[simulation]
title = "One executor for one thing at a time"
seconds = 2
lead_s = 1
lateness_bound_s = 1
[executors]
count = 1
capacity = 1
[[load]]
name = "much"
schedule = "herd"
tasks = 60
at_s = 0.5
duration = { kind = "fixed", ms = 40 }
"""

pytestmark = pytest.mark.timeout(60)


def small(name: str, *, seconds: float, divisor: int, bound_s: float, capacity: int = 100) -> Simulation:
    """An example in little: less time, fewer tasks, a stricter bound so that the wait after it is short."""
    simulation = parse(find_text(name)[1], name).over(seconds)
    load = tuple(
        replace(each, tasks=each.tasks // divisor)
        if isinstance(each, Spread | Herd | Interval | Cron)
        else each
        for each in simulation.load
    )
    return replace(
        simulation,
        simulation=replace(simulation.simulation, lead_s=1.0, lateness_bound_s=bound_s),
        nodes=replace(simulation.nodes, session_s=2.0),
        executors=replace(simulation.executors, capacity=capacity),
        load=load,
    )


def run(simulation: Simulation) -> Outcome:
    folder = RunFolder.create("acceptance-simulate")
    progress = Progress("acceptance", on_event=lambda elapsed_s, text: print(f"{elapsed_s:6.1f} s {text}"))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(
            run_course(
                simulation,
                lambda refresh: InProcessRun(simulation, folder, progress, refresh=refresh),
                folder,
                progress,
            )
        )


def assert_green(outcome: Outcome) -> None:
    assert outcome.verdict.violations == ()
    assert outcome.verdict.vacuous == ()
    assert outcome.unasked == 0
    report = outcome.report
    assert report.scheduled == report.executed + report.skipped
    assert report.missing == 0


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mainspring.cli", "simulate", *arguments],
        cwd=folder,
        env={**os.environ, **import_environment(), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_distributed_cron_with_a_node_that_joins_and_one_that_dies() -> None:
    outcome = run(small("distributed-cron", seconds=8, divisor=3, bound_s=4))
    assert_green(outcome)
    # A fault is noted when it is over, and a join may take longer than the death that follows it.
    assert {(fault.kind, fault.target) for fault in outcome.history.faults} == {
        ("join", "node-4"),
        ("kill", "node-2"),
    }
    assert {member_name(node_id) for node_id in outcome.report.nodes} == {f"node-{n}" for n in (1, 2, 3, 4)}
    assert outcome.report.by_kind["cron"] > 50
    assert outcome.report.by_kind["interval"] > 50
    dead = next(fault for fault in outcome.history.faults if fault.kind == "kill")
    # It did its part, and nothing after its death: others did that once its session had ended.
    told = [
        row.dispatched_at or 0
        for row in outcome.history.ledger
        if member_name(row.node_id or "a-b-c") == "node-2"
    ]
    assert told
    assert max(told) <= dead.from_at + 100_000
    assert outcome.report.started.max_us > 1_000_000


def test_a_notification_burst_of_which_an_executor_dies() -> None:
    outcome = run(small("notification-burst", seconds=4, divisor=8, bound_s=5, capacity=8))
    assert_green(outcome)
    assert [fault.target for fault in outcome.history.faults] == ["executor-2"]
    assert set(outcome.report.executors) == {"executor-1", "executor-2", "executor-3"}
    # With work in hand when it died: that ran again, and its runs have no end in its log that anybody saw.
    assert outcome.report.duplicated >= 1
    again = [each for each in outcome.history.runs if each.attempt > 1]
    assert {each.executor_id for each in again} <= {"executor-1", "executor-3"}
    dead = outcome.history.faults[0]
    assert (
        max(each.started_at for each in outcome.history.runs if each.executor_id == "executor-2")
        < dead.until_at
    )


def test_reminders_by_the_command(tmp_path: Path) -> None:
    text = find_text("reminders")[1]
    for before, after in (
        ("tasks = 5_000", "tasks = 600"),
        ("lead_s = 4", "lead_s = 1"),
        ("bound_s = 5", "bound_s = 3"),
    ):
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "mine.toml").write_text(text)
    done = command("mine.toml", "--seconds", "3", "--seed", "5", "--json", "run.json", folder=tmp_path)
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    assert "verdict: ok" in done.stdout
    document: dict[str, Any] = json.loads((tmp_path / "run.json").read_text())
    assert (document["is_ok"], document["seed"], document["seconds"]) == (True, 5, 3.0)
    assert document["report"]["scheduled"] == document["report"]["executed"] == 600
    assert document["report"]["failed"] >= 1
    assert sum(each["count"] for each in document["distribution"]) == 600


def test_more_than_the_executors_can_do_in_time_is_red(tmp_path: Path) -> None:
    (tmp_path / "red.toml").write_text(RED)
    done = command("red.toml", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "verdict: NOT OK" in done.stdout
    assert "I10 simulate/much-" in done.stdout


def test_a_bad_file_is_refused_in_a_line_for_each_fault(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(RED.replace("capacity = 1", "capacity = 0").replace("at_s", "ats"))
    done = command("bad.toml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error: bad.toml: executors.capacity: 0 is not between 1 and 100,000",
        "error: bad.toml: load[1].ats: is not a key of schedule 'herd'; did you mean at_s?",
        "error: bad.toml: load[1].at_s: is required for schedule 'herd'",
    ]


def test_an_example_can_be_printed_to_begin_with(tmp_path: Path) -> None:
    done = command("notification-burst", "--show", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == find_text("notification-burst")[1]


def test_the_wheel_has_the_examples(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    folder = "mainspring/dev/simulate/examples/"
    assert sorted(name for name in names if name.startswith(folder)) == [
        f"{folder}{name}.toml" for name in example_names()
    ]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_distributed_cron_on_a_real_cluster(tmp_path: Path) -> None:
    done = command("distributed-cron", "--cluster", "--seconds", "24", "--json", "run.json", folder=tmp_path)
    if done.returncode == 2:  # no servers here
        if os.environ.get("CI"):
            pytest.fail(done.stderr, pytrace=False)
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "run.json").read_text())
    assert (document["is_ok"], document["stage"]) == (True, "cluster")
    assert {member_name(node_id) for node_id in document["report"]["nodes"]} == {
        f"node-{n}" for n in (1, 2, 3, 4)
    }
