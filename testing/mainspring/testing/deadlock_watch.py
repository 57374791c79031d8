"""Counts deadlocks (error 1213) through a whole run, by the word of the database and by that of the nodes.

Both count in memory and begin at nothing with each start of their process, so they are asked again and again and what they
gained is added up.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence

import pymysql

from mainspring.testing.fault import Deadlocks
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.ports import LOOPBACK

ROUND_S = 1.0
TIMEOUT_S = 2.0
RETRIES = "mainspring_store_deadlock_retries_total"


class Gains:
    """Adds up a counter that may begin anew."""

    def __init__(self) -> None:
        """Nothing was read yet; the first value is what had been counted before."""
        self.total = 0
        self._last: int | None = None

    def read(self, value: int) -> None:
        """Take the next value."""
        if self._last is not None:
            self.total += value - self._last if value >= self._last else value
        self._last = value


class DeadlockWatch:
    """Asks the database and the nodes each second. For one event loop; the asking is done in threads."""

    def __init__(
        self, server_deadlocks: Callable[[], int | None], nodes: Callable[[], Sequence[MemberProcess]]
    ) -> None:
        """Describe it; nothing is asked yet."""
        self._server_deadlocks = server_deadlocks
        self._nodes = nodes
        self._server = Gains()
        self._is_server_heard = False
        self._retries: dict[tuple[str, int], int] = {}

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(ROUND_S)

    async def ask(self) -> None:
        """Ask everybody once; who does not answer is asked again next time."""
        await asyncio.to_thread(self._ask_server)
        async with asyncio.TaskGroup() as group:
            for node in self._nodes():
                if node.is_running and node.metrics_port is not None:
                    group.create_task(asyncio.to_thread(self._ask_node, node), name=f"ask-{node.name}")

    def counts(self) -> Deadlocks | None:
        """What was counted so far; None when the database does not tell."""
        if not self._is_server_heard:
            return None
        running = {(node.name, node.pid) for node in self._nodes() if node.is_running}
        # What a node counted in its last second has gone with it.
        has_gaps = any(process not in running for process in self._retries)
        return Deadlocks(self._server.total, sum(self._retries.values()), has_gaps=has_gaps)

    def _ask_server(self) -> None:
        try:
            count = self._server_deadlocks()
        except (pymysql.Error, OSError):
            return
        if count is not None:
            self._is_server_heard = True
            self._server.read(count)

    def _ask_node(self, node: MemberProcess) -> None:
        assert node.metrics_port is not None
        process = (node.name, node.pid)
        try:
            count = read_counter(node.metrics_port, RETRIES)
        except OSError:
            return
        if count is not None:
            self._retries[process] = int(count)


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
