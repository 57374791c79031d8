"""`backlog`: far more is due at once than executors can run: memory stays bounded, and nothing is dropped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from benchmarks import counters
from benchmarks.bursts import started
from benchmarks.prewritten import write_ahead
from benchmarks.results import Results
from benchmarks.rig import RigSettings
from benchmarks.sampling import Sampling

from mainspring.server.persistence.mysql.literals import text
from mainspring.testing.errors import TestingError
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.sql_server import connect

HANDLER, PAYLOAD = "sleep", b"1"
NAMESPACE = "backlog"
_TIMEOUT_S = 120.0

# A task that was claimed has its execution; one that was not is due. There is no third place.
_ACCOUNT = """SELECT
  (SELECT COUNT(*) FROM tasks WHERE namespace = {namespace} AND due_at IS NOT NULL),
  (SELECT COUNT(*) FROM tasks t JOIN executions e ON e.partition_id = t.partition_id AND e.scheduled_at = t.last_scheduled_at
    AND e.task_key = t.task_key WHERE t.namespace = {namespace})"""


@dataclass(frozen=True, slots=True)
class BacklogSettings:
    """How many tasks, for how long, and how little the executors can take: each task sleeps for a second."""

    tasks: int = 500_000
    seconds: int = 30
    ahead_s: int = 20
    rig: RigSettings = field(default_factory=lambda: RigSettings(executor_capacity=200))


async def measure(settings: BacklogSettings, results: Results) -> None:
    """Write `backlog ...` into the results.

    Raises:
        TestingError: A task is neither due nor recorded, or nothing was run.
    """
    async with started("backlog", settings.rig) as bursts:
        cluster = bursts.rig.cluster
        due_at = (now_us() // SECOND_US + settings.ahead_s + settings.tasks // 25_000) * SECOND_US
        await write_ahead(bursts.rig, NAMESPACE, settings.tasks, due_at, handler=HANDLER, payload=PAYLOAD)
        await sleep_until(due_at - SECOND_US // 2)
        with Sampling(cluster) as sampling:
            before = await counters.read(cluster)
            await asyncio.sleep(settings.seconds)
            counted = counters.difference(before, await counters.read(cluster))
        due, recorded = await asyncio.to_thread(_account, cluster.mysql_url)
    executed = counters.executed(counted)
    if due + recorded != settings.tasks or not executed:
        raise TestingError(
            f"of {settings.tasks:,} tasks {due:,} are due, {recorded:,} are recorded, {executed:,} have run"
        )
    name = f"backlog {settings.tasks}"
    results.put(f"{name} node memory (MiB)", sampling.resident_mb("node"))
    results.put(f"{name} executed (executions/s)", executed / settings.seconds)
    results.put(f"{name} node CPU (% of a core)", 100 * sampling.cpu_s("node") / sampling.seconds)
    results.put(f"{name} loop lag p99 (ms)", counters.quantile(counted, counters.LOOP_LAG, 0.99) * 1_000)


def _account(url: str) -> tuple[int, int]:
    """Tasks that are due, and tasks whose execution is recorded, at one instant."""
    with connect(url, timeout_s=_TIMEOUT_S) as connection, connection.cursor() as cursor:
        cursor.execute(_ACCOUNT.format(namespace=text(NAMESPACE)))
        row = cursor.fetchone()
        assert row is not None
        return int(row[0]), int(row[1])
