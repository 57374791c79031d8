"""One proxied address: whatever connects to it is joined to the target, as long as the link lets things pass."""

import asyncio
import contextlib
import enum
import os
import signal
import socket
import struct
import time
from dataclasses import dataclass, field

from mainspring.testing.ports import LOOPBACK
from mainspring.testing.proxy.commits import ClaimWatch, CommitAction, Trap
from mainspring.testing.proxy.sockets import has_port

_CHUNK = 1 << 16
_CONNECT_S = 5.0
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close send RST instead of FIN."""


class Mode(enum.Enum):
    """What a link does to what it concerns."""

    PASS = "pass"
    CUT = "cut"
    """Connections are reset, new ones too."""
    FREEZE = "freeze"
    """Nothing passes and nothing is closed: a network that drops every packet."""
    DELAY = "delay"
    """Each piece is held back for a while, in both directions."""


@dataclass(slots=True)
class Counts:
    """What a link saw. `trapped_at`: when the trap last acted, microseconds of the wall clock; 0: never."""

    connections: int = 0
    cut: int = 0
    commits: int = 0
    trapped: int = 0
    trapped_at: int = 0


@dataclass(slots=True, eq=False)
class _Connection:
    """A client's connection and the one to the target behind it."""

    client_port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: float = 0.0
    task: "asyncio.Task[None] | None" = None

    def reset(self) -> None:
        """Both ends see a reset."""
        for writer in self.writers:
            reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


class Link:
    """For one event loop. Begins in mode PASS."""

    def __init__(self, target_port: int) -> None:
        """A link to a port of this machine's loopback; listens from `open` on."""
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._mode, self._delay_s = Mode.PASS, 0.0
        self._only_pids: frozenset[int] = frozenset()
        self._trap: Trap | None = None
        self._released = asyncio.Event()
        self.counts = Counts()

    async def open(self, port: int) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port, backlog=512)

    async def close(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        tasks = [c.task for c in self._connections if c.task is not None]
        for connection in list(self._connections):
            connection.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def set_mode(self, mode: Mode, *, delay_s: float = 0.0, only_pids: frozenset[int] = frozenset()) -> None:
        """Change what happens from now on to connections that exist and to new ones.

        Args:
            mode: see `Mode`.
            delay_s: for DELAY.
            only_pids: concerns only connections of these processes, when any are named.
        """
        self._mode, self._delay_s, self._only_pids = mode, delay_s, only_pids
        for connection in list(self._connections):
            self._apply(connection)

    def set_trap(self, trap: Trap | None) -> None:
        """Wait for COMMITs of claims; None: let them pass again, and release those that are held."""
        self._trap = trap
        if trap is None:
            self._released.set()
        else:
            self._released.clear()

    def _concerns(self, connection: _Connection) -> bool:
        pids = self._only_pids
        return not pids or any(has_port(pid, connection.client_port) for pid in pids)

    def _apply(self, connection: _Connection) -> None:
        mode = self._mode if self._mode is Mode.PASS or self._concerns(connection) else Mode.PASS
        connection.delay_s = self._delay_s if mode is Mode.DELAY else 0.0
        if mode is Mode.FREEZE:
            connection.flows.clear()
        else:
            connection.flows.set()
        if mode is Mode.CUT:
            self.counts.cut += 1
            connection.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        connection = _Connection(writer.get_extra_info("peername")[1], [writer])
        connection.task = asyncio.current_task()
        self._connections.add(connection)
        try:
            self._apply(connection)
            await connection.flows.wait()
            if writer.transport.is_closing():
                return
            async with asyncio.timeout(_CONNECT_S):
                up_reader, up_writer = await asyncio.open_connection(LOOPBACK, self._target_port)
            connection.writers.append(up_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(connection, reader, up_writer))
                group.create_task(self._answer(connection, up_reader, writer))
        except* (OSError, TimeoutError):
            pass  # the target is not there, or an end was reset: so is the other one
        except* asyncio.CancelledError:
            pass  # by `close`; whoever called this would only complain
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _ask(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """From the client to the target."""
        watch = ClaimWatch()
        while data := await reader.read(_CHUNK):
            if watch.is_commit_of_claim(data):
                self.counts.commits += 1
                if self._trap is not None:
                    await self._spring(self._trap, connection, data, writer)
                    continue
            await self._pass_on(connection, data, writer)
        await _end(writer)

    async def _answer(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """From the target to the client."""
        while data := await reader.read(_CHUNK):
            await self._pass_on(connection, data, writer)
        await _end(writer)

    async def _pass_on(self, connection: _Connection, data: bytes, writer: asyncio.StreamWriter) -> None:
        if connection.delay_s:
            await asyncio.sleep(connection.delay_s)
        await connection.flows.wait()
        writer.write(data)
        await writer.drain()

    async def _spring(
        self, trap: Trap, connection: _Connection, data: bytes, writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        if trap.action is CommitAction.STOP_SENDER and trap.pid is not None:
            os.kill(trap.pid, signal.SIGSTOP)
        self.counts.trapped += 1
        self.counts.trapped_at = time.time_ns() // 1_000
        self._trap = Trap(trap.action, trap.count - 1, trap.pid) if trap.count > 1 else None
        if trap.action is CommitAction.CUT_REQUEST:
            connection.reset()
        elif trap.action is CommitAction.CUT_REPLY:
            # Its client hears nothing of it, whatever the server says.
            connection.flows.clear()
            writer.write(data)
            await writer.drain()
            loop.call_later(0.2, connection.reset)
        else:
            await self._released.wait()
            await self._pass_on(connection, data, writer)


async def _end(writer: asyncio.StreamWriter) -> None:
    """Pass an end of stream on; the other direction goes on."""
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
