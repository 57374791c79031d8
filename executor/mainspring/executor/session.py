"""One executor's session with one node: a stream, its reader, its writer, its signs of life.

    CONNECTING ──stream open, hello sent──> GREETING ──node's hello──> LIVE ──goodbye or loss──> ENDED

A session is used once. It knows frames, neither gRPC nor what becomes of them: those go to its `SessionOwner`.
Exactly one task reads and one writes; everybody else fills the outbox and wakes it.
"""

import asyncio
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from mainspring.executor.clock import Clock
from mainspring.executor.config import ExecutorConfig
from mainspring.executor.log import logger
from mainspring.executor.outbox import Outbox
from mainspring.executor.transport import FrameStream, Transport, TransportError
from mainspring.v1 import executor_service_pb2 as pb

DEFAULT_HEARTBEAT_S = 1.0
DEFAULT_LEASE_S = 3.0
"""The terms until the node names its own."""

SEND_BLOCKED_LEASES = 2
"""A node that takes nothing for this many leases is given up, though it may still be heard."""


STOOD_STILL = "this process stood still: the node may have given its work to others"


class SessionState(Enum):
    """See the module's docstring."""

    CONNECTING = "connecting"
    GREETING = "greeting"
    LIVE = "live"
    ENDED = "ended"


class SessionOwner(Protocol):
    """Who is told what a session hears. Called on the event loop, must not block."""

    def on_live(self, session: "Session") -> None:
        """The node has answered the hello."""
        ...

    def on_frame(self, session: "Session", frame: pb.ConnectResponse) -> None:
        """A frame came, the one with the hello included."""
        ...


