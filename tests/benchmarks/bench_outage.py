"""After an outage of an hour: is fresh work on time beside the backlog, and how fast does the backlog go?

    make bench-outage [TASKS=1000000] [MISFIRE=latest] [GOES_ON=1]

Stores recurring tasks of every minute whose next times all lie an hour back, as an outage leaves them, then starts a node
and an executor on the same machine. From the node's first second on, new one-time tasks that are due at once are registered,
some for the backlog's handler and some for another one. Measured: their lateness by the ledger, how fast the tasks of the
backlog are claimed, memory of the node, and what the ledger tells of each stretch that was missed.

The result goes to docs/runs/outage.md. Exit code 0 when fresh work kept the promise of 10 s and every stretch is recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from mainspring.client import Delay, MainspringClient, NewTask, Task
from mainspring.server.core import policies
from mainspring.server.core.model import NewTask as StoredTask
from mainspring.server.core.model import TaskRef
from mainspring.server.core.policies import Misfire, MisfireMode, Policies
from mainspring.server.core.schedule import Cron, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.report import Spread
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.run_note import SPREAD_HEADER, note_path, spread_row, table, write_note
from mainspring.testing.sql_server import connect

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
OUTAGE_MINUTES: Final = 60
BACKLOG, FRESH = "backlog", "fresh"
BACKLOG_HANDLER, OTHER_HANDLER = "noop", "echo"
STORE_BATCH: Final = 1_000
STORE_CALLS: Final = 4
FRESH_EVERY_S: Final = 0.1
PROMISED_US: Final = 10 * SECOND_US
SAMPLE_S: Final = 5.0

_REMAINING = "SELECT COUNT(*) FROM tasks FORCE INDEX (due) WHERE due_at < %s"
_LATENESS = """SELECT t.handler, e.due_at, e.picked_up_at - e.due_at FROM executions e
JOIN tasks t ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE t.namespace = 'fresh' AND e.picked_up_at IS NOT NULL"""
_FIRST_STRETCHES = """SELECT e.gap_count, e.reason, COUNT(*) FROM executions e
WHERE e.scheduled_at = %s AND e.gap_last_scheduled_at IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC"""
_UNEVEN = """SELECT COUNT(*) FROM (
  SELECT t.task_key FROM tasks t JOIN executions e ON e.partition_id = t.partition_id AND e.task_key = t.task_key
  WHERE t.namespace = 'backlog' GROUP BY t.partition_id, t.task_key, t.execution_count
  HAVING SUM(IF(e.gap_last_scheduled_at IS NULL, 1, e.gap_count)) <> t.execution_count) uneven"""
_ORIGINS = "SELECT origin, state, COUNT(*) FROM executions GROUP BY 1, 2 ORDER BY 1, 2"


@dataclass(frozen=True, slots=True)
class OutageSettings:
    """What is measured.

    Attributes:
        tasks: In the backlog.
        fresh_per_s: New tasks a second, half of them for the backlog's handler.
        seconds: For so long at most.
        catch_up_limit: With misfire ALL.
        goes_on: Whether the backlog's tasks fire on every minute afterwards; else their schedules end with the outage. A
            million that go on are 16,700 a second, which is more than this machine does.
    """

    tasks: int
    misfire: MisfireMode = MisfireMode.LATEST
    fresh_per_s: int = 200
    seconds: float = 600.0
    catch_up_limit: int = 100
    goes_on: bool = False
    capacity: int = 1_000
    partitions: int = 256
    buffer_pool_mb: int = 1_024


@dataclass(slots=True)
class Measured:
    """What came out. Seconds, MiB; lateness in microseconds."""

    first_at: int
    stored_s: float = 0.0
    samples: list[tuple[float, int, float, float]] = field(default_factory=list)
    """(seconds since the node was ready, tasks of the backlog that were not claimed yet, node's MiB, its CPU seconds)."""
    lateness: dict[str, Spread] = field(default_factory=dict)
    early_lateness: dict[str, Spread] = field(default_factory=dict)
    """Of what was due in the first 10 s."""
    stretches: list[tuple[int, str, int]] = field(default_factory=list)
    """(count, reason, how many tasks) of the gap rows that begin with the outage."""
    uneven: int = 0
    """Tasks whose count is not what the ledger holds of them."""
    origins: list[tuple[int, int, int]] = field(default_factory=list)
    registered: int = 0
    never: int = 0
    """Fresh tasks that were acknowledged and that nothing had picked up 5 s after the last one."""
    load: float = 0.0

    @property
    def is_on_time(self) -> bool:
        """Whether fresh work kept the promise, for either handler and in the first seconds too."""
        spreads = [*self.lateness.values(), *self.early_lateness.values()]
        return self.never <= 0 and bool(spreads) and all(spread.p99_us <= PROMISED_US for spread in spreads)

    @property
    def rate(self) -> float:
        """Tasks of the backlog claimed a second, until the last sample in which some were left."""
        begin, *_ = self.samples
        end = next((sample for sample in self.samples if sample[1] == 0), self.samples[-1])
        return (begin[1] - end[1]) / max(0.001, end[0] - begin[0])


def backlog_tasks(settings: OutageSettings, first_at: int) -> list[StoredTask]:
    """The stored tasks, next due at `first_at`."""
    end_at = None if settings.goes_on else first_at + (OUTAGE_MINUTES - 1) * MINUTE_US + 1
    schedule = encode(Schedule(Cron(("* * * * *",), "UTC"), end_at=end_at))
    policy = policies.encode(Policies(misfire=Misfire(settings.misfire, limit=settings.catch_up_limit)))
    tasks: list[StoredTask] = []
    for number in range(settings.tasks):
        task_id = f"minute-{number:07}"
        key = task_key(BACKLOG, task_id)
        tasks.append(
            StoredTask(
                ref=TaskRef(partition_of(key, settings.partitions), key),
                namespace=BACKLOG,
                task_id=task_id,
                handler=BACKLOG_HANDLER,
                payload=b"",
                schedule=schedule,
                definition_hash=key,
                scheduled_at=first_at,
                due_at=first_at,
                created_at=first_at - MINUTE_US,
                policies=policy,
            )
        )
    return tasks


async def store_backlog(url: str, tasks: Sequence[StoredTask]) -> None:
    """Write them with the product's own statements."""
    store = MySQLStore(MySQLSettings.from_url(url))
    await store.start()
    gate = asyncio.Semaphore(STORE_CALLS)

    async def write(batch: Sequence[StoredTask]) -> None:
        async with gate:
            await store.create_tasks(batch)

    try:
        async with asyncio.TaskGroup() as group:
            for first in range(0, len(tasks), STORE_BATCH):
                group.create_task(write(tasks[first : first + STORE_BATCH]))
    finally:
        await store.close()


async def register_fresh(client: MainspringClient, per_s: int, measured: Measured) -> None:
    """New tasks that are due at once, until cancelled; a slow call holds nothing up."""
    async with asyncio.TaskGroup() as group:
        began_s, number = time.monotonic(), 0

        async def send(batch: Sequence[NewTask]) -> None:
            answers = await client.create_tasks(batch, timeout_s=20.0)
            measured.registered += sum(isinstance(answer, Task) for answer in answers)

        while True:
            wanted = int((time.monotonic() - began_s) * per_s)
            batch = [
                NewTask(
                    (BACKLOG_HANDLER, OTHER_HANDLER)[n % 2],
                    Delay(timedelta(0)),
                    namespace=FRESH,
                    task_id=f"fresh-{n}",
                )
                for n in range(number, wanted)
            ]
            number = wanted
            if batch:
                group.create_task(send(batch))
            await asyncio.sleep(FRESH_EVERY_S)


@asynccontextmanager
async def running(task: asyncio.Task[None]) -> AsyncIterator[None]:
    """A task that ends with the block; its failure ends the block's owner."""
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            raise task.exception() or RuntimeError


def ask(url: str, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Ask the database itself."""
    with connect(url, timeout_s=120.0) as connection, connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return list(cursor.fetchall())


async def sample(url: str, node: MemberProcess, settings: OutageSettings, measured: Measured) -> None:
    """Watch the backlog until it is claimed, or for as long as the settings say."""
    began_s, due_before = time.monotonic(), measured.first_at + MINUTE_US
    while True:
        ((remaining,),) = await asyncio.to_thread(ask, url, _REMAINING, due_before)
        elapsed_s = time.monotonic() - began_s
        usage = node.usage()
        assert usage is not None, f"the node has ended\n{node.child.log_tail()}"
        measured.samples.append((elapsed_s, remaining, usage.memory_mb, usage.cpu_s))
        print(f"{elapsed_s:6.1f} s: {remaining:9,} left, node {usage.memory_mb:5.0f} MiB", flush=True)
        if (remaining == 0 and elapsed_s > 2 * SAMPLE_S) or elapsed_s > settings.seconds:
            return
        await asyncio.sleep(SAMPLE_S)


async def measure(settings: OutageSettings) -> Measured:
    """One run on a cluster of its own; nothing is left running."""
    folder = RunFolder.create("outage")
    print(f"logs: {folder.path}")
    cluster = Cluster(
        folder,
        ClusterSettings(
            partitions=settings.partitions,
            executor_capacity=settings.capacity,
            buffer_pool_mb=settings.buffer_pool_mb,
        ),
    )
    now = time.time_ns() // 1_000
    measured = Measured((now // MINUTE_US - OUTAGE_MINUTES) * MINUTE_US)
    try:
        await asyncio.to_thread(cluster.start_servers)
        await asyncio.to_thread(cluster.migrate)
        began_s = time.monotonic()
        await store_backlog(cluster.mysql_url, backlog_tasks(settings, measured.first_at))
        measured.stored_s = time.monotonic() - began_s
        print(f"{settings.tasks:,} tasks stored in {measured.stored_s:.1f} s")
        node = await asyncio.to_thread(cluster.add_node)
        executor = await asyncio.to_thread(cluster.add_executor)
        async with MainspringClient(node.address) as client:
            fresh = asyncio.create_task(register_fresh(client, settings.fresh_per_s, measured))
            async with running(fresh):
                await sample(cluster.mysql_url, node, settings, measured)
            measured.load = os.getloadavg()[0]
            await asyncio.sleep(SAMPLE_S)  # what was registered last has been picked up, or counts as missing
        assert executor.is_running
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(read_results, cluster.mysql_url, measured)
    finally:
        await asyncio.to_thread(cluster.close)
    return measured


def read_results(url: str, measured: Measured) -> None:
    """What the ledger tells."""
    by_handler: dict[str, list[tuple[int, int]]] = {}
    for handler, due_at, late_us in ask(url, _LATENESS):
        by_handler.setdefault(handler, []).append((due_at, late_us))
    first_due_at = min((due_at for rows in by_handler.values() for due_at, _ in rows), default=0)
    for handler, rows in by_handler.items():
        measured.lateness[handler] = Spread.of(late_us for _, late_us in rows)
        measured.early_lateness[handler] = Spread.of(
            late_us for due_at, late_us in rows if due_at < first_due_at + PROMISED_US
        )
    # What was not answered may have been registered all the same.
    measured.never = max(0, measured.registered - sum(map(len, by_handler.values())))
    measured.stretches = [
        (int(n), str(why), int(many)) for n, why, many in ask(url, _FIRST_STRETCHES, measured.first_at)
    ]
    ((measured.uneven,),) = ask(url, _UNEVEN)
    measured.origins = [(int(a), int(b), int(c)) for a, b, c in ask(url, _ORIGINS)]


def parts_of_note(settings: OutageSettings, measured: Measured) -> list[str]:
    """The note's paragraphs and tables."""
    lateness = [
        *(spread_row(f"handler {name}", spread) for name, spread in sorted(measured.lateness.items())),
        *(
            spread_row(f"handler {name}, due in the first 10 s", spread)
            for name, spread in sorted(measured.early_lateness.items())
        ),
    ]
    after = "go on" if settings.goes_on else "end"
    peak_mb = max(memory_mb for *_, memory_mb, _ in measured.samples)
    return [
        f"Written by `make bench-outage`: {settings.tasks:,} tasks of every minute, misfire {settings.misfire.name}, whose "
        f"next times lie {OUTAGE_MINUTES} minutes back and which {after} at its end; then one node, one executor of "
        f"capacity {settings.capacity:,}, and {settings.fresh_per_s} new tasks a second that are due at once, half of "
        f"them for the backlog's handler ({BACKLOG_HANDLER}). {settings.partitions} partitions, MariaDB with "
        f"{settings.buffer_pool_mb} MiB that flushes its log at each commit, everything on one machine, load average at "
        f"the end {measured.load:.1f}.",
        "## Lateness of fresh work",
        table(SPREAD_HEADER, lateness),
        f"{measured.registered:,} fresh tasks were acknowledged, {measured.never:,} of them not picked up in the end.",
        "## Backlog",
        f"Claimed at {measured.rate:,.0f} tasks a second; the node's memory was {peak_mb:,.0f} MiB at most. Stored in "
        f"{measured.stored_s:.0f} s.",
        table(
            ("s", "left", "node MiB", "node CPU s"),
            [
                (f"{at_s:.0f}", f"{left:,}", f"{memory_mb:.0f}", f"{cpu_s:.1f}")
                for at_s, left, memory_mb, cpu_s in measured.samples
            ],
        ),
        "## Ledger",
        table(
            ("gap rows that begin with the outage: tasks", "times in each", "reason"),
            [(f"{many:,}", count, reason) for count, reason, many in measured.stretches],
        ),
        f"Tasks whose count of executions is not what the ledger holds of them: {measured.uneven:,}.",
    ]


def main() -> int:
    """Parse the command line, measure, write the note; 0 when fresh work was on time and the ledger is whole."""
    parser = argparse.ArgumentParser(prog="make bench-outage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--misfire", choices=["none", "latest", "all"], default="latest")
    parser.add_argument("--rate", type=int, default=200, help="fresh tasks a second")
    parser.add_argument("--seconds", type=float, default=600.0, help="for so long at most")
    parser.add_argument(
        "--goes-on", action="store_true", help="the backlog's tasks fire on every minute afterwards"
    )
    parser.add_argument("--note", type=Path, help="default: docs/runs/outage.md, or outage-all.md")
    arguments = parser.parse_args()
    settings = OutageSettings(
        arguments.tasks,
        MisfireMode[arguments.misfire.upper()],
        arguments.rate,
        arguments.seconds,
        goes_on=arguments.goes_on,
    )
    measured = asyncio.run(measure(settings))
    parts = parts_of_note(settings, measured)
    print("\n\n".join(parts))
    suffix = "" if settings.misfire is MisfireMode.LATEST else f"-{arguments.misfire}"
    suffix += "-goes-on" if settings.goes_on else ""
    note = arguments.note or note_path(f"outage{suffix}.md")
    if note is not None:
        write_note(note, "After an outage of an hour", parts)
    if not measured.is_on_time:
        print("NOT OK: fresh work was late")
    if measured.uneven:
        print("NOT OK: the ledger and the tasks' counts differ")
    return 0 if measured.is_on_time and not measured.uneven else 1


if __name__ == "__main__":
    sys.exit(main())
