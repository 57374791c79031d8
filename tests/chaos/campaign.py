"""One cluster under steady traffic, and faults upon it one after another: what is done, when, and what it left.

An episode is one fault (or a pair): calm, fault, heal, and time to settle before the next one. All episodes of a campaign
share a cluster, so that later faults meet what earlier ones left behind, and one body of evidence, judged as a whole;
figures are per episode.
"""

import asyncio
import contextlib
import random
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from chaos.changes import LONGEST_US, PREFIX
from chaos.node_launcher import STALL_VARIABLE
from chaos.old_rows import KEPT_US, put_old_rows
from chaos.old_rows import NAMESPACE as OLD_ROWS
from chaos.traffic import NAMESPACE, Traffic, TrafficSettings

from mainspring.client import MainspringClient, MainspringError
from mainspring.testing.cluster import ClusterSettings
from mainspring.testing.errors import ChildFailedError, TestingError
from mainspring.testing.history import Fault, History
from mainspring.testing.ledger import moment
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, member_name
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.progress import Progress
from mainspring.testing.proxied_cluster import ProxiedCluster, Side
from mainspring.testing.proxy.link import Mode
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.scenario import Scenario
from mainspring.testing.sql_server import connect

LAUNCHER = Path(__file__).with_name("node_launcher.py")
WARM_S = 4.0
CALM_S = 3.0
RECOVERY_S = 45.0
STALL_S = 8.0
_NOW = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
BEHIND = (
    f"SELECT (SELECT COUNT(*) FROM tasks WHERE state = 1 AND due_at < {_NOW} - 1000000), "
    "(SELECT COUNT(*) FROM executions e JOIN tasks t USING (partition_id, task_key) WHERE e.wake_at IS NOT NULL "
    f"AND e.claimed_at < {_NOW} - IF(t.task_id LIKE '{PREFIX}%', {LONGEST_US}, 2500000))"
)
"""What is overdue, and what takes longer than the traffic's longest handler, or than the policies of changing tasks do."""


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """How a campaign is run."""

    name: str
    seed: int
    nodes: int = 3
    executors: int = 2
    traffic: TrafficSettings = field(default_factory=TrafficSettings)
    cluster: ClusterSettings = field(default_factory=lambda: ClusterSettings(has_audit=True))


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault as it went.

    Attributes:
        name: Of the fault.
        from_at: Its begin. `healed_at`: its end. `settled_at`: when all was as before. Microseconds.
        bound_us: The greatest lateness promised; counted from the due time, or from the end of an outage.
        outages: When the promise rested, because MySQL, ZooKeeper with every node, or every node was away.
        registers_within_us: How long a registration may take meanwhile; None: that is not promised.
        facts: What shows that it really happened, for people and for the table.
        gaps_us: For how long nobody fired each partition that was handed over in order meanwhile, by the nodes' record.
    """

    name: str
    from_at: int
    healed_at: int
    settled_at: int
    bound_us: int
    outages: tuple[Fault, ...]
    facts: Mapping[str, Any]
    gaps_us: tuple[int, ...] = ()
    registers_within_us: int | None = None


class Campaign(Scenario):
    """A run on a proxied cluster. Use it in `async with`."""

    cluster: ProxiedCluster

    def __init__(self, settings: CampaignSettings) -> None:
        """Describe it; nothing runs yet."""
        self.settings = settings
        self.folder = RunFolder.create(f"chaos-{settings.name}")
        cluster = ProxiedCluster(
            self.folder,
            settings.cluster,
            program=[sys.executable, str(LAUNCHER)],
            environment={STALL_VARIABLE: str(STALL_S)},
        )
        progress = Progress(
            f"chaos {settings.name}, seed {settings.seed}",
            on_event=lambda elapsed_s, text: print(f"{elapsed_s:6.1f} s {text}", flush=True),
        )
        super().__init__(cluster, progress)
        self.random = random.Random(f"campaign {settings.seed}")
        self.episodes: list[Episode] = []
        self.facts: dict[str, Any] = {}
        """Filled by the fault under way."""
        self._victims: set[str] = set()
        self.is_pair = False
        """Whether the fault under way meets another one."""
        self._namespaces.add(NAMESPACE)
        self._traffic: Traffic | None = None

    @property
    def traffic(self) -> Traffic:
        """The clients."""
        if self._traffic is None:
            raise TestingError("the campaign has not begun")
        return self._traffic

    async def run(self, steps: Sequence["Step"]) -> History:
        """Run the episodes and take the evidence.

        Raises:
            TestingError: the cluster did not come up, or did not recover from a fault.
        """
        print(f"campaign {self.settings.name}: seed {self.settings.seed}, evidence {self.folder.path}")
        await self.start(nodes=self.settings.nodes, executors=self.settings.executors)
        await put_old_rows(
            self.client,
            self.cluster.addresses[0],
            self.cluster.administrator_url,
            self.settings.cluster.partitions,
        )
        self.retentions[OLD_ROWS] = KEPT_US
        window_from_at = now_us()
        self._traffic = Traffic(self.client, self.load, self.settings.seed, self.settings.traffic)
        working = asyncio.create_task(self._traffic.run(), name="traffic")
        try:
            await self._while(working, asyncio.sleep(WARM_S))
            for step in steps:
                await self._while(working, self.play(step))
        except BaseException:
            working.cancel()
            await asyncio.wait([working])
            raise
        self._traffic.stop()
        await working
        ends = [fault.until_at for fault in self.faults]
        history = await self.finish(window_from_at=window_from_at, window_until_at=max([now_us(), *ends]))
        history.save(self.folder.history)
        return history

    async def _while(self, working: asyncio.Task[None], step: Awaitable[None]) -> None:
        """Carry a step out; a failure of the traffic meanwhile ends it."""
        task = asyncio.ensure_future(step)
        await asyncio.wait([task, working], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            working.result()
            raise TestingError("the traffic has ended")
        task.result()

    async def play(self, step: "Step") -> None:
        """One episode."""
        self.facts = {}
        self._victims.clear()
        self.progress.event(f"== {step.name}")
        from_at = now_us()
        await step.script(self)
        healed_at = now_us()
        await self.recovered()
        settled_at = now_us()
        self.progress.event(
            f"== {step.name}: {(healed_at - from_at) / SECOND_US:.1f} s, recovered "
            f"{(settled_at - healed_at) / SECOND_US:.1f} s later; {self.facts}"
        )
        await asyncio.sleep(CALM_S)  # hand-overs are recorded about a second after they happened
        self.episodes.append(
            Episode(
                step.name,
                from_at,
                healed_at,
                settled_at,
                int(step.bound_s * SECOND_US),
                tuple(fault for fault in self.faults if fault.is_outage and fault.until_at > from_at),
                self.facts,
                await self.gaps_since(from_at),
                None if step.registers_within_s is None else int(step.registers_within_s * SECOND_US),
            )
        )

    async def gaps_since(self, from_at: int) -> tuple[int, ...]:
        """Gaps of the orderly hand-overs that were recorded since an instant, microseconds."""
        handovers = self.client.list_handovers(since=moment(from_at), page_size=1_000, timeout_s=10.0)
        return tuple(
            [
                handover.gap // timedelta(microseconds=1)
                async for handover in handovers
                if handover.gap is not None and handover.release_time is not None
            ]
        )

    async def recovered(self, timeout_s: float = RECOVERY_S) -> None:
        """Wait until the cluster is as it should be: partitions spread over all nodes, every executor at every node.

        Raises:
            ChildFailedError: not in time; says what is missing.
        """
        await self.until_spread(timeout_s)
        await self.until_connected(timeout_s)
        await self.until_caught_up(timeout_s)

    async def until_caught_up(self, timeout_s: float = RECOVERY_S) -> None:
        """Wait until no task is overdue by more than a second, and no execution is open for longer than any takes.

        Raises:
            ChildFailedError: not in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            rows = await self.sql(BEHIND)
            if rows and not any(rows[0]):
                return
            if time.monotonic() > deadline:
                raise ChildFailedError(f"tasks overdue, executions open for long: {rows}")
            await asyncio.sleep(0.2)

    async def until_spread(self, timeout_s: float = RECOVERY_S) -> None:
        """See `Scenario`; asks the database itself, so that it works whatever the nodes do."""
        deadline = time.monotonic() + timeout_s
        while True:
            # A node's id is its name, its process and chance: what a dead process of that name owned does not count.
            counts = Counter(owner.rpartition("-")[0] for owner in (await self.owners()).values())
            wanted = {
                f"{node.name}-{node.pid}"
                for node in self.cluster.nodes
                if node.is_running and node.name not in self._leaving
            }
            if set(counts) == wanted and max(counts.values()) - min(counts.values()) <= 1:
                return
            if time.monotonic() > deadline:
                raise ChildFailedError(
                    f"the partitions are not spread over {sorted(wanted)} after {timeout_s:g} s: {dict(counts)}"
                )
            await asyncio.sleep(0.1)

    async def owners(self) -> dict[int, str]:
        """Owner ids by partition, "" for none; nothing when the database does not answer."""
        rows = await self.sql("SELECT partition_id, COALESCE(owner_id, '') FROM partitions")
        return {int(row[0]): str(row[1]) for row in rows}

    async def epochs(self, node: MemberProcess) -> dict[int, int]:
        """Epochs by partition of what a node owns now."""
        async with asyncio.timeout(RECOVERY_S):  # in a pair the database may be away just now
            while not (rows := await self.sql("SELECT partition_id, owner_id, epoch FROM partitions")):
                await asyncio.sleep(0.2)
        return {int(p): int(epoch) for p, owner, epoch in rows if owner and member_name(owner) == node.name}

    async def sql(self, statement: str, *, administrator: bool = False) -> list[tuple[Any, ...]]:
        """Ask the database itself; nothing when it does not answer."""
        database = self.cluster._mysql_url.rpartition("/")[2]

        def ask() -> list[tuple[Any, ...]]:
            server = self.cluster.mariadb
            assert server is not None
            url = (server.administrator_url if administrator else server.url) + database
            try:
                with connect(url, timeout_s=2.0) as connection, connection.cursor() as cursor:
                    cursor.execute(statement)
                    return list(cursor.fetchall())
            except Exception as error:
                if administrator:
                    raise TestingError(f"{statement}: {error}") from error
                return []

        return await asyncio.to_thread(ask)

    async def until_connected(self, timeout_s: float = RECOVERY_S) -> None:
        """Wait until every running node has every running executor."""
        executors = {executor.name for executor in self.cluster.executors if executor.is_running}
        deadline = time.monotonic() + timeout_s
        for node in [node for node in self.cluster.nodes if node.is_running]:
            async with MainspringClient(node.address) as client:
                while True:
                    with contextlib.suppress(MainspringError):
                        seen = {e.executor_id for e in (await client.list_nodes(timeout_s=2.0)).executors}
                        if executors <= seen:
                            break
                    if time.monotonic() > deadline:
                        raise ChildFailedError(f"{node.name} does not have {sorted(executors)}")
                    await asyncio.sleep(0.1)

    # --- what faults are made of ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def in_pair(self) -> Iterator[None]:
        """For the length of the block two faults meet each other."""
        self.is_pair = True
        try:
            yield
        finally:
            self.is_pair = False

    async def some_node(self) -> tuple[MemberProcess, dict[int, int]]:
        """A node that owns partitions and that no other fault of the episode has, by the seed; and epochs by partition."""
        async with asyncio.timeout(RECOVERY_S):
            while True:
                taken = self._victims | self._leaving
                free = [n for n in self.cluster.nodes if n.is_running and n.name not in taken]
                if free:
                    node = self.random.choice(free)
                    self._victims.add(node.name)
                    if owned := await self.epochs(node):
                        return node, owned
                    self._victims.remove(node.name)  # it has just come and has nothing yet
                await asyncio.sleep(0.2)

    def some_executor(self) -> MemberProcess:
        """A running executor, by the seed."""
        return self.random.choice([e for e in self.cluster.executors if e.is_running])

    @contextlib.asynccontextmanager
    async def away(self, *nodes: MemberProcess) -> AsyncIterator[None]:
        """For the length of the block these nodes are not expected to own anything."""
        self._leaving |= {node.name for node in nodes}
        try:
            yield
        finally:
            self._leaving -= {node.name for node in nodes}

    @contextlib.asynccontextmanager
    async def broken_link(
        self, node: MemberProcess, side: Side, mode: Mode, *, only: Sequence[MemberProcess] = ()
    ) -> AsyncIterator[None]:
        """A node's link is cut or frozen for the length of the block."""
        self.cluster.set_link(node, side, mode, only=only)
        try:
            yield
        finally:
            self.cluster.set_link(node, side, Mode.PASS)

    async def start_again(self, *nodes: MemberProcess) -> None:
        """Start nodes that have ended."""
        async with asyncio.TaskGroup() as group:
            for node in nodes:
                group.create_task(asyncio.to_thread(self.cluster.start_again, node))

    async def moved_from(self, node: MemberProcess, before: Mapping[int, int]) -> None:
        """Wait until others own what a node owned; says so in the facts.

        Raises:
            ChildFailedError: they do not within 20 s (45 s in a pair).
        """
        deadline = time.monotonic() + (45.0 if self.is_pair else 20.0)
        while time.monotonic() < deadline:
            rows = await self.sql("SELECT partition_id, owner_id, epoch FROM partitions")
            now = {int(p): (member_name(owner or ""), int(epoch)) for p, owner, epoch in rows}
            moved = [
                p
                for p, e in before.items()
                if p in now and now[p][0] not in ("", node.name) and now[p][1] > e
            ]
            if before and len(moved) == len(before):
                self.facts["partitions moved"] = self.facts.get("partitions moved", 0) + len(moved)
                return
            await asyncio.sleep(0.1)
        raise ChildFailedError(
            f"{len(before) - len(moved)} of {len(before)} partitions of {node.name} did not move"
        )

    async def metric(self, node: MemberProcess, name: str) -> float:
        """A metric without labels of a node, as it tells it now.

        Raises:
            TestingError: it does not.
        """

        def read() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{node.metrics_port}/metrics", timeout=5) as page:
                return str(page.read().decode())

        text = await asyncio.to_thread(read)
        for line in text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise TestingError(f"{node.name} has no metric {name}")

    def log_count(self, node: MemberProcess, text: str) -> int:
        """How often a text stands in a node's log so far."""
        return node.child.log_text().count(text)


PROMISED_S = 10.0
"""Lateness that no fault may exceed on any machine (I10)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of fault.

    Attributes:
        name: For people, and the line of the table.
        script: Makes it, lets it last, heals it. Raises when it did not really happen.
        bound_s: The greatest lateness promised: from the due time, or from the end of what the script notes as an outage.
        registers_within_s: How long a registration may take meanwhile; None: that is not promised.
        takes_s: About how long, for plans of bounded length.
    """

    name: str
    script: Callable[[Campaign], Coroutine[Any, Any, None]]
    bound_s: float = PROMISED_S
    registers_within_s: float | None = None
    takes_s: float = 20.0
