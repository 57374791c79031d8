"""One run under load, whatever it runs on: registering, watching, faults noted, and the evidence that is taken afterwards.

The evidence comes in the order that the checker asks for.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from mainspring.client import MainspringClient, MainspringError
from mainspring.testing.checker import Limits
from mainspring.testing.errors import TestingError
from mainspring.testing.expected import Calendar
from mainspring.testing.history import OPEN_STATES, AuditTrail, Deadlocks, Fault, History, LedgerRow
from mainspring.testing.history import member_name as member_name
from mainspring.testing.ledger import read_ledger, read_tasks
from mainspring.testing.load_generator import LoadGenerator, now_us
from mainspring.testing.progress import MemberLine, Progress
from mainspring.testing.run_log import read_run_logs
from mainspring.testing.workload import PlannedTask

SECOND_US = 1_000_000
SETTLE_TIMEOUT_S = 45.0
"""Longer than the checker's bound for a stuck row, so that it is the checker who tells of one."""
_POLL_S = 0.1
_WATCH_S = 0.25
_WATCH_TIMEOUT_S = 1.0


class RunMember(Protocol):
    """A node or an executor of a run: a process, or a part of this one."""

    @property
    def name(self) -> str:
        """For people; an executor's is its id."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        ...


class Members(Protocol):
    """The members of a run."""

    @property
    def nodes(self) -> Sequence[RunMember]:
        """All that were started, also those that are gone."""
        ...

    @property
    def executors(self) -> Sequence[RunMember]:
        """Likewise."""
        ...

    @property
    def run_logs(self) -> list[Path]:
        """The executors' run logs that exist."""
        ...

    def close(self) -> None:
        """Kill everything. Safe to call twice."""
        ...


class LoadRun:
    """A run on some members. Use it in `async with`, on one event loop; they are closed at its end."""

    def __init__(
        self, members: Members, progress: Progress, *, refresh: Callable[[], None] = lambda: None
    ) -> None:
        """Describe it; nothing runs yet. `refresh` is called after each change of `progress`."""
        self.progress = progress
        self.faults: list[Fault] = []
        self._members = members
        self._refresh = refresh
        self._clients = contextlib.AsyncExitStack()
        self._client: MainspringClient | None = None
        self._load: LoadGenerator | None = None
        self._watching: asyncio.Task[None] | None = None
        self._namespaces: set[str] = set()
        self.retentions: dict[str, int] = {}
        """Of namespaces that keep what has ended for another time than usual, microseconds."""

    async def __aenter__(self) -> Self:
        """Nothing is started."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop watching and close the members, also when cancelled."""
        try:
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.wait([self._watching])
            await self._clients.aclose()
        finally:
            # In this thread on purpose: nothing can cancel it half-way.
            self._members.close()

    @property
    def client(self) -> MainspringClient:
        """A client that knows the first nodes."""
        if self._client is None:
            raise TestingError("nothing was started")
        return self._client

    @property
    def load(self) -> LoadGenerator:
        """The load generator."""
        if self._load is None:
            raise TestingError("nothing was started")
        return self._load

    def watch(self) -> None:
        """Keep `progress` fresh from now on."""
        self._watching = asyncio.create_task(self._watch(), name="watch")

    async def connect(self, addresses: Sequence[str]) -> None:
        """Make the client and the load generator."""
        self._client = await self._clients.enter_async_context(MainspringClient(addresses))
        self._load = LoadGenerator(self._client, on_change=self._on_registered)

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

    @contextlib.asynccontextmanager
    async def fault(
        self,
        kind: str,
        target: str,
        *,
        is_outage: bool = False,
        peer: str = "",
        bound_us: int | None = None,
        facts: dict[str, Any] | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Note a fault that lasts as long as the block; gives its facts, to be filled in there. See `Fault`."""
        from_at = now_us()
        facts = {} if facts is None else facts
        try:
            yield facts
        finally:
            noted = Fault(kind, target, from_at, now_us(), is_outage, peer, bound_us, facts)
            self.faults.append(noted)

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
        listed = await read_tasks(self.client, sorted(self._namespaces))
        ledger_read_at, ledger = await self._settled_ledger()
        audit, deadlocks = await self.read_witnesses()
        runs = await asyncio.to_thread(read_run_logs, self._members.run_logs)
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
            audit=audit,
            deadlocks=deadlocks,
            calls=tuple(self.load.calls),
            retentions=dict(self.retentions),
        )

    async def read_witnesses(self) -> tuple[AuditTrail | None, Deadlocks | None]:
        """What the database itself saw, where somebody asked it to watch."""
        return None, None

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
            self.progress.figures.read(self._members.run_logs)
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
            for node in self._members.nodes
        ]
        self.progress.executors = [
            MemberLine(executor.name, "ready" if executor.is_running else "gone")
            for executor in self._members.executors
        ]


def _cancel_at(settled_at: int, limits: Limits) -> int:
    """When a cancel comes too late to excuse anything that was due by `settled_at`."""
    return settled_at + limits.lateness_us + 2 * limits.clock_margin_us


async def sleep_until(at: int) -> None:
    """Sleep until the wall clock shows this instant, in microseconds."""
    await asyncio.sleep(max(0, at - now_us()) / SECOND_US)
