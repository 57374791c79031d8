"""A process that stood still starts none of what was sent to it: the node may have given it to others."""

import asyncio
import threading
import time

from mainspring.executor.agent import Agent
from mainspring.executor.config import ExecutorConfig
from mainspring.executor.job import Job
from mainspring.executor.registry import HandlerRegistry
from mainspring.executor.session import STOOD_STILL, Session
from mainspring.executor.transport import TransportError
from mainspring.v1 import executor_service_pb2 as pb

NODES = pb.ConnectResponse(node_list=[pb.NodeList(addresses=["a:1"])])


class SteppingClock:
    """The machine's clock plus what a test adds: a process that was stopped sees its clock jump."""

    def __init__(self) -> None:
        self.jumped_s = 0.0

    def now(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic() + self.jumped_s

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)

    def timeout(self, duration_s: float) -> asyncio.Timeout:
        return asyncio.timeout(duration_s)


class Line:
    """One stream, driven by hand."""

    def __init__(self) -> None:
        self.to_executor: asyncio.Queue[pb.ConnectResponse | None] = asyncio.Queue(100)
        self.from_executor: asyncio.Queue[pb.ConnectRequest] = asyncio.Queue(1000)
        self.is_closed = asyncio.Event()

    async def send(self, frame: pb.ConnectRequest) -> None:
        await self.from_executor.put(frame)

    async def receive(self) -> pb.ConnectResponse | None:
        return await self.to_executor.get()

    async def done_sending(self) -> None:
        return

    async def close(self) -> None:
        self.is_closed.set()


class Lines:
    """A transport that hands out streams."""

    def __init__(self) -> None:
        self.opened: asyncio.Queue[Line] = asyncio.Queue(10)

    async def open(self, address: str) -> Line:
        if self.opened.full():
            raise TransportError("enough")
        line = Line()
        await self.opened.put(line)
        return line


async def until_credit(line: Line) -> None:
    while not (await line.from_executor.get()).credit:
        pass


def hello() -> pb.ConnectResponse:
    frame = pb.ConnectResponse(hello=[pb.NodeHello(node_id="n", address="a:1")])
    frame.hello[0].heartbeat_interval.seconds = 1
    frame.hello[0].lease.seconds = 3
    return frame


def work(number: int) -> pb.ConnectResponse:
    ref = pb.AttemptRef(task_key=bytes([number]) * 16, scheduled_at_us=1, attempt=1)
    return pb.ConnectResponse(work=[pb.Work(attempt=ref, epoch=1, handler="note", task_id=str(number))])


async def test_work_that_waited_in_the_socket_while_the_process_stood_still_is_not_started() -> None:
    started: list[str] = []
    registry = HandlerRegistry()

    @registry.handler("note")
    async def note(job: Job) -> None:
        started.append(job.task_id)

    clock, lines, stop = SteppingClock(), Lines(), asyncio.Event()
    config = ExecutorConfig(addresses=("a:1",), capacity=10, executor_id="e")
    running = asyncio.create_task(Agent(config, registry, transport=lines, clock=clock).run(stop, stop))
    async with asyncio.timeout(10):
        first = await lines.opened.get()
        await first.to_executor.put(hello())
        await first.to_executor.put(NODES)
        await until_credit(first)
        await first.to_executor.put(work(1))
        while not started:
            await asyncio.sleep(0.01)
        clock.jumped_s += 8.0
        await first.to_executor.put(work(2))
        await first.is_closed.wait()
        second = await lines.opened.get()
        await second.to_executor.put(hello())
        await second.to_executor.put(NODES)
        await until_credit(second)
        await second.to_executor.put(work(3))
        while started[-1] != "3":
            await asyncio.sleep(0.01)
        assert started == ["1", "3"]
        stop.set()
        await running


async def test_work_that_waited_for_a_thread_while_the_process_stood_still_is_refused() -> None:
    started: list[str] = []
    release = threading.Event()
    registry = HandlerRegistry()

    @registry.handler("note")
    def note(job: Job) -> None:
        started.append(job.task_id)
        release.wait(10)

    clock, lines, stop = SteppingClock(), Lines(), asyncio.Event()
    config = ExecutorConfig(addresses=("a:1",), capacity=10, executor_id="e", max_threads=1)
    running = asyncio.create_task(Agent(config, registry, transport=lines, clock=clock).run(stop, stop))
    async with asyncio.timeout(10):
        first = await lines.opened.get()
        await first.to_executor.put(hello())
        await first.to_executor.put(NODES)
        await until_credit(first)
        await first.to_executor.put(work(1))
        await first.to_executor.put(work(2))
        while started != ["1"] or not first.to_executor.empty():
            await asyncio.sleep(0.01)
        clock.jumped_s += 8.0
        await first.is_closed.wait()
        second = await lines.opened.get()
        await second.to_executor.put(hello())
        await second.to_executor.put(NODES)
        outcomes: dict[bytes, int] = {}
        while len(outcomes) < 2:
            frame = await second.from_executor.get()
            outcomes |= {result.attempt.task_key: result.outcome for result in frame.result}
            if outcomes:
                release.set()
        assert outcomes == {
            bytes([1]) * 16: pb.RESULT_OUTCOME_SUCCEEDED,
            bytes([2]) * 16: pb.RESULT_OUTCOME_REFUSED,
        }
        assert started == ["1"]
        stop.set()
        await running


class Listener:
    """Who is told what a session hears."""

    def __init__(self) -> None:
        self.live = asyncio.Event()
        self.works: list[str] = []

    def on_live(self, session: Session) -> None:
        self.live.set()

    def on_frame(self, session: Session, frame: pb.ConnectResponse) -> None:
        self.works += [item.task_id for item in frame.work]


async def test_what_arrives_in_the_moment_in_which_the_stand_still_is_noticed_is_not_taken() -> None:
    """The tick may see it first; the reader has not been stopped yet when the frame comes."""
    clock, lines, listener = SteppingClock(), Lines(), Listener()
    config = ExecutorConfig(addresses=("a:1",), capacity=10, executor_id="e")
    session = Session("a:1", pb.ExecutorHello(), owner=listener, transport=lines, clock=clock, config=config)
    running = asyncio.create_task(session.run())
    async with asyncio.timeout(10):
        line = await lines.opened.get()
        await line.to_executor.put(hello())
        await listener.live.wait()
        clock.jumped_s += 8.0
        line.to_executor.put_nowait(work(1))
        session.tick(clock.monotonic(), stalled_s=8.0)
        assert await running == STOOD_STILL
        assert listener.works == []
