"""Reader of the executors' run logs.

An executor writes one JSON object per line: `{"event": "start" | "end", "namespace", "task_id",
"scheduled_at", "attempt", "epoch", "partition_id", "executor_id", "handler", "at"}`, `at` in microseconds
UTC on the executor's own clock; on "start" also `"payload_mark"` (not in logs of old), and on "end" also
`"outcome": "succeeded" | "failed" | "cancelled"`. The start line is written before the start is
acknowledged, the end line before the result is sent. Each process
start has a file of its own: only so can a line torn by kill -9 be nothing but the last one.
"""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mainspring.testing.history import Run

OUTCOMES = frozenset({"succeeded", "failed", "cancelled"})


class RunLogError(ValueError):
    """A run log cannot be believed: a broken line before the last, an end without a start."""


@dataclass(frozen=True, slots=True)
class RunLog:
    """The runs of one file in order of their start, and whether its last line was torn."""

    runs: tuple[Run, ...]
    is_torn: bool


def read_run_log(path: Path) -> RunLog:
    """Read one file.

    The same attempt started twice gives two runs: that is for the checker to judge. An end belongs to the
    oldest open start of the same execution and attempt.

    Raises:
        RunLogError: A line other than the last is broken, or an end has no start.
        OSError: The file cannot be read.
    """
    runs: list[Run] = []
    open_runs: dict[tuple[object, ...], deque[int]] = {}
    lines = path.read_bytes().split(b"\n")
    # A file that ends in a newline splits into whole lines and one empty rest; any other rest is a torn line.
    rest = lines.pop()
    is_torn = bool(rest)
    for number, text in enumerate(lines, start=1):
        event = _parse(text)
        if event is None:
            raise RunLogError(f"{path}:{number}: not a run log line: {text[:200]!r}")
        key = (
            event["namespace"],
            event["task_id"],
            event["scheduled_at"],
            event["attempt"],
            event["executor_id"],
        )
        if event["event"] == "start":
            open_runs.setdefault(key, deque()).append(len(runs))
            runs.append(_started(event))
            continue
        waiting = open_runs.get(key)
        if not waiting:
            raise RunLogError(f"{path}:{number}: an end without a start: {text[:200]!r}")
        index = waiting.popleft()
        runs[index] = replace(runs[index], ended_at=event["at"], outcome=event["outcome"])
    return RunLog(tuple(runs), is_torn)


def read_run_logs(paths: Iterable[Path]) -> tuple[Run, ...]:
    """The runs of several files, in order of their start. Raises as `read_run_log`."""
    runs = [run for path in sorted(paths) for run in read_run_log(path).runs]
    return tuple(sorted(runs, key=lambda run: run.started_at))


_TEXTS = ("namespace", "task_id", "executor_id", "handler")
_NUMBERS = ("scheduled_at", "attempt", "epoch", "partition_id", "at")


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("event") not in ("start", "end"):
        return None
    is_whole = all(isinstance(event.get(name), str) for name in _TEXTS) and all(
        type(event.get(name)) is int for name in _NUMBERS
    )
    mark = event.get("payload_mark", 0)
    if (
        not is_whole
        or type(mark) is not int
        or (event["event"] == "end" and event.get("outcome") not in OUTCOMES)
    ):
        return None
    return event


def _started(event: dict[str, Any]) -> Run:
    return Run(
        namespace=event["namespace"],
        task_id=event["task_id"],
        scheduled_at=event["scheduled_at"],
        attempt=event["attempt"],
        epoch=event["epoch"],
        partition_id=event["partition_id"],
        executor_id=event["executor_id"],
        handler=event["handler"],
        started_at=event["at"],
        payload_mark=event.get("payload_mark"),
    )
