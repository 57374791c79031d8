"""The harness's side of the proxies: start the process, open links, and say what happens on them."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any, Self

from mainspring.testing.errors import ChildFailedError
from mainspring.testing.member_process import import_environment
from mainspring.testing.ports import free_port
from mainspring.testing.proxy.commits import CommitAction
from mainspring.testing.proxy.link import Counts, Mode


class Proxies:
    """The process with all links of a cluster. Methods block for a moment and may be called from any thread."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Of the process."""
        if self._process is None:
            raise ChildFailedError("the proxies were not started")
        return self._process.pid

    def start(self) -> Self:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mainspring.testing.proxy.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **import_environment()},
            start_new_session=True,  # a Ctrl-C is for the harness, which then closes everything in order
        )
        return self

    def close(self) -> None:
        """End it. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def open(self, link: str, target_port: int) -> int:
        """Open a link to a port; answers the port where it listens."""
        port = free_port()
        self._do({"do": "open", "link": link, "target_port": target_port, "port": port})
        return port

    def set_mode(self, link: str, mode: Mode, *, delay_s: float = 0.0, only_pids: Iterable[int] = ()) -> None:
        """See `Link.set_mode`."""
        self._do(
            {
                "do": "mode",
                "link": link,
                "mode": mode.value,
                "delay_s": delay_s,
                "only_pids": list(only_pids),
            }
        )

    def set_trap(
        self, link: str, action: CommitAction | None, *, count: int = 1, pid: int | None = None
    ) -> None:
        """See `Link.set_trap`."""
        self._do(
            {
                "do": "trap",
                "link": link,
                "action": None if action is None else action.value,
                "count": count,
                "pid": pid,
            }
        )

    def counts(self, link: str) -> Counts:
        """What a link saw so far."""
        return Counts(**self._do({"do": "counts", "link": link}))

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            process = self._process
            if process is None or process.stdin is None or process.stdout is None:
                raise ChildFailedError("the proxies do not run")
            try:
                process.stdin.write(json.dumps(command).encode() + b"\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except OSError as error:
                raise ChildFailedError(f"the proxies have ended: {error}") from error
        if not line:
            raise ChildFailedError("the proxies have ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildFailedError(f"the proxies cannot {command['do']} {command['link']}: {answer['error']}")
        return answer
