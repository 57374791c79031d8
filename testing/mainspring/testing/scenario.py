"""One run of a cluster under load: what is done to it, and the evidence that is taken afterwards.

Shared by the demo, the lateness measurement, the acceptance test and the chaos runs. A scenario starts the cluster, lets
a load generator register a plan, does things to nodes, executors and servers (each noted as a `Fault` of the history),
and at the end takes the evidence in the order that the checker asks for.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from mainspring.client import MainspringClient, MainspringError
from mainspring.testing.cluster import Cluster
from mainspring.testing.deadlock_watch import DeadlockWatch
from mainspring.testing.errors import ChildFailedError
from mainspring.testing.history import AuditTrail, Deadlocks
from mainspring.testing.load_run import LoadRun, member_name
from mainspring.testing.local_server import LocalServer
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.progress import Progress

_BALANCE_TIMEOUT_S = 30.0
_POLL_S = 0.1


class Scenario(LoadRun):
    """A run on one cluster. Use it in `async with`, on one event loop; the cluster is closed at its end."""

    def __init__(
        self, cluster: Cluster, progress: Progress, *, refresh: Callable[[], None] = lambda: None
    ) -> None:
        """Describe it; nothing runs yet. `refresh` is called after each change of `progress`."""
        super().__init__(cluster, progress, refresh=refresh)
        self.cluster = cluster
        self._leaving: set[str] = set()
        self._deadlocks = DeadlockWatch(cluster.server_deadlocks, lambda: cluster.nodes)
        self._counting: asyncio.Task[None] | None = None

    async def __aexit__(self, *_: object) -> None:
        """See `LoadRun`."""
        try:
            if self._counting is not None:
                self._counting.cancel()
                await asyncio.wait([self._counting])
        finally:
            await super().__aexit__()

    async def read_witnesses(self) -> tuple[AuditTrail | None, Deadlocks | None]:
        """See `LoadRun`: what the triggers saw, and deadlocks, when the cluster has an audit."""
        if not self.cluster.settings.has_audit:
            return None, None
        await self._deadlocks.ask()
        return await asyncio.to_thread(self.cluster.read_audit), self._deadlocks.counts()

    # --- set-up ---------------------------------------------------------------------------------------------------

    async def start(self, *, nodes: int = 3, executors: int = 2) -> None:
        """Start everything and wait until the partitions are spread and the executors connected.

        Raises:
            TestingError: something did not come up.
        """
        self.progress.phase = "setting up"
        self.watch()
        await asyncio.to_thread(self.cluster.start_servers)
        names = [server.name for server in (self.cluster.mariadb, self.cluster.zookeeper) if server]
        self.progress.event(f"servers are up: {', '.join(names) or 'those of the environment'}")
        await asyncio.to_thread(self.cluster.migrate)
        self.progress.event(f"schema created, {self.cluster.settings.partitions} partitions")
        if self.cluster.settings.has_audit:
            await asyncio.to_thread(self.cluster.install_audit)
            self._counting = asyncio.create_task(self._deadlocks.run(), name="deadlocks")
            self.progress.event("triggers watch the database")
        started = [await asyncio.to_thread(self.cluster.add_node, waits=False) for _ in range(nodes)]
        for _ in range(executors):
            await asyncio.to_thread(self.cluster.add_executor)
        await asyncio.to_thread(self.cluster.wait_until_listening)
        await self.connect([node.address for node in started])
        await self.until_spread()
        await self._until_executors_connected(executors)
        await self._until_published()
        self.progress.event(f"{nodes} nodes share them, {executors} executors are connected")

    async def until_spread(self, timeout_s: float = _BALANCE_TIMEOUT_S) -> None:
        """Wait until the database shows every partition with a running node, evenly.

        Raises:
            ChildFailedError: not in time; says what the spread is.
        """
        seen = "no answer yet"
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            wanted = {
                node.name for node in self.cluster.nodes if node.is_running and node.name not in self._leaving
            }
            try:
                partitions = await self.client.list_partitions(timeout_s=2.0)
            except MainspringError as error:
                seen = str(error)
            else:
                counts = Counter(member_name(partition.owner_id) for partition in partitions)
                if set(counts) == wanted and max(counts.values()) - min(counts.values()) <= 1:
                    return
                seen = ", ".join(f"{name or 'nobody'} {count}" for name, count in sorted(counts.items()))
            await asyncio.sleep(_POLL_S)
        raise ChildFailedError(f"the partitions are not spread evenly after {timeout_s:g} s: {seen}")

    async def _until_published(self, timeout_s: float = 5.0) -> None:
        """Wait until the nodes have told each other what they hold: hints need to know the way."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            cluster = await self.client.list_nodes()
            if sum(node.partition_count for node in cluster.nodes) == cluster.partition_count:
                return
            await asyncio.sleep(_POLL_S)
        raise ChildFailedError(f"the nodes have not published what they hold after {timeout_s:g} s")

    async def _until_executors_connected(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until every node has all executors."""
        deadline = time.monotonic() + timeout_s
        for node in self.cluster.nodes:
            async with MainspringClient(node.address) as client:
                while len((await client.list_nodes()).executors) < count:
                    if time.monotonic() > deadline:
                        raise ChildFailedError(
                            f"{node.name} has not got {count} executors after {timeout_s:g} s"
                        )
                    await asyncio.sleep(_POLL_S)

    # --- what is done to the cluster --------------------------------------------------------------------------------

    async def freeze(
        self, name: str, target: MemberProcess | LocalServer, seconds: float, *, is_outage: bool = False
    ) -> None:
        """A process is frozen (SIGSTOP) for so long and goes on (SIGCONT): it does not know that time has passed."""
        self.progress.event(f"{name} is frozen for {seconds:g} s")
        async with self.fault("freeze", name, is_outage=is_outage) as facts:
            facts["was_alive_before"] = target.is_running
            target.pause()
            try:
                await asyncio.sleep(seconds)
            finally:
                target.resume()
        self.progress.event(f"{name} goes on")

    async def add_node(self) -> MemberProcess:
        """One more node joins; returns when it has its share of the partitions."""
        began_s = time.monotonic()
        self.progress.event("a node is added")
        async with self.fault("join", f"node-{len(self.cluster.nodes) + 1}"):
            node = await asyncio.to_thread(self.cluster.add_node)
            await self.until_spread()
        self.progress.event(f"{node.name} has its share after {time.monotonic() - began_s:.1f} s")
        return node

    async def stop_node(self, node: MemberProcess) -> None:
        """A node leaves in order (SIGTERM); returns when the others have its partitions.

        Raises:
            ChildFailedError: it ended with another code than 0.
        """
        began_s = time.monotonic()
        self.progress.event(f"{node.name} is told to stop (SIGTERM)")
        self._leaving.add(node.name)
        async with self.fault("stop", node.name) as facts:
            facts["was_alive_before"] = node.is_running
            code = await asyncio.to_thread(node.stop)
            self.progress.event(f"{node.name} has left after {time.monotonic() - began_s:.1f} s")
            await self.until_spread()
        if code != 0:
            raise ChildFailedError(f"{node.name} ended with code {code}\n{node.child.log_tail()}")

    async def kill_node(self, node: MemberProcess) -> None:
        """A node is killed with SIGKILL; returns when the others have its partitions."""
        began_s = time.monotonic()
        self.progress.event(f"{node.name} is killed (SIGKILL)")
        self._leaving.add(node.name)
        async with self.fault("kill", node.name) as facts:
            facts["was_alive_before"] = node.is_running
            await asyncio.to_thread(node.kill)
            await self.until_spread()
        self.progress.event(f"its partitions are taken after {time.monotonic() - began_s:.1f} s")

    async def kill_executor(self, executor: MemberProcess) -> None:
        """An executor is killed with SIGKILL; returns when another one has started."""
        self.progress.event(f"{executor.name} is killed (SIGKILL)")
        async with self.fault("kill", executor.name) as facts:
            facts["was_alive_before"] = executor.is_running
            await asyncio.to_thread(executor.kill)
            replacement = await asyncio.to_thread(self.cluster.add_executor)
            self.progress.event(f"{replacement.name} is started in its place")
            await asyncio.sleep(1.0)

    async def server_away(self, server: LocalServer, seconds: float, *, is_outage: bool = True) -> None:
        """A server is stopped for so long and started again."""
        self.progress.event(f"{server.name} is stopped for {seconds:g} s")
        async with self.fault("stop", server.name, is_outage=is_outage) as facts:
            facts["was_alive_before"] = server.is_running
            began_s = time.monotonic()
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began_s)))
            await asyncio.to_thread(server.start)
        self.progress.event(f"{server.name} is back after {time.monotonic() - began_s:.1f} s")
