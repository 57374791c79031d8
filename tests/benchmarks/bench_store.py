"""What the store does by itself: claim + complete, and registration, on a real server, a SQLite file or in memory.

    PYTHONPATH=protos:server:shard_manager:testing .venv/bin/python tests/benchmarks/bench_store.py \
        [--database mariadb|mysql|sqlite-file|sqlite-memory] [--url URL] [--audit]

No scheduler, no stream: an owner that claims and completes as fast as it is answered. Each figure is the best of
`--repeats` runs with `--tasks` tasks; Python's part is the process's CPU time. The server runs with its durable
settings (every commit reaches the disk) on the same machine. SQLite works inside this process: its round trips are
units, its CPU time is Python's, and "connections" are callers side by side. With `--audit` the triggers of fault tests
watch (`mainspring.testing.audit`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from mainspring.server.core.attempt import Completion, Dispatchable
from mainspring.server.core.claim import ClaimItem, ClaimRun
from mainspring.server.core.model import DueTask, ExecutionState, NewTask, TaskRef
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import LaneSettings, MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.server.persistence.store import Store
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.testing.audit import install_audit, read_audit
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.mysql import MySqlServer

PARTITIONS = 256
T0 = 1_800_000_000_000_000
OWNER = "node-1-0123456789abcdef"


@dataclass(slots=True)
class Measured:
    """One run."""

    tasks: int
    wall_s: float
    cpu_s: float
    statements: int

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.wall_s

    def line(self, name: str) -> str:
        """A line of the table."""
        return (
            f"{name:<44} {self.rate:>9,.0f}/s {self.cpu_s / self.tasks * 1e6:>7.1f} us Python"
            f" {self.statements / self.tasks:>8.4f} round trips a task"
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """A store, started, and what it has done so far."""

    store: Store
    units: Callable[[], int]
    """Round trips to a server, or units of work inside the process."""
    stats: object


@contextmanager
def _server(url: str | None, database: str) -> Iterator[tuple[str, str]]:
    """URL of the database, by the product's account and by an administrator's."""
    if url is not None:
        yield url, url
        return
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        if database.startswith("sqlite"):
            path = ":memory:" if database == "sqlite-memory" else f"{folder}/mainspring.db"
            yield path, path
            return
        server = (MySqlServer if database == "mysql" else MariaDbServer)(Path(folder) / "server")
        with server.running(), server.fresh_database() as fresh:
            # The account of the owner, so that the audit has all of its work to do.
            yield server.create_account(fresh, node="node-1"), server.administrator_database_url(fresh)


async def _open_sqlite(path: str) -> Subject:
    store = SQLiteStore(path, PARTITIONS)
    await store.start()
    return Subject(store, lambda: store.stats.reads + store.stats.writes, store.stats)


async def _open_mysql(url: str, audit_url: str | None) -> Subject:
    settings = replace(MySQLSettings.from_url(url), hot=LaneSettings(connections=4))
    await migrate(settings, PARTITIONS)
    if audit_url is not None:
        await asyncio.to_thread(install_audit, audit_url)
    store = MySQLStore(settings)
    await store.start()
    return Subject(store, lambda: store.stats.statements, store.stats)


def _new_tasks(begin: int, count: int) -> list[NewTask]:
    tasks = []
    for number in range(begin, begin + count):
        task_id = f"reminder-{number:08d}"
        key = task_key("default", task_id)
        tasks.append(
            NewTask(
                ref=TaskRef(partition_of(key, PARTITIONS), key),
                namespace="default",
                task_id=task_id,
                handler="send-reminder",
                payload=b'{"user": 123456, "text": "the tide is out"}',
                schedule='{"kind":"once"}',
                definition_hash=key,
                scheduled_at=T0,
                due_at=T0,
                created_at=T0,
            )
        )
    return tasks


def _item(due: DueTask) -> ClaimItem:
    return ClaimItem(
        due, (ClaimRun(due.scheduled_at, due.due_at, "executor-1-0123456789"),), None, None, None
    )


def _end(sent: Dispatchable) -> Completion:
    return Completion(sent.ref, sent.epoch, 1, ExecutionState.SUCCEEDED, "", b"", T0 + 1, T0 + 2, T0 + 3)


async def _create(subject: Subject, begin: int, count: int, batch: int, lanes: int) -> Measured:
    tasks = _new_tasks(begin, count)
    batches = [tasks[n : n + batch] for n in range(0, count, batch)]
    before, cpu, wall = subject.units(), time.process_time(), time.perf_counter()

    async def lane() -> None:
        while batches:
            await subject.store.create_tasks(batches.pop())

    await asyncio.gather(*(lane() for _ in range(lanes)))
    return Measured(count, time.perf_counter() - wall, time.process_time() - cpu, subject.units() - before)


async def _claim_and_complete(subject: Subject, epochs: dict[int, int], batch: int, lanes: int) -> Measured:
    store = subject.store
    due = await store.load_due_tasks(
        range(PARTITIONS), from_at=0, until_at=T0 + 1, after=None, limit=1_000_000
    )
    # The order of the wheel: by time, not by key.
    due.sort(key=lambda task: task.task_key)
    batches = [due[n : n + batch] for n in range(0, len(due), batch)]
    before, cpu, wall = subject.units(), time.process_time(), time.perf_counter()

    async def lane() -> None:
        while batches:
            part = batches.pop()
            outcome = await store.claim(
                OWNER, epochs, [_item(task) for task in part], now=T0, wake_at=T0 + 5_000_000
            )
            assert len(outcome.claimed) == len(part)
            refused = await store.complete(OWNER, [_end(sent) for sent in outcome.claimed], now=T0 + 9)
            assert not refused

    await asyncio.gather(*(lane() for _ in range(lanes)))
    return Measured(len(due), time.perf_counter() - wall, time.process_time() - cpu, subject.units() - before)


async def _run(
    url: str, audit_url: str | None, count: int, repeats: int, sizes: list[tuple[int, int]]
) -> None:
    subject = await (_open_mysql(url, audit_url) if "://" in url else _open_sqlite(url))
    store = subject.store
    rows = await store.read_partitions()
    begun = time.perf_counter()
    leases = await store.take_partitions([(row.partition_id, row.epoch) for row in rows], OWNER)
    print(f"{f'take {len(leases)} partitions':<44} {time.perf_counter() - begun:>9.3f} s")
    epochs = {lease.partition_id: lease.epoch for lease in leases}
    created = 0
    for batch, lanes in sizes:
        best_create: Measured | None = None
        best: Measured | None = None
        for _ in range(repeats):
            measured = await _create(subject, created, count, batch, lanes)
            created += count
            if best_create is None or measured.rate > best_create.rate:
                best_create = measured
            measured = await _claim_and_complete(subject, epochs, batch, lanes)
            if best is None or measured.rate > best.rate:
                best = measured
        assert best is not None
        assert best_create is not None
        print(best_create.line(f"create, batch {batch}, {lanes} connections"))
        print(best.line(f"claim + complete, batch {batch}, {lanes} connections"))
    print(subject.stats)
    await store.close()
    if audit_url is not None and "://" in url:
        trail = await asyncio.to_thread(read_audit, audit_url)
        print(f"audit: {len(trail.stale_writes)} stale writes, {len(trail.final_overwrites)} overwrites")


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="an empty database to use instead of a server of its own")
    parser.add_argument(
        "--database", choices=["mariadb", "mysql", "sqlite-file", "sqlite-memory"], default="mariadb"
    )
    parser.add_argument("--audit", action="store_true", help="with the triggers that fault tests set")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sizes", default="500x1,500x2,500x4,1000x4,50x4")
    arguments = parser.parse_args()
    sizes = [(int(b), int(c)) for b, c in (pair.split("x") for pair in arguments.sizes.split(","))]
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {arguments.tasks} tasks")
    with _server(arguments.url, arguments.database) as (url, administrator_url):
        audit_url = administrator_url if arguments.audit else None
        uvloop.run(_run(url, audit_url, arguments.tasks, arguments.repeats, sizes))


if __name__ == "__main__":
    main()
