"""The run log: what a line holds, and that it is in the file before the call returns."""

import json
from pathlib import Path

from mainspring.executor.attempts import Outcome
from mainspring.executor.job import Job
from mainspring.executor.run_log import RunLog


def job(number: int) -> Job:
    return Job(
        namespace="default",
        task_id=f"täsk-{number}\n",
        handler="noop",
        scheduled_at=1_000 + number,
        attempt=2,
        partition_id=7,
        epoch=3,
    )


def test_lines_are_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "run.jsonl"
    log = RunLog(path, "executor-1")
    log.starts([job(1), job(2)], 5_000)
    log.ends([(job(1), Outcome.FAILED)], 6_000)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "event": "start",
        "namespace": "default",
        "task_id": "täsk-1\n",
        "scheduled_at": 1_001,
        "attempt": 2,
        "epoch": 3,
        "partition_id": 7,
        "executor_id": "executor-1",
        "handler": "noop",
        "at": 5_000,
        "payload_mark": 0,
    }
    assert [line["event"] for line in lines] == ["start", "start", "end"]
    assert lines[2]["outcome"] == "failed"
    log.close()


def test_a_second_process_start_appends(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for executor_id in ("one", "two"):
        log = RunLog(path, executor_id)
        log.starts([job(1)], 1)
        log.close()
    assert [json.loads(line)["executor_id"] for line in path.read_text().splitlines()] == ["one", "two"]
