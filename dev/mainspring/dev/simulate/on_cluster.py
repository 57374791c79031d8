"""A simulation's stage on a local real cluster: MariaDB, ZooKeeper, and a process for each node and executor."""

import asyncio
from collections.abc import Callable, Sequence

from mainspring.dev.simulate.config import Simulation
from mainspring.server.engine.settings import EngineSettings
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.errors import TestingError
from mainspring.testing.load_run import LoadRun
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.scenario import Scenario

CONNECT_S = 1.0


class OnCluster:
    """The stage. Who dies is killed with SIGKILL."""

    def __init__(
        self,
        simulation: Simulation,
        folder: RunFolder,
        progress: Progress,
        *,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        """Describe it; nothing runs yet."""
        self._simulation = simulation
        settings = ClusterSettings(
            partitions=simulation.nodes.partitions,
            zookeeper_session_s=simulation.nodes.session_s,
            executor_capacity=simulation.executors.capacity,
        )
        self._cluster = Cluster(folder, settings)
        self._scenario = Scenario(self._cluster, progress, refresh=refresh)

    @property
    def run(self) -> LoadRun:
        """See `Stage.run`."""
        return self._scenario

    async def start(self) -> None:
        """See `Stage.start`."""
        await self._scenario.start(
            nodes=self._simulation.nodes.count, executors=self._simulation.executors.count
        )

    async def add_node(self) -> None:
        """See `Stage.add_node`."""
        await self._scenario.add_node()

    async def stop_node(self, name: str) -> None:
        """See `Stage.stop_node`."""
        await self._scenario.stop_node(_named(self._cluster.nodes, name))

    async def kill_node(self, name: str) -> None:
        """See `Stage.kill_node`."""
        await self._scenario.kill_node(_named(self._cluster.nodes, name))

    async def add_executor(self) -> None:
        """See `Stage.add_executor`."""
        async with self._scenario.fault("join", f"executor-{len(self._cluster.executors) + 1}, new"):
            executor = await asyncio.to_thread(self._cluster.add_executor)
            self._scenario.progress.event(f"{executor.name} joins")
            await asyncio.sleep(CONNECT_S)

    async def kill_executor(self, name: str) -> None:
        """See `Stage.kill_executor`."""
        self._scenario.progress.event(f"{name} is killed (SIGKILL)")
        async with self._scenario.fault("kill", name):
            await asyncio.to_thread(_named(self._cluster.executors, name).kill)
            await asyncio.sleep(EngineSettings().lease_s)


def _named(members: Sequence[MemberProcess], name: str) -> MemberProcess:
    for member in members:
        if member.name == name:
            return member
    raise TestingError(f"{name} has not been started yet")
