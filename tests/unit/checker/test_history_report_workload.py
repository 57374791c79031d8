"""Histories on disk, the report's figures, and the plans."""

import io
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console
from unit.checker.perfect import KILL, OUTAGE, perfect_history
from unit.checker.tiny import (
    AUDITED,
    CRON,
    CRON_AT,
    NOW,
    ONCE,
    ONCE_AT,
    TINY,
    TRAIL,
    S,
    run,
    with_row,
    with_runs,
)

from mainspring.testing.checker import check
from mainspring.testing.expected import cron_times
from mainspring.testing.history import (
    AcknowledgedTask,
    Deadlocks,
    Fault,
    FinalOverwrite,
    History,
    HistoryError,
    LedgerRow,
    StaleWrite,
)
from mainspring.testing.report import STAGES, Spread, render, summarize
from mainspring.testing.workload import SECOND_US, demo_plan, lateness_plan


def test_a_saved_history_loads_to_an_equal_one_and_verdict(tmp_path: Path) -> None:
    history = perfect_history(3, 10, (OUTAGE, KILL))
    history.save(tmp_path / "history")
    loaded = History.load(tmp_path / "history")
    assert loaded == history
    assert check(loaded) == check(history)
    assert loaded.audit is not None
    assert loaded.audit.ownership_changes
    bare = replace(history, listed_tasks=None, audit=None, deadlocks=None)
    bare.save(tmp_path / "history")
    assert History.load(tmp_path / "history") == bare


def test_every_field_of_fault_and_audit_survives_the_disk(tmp_path: Path) -> None:
    fault = Fault(
        "cut",
        "node-1",
        1,
        2,
        False,
        "executors",
        5,
        {"was_alive_before": True, "sessions_expired": ["node-1"]},
    )
    trail = replace(
        TRAIL,
        stale_writes=(StaleWrite("INSERT", 1, "default", "once", 2, 1, 3, None, None, None, 5),),
        final_overwrites=(FinalOverwrite("DELETE", 1, "default", "once", 2, "LOST", None, 1, None, 5),),
    )
    history = replace(TINY, faults=(fault,), audit=trail, deadlocks=Deadlocks(2, 1, has_gaps=True))
    history.save(tmp_path)
    assert History.load(tmp_path) == history
    # Violations show such records too.
    assert json.dumps(check(history).to_json())


def test_histories_from_before_there_were_audits_load(tmp_path: Path) -> None:
    TINY.save(tmp_path)
    window = json.loads((tmp_path / "window.jsonl").read_text())
    for name in ("audit", "deadlocks", "retentions"):
        del window[name]
    (tmp_path / "window.jsonl").write_text(json.dumps(window) + "\n")
    for path in (*tmp_path.glob("audit_*.jsonl"), tmp_path / "calls.jsonl"):
        path.unlink()
    fault = {"kind": "stop", "target": "node-0", "from_at": 1, "until_at": 2, "is_outage": False}
    (tmp_path / "faults.jsonl").write_text(json.dumps(fault) + "\n")
    assert History.load(tmp_path) == replace(TINY, faults=(Fault("stop", "node-0", 1, 2),))


def test_a_broken_audit_is_named(tmp_path: Path) -> None:
    AUDITED.save(tmp_path)
    window = json.loads((tmp_path / "window.jsonl").read_text())
    window["audit"]["more"] = 1
    (tmp_path / "window.jsonl").write_text(json.dumps(window) + "\n")
    with pytest.raises(HistoryError, match=r"window\.jsonl:1: .*more"):
        History.load(tmp_path)
    AUDITED.save(tmp_path)
    (tmp_path / "audit_ownership_changes.jsonl").write_text('{"partition_id":1}\n')
    with pytest.raises(HistoryError, match=r"audit_ownership_changes\.jsonl:1: "):
        History.load(tmp_path)


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    TINY.save(tmp_path)
    ledger = tmp_path / "ledger.jsonl"
    lines = ledger.read_text().splitlines()
    for broken in ("{", '{"namespace":"default"}', "[]", lines[1].replace("SUCCEEDED", "DONE")):
        ledger.write_text("\n".join([lines[0], broken, *lines[2:]]) + "\n")
        with pytest.raises(HistoryError, match=r"ledger\.jsonl:2: "):
            History.load(tmp_path)
    ledger.unlink()
    with pytest.raises(HistoryError, match=r"ledger\.jsonl"):
        History.load(tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "one-time"},
        {"kind": "cron", "expression": "* * * * *"},
        {"kind": "interval", "every_us": 5},
        {"kind": "yearly"},
        {"kind": "one-time", "at": 5, "acknowledged_at": None},
    ],
)
def test_a_task_that_lacks_its_schedule_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="default/x"):
        AcknowledgedTask("default", "x", handler="noop", sent_at=1, **({"acknowledged_at": 2} | fields))


def test_a_row_in_an_unknown_state_is_refused() -> None:
    with pytest.raises(ValueError, match="DONE"):
        LedgerRow("default", "x", 1, 1, "DONE")


def test_percentiles_are_nearest_rank() -> None:
    assert Spread.of([]) == Spread(0, 0, 0, 0)
    assert Spread.of([7]) == Spread(1, 7, 7, 7)
    assert Spread.of(range(1, 101)) == Spread(100, 50, 99, 100)
    assert Spread.of([3, 1, 2]) == Spread(3, 2, 3, 3)
    assert Spread.of(range(1, 1001)).p99_us == 990


