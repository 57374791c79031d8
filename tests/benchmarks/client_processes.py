"""Starts client processes, waits for them, and adds up what they did."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client_process import Done, Work

from mainspring.testing.child_process import ChildProcess
from mainspring.testing.errors import TestingError
from mainspring.testing.load_run import SECOND_US
from mainspring.testing.member_process import import_environment
from mainspring.testing.report import Spread
from mainspring.testing.run_folder import RunFolder

_END_TIMEOUT_S = 180.0
_TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Calls:
    """What some processes did together."""

    items: int
    errors: int
    cpu_s: float
    """Of the processes themselves, while they called."""
    seconds: float
    """From the common begin to the last answer."""
    latency: Spread

    @property
    def cpu_us(self) -> float:
        """CPU time of the processes for one item, in microseconds."""
        return self.cpu_s * SECOND_US / self.items

    @property
    def items_per_s(self) -> float:
        """Tasks created, changed or listed a second."""
        return self.items / self.seconds


async def call(folder: RunFolder, works: Sequence[Work]) -> Calls:
    """Run a process for each of these, to its end.

    Raises:
        TestingError: One failed; the message holds what it said.
    """
    done = await asyncio.gather(*(asyncio.to_thread(_run, folder, work) for work in works))
    return Calls(
        items=sum(one.items for one in done),
        errors=sum(one.errors for one in done),
        cpu_s=sum(one.cpu_s for one in done),
        seconds=(max(one.until_at for one in done) - min(one.from_at for one in done)) / SECOND_US,
        latency=Spread.of(latency for one in done for latency in one.latencies_us),
    )


def _run(folder: RunFolder, work: Work) -> Done:
    environment = import_environment()
    environment["PYTHONPATH"] += os.pathsep + str(_TESTS)
    child = ChildProcess(
        Path(work.out).stem,
        [sys.executable, "-m", "benchmarks.client_process", work.to_json()],
        log_path=folder.logs / f"{Path(work.out).stem}.log",
        environment=environment,
    )
    child.start()
    try:
        code = child.wait(timeout_s=_END_TIMEOUT_S)
    finally:
        child.kill()
    if code != 0:
        raise TestingError(f"{child.name} ended with code {code}\n{child.log_tail()}")
    return Done(**json.loads(Path(work.out).read_text(encoding="utf-8")))
