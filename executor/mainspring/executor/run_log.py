"""The executor's own evidence of what it ran: an append-only file of JSON lines.

One line per event, written with one write(2) per batch before the batch goes on: a kill -9 of the process loses
no start of a handler that began (a crash of the machine may).

    {"event":"start"|"end","namespace":...,"task_id":...,"scheduled_at":...,"attempt":...,"epoch":...,
     "partition_id":...,"executor_id":...,"handler":...,"at":...,"payload_mark":...,
     "outcome":"succeeded"|"failed"|"cancelled"}

Instants are microseconds UTC; `at` is this machine's wall clock. `payload_mark`, the CRC-32 of the payload, is there on
`start` only: it tells which of some definitions ran. `outcome` is there on `end` only.
"""

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from mainspring.executor.attempts import Outcome
from mainspring.executor.job import Job
from mainspring.executor.log import logger

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class RunLog:
    """Appends to one file. For one task at a time; blocks for the write, into the page cache.

    Args:
        path: Created with its folders when missing, else appended to.
        executor_id: Written into each line.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, executor_id: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._path = path
        self._executor_id = executor_id
        self._has_failed = False

    def starts(self, jobs: Iterable[Job], at: int) -> None:
        """Record that handlers begin, before they do."""
        self._write([self._line("start", job, at) for job in jobs])

    def ends(self, ended: Iterable[tuple[Job, Outcome]], at: int) -> None:
        """Record that handlers have ended."""
        self._write([self._line("end", job, at, outcome) for job, outcome in ended])

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _line(self, event: str, job: Job, at: int, outcome: Outcome | None = None) -> str:
        record: dict[str, object] = {
            "event": event,
            "namespace": job.namespace,
            "task_id": job.task_id,
            "scheduled_at": job.scheduled_at,
            "attempt": job.attempt,
            "epoch": job.epoch,
            "partition_id": job.partition_id,
            "executor_id": self._executor_id,
            "handler": job.handler,
            "at": at,
        }
        if outcome is None:
            record["payload_mark"] = zlib.crc32(job.payload)
        else:
            record["outcome"] = outcome.name.lower()
        return _encode(record) + "\n"

    def _write(self, lines: list[str]) -> None:
        rest = memoryview("".join(lines).encode())
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # Evidence is missing then, and the checker will say so; work goes on.
            if not self._has_failed:
                logger.exception("run_log.write_failed", path=str(self._path))
            self._has_failed = True
