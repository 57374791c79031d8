"""A node's side of ExecutorService.Connect, for tests of the executor: a double of the peer, over real gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from mainspring.v1 import executor_service_pb2 as pb
from mainspring.v1 import executor_service_pb2_grpc as pb_grpc

DEADLINE_S = 20.0
"""Bounds every wait of a test; nothing is expected to come near it."""

KEEPALIVE = (
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)


def work(
    number: int, *, handler: str = "noop", epoch: int = 1, attempt: int = 1, payload: bytes = b""
) -> pb.Work:
    """One item of work in partition 0, whose task is named by a number."""
    return pb.Work(
        attempt=pb.AttemptRef(
            partition_id=0, task_key=number.to_bytes(16, "big"), scheduled_at_us=1_000_000, attempt=attempt
        ),
        epoch=epoch,
        namespace="default",
        task_id=f"task-{number}",
        handler=handler,
        payload=payload,
        due_at_us=1_000_000,
        fence_token=number,
    )


class Stream:
    """What one executor said on one stream."""

    def __init__(self) -> None:
        self.hello: pb.ExecutorHello | None = None
        self.granted = 0
        self.wanted_back = 0
        self.spent = 0
        self.frames = 0
        self.started: list[pb.Started] = []
        self.results: list[pb.Result] = []
        self.answers: list[pb.ReconcileAnswer] = []
        self.progress: list[pb.Progress] = []
        self.heartbeats = 0
        self.is_draining = False
        self.goodbye: str | None = None
        self.has_ended = False
        self.outgoing: asyncio.Queue[pb.ConnectResponse | None] = asyncio.Queue(10_000)

    @property
    def credit(self) -> int:
        return self.granted - self.spent

    def send(self, **kinds: object) -> None:
        self.outgoing.put_nowait(pb.ConnectResponse(**kinds))  # type: ignore[arg-type]

    def send_work(self, items: Iterable[pb.Work]) -> None:
        items = list(items)
        self.spent += len(items)
        self.send(work=items)


class FakeNode(pb_grpc.ExecutorServiceServicer):
    """A node that records, and does what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.saves = True
        self.returns_credit = True
        self.lease_s = 3
        self.node_list: list[str] | None = None
        self.greets = True
        self.streams: list[Stream] = []
        self.on_frame: Callable[[Stream, pb.ConnectRequest], None] | None = None
        self._server: grpc.aio.Server | None = None
        self._changed = asyncio.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def stream(self) -> Stream:
        return self.streams[-1]

    @property
    def results(self) -> list[pb.Result]:
        return [result for stream in self.streams for result in stream.results]

    async def start(self) -> None:
        self._server = grpc.aio.server(options=KEEPALIVE)
        pb_grpc.add_ExecutorServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def kill(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(None)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()

    async def Connect(
        self, request_iterator: AsyncIterator[pb.ConnectRequest], context: grpc.aio.ServicerContext
    ) -> None:
        stream = Stream()
        self.streams.append(stream)
        writer = asyncio.create_task(self._write(stream, context))
        beats = asyncio.create_task(self._beat(stream))
        try:
            async for frame in request_iterator:
                self._hear(stream, frame)
                self._changed.set()
                if frame.goodbye:
                    break
        finally:
            stream.has_ended = True
            self._changed.set()
            for task in (writer, beats):
                task.cancel()
            await asyncio.gather(writer, beats, return_exceptions=True)

    def _hear(self, stream: Stream, frame: pb.ConnectRequest) -> None:
        stream.frames += 1
        if frame.hello and self.greets:
            stream.hello = frame.hello[0]
            addresses = [self.address] if self.node_list is None else self.node_list
            stream.send(
                hello=[
                    pb.NodeHello(
                        node_id=self.name,
                        address=self.address,
                        heartbeat_interval=Duration(nanos=200_000_000),
                        lease=Duration(seconds=self.lease_s),
                    )
                ],
                node_list=[pb.NodeList(addresses=addresses)],
            )
        for credit in frame.credit:
            stream.granted += credit.granted
            if credit.wanted_back:
                stream.wanted_back += credit.wanted_back
                if self.returns_credit:
                    returned = min(credit.wanted_back, stream.credit)
                    stream.spent += returned
                    stream.send(credit=[pb.CreditDemand(returned=returned)])
        stream.started.extend(frame.started)
        stream.results.extend(frame.result)
        stream.answers.extend(frame.reconcile)
        stream.progress.extend(frame.progress)
        stream.heartbeats += len(frame.heartbeat)
        stream.is_draining |= bool(frame.drain)
        if frame.goodbye:
            stream.goodbye = frame.goodbye[0].reason
        if frame.result and self.saves:
            stream.send(result_saved=[pb.ResultSaved(attempt=result.attempt) for result in frame.result])
        if self.on_frame is not None:
            self.on_frame(stream, frame)

    async def _write(self, stream: Stream, context: grpc.aio.ServicerContext) -> None:
        while (frame := await stream.outgoing.get()) is not None:
            await context.write(frame)

    async def _beat(self, stream: Stream) -> None:
        while True:
            await asyncio.sleep(0.2)
            if self.greets:
                stream.send(heartbeat=[pb.Heartbeat(sequence=1)])
