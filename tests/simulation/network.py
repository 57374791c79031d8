"""The network between processes: links that delay, swallow or refuse, calls and streams over them.

A link joins two processes, whichever way. It is one of

- open: everything arrives after a random delay, in order per stream;
- silent: nothing arrives and nobody is told (a cable pulled); what was sent meanwhile arrives when it heals;
- refused: connections break at once and none can be made (a peer's port closed).

A process that dies is refused by everybody after a moment, if its links are open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import grpc

from mainspring.executor.transport import TransportError
from mainspring.testing.virtual_time import SeededLoop, current_process, process_context

ANY_NODE = "nodes:7300"
"""Where executors find a node when all those that they knew are gone, as behind a load balancer."""
OPEN, SILENT, REFUSED = "open", "silent", "refused"
EXECUTOR = "e"
"""The first letter of executors' names."""
IN_FLIGHT = 64
"""Frames of a stream's direction that are on their way or unread before its sender waits."""
NOTICE_S = 0.003
"""A process's death, or a closed stream, reaches the other side after this."""


class CallError(grpc.aio.AioRpcError):
    """A call between nodes that failed."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


class Link:
    """Two processes' connection."""

    def __init__(self) -> None:
        self.state = OPEN
        self.slow_s = 0.0
        """Added to each delay."""
        self.held: list[Callable[[], None]] = []
        """What waits for the link to heal, in order."""
        self.streams: dict[Stream, None] = {}


