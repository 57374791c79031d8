"""The in-memory stream keeps the promises of a gRPC stream: order, a bound, an end, an error, a cancelled call."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from mainspring.dev.in_memory_transport import FRAMES_IN_FLIGHT, InMemoryTransport
from mainspring.executor.transport import TransportError
from mainspring.v1 import executor_service_pb2 as pb

NODE = "node:1"


class Service:
    """Serves every stream with one function of the context."""

    def __init__(self, serve: Callable[[Any], Awaitable[None]]) -> None:
        self._serve = serve

    async def Connect(self, request_iterator: Any, context: Any) -> None:
        await self._serve(context)


def transport(serve: Callable[[Any], Awaitable[None]]) -> InMemoryTransport:
    made = InMemoryTransport()
    made.listen(NODE, Service(serve))
    return made


def beat(sequence: int) -> pb.ConnectRequest:
    return pb.ConnectRequest(heartbeat=[pb.Heartbeat(sequence=sequence)])


async def echo(context: Any) -> None:
    while (frame := await context.read()) is not grpc.aio.EOF:
        await context.write(pb.ConnectResponse(heartbeat=frame.heartbeat))


async def for_ever(context: Any) -> None:
    await asyncio.Event().wait()


async def test_frames_arrive_in_order_and_the_end_after_the_last_one() -> None:
    stream = await transport(echo).open(NODE)
    sent = list(range(3 * FRAMES_IN_FLIGHT))

    async def send() -> None:
        for number in sent:
            await stream.send(beat(number))
        await stream.done_sending()

    received = []
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(send())
        while (frame := await stream.receive()) is not None:
            received.append(frame.heartbeat[0].sequence)
    assert received == sent
    await stream.close()


async def test_a_sender_waits_while_the_other_side_reads_nothing() -> None:
    stream = await transport(for_ever).open(NODE)
    for number in range(FRAMES_IN_FLIGHT):
        await stream.send(beat(number))
    sending = asyncio.create_task(stream.send(beat(-1)))
    await asyncio.wait([sending], timeout=0.05)
    assert not sending.done()
    await stream.close()
    with pytest.raises(TransportError):
        await sending


async def test_a_node_waits_while_the_executor_reads_nothing() -> None:
    written = []

    async def pour(context: Any) -> None:
        for number in range(2 * FRAMES_IN_FLIGHT):
            await context.write(pb.ConnectResponse(heartbeat=[pb.Heartbeat(sequence=number)]))
            written.append(number)

    stream = await transport(pour).open(NODE)
    await asyncio.wait([stream.serving], timeout=0.05)
    assert len(written) == FRAMES_IN_FLIGHT
    async with asyncio.timeout(5):
        received = [frame async for frame in frames_of(stream)]
    assert len(received) == 2 * FRAMES_IN_FLIGHT


async def frames_of(stream: Any) -> Any:
    while (frame := await stream.receive()) is not None:
        yield frame


async def test_what_a_node_wrote_before_its_end_arrives_and_sending_then_fails() -> None:
    async def greet(context: Any) -> None:
        await context.write(pb.ConnectResponse(hello=[pb.NodeHello(node_id="n")]))

    stream = await transport(greet).open(NODE)
    await asyncio.wait([stream.serving], timeout=5)
    frame = await stream.receive()
    assert frame is not None
    assert frame.hello[0].node_id == "n"
    assert await stream.receive() is None
    with pytest.raises(TransportError, match="ended"):
        await stream.send(beat(1))
    await stream.done_sending()  # says nothing


async def test_an_abort_reaches_the_executor_with_code_and_words() -> None:
    async def refuse(context: Any) -> None:
        await context.read()
        status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="this node is leaving")
        await context.abort_with_status(rpc_status.to_status(status))

    stream = await transport(refuse).open(NODE)
    await stream.send(beat(1))
    with pytest.raises(TransportError, match="UNAVAILABLE: this node is leaving"):
        await stream.receive()


async def test_a_fault_of_the_servicer_breaks_the_stream() -> None:
    async def fail(context: Any) -> None:
        raise RuntimeError("a bug")

    stream = await transport(fail).open(NODE)
    with pytest.raises(TransportError, match="failed"):
        await stream.receive()
    assert stream.serving.exception() is None


async def test_closing_cancels_the_call_and_loses_what_is_on_its_way() -> None:
    ends = []

    async def serve(context: Any) -> None:
        try:
            await for_ever(context)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    stream = await transport(serve).open(NODE)
    await stream.send(beat(1))
    await asyncio.sleep(0)
    await stream.close()
    await stream.close()
    assert ends == ["cancelled"]
    with pytest.raises(TransportError):
        await stream.receive()


async def test_a_node_hears_of_a_closed_stream_as_its_end() -> None:
    heard = []

    async def serve(context: Any) -> None:
        try:
            await context.read()
            heard.append(await context.read())
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    stream = await transport(serve).open(NODE)
    await stream.send(beat(1))
    await asyncio.sleep(0)
    await stream.close()
    assert heard == ["cancelled"]


async def test_only_known_addresses_answer_and_a_vanished_node_breaks_its_streams() -> None:
    network = transport(echo)
    with pytest.raises(TransportError, match="nobody listens"):
        await network.open("node:2")
    with pytest.raises(ValueError, match="taken"):
        network.listen(NODE, Service(echo))
    stream = await network.open(NODE)
    receiving = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    await network.unlisten(NODE)
    await network.unlisten(NODE)
    with pytest.raises(TransportError):
        await receiving
    with pytest.raises(TransportError, match="nobody listens"):
        await network.open(NODE)
