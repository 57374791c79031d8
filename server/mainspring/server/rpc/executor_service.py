"""ExecutorService: one reader and one writer for each executor's stream."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from grpc_status import rpc_status

from mainspring.server.clock import Clock
from mainspring.server.dispatch.executor_session import ExecutorSession, Outbox
from mainspring.server.dispatch.frames import WorkItem
from mainspring.server.engine.engine import Engine
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.errors import InvalidField, MainspringError, Unavailable
from mainspring.server.observability.metrics import Metrics
from mainspring.server.rpc import convert
from mainspring.server.rpc.status import status_of
from mainspring.v1 import executor_service_pb2 as pb
from mainspring.v1 import executor_service_pb2_grpc

log = structlog.get_logger(__name__)

HELLO_DEADLINE_S = 5.0
ITEMS_A_FRAME = 1_000
BYTES_A_FRAME = 1024 * 1024
EXECUTOR_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
LARGEST_CAPACITY = 100_000
MOST_HANDLERS = 1_000

Context = grpc.aio.ServicerContext[pb.ConnectRequest, pb.ConnectResponse]


class ExecutorServicer(executor_service_pb2_grpc.ExecutorServiceServicer):
    """Turns frames into calls of the engine and an executor's outbox into frames."""

    def __init__(
        self,
        clock: Clock,
        engine: Engine,
        settings: EngineSettings,
        metrics: Metrics,
        *,
        node_id: str,
        address: str,
        version: str,
        node_addresses: Callable[[], tuple[str, ...]],
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._settings = settings
        self._metrics = metrics
        self._node_id = node_id
        self._address = address
        self._version = version
        self._node_addresses = node_addresses
        self._is_draining = False

    def drain(self) -> None:
        """Takes no more executors and tells those connected that no more work comes from here."""
        self._is_draining = True
        for session in self._engine.executors.sessions():
            session.is_draining = True
            session.announce_drain()

    def say_goodbye(self) -> None:
        """Ends every executor's stream in order."""
        for session in self._engine.executors.sessions():
            session.say_goodbye("the node leaves")

    async def Connect(self, request_iterator: Any, context: Any) -> None:
        """See the proto."""
        try:
            session = self._open(await self._first_frame(context))
        except MainspringError as error:
            await context.abort_with_status(rpc_status.to_status(status_of(error)))
            return
        await context.write(self._hello())
        session.tell_nodes(self._node_addresses())
        self._engine.executor_connected(session)
        log.info("executor_connected", executor_id=session.executor_id, capacity=session.capacity)
        reader = asyncio.create_task(self._read(session, context), name=f"read {session.executor_id}")
        is_orderly = False
        try:
            await self._write(session, context, reader)
            if reader.done() and not reader.cancelled():
                if (failure := reader.exception()) is not None:
                    log.error("executor_stream_failed", executor_id=session.executor_id, exc_info=failure)
                else:
                    is_orderly = reader.result()
        finally:
            reader.cancel()
            self._engine.executors.disconnect(session, orderly=is_orderly)
            ended_by = "executor" if is_orderly else "node" if self._is_draining else "break"
            log.info("executor_disconnected", executor_id=session.executor_id, ended_by=ended_by)

    async def _first_frame(self, context: Any) -> pb.ConnectRequest:
        try:
            async with self._clock.timeout(HELLO_DEADLINE_S):
                frame = await context.read()
        except TimeoutError:
            raise InvalidField("hello", f"did not arrive within {HELLO_DEADLINE_S:.0f} s") from None
        if frame is grpc.aio.EOF or not isinstance(frame, pb.ConnectRequest):
            raise InvalidField("hello", "is required in the first frame")
        return frame

    def _open(self, frame: pb.ConnectRequest) -> ExecutorSession:
        if self._is_draining:
            raise Unavailable("this node is leaving: connect to another one")
        if len(frame.hello) != 1:
            raise InvalidField("hello", "is required once, in the first frame")
        hello = frame.hello[0]
        if not EXECUTOR_ID.fullmatch(hello.executor_id):
            raise InvalidField("hello.executor_id", "must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if not 1 <= len(hello.handlers) <= MOST_HANDLERS or not all(
            0 < len(h) <= 200 for h in hello.handlers
        ):
            raise InvalidField("hello.handlers", f"must be 1 to {MOST_HANDLERS} names of 1 to 200 characters")
        if not 1 <= hello.capacity <= LARGEST_CAPACITY:
            raise InvalidField("hello.capacity", f"must lie between 1 and {LARGEST_CAPACITY}")
        session = ExecutorSession(
            hello.executor_id,
            hello.handlers,
            hello.capacity,
            version=hello.version[:100],
            connected_at=self._clock.now(),
            heard_at_s=self._clock.lease_time(),
        )
        return session

    def _hello(self) -> pb.ConnectResponse:
        return pb.ConnectResponse(
            hello=[
                pb.NodeHello(
                    node_id=self._node_id,
                    heartbeat_interval=_duration(self._settings.heartbeat_interval_s),
                    lease=_duration(self._settings.lease_s),
                    version=self._version,
                    address=self._address,
                )
            ]
        )

    async def _read(self, session: ExecutorSession, context: Any) -> bool:
        """Takes frames until the stream ends; answers whether the executor said goodbye."""
        is_orderly = False
        try:
            while (frame := await context.read()) is not grpc.aio.EOF:
                self._metrics.frames_received.inc()
                is_orderly = bool(frame.goodbye)
                self._take(session, frame)
        finally:
            session.close()
        return is_orderly

    def _take(self, session: ExecutorSession, frame: pb.ConnectRequest) -> None:
        engine = self._engine
        engine.executors.heard(session, self._clock.lease_time())
        if frame.drain:
            session.is_draining = True
        if frame.started:
            engine.reaper.started([convert.attempt_from_proto(m.attempt) for m in frame.started])
        if frame.progress:
            engine.accept_progress(convert.progress_from_proto(frame.progress))
        if frame.reconcile:
            engine.reaper.reconciled(session.executor_id, convert.replies_from_proto(frame.reconcile))
        if frame.result:
            engine.accept_results(
                session.executor_id, convert.results_from_proto(frame.result), session.send_saved
            )
        granted = 0
        for credit in frame.credit:
            granted += max(0, credit.granted)
            if credit.wanted_back > 0:
                session.give_back_credit(credit.wanted_back)
        if granted:
            engine.executors.add_credit(session, min(granted, LARGEST_CAPACITY))

    async def _write(self, session: ExecutorSession, context: Any, reader: asyncio.Task[bool]) -> None:
        """Sends what the outbox holds and a heartbeat each interval, until the stream ends."""
        interval_s = self._settings.heartbeat_interval_s
        sequence = 0
        beat_at_s = self._clock.monotonic()
        while not session.is_closed:
            wait_s = max(0.0, beat_at_s - self._clock.monotonic())
            outbox = await session.outgoing(self._clock.timeout(wait_s)) or Outbox()
            frames = _frames(outbox, partial(self._engine.late_work.sift, session))
            frame = next(frames, None)
            if self._clock.monotonic() >= beat_at_s:
                sequence += 1
                beat_at_s = self._clock.monotonic() + interval_s
                frame = frame or pb.ConnectResponse()
                frame.heartbeat.append(pb.Heartbeat(sequence=sequence))
            while frame is not None:
                try:
                    # Who takes nothing for its lease is lost: what waits here would be old when it arrives.
                    async with self._clock.timeout(self._settings.lease_s):
                        await context.write(frame)
                except TimeoutError:
                    # A stream whose write timed out cannot be used any more.
                    log.warning("executor_reads_nothing", executor_id=session.executor_id)
                    return
                self._metrics.frames_sent.inc()
                if session.is_closed:
                    return
                frame = next(frames, None)
            if outbox.goodbye is not None:
                return


def _frames(
    outbox: Outbox, sift: Callable[[Sequence[WorkItem]], Sequence[WorkItem]]
) -> Iterator[pb.ConnectResponse]:
    """What is to be sent, in frames of bounded size; questions before work, so that epochs are announced first.

    Each frame is made when it is asked for: `sift` tells right then which of its work may still go out.
    """
    first = pb.ConnectResponse()
    if outbox.node_addresses is not None:
        first.node_list.add(addresses=outbox.node_addresses)
    if outbox.waiting is not None:
        first.credit.add(waiting=outbox.waiting, returned=outbox.credit_returned)
    if outbox.is_drain_due:
        first.drain.add()
    for start in range(0, len(outbox.questions), ITEMS_A_FRAME):
        items = [convert.question_to_proto(q) for q in outbox.questions[start : start + ITEMS_A_FRAME]]
        first.reconcile.add(items=items)
        if start + ITEMS_A_FRAME < len(outbox.questions):
            yield first
            first = pb.ConnectResponse()
    frame = first
    for attempt_id in outbox.saved:
        frame.result_saved.add(attempt=convert.attempt_to_proto(attempt_id))
        if len(frame.result_saved) >= ITEMS_A_FRAME:
            yield frame
            frame = pb.ConnectResponse()
    for chunk in _chunks(outbox.work):
        if frame.work:
            yield frame
            frame = pb.ConnectResponse()
        frame.work.extend(convert.work_to_proto(item) for item in sift(chunk))
    # Behind the work: what is to be stopped may be among it, and an executor passes over what it does not have.
    for cancellation in outbox.cancels:
        if len(frame.cancel) >= ITEMS_A_FRAME:
            yield frame
            frame = pb.ConnectResponse()
        frame.cancel.add(
            attempt=convert.attempt_to_proto(cancellation.attempt_id),
            error=cancellation.error,
            error_kind=cancellation.error_kind,
        )
    if outbox.goodbye is not None:
        frame.goodbye.add(reason=outbox.goodbye)
    if frame.ByteSize():
        yield frame


def _chunks(work: Sequence[WorkItem]) -> Iterator[list[WorkItem]]:
    chunk: list[WorkItem] = []
    size = 0
    for item in work:
        if chunk and (len(chunk) >= ITEMS_A_FRAME or size + len(item.payload) > BYTES_A_FRAME):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += len(item.payload)
    if chunk:
        yield chunk


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(int(seconds * 1_000_000))
    return duration
