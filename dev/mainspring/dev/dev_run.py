"""A run under load on one `mainspring dev` process, with the evidence and the judgement of a cluster's."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mainspring.testing.load_run import LoadRun
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.ports import LOOPBACK, free_port
from mainspring.testing.progress import MemberLine, Progress
from mainspring.testing.run_folder import RunFolder

NAME = "dev"
READY_TIMEOUT_S = 30.0


class DevMembers:
    """One process: node, executor and database, on the same port and file at each start.

    Methods block and may be called from any thread, one at a time.
    """

    def __init__(self, folder: RunFolder, *, capacity: int = 200, keeps_data: bool = False) -> None:
        """Describe it; nothing runs yet. The database is removed at the end unless `keeps_data`."""
        self.folder = folder
        self.address = f"{LOOPBACK}:{free_port()}"
        self.file = folder.data / "mainspring.db"
        self.nodes: list[MemberProcess] = []
        self.executors: list[MemberProcess] = []
        self._capacity = capacity
        self._keeps_data = keeps_data

    @property
    def run_logs(self) -> list[Path]:
        """The executors' run logs that exist."""
        return sorted(self.folder.run_logs.glob("*.jsonl"))

    def start(self) -> float:
        """Start the process, and wait until it says that it is ready; returns how long that took, in seconds.

        Raises:
            ChildFailedError: It ended, or was not ready in time.
        """
        if not self.nodes:
            self.nodes.append(
                MemberProcess(NAME, self._arguments(), {}, self.folder.logs, address=self.address)
            )
        began_s = time.monotonic()
        self.nodes[0].start()
        self.nodes[0].child.wait_for_line(r"^Mainspring is ready", timeout_s=READY_TIMEOUT_S)
        return time.monotonic() - began_s

    def kill(self) -> None:
        """SIGKILL."""
        self.nodes[0].kill()

    def close(self) -> None:
        """Kill it. Safe to call twice."""
        for node in self.nodes:
            node.kill()
        if not self._keeps_data:
            self.folder.remove_data()

    def _arguments(self) -> Sequence[str]:
        run_log = self.folder.run_logs / "executor.jsonl"
        arguments: tuple[str | Path, ...] = (
            *("dev", "--listen", self.address, "--file", self.file),
            *("--capacity", str(self._capacity), "--run-log", run_log),
        )
        return [str(argument) for argument in arguments]


class DevRun(LoadRun):
    """A run on one process. Use it in `async with`, on one event loop; the process is killed at its end."""

    def __init__(
        self, members: DevMembers, progress: Progress, *, refresh: Callable[[], None] = lambda: None
    ) -> None:
        """Describe it; nothing runs yet. `refresh` is called after each change of `progress`."""
        super().__init__(members, progress, refresh=refresh)
        self.members = members

    async def start(self) -> float:
        """Start everything; returns how long it took until it served, in seconds.

        Raises:
            ChildFailedError: It did not come up.
        """
        self.progress.phase = "starting mainspring dev"
        self.watch()
        ready_s = await asyncio.to_thread(self.members.start)
        self.progress.event(f"mainspring dev serves on {self.members.address} after {ready_s:.1f} s")
        await self.connect([self.members.address])
        return ready_s

    async def kill_and_restart(self) -> float:
        """SIGKILL, then a new process on the same file and port; returns how long that one took to serve, in seconds.

        Node, executor and database die together, so the fault is an outage, and it explains what ran again.

        Raises:
            ChildFailedError: It did not come up again.
        """
        self.progress.event("mainspring dev is killed (SIGKILL)")
        async with self.fault("kill", "executors", is_outage=True):
            await asyncio.to_thread(self.members.kill)
            ready_s = await asyncio.to_thread(self.members.start)
        self.progress.event(f"it serves again after {ready_s:.1f} s")
        return ready_s

    async def _watch_members(self) -> None:
        await super()._watch_members()
        self.progress.executors = [
            MemberLine(name, "ready") for name in sorted(self.progress.figures.by_executor)
        ]
