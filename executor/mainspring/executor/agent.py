"""The executor at work: a session to every node, kept; the node list, followed; a drain at the end."""

import asyncio
from contextlib import suppress
from importlib import metadata
from random import Random

from mainspring.client.backoff import Backoff
from mainspring.executor.clock import Clock
from mainspring.executor.config import ExecutorConfig
from mainspring.executor.log import logger
from mainspring.executor.node_view import NodeView
from mainspring.executor.registry import HandlerRegistry
from mainspring.executor.run_log import RunLog
from mainspring.executor.session import STOOD_STILL, Session
from mainspring.executor.transport import Transport
from mainspring.executor.workload import Workload, attempt_key
from mainspring.v1 import executor_service_pb2 as pb

STALL_S = 1.0
"""A tick later than this by so much means that this process stood still, not the nodes."""

LOG_EVERY_FAILURES = 60
"""A node that stays away is logged about once a minute."""


class Agent:
    """Runs once. For one event loop.

    Args:
        config: All settings.
        registry: The handlers, at least one.
        transport: Opens streams to nodes.
        clock: Time.
        run_log: Evidence of every run; None for none.
        random: Jitter of reconnects.

    Raises:
        ValueError: There is no handler.
    """

    def __init__(
        self,
        config: ExecutorConfig,
        registry: HandlerRegistry,
        *,
        transport: Transport,
        clock: Clock,
        run_log: RunLog | None = None,
        random: Random | None = None,
    ) -> None:
        if not registry.names:
            raise ValueError("an executor needs at least one handler")
        self._config = config
        self._transport = transport
        self._clock = clock
        self._random = random or Random()
        self._backoff = Backoff(initial_s=0.1, ceiling_s=1.0)
        self._hello = pb.ExecutorHello(
            executor_id=config.executor_id,
            handlers=registry.names,
            capacity=config.capacity,
            version=_version(),
        )
        self.workload = Workload(config, registry, clock, run_log)
        self._view = NodeView(config.addresses, clock.monotonic())
        self._links: dict[str, asyncio.Task[None]] = {}
        self._sessions: dict[str, Session] = {}
        self._retired: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_leaving = False

    @property
    def live_addresses(self) -> frozenset[str]:
        """Nodes with a live session."""
        return frozenset(address for address, session in self._sessions.items() if session.is_live)

    async def run(self, stop: asyncio.Event, stop_now: asyncio.Event | None = None) -> bool:
        """Work until told to stop, then drain.

        Args:
            stop: Begins the drain when set.
            stop_now: Ends the drain when set.

        Returns:
            Whether everything was finished and saved before the drain's deadline.
        """
        ticker = asyncio.create_task(self._tick(), name="executor-ticker")
        stopping = asyncio.create_task(stop.wait(), name="executor-stop")
        try:
            self._follow_view()
            await asyncio.wait(
                {ticker, stopping}, return_when=asyncio.FIRST_COMPLETED
            )  # for ever, on purpose
            if ticker.done():
                ticker.result()
            return await self._drain(stop_now or asyncio.Event())
        finally:
            self._is_leaving = True
            tasks = [ticker, stopping, *self._links.values(), *self._ending]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.workload.stop()
            await self.workload.close()

    def on_live(self, session: Session) -> None:
        """See SessionOwner."""
        logger.info("session.live", address=session.address, node_id=session.node_id)

    def on_frame(self, session: Session, frame: pb.ConnectResponse) -> None:
        """See SessionOwner. Within a frame: lists, then credit, saved, reconcile, work, cancel, drain."""
        node, workload = session.address, self.workload
        if frame.node_list:
            addresses = {address for address in frame.node_list[-1].addresses if address}
            self._view.heard(node, addresses)
            self._follow_view()
        if session.is_leaving:
            return  # nothing is granted there any more
        if node not in workload.nodes and (frame.node_list or frame.reconcile or not frame.hello):
            workload.attach(node, session.outbox)
            if node in self._retired:
                workload.retire(node)
        if frame.credit:
            for demand in frame.credit:
                workload.on_demand(node, demand.waiting, demand.returned)
        if frame.result_saved:
            workload.on_saved(attempt_key(saved.attempt) for saved in frame.result_saved)
        for reconcile in frame.reconcile:
            workload.on_reconcile(node, [(attempt_key(item.attempt), item.epoch) for item in reconcile.items])
        if frame.work:
            workload.on_work(node, frame.work)
        if frame.cancel:
            workload.on_cancel(frame.cancel)
        if frame.drain:
            logger.info("session.node_drains", address=node)
            workload.on_node_drain(node)

    async def _drain(self, stop_now: asyncio.Event) -> bool:
        logger.info("executor.draining", running=self.workload.running_count)
        self.workload.drain()
        is_clean = await self._wait_idle(stop_now)
        self._is_leaving = True
        if not is_clean:
            # No goodbye: the nodes must take this for a crash, and give the rest to others.
            logger.warning(
                "executor.drain_incomplete",
                running=self.workload.running_count,
                unsaved=self.workload.book.unsaved_count,
            )
            return False
        leaving = [session for session in self._sessions.values() if session.is_live]
        for session in leaving:
            session.leave("drained")
        links = [self._links[session.address] for session in leaving if session.address in self._links]
        if links:
            with suppress(TimeoutError):
                async with self._clock.timeout(2 * self._config.leave_timeout_s):
                    await asyncio.wait(links)
        logger.info("executor.drained")
        return True

    async def _wait_idle(self, stop_now: asyncio.Event) -> bool:
        idle = self.workload.idle
        with suppress(TimeoutError):
            async with self._clock.timeout(self._config.drain_timeout_s):
                # Work may come in the moment in which it is idle.
                while not (idle.is_set() or stop_now.is_set()):
                    await self._first_of(idle, stop_now)
        return idle.is_set()

    async def _first_of(self, *events: asyncio.Event) -> None:
        waits = {asyncio.create_task(event.wait(), name="executor-drain") for event in events}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _tick(self) -> None:
        before_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._config.tick_s)
            now_s = self._clock.monotonic()
            late_s = now_s - before_s - self._config.tick_s
            stalled_s = late_s if late_s > STALL_S else 0.0
            before_s = now_s
            if stalled_s:
                logger.warning("executor.stalled", stalled_s=round(stalled_s, 3))
            for session in list(self._sessions.values()):
                session.tick(now_s, stalled_s)
            self._follow_view()
            self.workload.tick()

    def _follow_view(self) -> None:
        if self._is_leaving:
            return
        plan = self._view.plan(self.live_addresses, self._clock.monotonic())
        for address in sorted(self._retired - plan.retired):
            self.workload.unretire(address)
        self._retired = set(plan.retired)
        for address in sorted(plan.retired):
            session = self._sessions[address]
            can_leave = self.workload.is_empty or bool(self.live_addresses - plan.retired)
            if not can_leave:
                # Nobody else is there to give credit to, and what runs may run for long.
                self._retired.discard(address)
                self.workload.unretire(address)
                continue
            if self.workload.retire(address):
                if session.node_address in ("", address):
                    session.leave("no longer listed")
                else:
                    session.leave_alias(f"its own name is {session.node_address}")
        for address, link in list(self._links.items()):
            if address not in plan.wanted and address not in plan.retired:
                del self._links[address]
                self._ending.add(link)
                link.add_done_callback(self._ending.discard)
                link.cancel()
        for address in sorted(plan.wanted - self._links.keys()):
            self._links[address] = asyncio.create_task(self._keep(address), name=f"executor-link-{address}")

    async def _keep(self, address: str) -> None:
        """Hold a session to one node, again and again, until the node is wanted no more."""
        failures = 0
        while True:
            session = Session(
                address,
                self._hello,
                owner=self,
                transport=self._transport,
                clock=self._clock,
                config=self._config,
            )
            self._sessions[address] = session
            reason = "cancelled"
            try:
                reason = await session.run()
            except Exception:
                logger.exception("session.failed", address=address)
                reason = "a fault of the executor"
            finally:
                self._forget(session)
            if reason == STOOD_STILL:
                self.workload.stood_still(address, STOOD_STILL)
            failures = 1 if session.node_id else failures + 1
            if session.is_leaving:
                self._links.pop(address, None)
                self._follow_view()
                return
            if failures == 1 or failures % LOG_EVERY_FAILURES == 0:
                logger.warning("session.ended", address=address, reason=reason, failures=failures)
            self._follow_view()  # it may be wanted no more
            await self._clock.sleep(self._backoff.delay_s(failures, self._random))

    def _forget(self, session: Session) -> None:
        if self._sessions.get(session.address) is not session:
            return  # a new link to the same address has begun
        del self._sessions[session.address]
        self._retired.discard(session.address)
        self._view.lost(session.address)
        self.workload.detach(session.address)


def _version() -> str:
    try:
        return metadata.version("mainspring")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "0"
