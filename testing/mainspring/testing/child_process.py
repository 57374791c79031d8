"""One child process with a log file: start, wait until it is ready, stop, kill, pause.

Nothing is left behind: each child leads its own process group, which is killed as a whole, and on Linux the kernel kills the
child when this process dies, however it dies.
"""

import atexit
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mainspring.testing.errors import ChildFailedError
from mainspring.testing.ports import LOOPBACK, accepts_connections

_LAUNCHER = Path(__file__).with_name("child_launcher.py")
_POLL_S = 0.02
_STOPPED_TIMEOUT_S = 10.0
_LOG_TAIL_LINES = 15
_running: "weakref.WeakSet[ChildProcess]" = weakref.WeakSet()
# PR_SET_PDEATHSIG follows the parent *thread*: a child started from a short-lived thread would be killed when that thread
# ends, so one thread that lives as long as the process starts them all.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawn-children")


class ChildProcess:
    """A program in its own process group, output appended to a log file.

    Methods are synchronous and may be called from any thread (`await asyncio.to_thread(child.stop)`), one at a time.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        environment: Mapping[str, str] | None = None,
        working_folder: Path | None = None,
    ) -> None:
        """Describe the child; nothing runs yet.

        Args:
            name: what to call it in error messages.
            command: program and arguments.
            log_path: receives its standard output and standard error; the folder must exist.
            environment: added to (and winning over) this process's environment.
            working_folder: where it runs; default the current folder.
        """
        self.name = name
        self.command = [str(part) for part in command]
        self.log_path = log_path
        self._environment = dict(environment or {})
        self._working_folder = working_folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log_offset = 0

    def start(self) -> None:
        """Start it (again: after an exit the same object may be started anew).

        Raises:
            ChildFailedError: it is running already.
        """
        if self.is_running:
            raise ChildFailedError(f"{self.name} is running already (pid {self.pid})")
        self._log_offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._process = _spawner.submit(self._spawn).result()
        _running.add(self)

    def _spawn(self) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                launcher + self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                cwd=self._working_folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, also its process group; of the last run when it has ended."""
        if self._process is None:
            raise ChildFailedError(f"{self.name} was never started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs or before the first start."""
        return None if self.is_running or self._process is None else self._process.returncode

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended; a paused child counts as running."""
        process = self._process
        if process is None or process.returncode is not None:
            return False
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return True
        self._reap(process)
        return False

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the group, then free the pid: in this order the pid cannot belong to somebody else yet."""
        _signal_group(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        _running.discard(self)

    def log_text(self) -> str:
        """Everything logged since the last start."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(self._log_offset)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines logged since the last start."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def wait_until(self, probe: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Call `probe` until it is true.

        Args:
            probe: answers quickly.
            timeout_s: how long to go on, in seconds.
            what: completes the sentence "<name> did not ... in time".

        Raises:
            ChildFailedError: the child ended, or the time is over; holds the end of the log.
        """
        deadline = time.monotonic() + timeout_s
        while not probe():
            if not self.is_running:
                raise ChildFailedError(f"{self.name} ended with code {self.returncode}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ChildFailedError(
                    f"{self.name} did not {what} within {timeout_s:g} s\n{self.log_tail()}"
                )
            time.sleep(_POLL_S)

    def wait_for_line(self, pattern: str, *, timeout_s: float) -> re.Match[str]:
        """Wait until a line logged since the last start matches the regular expression; return the match."""
        expression = re.compile(pattern, re.MULTILINE)
        self.wait_until(
            lambda: expression.search(self.log_text()) is not None,
            timeout_s=timeout_s,
            what=f"log {pattern!r}",
        )
        match = expression.search(self.log_text())
        assert match is not None
        return match

    def wait_for_port(self, port: int, *, timeout_s: float, host: str = LOOPBACK) -> None:
        """Wait until it accepts TCP connections."""
        self.wait_until(
            lambda: accepts_connections(host, port), timeout_s=timeout_s, what=f"listen on port {port}"
        )

    def wait(self, *, timeout_s: float) -> int:
        """Wait for its end and return the exit code (negative for a signal).

        Raises:
            ChildFailedError: it still runs after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while self.is_running:
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{self.name} still ran after {timeout_s:g} s\n{self.log_tail()}")
            time.sleep(_POLL_S)
        if self._process is None:
            raise ChildFailedError(f"{self.name} was never started")
        return int(self._process.returncode)

    def stop(self, *, grace_s: float = 10.0) -> int | None:
        """End it: SIGTERM, then SIGKILL to the whole group after `grace_s`. Does nothing if it does not run.

        Returns:
            The exit code, or None if it was never started.
        """
        if self.is_running:
            self.send_signal(signal.SIGTERM)
            self.resume()  # a frozen process handles no signal
            try:
                self.wait(timeout_s=grace_s)
            except ChildFailedError:
                self.kill()
        return self.returncode

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait until it is gone. Does nothing if it does not run."""
        if self.is_running and self._process is not None:
            _signal_group(self._process.pid, signal.SIGKILL)
            self._reap(self._process)

    def pause(self) -> None:
        """Freeze the whole group (SIGSTOP); returns when no thread of the process runs any more, where /proc tells.

        Raises:
            ChildFailedError: some still did after 10 s.
        """
        self.signal_group(signal.SIGSTOP)
        deadline_s = time.monotonic() + _STOPPED_TIMEOUT_S
        while self._has_running_threads():
            if time.monotonic() > deadline_s:
                raise ChildFailedError(f"{self.name} is not stopped {_STOPPED_TIMEOUT_S:g} s after SIGSTOP")
            time.sleep(0.001)

    def _has_running_threads(self) -> bool:
        """The signal reaches each thread by itself, a moment later."""
        states = set()
        for file in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):
                states.add(file.read_text().rpartition(")")[2].split()[0])
        return bool(states - {"T", "t", "Z", "X"})

    def resume(self) -> None:
        """Let a frozen group go on (SIGCONT)."""
        self.signal_group(signal.SIGCONT)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone. Does nothing if it does not run."""
        if self.is_running:
            os.kill(self.pid, number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to its whole group. Does nothing if it does not run."""
        if self.is_running:
            _signal_group(self.pid, number)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
    except PermissionError:  # macOS answers so for a group of zombies
        pass


@atexit.register
def _kill_all_children() -> None:
    """What the kernel does on Linux, for systems without a parent-death signal."""
    for child in list(_running):
        child.kill()
