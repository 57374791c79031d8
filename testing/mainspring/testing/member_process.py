"""Scheduler nodes and executors as child processes."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mainspring.testing.child_process import ChildProcess

STOP_GRACE_S = 20.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used so far."""

    cpu_s: float
    """User and system time, in seconds."""
    memory_mb: float
    """Greatest resident size so far, in MiB."""
    resident_mb: float = 0.0
    """Resident size now, in MiB."""


class MemberProcess:
    """One node or executor. Methods are synchronous, for any thread, one at a time."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        logs: Path,
        *,
        address: str = "",
        metrics_port: int | None = None,
        program: Sequence[str] | None = None,
    ) -> None:
        """Describe `mainspring ARGUMENTS`; nothing runs yet.

        Args:
            name: of the process, for people and for its log file.
            arguments: after `mainspring`.
            environment: settings given by environment variables.
            logs: the folder of its log file.
            address: host:port where a node listens.
            metrics_port: where a node serves its metrics, on loopback.
            program: what runs in the place of `mainspring`, such as a launcher of a test that runs it in turn.
        """
        self.name = name
        self.address = address
        self.metrics_port = metrics_port
        self._child = ChildProcess(
            name,
            mainspring_command(*arguments) if program is None else [*program, *arguments],
            log_path=logs / f"{name}.log",
            environment={**import_environment(), **environment},
        )

    @property
    def log_path(self) -> Path:
        """Its output."""
        return self._child.log_path

    @property
    def pid(self) -> int:
        """Process id of the current or last run."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._child.is_running

    @property
    def child(self) -> ChildProcess:
        """The process itself."""
        return self._child

    def start(self) -> None:
        """Start it; does not wait until it serves."""
        self._child.start()

    def stop(self, *, grace_s: float = STOP_GRACE_S) -> int | None:
        """Ask it to leave (SIGTERM), kill it after `grace_s`; answers the exit code."""
        return self._child.stop(grace_s=grace_s)

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        self._child.pause()

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._child.resume()

    def usage(self) -> Usage | None:
        """CPU time and memory, read from /proc; None once it has ended, or where there is no /proc."""
        return usage_of(self.pid) if self.is_running else None


def mainspring_command(*arguments: str) -> list[str]:
    """The command line of `mainspring ARGUMENTS` under the running interpreter."""
    return [sys.executable, "-m", "mainspring.cli", *arguments]


def import_environment() -> dict[str, str]:
    """`PYTHONPATH` such that a child imports the same `mainspring` as this process, installed or not."""
    roots = [str(Path(part).absolute().parent) for part in importlib.import_module("mainspring").__path__]
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([*roots, inherited] if inherited else roots)}


def usage_of(pid: int) -> Usage | None:
    """What a process used so far; None when that cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold anything
    sizes_kb = {
        line[:5]: int(line.split()[1])
        for line in status.splitlines()
        if line.startswith(("VmHWM:", "VmRSS:"))
    }
    cpu_s = (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
    return Usage(cpu_s, sizes_kb.get("VmHWM", 0) / 1024, sizes_kb.get("VmRSS", 0) / 1024)
