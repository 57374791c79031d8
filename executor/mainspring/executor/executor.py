"""The executor as an application writes it.

executor = Executor("localhost:7400", capacity=100)

@executor.handler("send-email")
async def send_email(job: Job) -> None:
    ...

executor.main()
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from mainspring.client.addresses import parse_addresses
from mainspring.executor import event_loop
from mainspring.executor.agent import Agent
from mainspring.executor.clock import Clock, SystemClock
from mainspring.executor.config import FRAME_DISTANCE_S, ExecutorConfig, make_executor_id
from mainspring.executor.grpc_transport import GrpcTransport
from mainspring.executor.log import logger
from mainspring.executor.registry import Function, HandlerRegistry
from mainspring.executor.run_log import RunLog
from mainspring.executor.transport import Transport


class Executor:
    """Runs handlers for a Mainspring cluster.

    Async handlers run on the event loop, plain ones in threads. A handler takes one `Job` and returns bytes,
    text or nothing; what it raises ends the execution as failed.

    Args:
        addresses: host:port of one node or several (a list, or one string with commas); the others are learnt.
        capacity: How many items of work run at once, over all nodes together. 1 to 100,000.
        executor_id: Unique per process start, 1 to 64 characters of A-Z a-z 0-9 . _ -; made when None.
        drain_timeout_s: How long a stop waits for running handlers and their results, in seconds.
        run_log: A file to append evidence of every run to, as JSON lines.
        registry: Handlers to begin with; this executor's own are added to it.
        transport: How to reach nodes: `GrpcTransport(credentials)` for TLS. None: gRPC in plain text.
        clock: Replaces the machine's clocks, for simulations.
        frame_distance_s: See `ExecutorConfig`.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        capacity: int = 100,
        executor_id: str | None = None,
        drain_timeout_s: float = 30.0,
        run_log: Path | str | None = None,
        registry: HandlerRegistry | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        frame_distance_s: float = FRAME_DISTANCE_S,
    ) -> None:
        self.registry = registry if registry is not None else HandlerRegistry()
        self.config = ExecutorConfig(
            addresses=parse_addresses(addresses),
            capacity=capacity,
            executor_id=executor_id or make_executor_id(),
            drain_timeout_s=drain_timeout_s,
            run_log=Path(run_log) if run_log is not None else None,
            frame_distance_s=frame_distance_s,
        )
        self._transport = transport
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()

    def handler(self, name: str) -> Callable[[Function], Function]:
        """Return a decorator that registers an async or plain function of one `Job`.

        Raises:
            ValueError: The name is empty, overlong or taken.
        """
        return self.registry.handler(name)

    async def run(self) -> bool:
        """Work until `stop`, then drain. May be called once.

        Returns:
            Whether everything was finished and saved before the drain's deadline.

        Raises:
            ValueError: There is no handler.
            OSError: The run log cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        run_log = RunLog(self.config.run_log, self.config.executor_id) if self.config.run_log else None
        try:
            agent = Agent(
                self.config,
                self.registry,
                transport=self._transport or GrpcTransport(),
                clock=self._clock or SystemClock(),
                run_log=run_log,
            )
            logger.info(
                "executor.started",
                executor_id=self.config.executor_id,
                handlers=list(self.registry.names),
                capacity=self.config.capacity,
            )
            return await agent.run(self._stop, self._stop_now)
        finally:
            self._loop = None
            if run_log is not None:
                run_log.close()

    def stop(self) -> None:
        """Begin to drain; a second call gives up the rest at once. Safe from any thread, also before `run`."""
        loop = self._loop
        if loop is None:
            self._stop.set()
        else:
            loop.call_soon_threadsafe(self._signal)

    def main(self) -> int:
        """Run in this thread until SIGTERM or SIGINT, then drain; uses uvloop when it is installed.

        Returns:
            An exit code: 0 when everything was finished and saved, 1 when not.
        """
        with event_loop.runner() as runner:
            return runner.run(self._main())

    async def _main(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signal)
        return 0 if await self.run() else 1

    def _signal(self) -> None:
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()
