"""`ledger`: a burst on an empty ledger, and on one several times the buffer pool while retention removes from it.

The buffer pool is small on both sides, so that minutes are enough to outgrow it. Half of the rows are older than the
retention of a namespace: during the burst they are being removed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from benchmarks.bulk import Times, insert_executions, table_mb
from benchmarks.burst import note
from benchmarks.bursts import started
from benchmarks.prepared import prepared
from benchmarks.results import Results
from benchmarks.rig import RigSettings

from mainspring.testing.cluster import Cluster
from mainspring.testing.errors import TestingError
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US

_DAY_US = 86_400 * SECOND_US
_WEEK_US = 7 * _DAY_US
_OLD_US, _YOUNG_US = 40 * _DAY_US, 10 * _DAY_US
"""Older, and younger, than what is kept unless a namespace says otherwise."""
_ROW_BYTES = 260
"""About what a row takes with its index: how many to begin with."""
_PER_SECOND = 1_000
_REMOVED = 'mainspring_removed_rows_total{kind="execution"}'


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """How large the burst, the ledger and the buffer pool are."""

    burst: int = 20_000
    repeats: int = 2
    buffer_pool_mb: int = 128
    times_the_pool: float = 4.0

    @property
    def ledger_mb(self) -> float:
        """The least size of the ledger."""
        return self.times_the_pool * self.buffer_pool_mb


async def measure(settings: LedgerSettings, results: Results) -> None:
    """Write `ledger ...` into the results.

    Raises:
        TestingError: As `Bursts.run` and `prepared`; or retention did nothing.
    """
    # Built anew each week: ages count from now.
    week = now_us() // _WEEK_US
    data = await asyncio.to_thread(
        prepared, f"ledger{settings.ledger_mb:.0f}", week, lambda cluster: _fill(cluster, settings, week)
    )
    rig = RigSettings(buffer_pool_mb=settings.buffer_pool_mb)
    async with started("ledger-empty", rig) as bursts:
        note(results, "ledger empty", [await bursts.run(settings.burst) for _ in range(settings.repeats)])
    full = replace(rig, data=data, server_arguments=("--engine", "retention_first_s=1"))
    async with started("ledger-full", full) as bursts:
        size_mb = await asyncio.to_thread(table_mb, bursts.rig.cluster.mysql_url, "executions")
        measured = [await bursts.run(settings.burst) for _ in range(settings.repeats)]
    removed = sum(burst.counted.get(_REMOVED, 0.0) for burst in measured)
    if not removed:
        raise TestingError("retention removed nothing during the bursts")
    note(results, "ledger full", measured)
    results.put("ledger full size (MiB)", size_mb)
    results.put("ledger buffer pool (MiB)", settings.buffer_pool_mb)
    results.put("ledger rows removed meanwhile (count)", removed)
    results.ratio(
        "ledger full to empty", "ledger full drain (executions/s)", "ledger empty drain (executions/s)"
    )


def _fill(cluster: Cluster, settings: LedgerSettings, week: int) -> None:
    """Fill the ledger, one half of it old; more and more, until it is large enough."""
    url, partitions = cluster.mysql_url, cluster.settings.partitions
    rows = int(settings.ledger_mb * 1024 * 1024 / _ROW_BYTES / 2)
    begin = 0
    while begin == 0 or table_mb(url, "executions") < settings.ledger_mb:
        for age_us in (_OLD_US, _YOUNG_US):
            times = Times(week * _WEEK_US - age_us, _PER_SECOND)
            insert_executions(url, "filled", begin, rows, at=times, partitions=partitions)
            begin += rows
        rows //= 4
