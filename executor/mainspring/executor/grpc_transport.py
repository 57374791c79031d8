"""Streams over gRPC: the executor's only importer of grpc."""

import asyncio
from typing import Any

import grpc
import grpc.aio

from mainspring.client.channel import open_channel
from mainspring.executor.transport import TransportError
from mainspring.v1 import executor_service_pb2 as pb
from mainspring.v1 import executor_service_pb2_grpc as pb_grpc


class GrpcTransport:
    """Opens one channel per stream: a fresh one knows nothing of an earlier failure.

    Args:
        credentials: For TLS. None: plain text.
    """

    def __init__(self, credentials: grpc.ChannelCredentials | None = None) -> None:
        self._credentials = credentials

    async def open(self, address: str) -> "GrpcStream":
        """Return a connected stream; waits until the node answers, the caller bounds the wait.

        Raises:
            TransportError: The node refuses streams.
        """
        channel = open_channel(address, self._credentials)
        try:
            await channel.channel_ready()
            return GrpcStream(channel, pb_grpc.ExecutorServiceStub(channel).Connect())
        except grpc.aio.AioRpcError as error:
            await channel.close()
            raise TransportError(f"{error.code().name}: {error.details()}") from error
        except BaseException:
            await channel.close()
            raise


class GrpcStream:
    """A bidirectional call and its channel."""

    def __init__(self, channel: grpc.aio.Channel, call: Any) -> None:
        self._channel = channel
        self._call = call

    async def send(self, frame: pb.ConnectRequest) -> None:
        """See FrameStream."""
        try:
            await self._call.write(frame)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise TransportError(_describe(error)) from error

    async def receive(self) -> pb.ConnectResponse | None:
        """See FrameStream."""
        try:
            frame = await self._call.read()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError) as error:
            raise TransportError(_describe(error)) from error
        return frame if isinstance(frame, pb.ConnectResponse) else None

    async def done_sending(self) -> None:
        """See FrameStream."""
        try:
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return  # the peer was faster

    async def close(self) -> None:
        """See FrameStream."""
        self._call.cancel()
        await self._channel.close()


def _describe(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"
