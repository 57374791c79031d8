"""The rig: MariaDB, ZooKeeper, nodes and executors, each a process of its own, as every figure uses them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.prepared import DATABASE, copy_into

from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.scenario import Scenario

BUFFER_POOL_MB = 512
# As a production server is set: its replicas and its backups need the log, and it must not lose a commit.
DURABLE = ("--log-bin=binlog", "--sync-binlog=1", "--binlog-format=ROW", "--max-binlog-size=256M")


@dataclass(frozen=True, slots=True)
class RigSettings:
    """How a rig is made."""

    nodes: int = 1
    executors: int = 1
    executor_capacity: int = 2_000
    buffer_pool_mb: int = BUFFER_POOL_MB
    server_arguments: tuple[str, ...] = ()
    """More arguments of `mainspring server`."""
    data: Path | None = None
    """What the database begins with, see `prepared`; None: empty."""

    def cluster(self) -> ClusterSettings:
        """The settings of the cluster behind it."""
        return ClusterSettings(
            executor_capacity=self.executor_capacity,
            buffer_pool_mb=self.buffer_pool_mb,
            database=DATABASE if self.data else None,
            mariadb_options=DURABLE,
            server_arguments=self.server_arguments,
        )


class Rig(Scenario):
    """A cluster under measurement. Nobody watches it: a look at it costs what is measured."""

    def __init__(self, name: str, settings: RigSettings) -> None:
        """Describe it; nothing runs yet."""
        self.settings = settings
        super().__init__(Cluster(RunFolder.create(f"bench-{name}"), settings.cluster()), Progress(name))

    @classmethod
    @contextlib.contextmanager
    def servers(cls, name: str, settings: RigSettings) -> Iterator[Cluster]:
        """The same database, its schema created, without anything that uses it.

        Raises:
            TestingError: The servers did not come up.
        """
        with Cluster(RunFolder.create(f"bench-{name}"), settings.cluster()) as cluster:
            cluster.start_servers()
            cluster.migrate()
            yield cluster

    def watch(self) -> None:
        """Nothing: see the class."""

    async def start_all(self) -> None:
        """Start everything that the settings name. Raises as `Scenario.start` and `prepared`."""
        if self.settings.data:
            await asyncio.to_thread(copy_into, self.cluster, self.settings.data)
        await self.start(nodes=self.settings.nodes, executors=self.settings.executors)
