"""A TCP proxy that knows just enough of MySQL's protocol to cut a connection at a chosen statement."""

from __future__ import annotations

import asyncio
import contextlib


class CuttingProxy:
    """Passes bytes both ways until a client sends `trigger`; then that connection is cut, once.

    Args:
        target: host and port of the server.
        trigger: bytes in a client's packet.
        is_forwarded: whether the server still gets the packet (and only its answer is lost).
    """

    def __init__(self, target: tuple[str, int], trigger: bytes, *, is_forwarded: bool) -> None:
        self._target = target
        self._trigger = trigger
        self._is_forwarded = is_forwarded
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_armed = False
        self.cuts = 0

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        answers = asyncio.create_task(_copy(up_reader, writer))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    if self.is_armed and self._trigger in data:
                        self.is_armed = False
                        self.cuts += 1
                        answers.cancel()
                        if self._is_forwarded:
                            up_writer.write(data)
                            # Its answer has come, so it is done; the client never sees it.
                            await up_reader.read(1)
                        break
                    up_writer.write(data)
                    await up_writer.drain()
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            writer.transport.abort()
            up_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
