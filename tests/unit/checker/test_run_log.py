"""Reading the executors' run logs, torn and broken ones too."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainspring.testing.history import Run
from mainspring.testing.run_log import RunLogError, read_run_log, read_run_logs


def event(kind: str, at: int, task_id: str = "a", attempt: int = 1, **fields: object) -> dict[str, object]:
    line = {
        "event": kind,
        "namespace": "default",
        "task_id": task_id,
        "scheduled_at": 100,
        "attempt": attempt,
        "epoch": 4,
        "partition_id": 7,
        "executor_id": "executor-0",
        "handler": "noop",
        "at": at,
    }
    return (line | {"outcome": "succeeded"} if kind == "end" else line) | fields


def write(path: Path, *events: dict[str, object], tail: str = "") -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in events) + tail, encoding="utf-8")
    return path


def run(started_at: int, ended_at: int | None = None, outcome: str | None = None, **fields: object) -> Run:
    values = {"task_id": "a", "attempt": 1, "executor_id": "executor-0"} | fields
    return Run(
        namespace="default",
        scheduled_at=100,
        epoch=4,
        partition_id=7,
        handler="noop",
        started_at=started_at,
        ended_at=ended_at,
        outcome=outcome,
        **values,
    )


def test_starts_and_ends_are_joined(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log",
        event("start", 110),
        event("start", 111, "b"),
        event("end", 120, "b", outcome="failed"),
        event("start", 112, "c"),
        event("end", 130),
    )
    log = read_run_log(path)
    assert log.runs == (
        run(110, 130, "succeeded"),
        run(111, 120, "failed", task_id="b"),
        run(112, task_id="c"),
    )
    assert not log.is_torn


def test_the_same_attempt_twice_is_two_runs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log", event("start", 110), event("start", 115), event("end", 120), event("end", 121)
    )
    assert read_run_log(path).runs == (run(110, 120, "succeeded"), run(115, 121, "succeeded"))


def test_an_empty_file_is_an_empty_log(tmp_path: Path) -> None:
    assert read_run_log(write(tmp_path / "log")).runs == ()


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_cut_anywhere_keeps_its_whole_lines(tmp_path: Path, data: st.DataObject) -> None:
    whole = write(
        tmp_path / "whole", event("start", 110), event("end", 120), event("start", 111, "b")
    ).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    (tmp_path / "cut").write_bytes(whole[:cut])
    log = read_run_log(tmp_path / "cut")
    lines = whole[:cut].count(b"\n")
    assert len(log.runs) == [0, 1, 1, 2][lines]
    assert log.is_torn == (not (cut == 0 or whole[:cut].endswith(b"\n")))


@pytest.mark.parametrize(
    "broken",
    [
        {"event": "pause"},
        event("end", 120) | {"outcome": "fine"},
        event("start", 110) | {"attempt": "1"},
        event("start", 110) | {"attempt": True},
        {key: value for key, value in event("start", 110).items() if key != "epoch"},
        event("end", 120, "never started"),
    ],
)
def test_a_line_that_cannot_be_believed_is_refused_with_its_place(
    tmp_path: Path, broken: dict[str, object]
) -> None:
    path = write(tmp_path / "log", event("start", 110), broken, event("end", 130))
    with pytest.raises(RunLogError, match=r"log:2: "):
        read_run_log(path)


def test_garbage_before_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"event":"sta\n' + json.dumps(event("start", 110)) + "\n", encoding="utf-8")
    with pytest.raises(RunLogError, match=r"log:1: "):
        read_run_log(path)


def test_several_logs_are_merged_by_start(tmp_path: Path) -> None:
    first = write(tmp_path / "1", event("start", 110), event("start", 130, "c"))
    second = write(tmp_path / "2", event("start", 120, "b", executor_id="executor-1"), tail='{"ev')
    assert [each.task_id for each in read_run_logs([second, first])] == ["a", "b", "c"]
