"""One run of a cluster under load: what is done to it, and the evidence that is taken afterwards.

Shared by the demo, the lateness measurement, the acceptance test and the chaos runs. A scenario starts the cluster, lets
a load generator register a plan, does things to nodes, executors and servers (each noted as a `Fault` of the history),
and at the end takes the evidence in the order that the checker asks for.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

from mainspring.client import MainspringClient, MainspringError
from mainspring.testing.checker import Limits
from mainspring.testing.cluster import Cluster
from mainspring.testing.errors import ChildFailedError, TestingError
from mainspring.testing.expected import Calendar
from mainspring.testing.history import OPEN_STATES, Fault, History, LedgerRow
from mainspring.testing.ledger import read_ledger, read_task_keys
from mainspring.testing.load_generator import LoadGenerator, now_us
from mainspring.testing.local_server import LocalServer
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.progress import MemberLine, Progress
from mainspring.testing.run_log import read_run_logs
from mainspring.testing.workload import PlannedTask

SECOND_US = 1_000_000
SETTLE_TIMEOUT_S = 45.0
"""Longer than the checker's bound for a stuck row, so that it is the checker who tells of one."""
_BALANCE_TIMEOUT_S = 30.0
_POLL_S = 0.1
_WATCH_S = 0.25
_WATCH_TIMEOUT_S = 1.0