def test_the_report_of_the_hand_made_history() -> None:
    report = summarize(TINY, check(TINY))
    assert (report.scheduled, report.executed, report.missing, report.duplicated) == (5, 5, 0, 0)
    assert report.by_kind == {"one-time": 1, "interval": 2, "cron": 2}
    assert report.lateness == Spread(5, 22_000, 22_000, 22_000)
    assert report.started == Spread(5, 20_000, 20_000, 20_000)
    assert [spread.max_us for spread in report.stages.values()] == [10_000, 5_000, 7_000, 10_000, 8_000]
    assert list(report.stages) == [name for name, _, _ in STAGES]
    assert report.nodes == {"node-0": Spread(5, 22_000, 22_000, 22_000)}
    assert report.executors == {"executor-0": Spread(5, 20_000, 20_000, 20_000)}
    assert report.is_ok


def test_the_report_shows_what_is_wrong() -> None:
    lost = with_runs(TINY, ONCE, ONCE_AT)
    twice = with_runs(lost, CRON, CRON_AT, run(CRON, CRON_AT), run(CRON, CRON_AT, executor_id="executor-1"))
    history = with_row(twice, CRON, NOW, node_id="node-1", picked_up_at=NOW + 12 * S)
    report = summarize(history, check(history))
    assert (report.scheduled, report.executed, report.missing, report.duplicated) == (5, 4, 1, 1)
    assert report.lateness.max_us == 12 * S
    assert report.nodes["node-1"] == Spread(1, 12 * S, 12 * S, 12 * S)
    assert not report.is_ok
    shown = json.loads(json.dumps(report.to_json()))
    assert shown["missing"] == 1
    assert shown["lateness"]["max_us"] == 12 * S
    assert any(line.startswith("I1 default/once") for line in shown["violations"])
    assert shown["vacuous"] == ["no one-time task fired"]


def test_the_report_is_rendered_with_its_verdict() -> None:
    def rendered(history: History) -> str:
        file = io.StringIO()
        Console(file=file, width=120).print(render(summarize(history, check(history))))
        return file.getvalue()

    clean, broken = rendered(TINY), rendered(with_runs(TINY, ONCE, ONCE_AT))
    assert "verdict: ok" in clean
    assert "picked up - dispatched" in clean
    assert "22.0" in clean
    assert "verdict: NOT OK" in broken
    assert "I1 default/once" in broken
    assert "proves nothing: no one-time task fired" in broken


def test_a_long_list_of_violations_is_cut_in_the_report_only() -> None:
    history = perfect_history(1, 10, ())
    verdict = check(replace(history, runs=()))
    report = summarize(history, verdict)
    assert len(report.violations) == 20 < report.violation_count == len(verdict.violations)


def test_the_verdict_is_plain_json_with_its_evidence() -> None:
    verdict = json.loads(json.dumps(check(with_runs(TINY, ONCE, ONCE_AT)).to_json()))
    assert verdict["is_ok"] is False
    assert verdict["counts"]["violations_I1"] == 1
    (violation,) = verdict["violations"]
    assert violation["invariant"] == "I1"
    assert violation["evidence"][0]["record"] == "LedgerRow"
    assert violation["evidence"][0]["scheduled_at"] == ONCE_AT


def test_checker_and_report_load_without_the_server_and_without_rich() -> None:
    code = (
        "import sys, mainspring.testing.report, mainspring.testing.workload, mainspring.testing.run_log\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('rich', 'grpc', 'google', 'kazoo', 'aiomysql')"
        " or name.startswith(('mainspring.server', 'mainspring.v1'))]\n"
        "sys.exit(', '.join(loaded) or 0)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_demo_plan_holds_every_kind_and_is_repeatable() -> None:
    plan = demo_plan(NOW + 123_456, 7)
    assert plan == demo_plan(NOW + 123_456, 7)
    assert plan != demo_plan(NOW + 123_456, 8)
    assert len(plan) == 5_000
    assert len({(task.namespace, task.task_id) for task in plan}) == 5_000
    assert Counter(task.group for task in plan) == {
        "one-time": 3_500,
        "herd": 1_000,
        "interval": 250,
        "cron": 250,
    }
    herd = {task.at for task in plan if task.group == "herd"}
    assert len(herd) == 1
    assert herd.pop() % SECOND_US == 0
    times = [task.at for task in plan if task.at is not None]
    assert min(times) >= NOW + 123_456 + 10 * S
    assert max(times) < NOW + 123_456 + 30 * S
    zones = {task.time_zone for task in plan if task.kind == "cron"}
    assert len(zones) > 4
    for task in plan:
        if task.kind == "cron":
            assert task.expression is not None
            assert task.time_zone is not None
            fires = cron_times(task.expression, task.time_zone, NOW, NOW + 60 * S)
            assert len(fires) == 12
            assert {later - sooner for sooner, later in pairwise(fires)} == {5 * S}
    acknowledged = plan[0].acknowledged(NOW, NOW + 5, anchor_at=99)
    assert (acknowledged.key, acknowledged.acknowledged_at) == ((plan[0].namespace, plan[0].task_id), NOW + 5)
    every = next(task for task in plan if task.kind == "interval")
    assert every.acknowledged(NOW, NOW + 5).anchor_at == every.anchor_at
    assert every.acknowledged(NOW, NOW + 5, anchor_at=99).anchor_at == 99


def test_the_lateness_plan_holds_its_rate() -> None:
    plan = lateness_plan(NOW, 1, rate=200, seconds=30)
    assert len(plan) == 6_000
    times = [task.at for task in plan if task.at is not None]
    assert times == sorted(times)
    per_second = Counter((at - NOW) // S for at in times)
    assert set(per_second.values()) == {200}
    assert len(per_second) == 30
