"""What every server started here has in common: a folder, a child process, and the handles that fault tests need."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from mainspring.testing.child_process import ChildProcess

START_TIMEOUT_S = 30.0


class LocalServer(ABC):
    """One server process on loopback with its data in one folder.

    Methods are synchronous and may be called from any thread (`await asyncio.to_thread(server.restart)`), one at a time.
    Port and data stay the same over kill, stop and restart.
    """

    name: str

    def __init__(self, folder: Path, *, port: int, environment: Mapping[str, str] | None = None) -> None:
        """Use `folder` (created if missing) for data and log, and add to the environment; nothing runs yet."""
        self.folder = folder.absolute()
        self.port = port
        self._environment = dict(environment or {})
        self._child: ChildProcess | None = None

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Fetch the program, create the data if there is none, and return the command that runs the server."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server does its work now; must return within about a second."""

    @property
    def log_path(self) -> Path:
        """Where the server's own messages go."""
        return self.folder / "server.log"

    @property
    def child(self) -> ChildProcess:
        """The process; raises RuntimeError before the first start."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child

    @property
    def pid(self) -> int:
        """Process id of the current or last run."""
        return self.child.pid

    @property
    def is_running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._child is not None and self._child.is_running

    def start(self, *, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Start it and wait until it answers. The time limit does not include fetching the program.

        Raises:
            ServerUnavailableError: the program cannot be had here.
            ChildFailedError: it ended or stayed silent; nothing is left running.
        """
        if self._child is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._child = ChildProcess(
                self.name, self._prepare(), log_path=self.log_path, environment=self._environment
            )
        self._child.start()
        try:
            self._child.wait_until(self._answers, timeout_s=timeout_s, what="answer")
        except BaseException:
            self._child.kill()
            raise
        return self

    def stop(self, *, grace_s: float = 15.0) -> None:
        """Clean stop, by force after `grace_s`. Does nothing if it does not run."""
        if self._child is not None:
            self._child.stop(grace_s=grace_s)

    def kill(self) -> None:
        """Crash it (SIGKILL); the data stay. Does nothing if it does not run."""
        if self._child is not None:
            self._child.kill()

    def restart(self, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it again on the same port and data, after a clean stop if it still runs."""
        self.stop()
        self.start(timeout_s=timeout_s)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        self.child.pause()

    def resume(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        self.child.resume()

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Start it for the length of a `with` block, and crash it at the end (the fastest way to be rid of it)."""
        self.start()
        try:
            yield self
        finally:
            self.kill()
