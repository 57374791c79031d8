"""Mainspring for tests of applications: a process of its own whose clock the test moves.

With pytest, use the fixture `mainspring_dev` (see `mainspring.pytest_plugin`); elsewhere:

    with MainspringDev.start() as dev:
        ...                             # register tasks at dev.address
        dev.advance(timedelta(days=30))
"""

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import IO, Any, Self

import grpc

from mainspring.client.channel import CHANNEL_OPTIONS
from mainspring.client.dev import DEFAULT_TIMEOUT_S, Advanced, advance_request, idle_request
from mainspring.client.instants import from_timestamp
from mainspring.client.status import from_rpc_error
from mainspring.v1 import dev_service_pb2 as pb
from mainspring.v1 import dev_service_pb2_grpc

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
_READY = "Mainspring is ready on "


class MainspringDevError(Exception):
    """`mainspring dev` did not start; the message is what it said."""


class MainspringDev:
    """A running `mainspring dev --virtual-clock`. Its methods block, and may be called from any thread.

    In asynchronous tests that run an executor on the test's own event loop, move the clock with
    `mainspring.client.dev.DevClient(dev.address)` instead: a blocked loop runs no handlers.

    Attributes:
        address: host:port, for clients and executors.
    """

    def __init__(self, process: "subprocess.Popen[str]", address: str, stderr: IO[str]) -> None:
        """See `start`."""
        self.address = address
        self._process = process
        self._stderr = stderr
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub: Any = dev_service_pb2_grpc.DevServiceStub(self._channel)

    @classmethod
    def start(cls, options: Sequence[str] = ()) -> Self:
        """Start it on a free port and wait until it serves; nothing is kept unless the options say so.

        Args:
            options: More options of `mainspring dev`, such as `--start-time 2030-01-01T00:00:00Z`.

        Raises:
            MainspringDevError: It did not start, as without the extra `mainspring[server]`.
        """
        # Whoever leaves early must not find a file closed under a child that still writes.
        stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "mainspring.cli", "dev"),
                *("--virtual-clock", "--listen", "127.0.0.1:0"),
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},  # what it says may end up in a report
        )
        address = None
        try:
            address = _ready_address(process)
        finally:
            if address is None:
                _end(process)
        if address is None:
            stderr.seek(0)
            said = stderr.read().strip() or f"it said nothing within {START_TIMEOUT_S:g} s"
            stderr.close()
            raise MainspringDevError(f"`mainspring dev --virtual-clock` did not start: {said}")
        return cls(process, address, stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process; it is gone when this returns. Safe to call twice."""
        self._channel.close()
        _end(self._process)
        self._stderr.close()

    def now(self) -> datetime:
        """Return the virtual time, in UTC."""
        response = self._call(self._stub.GetTime, pb.GetTimeRequest(), 10.0)
        return from_timestamp(response.time)

    def advance(self, to: timedelta | datetime, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Advanced:
        """Move the clock on, by a duration or to an instant; return when all that fell due has finished.

        Raises: see `DevClient.advance`.
        """
        response = self._call(self._stub.AdvanceTime, advance_request(to), timeout_s)
        return Advanced(from_timestamp(response.time), response.finished_executions)

    def run_until_idle(
        self, limit: timedelta | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Advanced:
        """Move the clock on until no one-time task is left and nothing runs.

        Args: and Raises: see `DevClient.run_until_idle`.
        """
        response = self._call(self._stub.RunUntilIdle, idle_request(limit), timeout_s)
        return Advanced(from_timestamp(response.time), response.finished_executions)

    def _call(self, method: Any, request: object, timeout_s: float) -> Any:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            call: Any = error  # it is a grpc.Call too, with the same accessors as the asynchronous one
            raise from_rpc_error(call) from error


def _ready_address(process: "subprocess.Popen[str]") -> str | None:
    """The address that it says it serves on; None when it has ended or says none in time."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    output = process.stdout

    def drain() -> None:  # to its end, or the child would block when the pipe is full
        if output is not None:
            with output:
                for line in output:
                    lines.put(line)
        lines.put("")

    threading.Thread(target=drain, name="mainspring-dev-output", daemon=True).start()
    try:
        while line := lines.get(timeout=START_TIMEOUT_S):
            if line.startswith(_READY):
                return line.removeprefix(_READY).split(";")[0].strip()
    except queue.Empty:
        pass
    return None


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
