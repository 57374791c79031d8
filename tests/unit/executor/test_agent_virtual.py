"""The whole agent in memory and under virtual time: no gRPC, no waiting."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from random import Random
from typing import Any

from google.protobuf.duration_pb2 import Duration

from mainspring.executor.agent import Agent
from mainspring.executor.config import ExecutorConfig
from mainspring.executor.job import Job
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.registry import HandlerRegistry
from mainspring.executor.transport import TransportError
from mainspring.v1 import executor_service_pb2 as pb

HOUR_S = 3_600.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer when nothing is ready."""

    _virtual_s = 0.0

    def time(self) -> float:
        return self._virtual_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._virtual_s = max(self._virtual_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class VirtualClock:
    def now(self) -> int:
        return int(asyncio.get_running_loop().time() * 1_000_000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)

    def timeout(self, duration_s: float) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(duration_s)


class Pipe:
    """One stream in memory, and the node at its end."""

    def __init__(self) -> None:
        self.sent: list[pb.ConnectRequest] = []
        self.to_executor: asyncio.Queue[pb.ConnectResponse | None] = asyncio.Queue()

    async def send(self, frame: pb.ConnectRequest) -> None:
        self.sent.append(frame)
        if frame.hello:
            hello = pb.NodeHello(
                node_id="n", heartbeat_interval=Duration(seconds=1), lease=Duration(seconds=3)
            )
            self.answer(hello=[hello], node_list=[pb.NodeList(addresses=["node"])])
        if frame.heartbeat:
            self.answer(heartbeat=[pb.Heartbeat(sequence=1)])
        if frame.goodbye:
            self.to_executor.put_nowait(None)

    async def receive(self) -> pb.ConnectResponse | None:
        return await self.to_executor.get()

    async def done_sending(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def answer(self, **kinds: Any) -> None:
        self.to_executor.put_nowait(pb.ConnectResponse(**kinds))


class MemoryTransport:
    def __init__(self) -> None:
        self.is_up = True
        self.down: set[str] = set()
        """Addresses that do not work."""
        self.pipes: list[Pipe] = []
        self.tries_at_s: list[float] = []

    async def open(self, address: str) -> Pipe:
        self.tries_at_s.append(asyncio.get_running_loop().time())
        if not self.is_up or address in self.down:
            raise TransportError("down")
        self.pipes.append(Pipe())
        return self.pipes[-1]


def in_virtual_time(scenario: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scenario())


def test_an_outage_of_an_hour_loses_no_result_and_costs_no_time() -> None:
    async def scenario() -> None:
        transport, clock, stop = MemoryTransport(), VirtualClock(), asyncio.Event()
        agent = Agent(
            ExecutorConfig(addresses=("node",), capacity=4),
            mock_registry(),
            transport=transport,
            clock=clock,
            random=Random(1),
        )
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(10)
        assert len(transport.pipes) == 1, "heartbeats keep the session for longer than its lease"
        first = transport.pipes[0]
        assert sum(credit.granted for frame in first.sent for credit in frame.credit) == 4
        item = pb.Work(
            attempt=pb.AttemptRef(task_key=b"k" * 16, attempt=1), epoch=1, handler="echo", payload=b"kept"
        )
        first.answer(work=[item])
        await asyncio.sleep(1)
        transport.is_up = False
        first.to_executor.put_nowait(None)  # the node dies with the result unsaved
        await asyncio.sleep(HOUR_S)
        tries = [at_s for at_s in transport.tries_at_s if at_s > 12]
        gaps = [later - earlier for earlier, later in pairwise(tries)]
        assert min(gaps[10:]) >= 0.5
        assert max(gaps) <= 1.0
        transport.is_up = True
        await asyncio.sleep(2)
        second = transport.pipes[1]
        results = [result for frame in second.sent for result in frame.result]
        assert [result.output for result in results] == [b"kept"]
        await asyncio.sleep(2)
        assert sum(len(frame.result) for frame in second.sent) == 2, (
            "repeated, for nobody said that it is saved"
        )
        second.answer(result_saved=[pb.ResultSaved(attempt=results[0].attempt)])
        stop.set()
        assert await running
        assert second.sent[-1].goodbye[0].reason == "drained"

    in_virtual_time(scenario)


def test_a_silent_node_is_given_up_after_its_lease() -> None:
    async def scenario() -> None:
        transport, stop = MemoryTransport(), asyncio.Event()
        agent = Agent(
            ExecutorConfig(addresses=("node",), tick_s=0.1),
            mock_registry(),
            transport=transport,
            clock=VirtualClock(),
            random=Random(1),
        )
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(5)
        transport.pipes[0].answer = lambda **_: None  # type: ignore[method-assign]
        silent_at_s = asyncio.get_running_loop().time()
        while len(transport.pipes) == 1:
            await asyncio.sleep(0.05)
        assert 2.0 <= asyncio.get_running_loop().time() - silent_at_s <= 3.5
        stop.set()
        assert await running

    in_virtual_time(scenario)


def test_progress_is_reported_at_once_then_twice_a_second_and_the_last_always() -> None:
    async def scenario() -> None:
        transport, clock, stop = MemoryTransport(), VirtualClock(), asyncio.Event()
        registry = HandlerRegistry()
        ends = asyncio.Event()

        @registry.handler("counts")
        async def counts(job: Job) -> None:
            for number in range(300):
                job.heartbeat(f"{number}")
                await asyncio.sleep(0.01)
            await ends.wait()
            job.heartbeat("never told: the result tells more")

        agent = Agent(
            ExecutorConfig(addresses=("node",), capacity=4), registry, transport=transport, clock=clock
        )
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(1)
        pipe = transport.pipes[0]
        begun_s = clock.monotonic()
        attempt = pb.AttemptRef(task_key=b"k" * 16, attempt=2)
        pipe.answer(work=[pb.Work(attempt=attempt, epoch=3, handler="counts")])
        await asyncio.sleep(0.1)
        reports = [report for frame in pipe.sent for report in frame.progress]
        assert [(r.attempt, r.epoch, r.progress) for r in reports] == [(attempt, 3, b"0")], (
            "the first at once"
        )
        await asyncio.sleep(begun_s + 5 - clock.monotonic())
        reports = [report for frame in pipe.sent for report in frame.progress]
        assert 5 <= len(reports) <= 8
        assert reports[-1].progress == b"299"
        assert [int(r.progress) for r in reports] == sorted({int(r.progress) for r in reports})
        ends.set()
        await asyncio.sleep(3)
        assert len([report for frame in pipe.sent for report in frame.progress]) == len(reports)
        results = [result for frame in pipe.sent for result in frame.result]
        pipe.answer(result_saved=[pb.ResultSaved(attempt=results[0].attempt)])
        stop.set()
        await running

    in_virtual_time(scenario)


def granted(pipe: Pipe) -> int:
    return sum(credit.granted for frame in pipe.sent for credit in frame.credit)


def sleeps(seconds: int) -> pb.Work:
    attempt = pb.AttemptRef(task_key=b"k" * 16, attempt=1)
    return pb.Work(attempt=attempt, epoch=1, handler="sleep", payload=str(seconds).encode())


def test_an_alias_gets_credit_while_the_nodes_own_name_does_not_work_and_something_runs_long() -> None:
    async def scenario() -> None:
        transport, stop = MemoryTransport(), asyncio.Event()
        config = ExecutorConfig(addresses=("node", "alias"), capacity=4)
        agent = Agent(config, mock_registry(), transport=transport, clock=VirtualClock(), random=Random(1))
        running = asyncio.create_task(agent.run(stop, stop))
        await asyncio.sleep(5)
        first = next(pipe for pipe in transport.pipes if granted(pipe))
        first.answer(work=[sleeps(3_000)])
        await asyncio.sleep(1)
        transport.down.add("node")
        for pipe in transport.pipes:
            pipe.to_executor.put_nowait(None)
        await asyncio.sleep(30)
        assert granted(transport.pipes[-1]) == 3
        stop.set()
        await running

    in_virtual_time(scenario)


def test_a_drain_runs_what_a_node_was_still_recording_when_it_began() -> None:
    """The credit that it wants back is reserved, and the work arrives seconds later: it is not passed by a goodbye."""

    async def scenario() -> None:
        transport, stop = MemoryTransport(), asyncio.Event()
        config = ExecutorConfig(addresses=("node",), capacity=1)
        agent = Agent(config, mock_registry(), transport=transport, clock=VirtualClock(), random=Random(1))
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(2)
        (pipe,) = transport.pipes
        stop.set()
        await asyncio.sleep(3)
        pipe.answer(work=[sleeps(1)])
        await asyncio.sleep(2)
        (result,) = (result for frame in pipe.sent for result in frame.result)
        assert result.outcome == pb.RESULT_OUTCOME_SUCCEEDED
        assert not any(frame.goodbye for frame in pipe.sent)
        pipe.answer(result_saved=[pb.ResultSaved(attempt=result.attempt)])
        assert await running
        assert pipe.sent[-1].goodbye

    in_virtual_time(scenario)
