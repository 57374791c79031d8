"""What a session needs of a transport: a stream of frames in each direction.

Frames are the messages of `executor_service.proto`; nothing here knows gRPC.
"""

from typing import Protocol

from mainspring.v1 import executor_service_pb2 as pb


class TransportError(Exception):
    """The stream cannot be opened or has broken."""


class FrameStream(Protocol):
    """One session's stream. One task sends, one receives."""

    async def send(self, frame: pb.ConnectRequest) -> None:
        """Hand a frame to the transport; waits while the peer reads too slowly.

        Raises:
            TransportError: The stream has broken.
        """
        ...

    async def receive(self) -> pb.ConnectResponse | None:
        """Return the next frame; None when the peer has ended the stream.

        Raises:
            TransportError: The stream has broken.
        """
        ...

    async def done_sending(self) -> None:
        """Tell the peer that no frame follows. Raises nothing."""
        ...

    async def close(self) -> None:
        """Give up the stream and what belongs to it. Raises nothing; safe to call twice."""
        ...


class Transport(Protocol):
    """Opens streams."""

    async def open(self, address: str) -> FrameStream:
        """Return a connected stream to a node; the caller bounds the wait and closes the stream.

        Raises:
            TransportError: The node cannot be reached.
        """
        ...
