"""`register`: unary CreateTask from 64 callers at once, and BatchCreateTasks; every answer means a commit on disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.bursts import Bursts
from benchmarks.client_process import Kind, Work
from benchmarks.client_processes import Calls, call
from benchmarks.results import Results

from mainspring.server.persistence.mysql.literals import text
from mainspring.testing.errors import TestingError
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US
from mainspring.testing.sql_server import connect

PREPARE_S = 3.0
"""For the client processes to start and to build their requests."""


@dataclass(frozen=True, slots=True)
class RegisterSettings:
    """How much is registered, and by how many."""

    processes: int = 2
    callers: int = 64
    calls: int = 16_000
    batch: int = 500
    batch_callers: int = 4
    batch_tasks: int = 100_000
    repeats: int = 3


async def measure(bursts: Bursts, settings: RegisterSettings, results: Results) -> None:
    """Write `register ...` into the results.

    Raises:
        TestingError: A client failed, a call did, or the database does not hold what was acknowledged.
    """
    unary = [
        await _register(bursts, "create", settings.calls, 1, settings.callers, settings.processes)
        for _ in range(settings.repeats)
    ]
    results.spread("register unary (tasks/s)", [calls.items_per_s for calls in unary])
    for percentile in ("p50", "p99", "max"):
        values = [getattr(calls.latency, f"{percentile}_us") / 1_000 for calls in unary]
        results.spread(f"register unary latency {percentile} (ms)", values)
    batches = [
        await _register(
            bursts,
            "batch",
            settings.batch_tasks,
            settings.batch,
            settings.batch_callers,
            min(settings.processes, settings.batch_callers),
        )
        for _ in range(settings.repeats)
    ]
    results.spread("register batch (tasks/s)", [calls.items_per_s for calls in batches])
    # What the callers take of the machine, which a caller elsewhere would not.
    results.spread("register unary clients CPU (us/task)", [calls.cpu_us for calls in unary])
    results.spread("register batch clients CPU (us/task)", [calls.cpu_us for calls in batches])


async def _register(
    bursts: Bursts, kind: Kind, tasks: int, batch: int, callers: int, processes: int
) -> Calls:
    rig, namespace = bursts.rig, bursts.next_namespace()
    node = rig.cluster.nodes[0]
    begin_at = now_us() + int(PREPARE_S * SECOND_US)
    share = tasks // batch // processes
    works = [
        Work(
            kind,
            node.address,
            namespace,
            callers=callers // processes,
            begin_at=begin_at,
            out=str(rig.cluster.folder.logs / f"{namespace}-{number}.json"),
            count=share,
            first=number * share * batch,
            tasks=batch,
        )
        for number in range(processes)
    ]
    calls = await call(rig.cluster.folder, works)
    stored = await asyncio.to_thread(count_tasks, rig.cluster.mysql_url, namespace)
    wanted = share * batch * processes
    if calls.errors or calls.items != wanted or stored != wanted:
        raise TestingError(
            f"{namespace}: {calls.errors} calls failed, {calls.items:,} tasks acknowledged, {stored:,} stored, of {wanted:,}"
        )
    return calls


def count_tasks(url: str, namespace: str) -> int:
    """How many tasks the database holds of a namespace."""
    with connect(url, timeout_s=60.0) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM tasks WHERE namespace = {text(namespace)}")
        row = cursor.fetchone()
        return 0 if row is None else int(row[0])