class Network:
    """All links. For one loop; `rng` draws delays and nothing else."""

    def __init__(self, loop: SeededLoop, rng: Random) -> None:
        self.loop = loop
        self.rng = rng
        self._random = rng.random
        self._links: dict[tuple[str, str], Link] = {}
        self._dead: set[str] = set()
        self._context = process_context("network")
        self.is_over = False
        """The run is over: everything fails at once."""
        self.deaf: dict[str, str] = {}
        """Nodes whose links to executors, also to those that come, are cut, and how."""

    def link(self, a: str, b: str) -> Link:
        """The link between two processes."""
        key = (a, b) if a < b else (b, a)
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = Link()
            for node, state in self.deaf.items():
                if node in key and EXECUTOR in (a[0], b[0]):
                    link.state = state
        return link

    def delay_s(self, link: Link) -> float:
        """One way: mostly a fraction of a millisecond, now and then some milliseconds."""
        chance = self._random()
        return link.slow_s + (0.0002 + 0.0008 * chance if chance < 0.9 else 0.02 * self._random())

    def choose(self, candidates: list[str]) -> str | None:
        """One of them, by chance; None of none."""
        return candidates[int(self._random() * len(candidates))] if candidates else None

    def later(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Has something done outside of every process."""
        self.loop.call_later(delay_s, call, *args, context=self._context)

    # --- faults --------------------------------------------------------------------------------------------------

    def set(self, a: str, b: str, state: str) -> None:
        """Cuts or heals a link."""
        link = self.link(a, b)
        link.state = state
        if state == REFUSED:
            link.held.clear()
            for stream in list(link.streams):
                stream.break_both("the connection was reset")
        elif state == OPEN:
            held, link.held = link.held, []
            for deliver in held:
                deliver()

    def died(self, process: str) -> None:
        """A process is gone: its streams break at the other end, where that can be seen."""
        self._dead.add(process)
        for key, link in list(self._links.items()):
            if process in key:
                for stream in list(link.streams):
                    self.pass_on(link, lambda s=stream: s.break_both("the peer is gone"), NOTICE_S)

    def is_dead(self, process: str) -> bool:
        """Whether nobody of that name answers any more."""
        return process in self._dead

    def pass_on(self, link: Link, deliver: Callable[[], None], delay_s: float) -> None:
        """Delivers after a delay, or once a silent link is healed; not at all over a refused one."""

        def arrive() -> None:
            if link.state == OPEN:
                deliver()
            elif link.state == SILENT:
                link.held.append(deliver)

        self.later(delay_s, arrive)

    # --- calls ---------------------------------------------------------------------------------------------------

    async def call(
        self,
        target: str,
        context: Any,
        handler: Callable[[], Awaitable[Any]],
        timeout_s: float,
    ) -> Any:
        """Runs `handler` in the target's context and answers what it answers.

        A call that is given up is reset: the handler is cancelled as soon as the target hears of that, and not begun when it
        hears of both at once.

        Raises:
            CallError: UNAVAILABLE or DEADLINE_EXCEEDED.
            Exception: what the handler raises.
        """
        link = self.link(current_process(), target)
        answer: asyncio.Future[Any] = self.loop.create_future()
        running: list[asyncio.Task[Any]] = []

        def fail(reason: str) -> None:
            if not answer.done():
                answer.set_exception(CallError(grpc.StatusCode.UNAVAILABLE, reason))

        def give_up() -> None:
            if not answer.done():
                answer.set_exception(CallError(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time"))
                self.pass_on(link, reset, self.delay_s(link))

        def reset() -> None:
            for task in running:
                task.cancel()

        def arrive() -> None:
            if target in self._dead or self.is_over:
                self.pass_on(link, lambda: fail("nobody listens"), NOTICE_S)
                return
            task = self.loop.create_task(handler(), context=context.copy())  # type: ignore[arg-type]
            running.append(task)
            task.add_done_callback(reply, context=self._context)
            task.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # it may interest nobody

        def reply(task: asyncio.Task[Any]) -> None:
            self.pass_on(link, lambda: settle(task), self.delay_s(link))

        def settle(task: asyncio.Task[Any]) -> None:
            if answer.done():
                return
            if task.cancelled():
                fail("the call was cancelled")
            elif (error := task.exception()) is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())

        if link.state == REFUSED or self.is_over:
            self.later(NOTICE_S, fail, "the connection was refused")
        else:
            self.pass_on(link, arrive, self.delay_s(link))
        deadline = self.loop.call_later(timeout_s, give_up)
        try:
            return await answer
        finally:
            deadline.cancel()


class Pipe:
    """One direction of a stream: frames in order, a bound, an end."""

    def __init__(self, network: Network, link: Link) -> None:
        self._network = network
        self._link = link
        self._under_way: deque[Any] = deque()
        self._inbox: deque[Any] = deque()
        self._arrives_at_s = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._sender: asyncio.Future[None] | None = None
        self.broken: str | None = None
        self._is_ended = False
        self._has_arrived_end = False

    async def put(self, frame: Any) -> None:
        """Sends; waits while too much is under way.

        Raises:
            TransportError: the stream broke.
        """
        while self.broken is None and len(self._under_way) + len(self._inbox) >= IN_FLIGHT:
            self._sender = self._network.loop.create_future()
            await self._sender
        if self.broken is not None or self._is_ended:
            raise TransportError(self.broken or "the stream has ended")
        self._send(frame)

    def end(self) -> None:
        """Nothing follows; what was sent still arrives."""
        if not self._is_ended and self.broken is None:
            self._is_ended = True
            self._send(None)

    def _send(self, frame: Any) -> None:
        network, loop = self._network, self._network.loop
        self._under_way.append(frame)
        now_s = loop.time()
        self._arrives_at_s = max(self._arrives_at_s, now_s + network.delay_s(self._link))
        # Arrivals are all alike: whichever comes first delivers what was sent first.
        network.pass_on(self._link, self._deliver, self._arrives_at_s - now_s)

    def _deliver(self) -> None:
        if self.broken is None and self._under_way:
            frame = self._under_way.popleft()
            if frame is None:
                self._has_arrived_end = True
            else:
                self._inbox.append(frame)
            self._wake()

    async def get(self) -> Any:
        """The next frame; None after the last one.

        Raises:
            TransportError: the stream broke.
        """
        while not self._inbox:
            if self.broken is not None:
                raise TransportError(self.broken)
            if self._has_arrived_end:
                return None
            self._waiter = self._network.loop.create_future()
            await self._waiter
        frame = self._inbox.popleft()
        if self._sender is not None and not self._sender.done():
            self._sender.set_result(None)
        return frame

    def break_off(self, reason: str) -> None:
        """Drops what is there and wakes both ends."""
        if self.broken is None:
            self.broken = reason
            self._under_way.clear()
            self._inbox.clear()
            self._wake()
            if self._sender is not None and not self._sender.done():
                self._sender.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Stream:
    """An executor's stream to a node: `FrameStream` on the one side, what a servicer uses of a context on the other."""

    def __init__(self, network: Network, link: Link) -> None:
        self._network = network
        self._link = link
        self._to_node = Pipe(network, link)
        self._to_executor = Pipe(network, link)
        self._is_closed = False
        link.streams[self] = None

    # --- the executor's side -------------------------------------------------------------------------------------

    async def send(self, frame: Any) -> None:
        await self._to_node.put(frame)

    async def receive(self) -> Any:
        return await self._to_executor.get()

    async def done_sending(self) -> None:
        self._to_node.end()

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._to_executor.break_off("the stream was closed")
            self._network.pass_on(self._link, lambda: self.break_both("the stream was closed"), NOTICE_S)

    # --- the node's side -----------------------------------------------------------------------------------------

    async def read(self) -> Any:
        try:
            frame = await self._to_node.get()
        except TransportError:
            return grpc.aio.EOF  # so a killed peer looks to a servicer
        return grpc.aio.EOF if frame is None else frame

    async def write(self, frame: Any) -> None:
        await self._to_executor.put(frame)

    async def abort_with_status(self, status: Any) -> None:
        self.break_later(status.details)
        raise grpc.aio.AbortError

    async def serve(self, servicer: Any) -> None:
        """Runs the servicer's side until it ends. To be run in the node's process."""
        try:
            await servicer.Connect(None, self)
        except (grpc.aio.AbortError, TransportError):
            pass
        finally:
            self._to_executor.end()
            self._to_node.break_off("the node ended the stream")
            self._link.streams.pop(self, None)

    # --- the network's side --------------------------------------------------------------------------------------

    def break_later(self, reason: str) -> None:
        self._network.pass_on(self._link, lambda: self.break_both(reason), NOTICE_S)

    def break_both(self, reason: str) -> None:
        """Both ends hear of it."""
        self._to_node.break_off(reason)
        self._to_executor.break_off(reason)
        self._link.streams.pop(self, None)


class SimTransport:
    """An executor's way to the nodes; implements `Transport`.

    Args:
        listeners: who serves streams, by address: the process, its context, its servicer.
    """

    def __init__(self, network: Network, process: str, listeners: dict[str, tuple[str, Any, Any]]) -> None:
        self._network = network
        self._process = process
        self._listeners = listeners

    async def open(self, address: str) -> Stream:
        """See `Transport`. A silent link answers nothing: the caller bounds the wait."""
        network = self._network
        if address == ANY_NODE:
            address = (
                network.choose(
                    [
                        other
                        for other, (process, *_) in self._listeners.items()
                        if not network.is_dead(process)
                    ]
                )
                or address
            )
        node = address.partition(":")[0]
        link = network.link(self._process, node)
        if network.is_over:
            raise TransportError("the run is over")
        opened: asyncio.Future[Stream | None] = network.loop.create_future()

        def arrive() -> None:
            listener = self._listeners.get(address)
            stream = None
            if listener is not None and not network.is_dead(node):
                _, context, servicer = listener
                stream = Stream(network, link)
                network.loop.create_task(stream.serve(servicer), context=context.copy())
            network.pass_on(link, lambda: opened.done() or opened.set_result(stream), network.delay_s(link))

        if link.state == REFUSED:
            await asyncio.sleep(NOTICE_S)
            raise TransportError("the connection was refused")
        network.pass_on(link, arrive, network.delay_s(link))
        stream = await opened
        if stream is None:
            raise TransportError(f"nobody listens at {address}")
        return stream