class Scenario:
    """A run on one cluster. Use it in `async with`, on one event loop; the cluster is closed at its end."""

    def __init__(
        self, cluster: Cluster, progress: Progress, *, refresh: Callable[[], None] = lambda: None
    ) -> None:
        """Describe it; nothing runs yet. `refresh` is called after each change of `progress`."""
        self.cluster = cluster
        self.progress = progress
        self.faults: list[Fault] = []
        self._refresh = refresh
        self._clients = contextlib.AsyncExitStack()
        self._client: MainspringClient | None = None
        self._load: LoadGenerator | None = None
        self._watching: asyncio.Task[None] | None = None
        self._leaving: set[str] = set()
        self._namespaces: set[str] = set()

    async def __aenter__(self) -> "Scenario":
        """Nothing is started."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop watching and close the cluster, also when cancelled."""
        try:
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.wait([self._watching])
            await self._clients.aclose()
        finally:
            # In this thread on purpose: nothing can cancel it half-way.
            self.cluster.close()

    @property
    def client(self) -> MainspringClient:
        """A client that knows the first nodes."""
        if self._client is None:
            raise TestingError("the cluster was not started")
        return self._client

    @property
    def load(self) -> LoadGenerator:
        """The load generator."""
        if self._load is None:
            raise TestingError("the cluster was not started")
        return self._load

    # --- set-up ---------------------------------------------------------------------------------------------------

    async def start(self, *, nodes: int = 3, executors: int = 2) -> None:
        """Start everything and wait until the partitions are spread and the executors connected.

        Raises:
            TestingError: something did not come up.
        """
        self.progress.phase = "setting up"
        self._watching = asyncio.create_task(self._watch(), name="watch")
        await asyncio.to_thread(self.cluster.start_servers)
        names = [server.name for server in (self.cluster.mariadb, self.cluster.zookeeper) if server]
        self.progress.event(f"servers are up: {', '.join(names) or 'those of the environment'}")
        await asyncio.to_thread(self.cluster.migrate)
        self.progress.event(f"schema created, {self.cluster.settings.partitions} partitions")
        started = [await asyncio.to_thread(self.cluster.add_node, waits=False) for _ in range(nodes)]
        for _ in range(executors):
            await asyncio.to_thread(self.cluster.add_executor)
        await asyncio.to_thread(self.cluster.wait_until_listening)
        self._client = await self._clients.enter_async_context(
            MainspringClient([node.address for node in started])
        )
        self._load = LoadGenerator(self._client, on_change=self._on_registered)
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

    # --- load -----------------------------------------------------------------------------------------------------

    async def register(self, plan: Sequence[PlannedTask], *, window_until_at: int) -> None:
        """Register a plan; the end of the window tells how many scheduled times to show as expected."""
        self.progress.planned += len(plan)
        calendar, now = Calendar(), now_us()
        shown_until_at = _cancel_at(window_until_at, Limits())
        for task in plan:
            self._namespaces.add(task.namespace)
            self.progress.expected += len(calendar.times(task.acknowledged(now, now), now, shown_until_at))
        began_s = time.monotonic()
        await self.load.register(plan)
        self.progress.event(f"registered {len(plan):,} tasks in {time.monotonic() - began_s:.1f} s")

    def _on_registered(self) -> None:
        self.progress.registered = len(self.load.tasks)

    # --- what is done to the cluster --------------------------------------------------------------------------------

    async def freeze(
        self, name: str, target: MemberProcess | LocalServer, seconds: float, *, is_outage: bool = False
    ) -> None:
        """A process is frozen (SIGSTOP) for so long and goes on (SIGCONT): it does not know that time has passed."""
        self.progress.event(f"{name} is frozen for {seconds:g} s")
        async with self.fault("freeze", name, is_outage=is_outage):
            target.pause()
            try:
                await asyncio.sleep(seconds)
            finally:
                target.resume()
        self.progress.event(f"{name} goes on")

    @contextlib.asynccontextmanager
    async def fault(self, kind: str, target: str, *, is_outage: bool = False) -> AsyncIterator[None]:
        """Note a fault that lasts as long as the block."""
        from_at = now_us()
        try:
            yield
        finally:
            self.faults.append(Fault(kind, target, from_at, now_us(), is_outage=is_outage))

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
        async with self.fault("stop", node.name):
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
        async with self.fault("kill", node.name):
            await asyncio.to_thread(node.kill)
            await self.until_spread()
        self.progress.event(f"its partitions are taken after {time.monotonic() - began_s:.1f} s")

    async def kill_executor(self, executor: MemberProcess) -> None:
        """An executor is killed with SIGKILL; returns when another one has started."""
        self.progress.event(f"{executor.name} is killed (SIGKILL)")
        async with self.fault("kill", executor.name):
            await asyncio.to_thread(executor.kill)
            replacement = await asyncio.to_thread(self.cluster.add_executor)
            self.progress.event(f"{replacement.name} is started in its place")
            await asyncio.sleep(1.0)

    async def server_away(self, server: LocalServer, seconds: float, *, is_outage: bool = True) -> None:
        """A server is stopped for so long and started again."""
        self.progress.event(f"{server.name} is stopped for {seconds:g} s")
        async with self.fault("stop", server.name, is_outage=is_outage):
            began_s = time.monotonic()
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began_s)))
            await asyncio.to_thread(server.start)
        self.progress.event(f"{server.name} is back after {time.monotonic() - began_s:.1f} s")

    # --- evidence ---------------------------------------------------------------------------------------------------

    async def finish(
        self, *, window_from_at: int, window_until_at: int, limits: Limits | None = None
    ) -> History:
        """Wait for the end of the window, let everything settle, and take the evidence.

        Recurring tasks are cancelled so late that whatever was due in the window must have been acted on before.

        Raises:
            MainspringError: the ledger could not be read.
        """
        limits = limits or Limits()
        ends = [fault.until_at for fault in self.faults if fault.is_outage]
        self.progress.phase = "the window goes on"
        await sleep_until(window_until_at)
        self.progress.phase = "waiting until whatever is still due would be too late"
        earlier = await read_ledger(self.client, sorted(self._namespaces))
        await sleep_until(_cancel_at(max([window_until_at, *ends]), limits))
        if any(task.kind != "one-time" for task in self.load.tasks):
            self.progress.phase = "cancelling the recurring tasks"
            await self.load.cancel_recurring()
            self.progress.event("recurring tasks are cancelled")
        self.progress.phase = "reading tasks and ledger over the API"
        ledger_read_at, ledger = await self._settled_ledger()
        listed = await read_task_keys(self.client, sorted(self._namespaces))
        runs = await asyncio.to_thread(read_run_logs, self.cluster.run_logs)
        self.progress.event(
            f"evidence: {len(ledger):,} ledger rows, {len(runs):,} runs, {len(listed):,} tasks"
        )
        return History(
            tasks=tuple(self.load.tasks),
            runs=runs,
            ledger=ledger,
            faults=tuple(self.faults),
            window_from_at=window_from_at,
            window_until_at=window_until_at,
            ledger_read_at=ledger_read_at,
            earlier_ledger=earlier,
            listed_tasks=listed,
        )

    async def _settled_ledger(self) -> tuple[int, tuple[LedgerRow, ...]]:
        """The ledger once no row of it is open any more, or after the time limit as it is then; and when it was read."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            read_at = now_us()
            ledger = await read_ledger(self.client, sorted(self._namespaces))
            if time.monotonic() > deadline or not any(row.state in OPEN_STATES for row in ledger):
                return read_at, ledger
            await asyncio.sleep(5 * _POLL_S)

    async def _watch(self) -> None:
        """Keeps `progress` fresh."""
        while True:
            self.progress.figures.read(self.cluster.run_logs)
            await self._watch_members()
            self._refresh()
            await asyncio.sleep(_WATCH_S)

    async def _watch_members(self) -> None:
        known: dict[str, tuple[str, int]] = {}
        if self._client is not None:
            with contextlib.suppress(MainspringError):
                for node in (await self._client.list_nodes(timeout_s=_WATCH_TIMEOUT_S)).nodes:
                    state = "ready" if node.is_ready else "leaving"
                    known[member_name(node.node_id)] = (state, node.partition_count)
        self.progress.nodes = [
            MemberLine(node.name, *known.get(node.name, ("starting", 0)))
            if node.is_running
            else MemberLine(node.name, "gone", 0)
            for node in self.cluster.nodes
        ]
        self.progress.executors = [
            MemberLine(executor.name, "ready" if executor.is_running else "gone")
            for executor in self.cluster.executors
        ]


def _cancel_at(settled_at: int, limits: Limits) -> int:
    """When a cancel comes too late to excuse anything that was due by `settled_at`."""
    return settled_at + limits.lateness_us + 2 * limits.clock_margin_us


async def sleep_until(at: int) -> None:
    """Sleep until the wall clock shows this instant, in microseconds."""
    await asyncio.sleep(max(0, at - now_us()) / SECOND_US)


def member_name(node_id: str) -> str:
    """The name that a node was given: its id is name, process id and chance, with dashes between."""
    return node_id.rsplit("-", 2)[0]
