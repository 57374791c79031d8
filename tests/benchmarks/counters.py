"""What servers and nodes count themselves, read twice and subtracted: statements, commits, lock waits, messages."""

from __future__ import annotations

import asyncio
import math
import urllib.request
from collections import Counter
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from mainspring.testing.cluster import Cluster
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.ports import LOOPBACK
from mainspring.testing.sql_server import connect

_TIMEOUT_S = 10.0
_STATUS = (
    "Questions",  # statements of clients, each of a packet of several
    "Com_select",
    "Com_insert",
    "Com_update",
    "Com_delete",
    "Binlog_commits",  # transactions that changed something
    "Binlog_group_commits",  # waits for the disk that they shared
    "Innodb_row_lock_waits",
    "Innodb_deadlocks",
)
LOOP_LAG = "mainspring_loop_lag_seconds"
Reading = Mapping[str, float]


async def read(cluster: Cluster) -> Counter[str]:
    """The counters of the database and, summed up, of all nodes that run.

    A sample of a node's metrics is named as Prometheus has it, with its labels: `name{label="value"}`.

    Raises:
        OSError: A node or the database does not answer.
    """
    found = await asyncio.to_thread(_status, cluster.administrator_url)
    for node in cluster.nodes:
        if node.is_running:
            found.update(await asyncio.to_thread(scrape, node))
    return found


def difference(before: Reading, after: Reading) -> dict[str, float]:
    """How far each counter went on."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def scrape(node: MemberProcess) -> dict[str, float]:
    """The metrics of one node."""
    url = f"http://{LOOPBACK}:{node.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
        text = response.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def executed(reading: Reading) -> int:
    """How many executions have reached a final state."""
    return int(
        sum(value for name, value in reading.items() if name.startswith("mainspring_executions_total{"))
    )


def quantile(counted: Reading, histogram: str, share: float) -> float:
    """A quantile of what a histogram noted, evenly distributed within each bucket, as Prometheus has it; 0 without any.

    Args:
        counted: From `difference`.
        histogram: Its name; it has no labels.
        share: 0.99 for p99.
    """
    prefix = f'{histogram}_bucket{{le="'
    buckets = sorted(
        (float(name.removeprefix(prefix).removesuffix('"}')), count)
        for name, count in counted.items()
        if name.startswith(prefix)
    )
    wanted = share * buckets[-1][1] if buckets else 0.0
    low_s = low = 0.0
    for bound_s, count in buckets:
        if count >= wanted > low:
            return low_s + (bound_s - low_s) * (wanted - low) / (count - low) if bound_s < math.inf else low_s
        low_s, low = bound_s, count
    return 0.0


def _status(url: str) -> Counter[str]:
    names = ",".join(f"'{name}'" for name in _STATUS)
    with connect(url, timeout_s=_TIMEOUT_S) as connection, connection.cursor() as cursor:
        cursor.execute(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")
        return Counter({name: int(value) for name, value in cursor.fetchall()})
