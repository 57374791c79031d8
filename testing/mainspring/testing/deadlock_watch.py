"""Counts deadlocks (error 1213) through a whole run, by the word of the database and by that of the nodes.

Both count in memory and begin at nothing with each start of their process, so they are asked each second, and of a process
that has gone the last reading stands. What it counted after that is a gap, if the server counted anything meanwhile.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence

import pymysql

from mainspring.testing.fault import Deadlocks
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.ports import LOOPBACK
from mainspring.testing.sql_server import ServerReading

ROUND_S = 1.0
TIMEOUT_S = 2.0
RETRIES = "mainspring_store_deadlock_retries_total"
Process = tuple[str, int]
"""Name and process id."""


class DeadlockTally:
    """Adds up rounds of readings. Pure.

    Counters only rise while their processes live: whoever does not answer is heard later. So between two rounds in which
    all answered nothing is missed, unless a process went or the server began anew. Over each stretch of such rounds the
    nodes must have retried what the server counted.
    """

    def __init__(self) -> None:
        """Nothing was read yet; the server's first value is what had been counted before."""
        self._on_server = 0
        self._last: ServerReading | None = None
        self._retries: dict[Process, int] = {}
        self._has_gaps = False
        # Since the last round in which all answered:
        self._is_whole = False
        self._whole_on_server = 0
        self._seen: set[Process] = set()
        self._is_server_new = False
        # The stretch, and what was not retried in those before it:
        self._stretch_on_server = 0
        self._stretch_from_retries = 0
        self._unretried = 0

    def take(self, server: ServerReading | None, nodes: Mapping[Process, int | None]) -> None:
        """Take a round, in which the server was read before the nodes.

        Args:
            server: None when it did not answer.
            nodes: every node that runs, with its count; None when it did not answer.
        """
        retries_before = self._retried
        if server is not None:
            self._take_server(server)
        self._seen |= nodes.keys()
        self._retries |= {process: count for process, count in nodes.items() if count is not None}
        self._is_whole = server is not None and None not in nodes.values()
        if not self._is_whole:
            return
        growth = self._on_server - self._whole_on_server
        if self._is_server_new or self._seen - nodes.keys():
            self._has_gaps |= self._is_server_new or growth > 0
            self._unretried += self._missing(retries_before)
            # Those retried before this round's reading of the server are no part of the next stretch.
            self._stretch_on_server, self._stretch_from_retries = 0, retries_before
        else:
            self._stretch_on_server += growth
        self._whole_on_server, self._seen, self._is_server_new = self._on_server, set(nodes), False

    def counts(self) -> Deadlocks | None:
        """What was counted so far; None when the server never told."""
        if self._last is None:
            return None
        unretried = self._unretried + self._missing(self._retried)
        has_gaps = self._has_gaps or not self._is_whole
        return Deadlocks(self._on_server, self._retried, has_gaps=has_gaps, unretried=unretried)

    def _take_server(self, server: ServerReading) -> None:
        if self._last is not None:
            is_new = server.uptime_s < self._last.uptime_s or server.deadlocks < self._last.deadlocks
            self._is_server_new |= is_new
            self._on_server += server.deadlocks if is_new else server.deadlocks - self._last.deadlocks
        self._last = server

    def _missing(self, retried: int) -> int:
        return max(0, self._stretch_on_server - (retried - self._stretch_from_retries))

    @property
    def _retried(self) -> int:
        return sum(self._retries.values())


class DeadlockWatch:
    """Asks the database and the nodes each second. For one event loop; the asking is done in threads."""

    def __init__(
        self,
        read_server: Callable[[], ServerReading | None],
        nodes: Callable[[], Sequence[MemberProcess]],
    ) -> None:
        """Describe it; nothing is asked yet."""
        self._read_server = read_server
        self._nodes = nodes
        self._tally = DeadlockTally()
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(ROUND_S)

    async def ask(self) -> None:
        """Ask everybody once; who does not answer is asked again next time."""
        async with self._lock:
            server = await asyncio.to_thread(self._ask_server)
            running = [node for node in self._nodes() if node.is_running and node.metrics_port is not None]
            async with asyncio.TaskGroup() as group:
                asked = {
                    (node.name, node.pid): group.create_task(
                        asyncio.to_thread(_ask_node, node), name=f"ask-{node.name}"
                    )
                    for node in running
                }
            self._tally.take(server, {process: task.result() for process, task in asked.items()})

    def counts(self) -> Deadlocks | None:
        """What was counted so far; None when the database does not tell."""
        return self._tally.counts()

    def _ask_server(self) -> ServerReading | None:
        try:
            return self._read_server()
        except (pymysql.Error, OSError):
            return None


def _ask_node(node: MemberProcess) -> int | None:
    assert node.metrics_port is not None
    pid = node.pid
    try:
        count = read_counter(node.metrics_port, RETRIES)
    except OSError:
        return None
    # Started again meanwhile, another process has answered.
    return None if count is None or node.pid != pid else int(count)


def read_counter(port: int, name: str) -> float | None:
    """A counter without labels, from the metrics served on a loopback port; None when there is no such counter.

    Raises:
        OSError: nobody answers there within 2 s.
    """
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=TIMEOUT_S) as answer:
            text = answer.read().decode()
    except urllib.error.URLError as error:
        raise OSError(f"no metrics on port {port}: {error.reason}") from error
    return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), None)
