"""Executors' streams inside one process: the executor's `Transport`, joined to the nodes' `ExecutorServicer`.

Both sides run the very code that they run over gRPC. Frames are the same protobuf messages, handed over as they are: a
frame belongs to the other side once it is sent.

    Session --send--> [to_node] --context.read--> ExecutorServicer.Connect
            <-receive-- [to_executor] <-context.write--
"""

import asyncio
from collections import deque
from typing import Any, Generic, Protocol, TypeVar

import grpc
import structlog

from mainspring.executor.transport import TransportError
from mainspring.v1 import executor_service_pb2 as pb

log = structlog.get_logger(__name__)

FRAMES_IN_FLIGHT = 64
"""Frames that a direction holds before its sender waits. A frame is at most about 1 MiB, most are tiny."""

_Frame = TypeVar("_Frame", pb.ConnectRequest, pb.ConnectResponse)


class StreamService(Protocol):
    """The part of `ExecutorServicer` that streams need."""

    async def Connect(self, request_iterator: Any, context: Any) -> None:
        """Serve one stream until it ends."""
        ...


class InMemoryTransport:
    """A network of the nodes in this process, for any number of executors in it. For one event loop."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._services: dict[str, StreamService] = {}
        self._streams: dict[str, set[InMemoryStream]] = {}

    def listen(self, address: str, service: StreamService) -> None:
        """Take streams to a node from now on. The address is the node's own, which executors learn from its lists.

        Raises:
            ValueError: Somebody listens there.
        """
        if address in self._services:
            raise ValueError(f"{address} is taken")
        self._services[address] = service

    async def unlisten(self, address: str) -> None:
        """Take no more streams there and break those that are open, as the death of the node does. Safe to call twice."""
        self._services.pop(address, None)
        for stream in list(self._streams.pop(address, ())):
            await stream.close()

    async def open(self, address: str) -> "InMemoryStream":
        """See `Transport`."""
        service = self._services.get(address)
        if service is None:
            raise TransportError(f"nobody listens at {address}")
        streams = self._streams.setdefault(address, set())
        stream = InMemoryStream(service, address)
        streams.add(stream)
        stream.serving.add_done_callback(lambda _: streams.discard(stream))
        return stream


class InMemoryStream:
    """One session's stream, and the task of the node that serves it."""

    def __init__(self, service: StreamService, address: str) -> None:
        """Begin to serve."""
        self._to_node: _Direction[pb.ConnectRequest] = _Direction()
        self._to_executor: _Direction[pb.ConnectResponse] = _Direction()
        self.serving = asyncio.create_task(self._serve(service), name=f"stream-to-{address}")
        """Ends with the stream, never with an error."""

    async def send(self, frame: pb.ConnectRequest) -> None:
        """See `FrameStream`."""
        await self._to_node.put(frame)

    async def receive(self) -> pb.ConnectResponse | None:
        """See `FrameStream`."""
        return await self._to_executor.get()

    async def done_sending(self) -> None:
        """See `FrameStream`."""
        self._to_node.end()

    async def close(self) -> None:
        """See `FrameStream`: whatever is still on its way is lost, and the node sees its call cancelled."""
        self._break("the stream was closed")
        self.serving.cancel()
        await asyncio.wait([self.serving])

    async def _serve(self, service: StreamService) -> None:
        try:
            await service.Connect(None, _Context(self._to_node, self._to_executor))
        except grpc.aio.AbortError:
            pass  # the directions know why
        except Exception:
            log.exception("stream_failed")
            self._break("the node failed")
        finally:
            # As with gRPC, what the node has written still arrives, and what it has not read is dropped.
            self._to_executor.end()
            self._to_node.break_off("the node ended the stream")

    def _break(self, reason: str) -> None:
        self._to_node.break_off(reason)
        self._to_executor.break_off(reason)


class _Context:
    """What a servicer uses of `grpc.aio.ServicerContext`."""

    def __init__(
        self, to_node: "_Direction[pb.ConnectRequest]", to_executor: "_Direction[pb.ConnectResponse]"
    ) -> None:
        self._to_node = to_node
        self._to_executor = to_executor

    async def read(self) -> Any:
        """The next frame, or `grpc.aio.EOF` when none follows."""
        try:
            frame = await self._to_node.get()
        except TransportError:
            return grpc.aio.EOF  # so a killed peer looks to a servicer
        return grpc.aio.EOF if frame is None else frame

    async def write(self, frame: pb.ConnectResponse) -> None:
        """Hand a frame over; waits while the executor reads too slowly."""
        await self._to_executor.put(frame)

    async def abort_with_status(self, status: Any) -> None:
        """End the stream with an error; raises `grpc.aio.AbortError`."""
        self._to_executor.break_off(f"{status.code.name}: {status.details}")
        raise grpc.aio.AbortError


class _Direction(Generic[_Frame]):
    """A bounded queue of frames with an end, for one sender and one receiver."""

    def __init__(self) -> None:
        self._frames: deque[_Frame] = deque()
        self._is_ended = False
        self._broken: str | None = None
        self._moved = asyncio.Event()

    async def put(self, frame: _Frame) -> None:
        while self._broken is None and not self._is_ended and len(self._frames) >= FRAMES_IN_FLIGHT:
            await self._wait()
        if self._broken is not None or self._is_ended:
            raise TransportError(self._broken or "the stream has ended")
        self._frames.append(frame)
        self._moved.set()

    async def get(self) -> _Frame | None:
        """The next frame; None after the last one."""
        if self._frames:
            await asyncio.sleep(
                0
            )  # a receiver must not keep the loop to itself while frames come without a pause
        while not self._frames and self._broken is None and not self._is_ended:
            await self._wait()
        if self._broken is not None:
            raise TransportError(self._broken)
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._moved.set()
        return frame

    def end(self) -> None:
        """Nothing follows; what is there still arrives."""
        self._is_ended = True
        self._moved.set()

    def break_off(self, reason: str) -> None:
        """Drop what is there; both ends hear the first reason given."""
        if self._broken is None:
            self._broken = reason
            self._frames.clear()
            self._moved.set()

    async def _wait(self) -> None:
        # Only one of both ever waits: the sender while it is full, the receiver while it is empty.
        self._moved.clear()
        await self._moved.wait()