class Session:
    """One stream to one node.

    Args:
        address: host:port of the node; names the session.
        hello: What to introduce the executor with.
    """

    def __init__(
        self,
        address: str,
        hello: pb.ExecutorHello,
        *,
        owner: SessionOwner,
        transport: Transport,
        clock: Clock,
        config: ExecutorConfig,
    ) -> None:
        self.address = address
        self.node_id = ""
        self.node_address = ""
        """What the node calls itself; `address` may be another name of it."""
        self.state = SessionState.CONNECTING
        self.outbox = Outbox()
        self.has_goodbye = False
        """The node has left in order."""
        self.is_leaving = False
        """This side ends the session on purpose."""
        self._hello = hello
        self._owner = owner
        self._transport = transport
        self._clock = clock
        self._config = config
        self._heartbeat_s = DEFAULT_HEARTBEAT_S
        self._lease_s = DEFAULT_LEASE_S
        self._heard_at_s = clock.monotonic()
        self._beat_at_s = clock.monotonic()
        self._beats = 0
        self._sending_since_s: float | None = None
        self._ticked_at_s = clock.monotonic()
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def is_live(self) -> bool:
        """Whether the node has answered and the session has not ended."""
        return self.state is SessionState.LIVE

    async def run(self) -> str:
        """Hold the session until it ends. Returns why, for people; raises only when cancelled, or for a bug."""
        stream: FrameStream | None = None
        try:
            try:
                async with self._clock.timeout(self._config.connect_timeout_s):
                    stream = await self._transport.open(self.address)
            except TimeoutError:
                return "the node did not accept a connection in time"
            except TransportError as error:
                return str(error)
            self.state = SessionState.GREETING
            self._heard_at_s = self._clock.monotonic()
            self.outbox.hello(self._hello)
            self.outbox.wake()
            return await self._exchange(stream)
        finally:
            self.state = SessionState.ENDED
            if stream is not None:
                await stream.close()

    def abort(self, reason: str) -> None:
        """End the session without a goodbye: the node is taken for lost."""
        if not self._stop.done():
            self._stop.set_result(reason)

    def leave(self, reason: str) -> None:
        """Send what is ready and a goodbye, then end. Nothing of the executor may be open at this node."""
        self.is_leaving = True
        if self.outbox.goodbye is None:
            self.outbox.goodbye = reason
            self.outbox.wake()

    def leave_alias(self, reason: str) -> None:
        """End the stream alone, for one under the node's own name: to the node the executor stays.

        A goodbye would say that nothing is open here, and work may be on its way on another stream of the same node.
        """
        self.is_leaving = True
        self.abort(reason)

    def tick(self, now_s: float, stalled_s: float) -> None:
        """Send a heartbeat when one is due, and give up a node that is silent or takes nothing.

        Args:
            now_s: Monotonic seconds.
            stalled_s: How long this process itself stood still just now: no node is to blame for that.
        """
        self._heard_at_s += stalled_s
        self._ticked_at_s = now_s
        if self.state is SessionState.LIVE and stalled_s > self._lease_s - self._heartbeat_s:
            self.abort(STOOD_STILL)
        elif self.state is SessionState.GREETING:
            if now_s - self._heard_at_s > self._config.hello_timeout_s:
                self.abort("the node did not answer the hello in time")
        elif self.state is SessionState.LIVE:
            if now_s - self._heard_at_s > self._lease_s:
                self.abort("nothing was heard of the node for its lease")
            elif (
                self._sending_since_s is not None
                and now_s - self._sending_since_s - stalled_s > SEND_BLOCKED_LEASES * self._lease_s
            ):
                self.abort("the node takes no frames")
            elif now_s - self._beat_at_s >= self._heartbeat_s:
                self._beat_at_s = now_s
                self._beats += 1
                self.outbox.heartbeat(self._beats)
                self.outbox.wake()

    async def _exchange(self, stream: FrameStream) -> str:
        reader = asyncio.create_task(self._read(stream), name=f"session-read-{self.address}")
        writer = asyncio.create_task(self._write(stream), name=f"session-write-{self.address}")
        try:
            # Bounded by `tick`: a silent node ends in `abort`.
            ends: list[asyncio.Future[Any]] = [reader, writer, self._stop]
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._stop in done:
                return self._stop.result()
            ended = reader if reader in done else writer
            error = None if ended.cancelled() else ended.exception()
            if ended is writer and error is None:
                await stream.done_sending()
                with suppress(TimeoutError):
                    async with self._clock.timeout(self._config.leave_timeout_s):
                        await asyncio.wait([reader])
                return f"left: {self.outbox.goodbye}"
            if error is None:
                return "the node ended the stream"
            if isinstance(error, TransportError):
                return str(error)
            raise error
        finally:
            self.state = SessionState.ENDED
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _read(self, stream: FrameStream) -> None:
        while (frame := await stream.receive()) is not None:
            if self._stop.done():
                return  # given up in this very moment: what comes now may be as old as what it is given up for
            self._heard_at_s = self._clock.monotonic()
            if self._heard_at_s - self._ticked_at_s > self._lease_s - self._heartbeat_s:
                # What was sent before or during the stand-still may run elsewhere by now: start none of it.
                raise TransportError(STOOD_STILL)
            if frame.hello and self.state is SessionState.GREETING:
                self._begin(frame.hello[0])
            if self.state is not SessionState.LIVE:
                raise TransportError("the node's first frame is no hello")
            if frame.goodbye:
                self.has_goodbye = True
                logger.info("session.node_left", address=self.address, reason=frame.goodbye[0].reason)
            self._owner.on_frame(self, frame)

    def _begin(self, hello: pb.NodeHello) -> None:
        self.node_id, self.node_address = hello.node_id, hello.address
        heartbeat_s = hello.heartbeat_interval.seconds + hello.heartbeat_interval.nanos / 1e9
        lease_s = hello.lease.seconds + hello.lease.nanos / 1e9
        self._heartbeat_s = heartbeat_s if heartbeat_s > 0 else DEFAULT_HEARTBEAT_S
        # A lease shorter than two heartbeats would end every session by itself.
        self._lease_s = max(lease_s if lease_s > 0 else DEFAULT_LEASE_S, 2 * self._heartbeat_s)
        self.state = SessionState.LIVE
        self._owner.on_live(self)

    async def _write(self, stream: FrameStream) -> None:
        """Return after the goodbye."""
        outbox = self.outbox
        sent_s = float("-inf")
        while True:
            await outbox.ready.wait()  # bounded by `tick`, which wakes it with heartbeats
            early_s = sent_s + self._config.frame_distance_s - self._clock.monotonic()
            if early_s > 0:
                await self._clock.sleep(early_s)
            outbox.ready.clear()
            sent_s = self._clock.monotonic()
            while (frame := outbox.take_frame(self._clock.monotonic())) is not None:
                await self._send(stream, frame)
            if outbox.goodbye is not None:
                frame = pb.ConnectRequest()
                frame.goodbye.add(reason=outbox.goodbye)
                await self._send(stream, frame)
                return

    async def _send(self, stream: FrameStream, frame: pb.ConnectRequest) -> None:
        self._sending_since_s = self._clock.monotonic()
        await stream.send(frame)
        self._sending_since_s = None
