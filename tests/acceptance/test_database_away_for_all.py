"""MySQL away for 8 s for a whole cluster of processes: every node steps aside, every node returns, nothing moves."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pymysql

from mainspring.client import Delay, ExecutionState, MainspringClient, NewTask, Unavailable
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.sql_server import connect

PARTITIONS = 48
AWAY_S = 8.0
TASKS = 400


def rows(url: str) -> dict[int, tuple[int, str | None]]:
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT partition_id, epoch, owner_id FROM partitions")
            return {partition: (epoch, owner) for partition, epoch, owner in cursor.fetchall()}
    finally:
        connection.close()


def until(holds: Callable[[], object], within_s: float, what: str) -> float:
    begun_s = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - begun_s
        except (pymysql.Error, OSError):
            pass
        assert time.monotonic() - begun_s < within_s, f"{what}: not within {within_s} s"
        time.sleep(0.05)


def events(path: Path, event: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in path.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == event]


async def register(addresses: list[str]) -> None:
    """Tasks that fall due before, while and after the database is away."""
    async with MainspringClient(addresses) as client:
        await client.create_tasks(
            [
                NewTask("noop", Delay(timedelta(seconds=3 + 14 * n / TASKS)), task_id=f"t-{n}")
                for n in range(TASKS)
            ]
        )


async def final_rows(addresses: list[str]) -> list[tuple[float, float]]:
    """Due time and pick-up of each execution, seconds, once all have ended well."""
    async with MainspringClient(addresses) as client, asyncio.timeout(40):
        while True:
            try:
                found = [e async for e in client.list_executions(page_size=1000)]
            except Unavailable:
                found = []
            if sum(e.state is ExecutionState.SUCCEEDED for e in found) == TASKS:
                return [(e.due_time.timestamp(), e.pick_up_time.timestamp()) for e in found if e.pick_up_time]
            await asyncio.sleep(0.2)


def test_every_node_returns_and_nothing_moves() -> None:
    folder = RunFolder.create("database-away-for-all")
    with Cluster(folder, ClusterSettings(partitions=PARTITIONS)) as cluster:
        cluster.start_servers()
        assert cluster.mariadb is not None
        cluster.migrate()
        for _ in range(3):
            cluster.add_node()
        cluster.add_executor()
        url = cluster._mysql_url

        def is_spread() -> bool:
            counts = Counter(owner for _, owner in rows(url).values())
            return sorted(counts.values()) == [16, 16, 16] and None not in counts

        until(is_spread, 20, "spread over three nodes")
        time.sleep(4)  # sessions past their grace, so that they could move things
        asyncio.run(register(cluster.addresses))
        before = rows(url)
        time.sleep(3)
        killed_at = time.time()
        cluster.mariadb.kill()
        time.sleep(AWAY_S)
        cluster.mariadb.start()
        back_at = time.time()
        until(
            lambda: all(len(events(node.log_path, "returned_to_duty")) == 2 for node in cluster.nodes),
            10,
            "back on duty",
        )
        returned_s = time.time() - back_at
        picked_up = asyncio.run(final_rows(cluster.addresses))
        time.sleep(4)
        assert rows(url) == before
        for node in cluster.nodes:
            reasons = [event["reason"] for event in events(node.log_path, "stepped_aside")]
            assert reasons == ["starting", "database"]
        # What was under way when the database went counts from its return, too.
        late_s = max(at - max(due, back_at) for due, at in picked_up if due > killed_at - 0.5)
        assert sum(killed_at < due < back_at for due, _ in picked_up) > TASKS / 4
        print(f"back on duty {returned_s:.2f} s after the return, latest pick-up {late_s:.2f} s after it")
        assert late_s <= 10
