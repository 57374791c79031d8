"""`stored`: a burst while few, and while very many other tasks are stored that are due much later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from benchmarks.bulk import Times, insert_tasks, table_mb
from benchmarks.burst import note
from benchmarks.bursts import started
from benchmarks.prepared import prepared
from benchmarks.results import Results
from benchmarks.rig import RigSettings

from mainspring.testing.cluster import Cluster
from mainspring.testing.load_run import SECOND_US

OTHERS = "others"
_FROM_AT = 2_208_988_800 * SECOND_US
"""1 January 2040: the folder stays good."""
_PER_SECOND = 10
_CREATED_AT = 1_767_225_600 * SECOND_US


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """How many other tasks, and how large a burst."""

    few: int = 10_000
    many: int = 5_000_000
    burst: int = 20_000
    repeats: int = 3


async def measure(settings: StoredSettings, results: Results) -> None:
    """Write `stored ...` into the results.

    Raises:
        TestingError: As `Bursts.run` and `prepared`.
    """
    for count in (settings.few, settings.many):
        data = await asyncio.to_thread(prepared, f"stored{count}", count, partial(_fill, count))
        async with started(f"stored-{count}", RigSettings(data=data)) as bursts:
            size_mb = await asyncio.to_thread(table_mb, bursts.rig.cluster.mysql_url, "tasks")
            measured = [await bursts.run(settings.burst) for _ in range(settings.repeats)]
        note(results, f"stored {count}", measured)
        results.put(f"stored {count} size (MiB)", size_mb)
    few, many = f"stored {settings.few} drain", f"stored {settings.many} drain"
    results.ratio("stored many to few", f"{many} (executions/s)", f"{few} (executions/s)")


def _fill(count: int, cluster: Cluster) -> None:
    insert_tasks(
        cluster.mysql_url,
        OTHERS,
        count,
        at=Times(_FROM_AT, _PER_SECOND),
        created_at=_CREATED_AT,
        partitions=cluster.settings.partitions,
    )
