"""The engine: builds its parts, connects them, and is what the shard manager tells about partitions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog

from mainspring.server.core.model import Delivery, DueTask, OpenExecution, Task, TaskState
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.executor_session import ExecutorSession
from mainspring.server.dispatch.frames import AttemptId, AttemptResult
from mainspring.server.engine.assigner import Assigner
from mainspring.server.engine.claimer import Claimer
from mainspring.server.engine.completer import Completer
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.fence_check import FenceCheck
from mainspring.server.engine.handover_log import HandoverLog
from mainspring.server.engine.late_work import LateWork
from mainspring.server.engine.mishaps import Mishaps
from mainspring.server.engine.open_attempts import OpenAttempts
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.peers import Hint, PeerClient
from mainspring.server.engine.post import Post
from mainspring.server.engine.reaper import Reaper
from mainspring.server.engine.registrar import Registrar
from mainspring.server.engine.sender import Sender
from mainspring.server.engine.stillness import Stillness
from mainspring.server.engine.supervision import keep_running
from mainspring.server.engine.timer_driver import TimerDriver
from mainspring.server.engine.window_loader import DISTANT_PAST, WindowLoader
from mainspring.server.errors import StoreError
from mainspring.server.persistence.store import Created
from mainspring.shard_manager.handover import OwnerChange
from mainspring.shard_manager.lease import PartitionLease

log = structlog.get_logger(__name__)

DEMAND_ROUND_S = 0.02
"""How often the executors are told at most."""
DEMAND_LOOK_S = 0.5
"""And how often it is looked at in any case, for the gauges."""
SURRENDER_POLL_S = 0.005
ACKNOWLEDGE_S = 0.1
"""How long a surrender waits for the starts of what is on its way to executors. The gap grows by it at most."""
LONGEST_DELIVERY_S = 0.5
"""The same for at-most-once work: the next owner's question might overtake it, and what an executor disowns is lost."""


class Engine:
    """Fires the tasks of the partitions held. Implements the shard manager's `PartitionHost`.

    Args:
        on_fenced: told when the database gave a partition to somebody else; the shard manager looks at the rows then.
    """

    def __init__(
        self,
        context: OwnerContext,
        executors: ConnectedExecutors,
        router: OwnerRouter,
        peers: PeerClient,
        *,
        on_fenced: Callable[[], None],
    ) -> None:
        clock, settings = context.clock, context.settings
        self._context = context
        self._on_fenced = on_fenced
        self.executors = executors
        self.window = DueWindow(clock.now(), settings.window_capacity)
        self.attempts = OpenAttempts(clock.now())
        mishaps = Mishaps(context, self.attempts)
        sender = Sender(context, self.attempts, mishaps)
        fence_check = FenceCheck(context)
        self.late_work = LateWork(context, executors, self.attempts, fence_check)
        self._driver = TimerDriver(clock, self.window, self._on_due)
        self._claimer = Claimer(
            context, self.window, self._driver, executors, self.attempts, sender, fence_check
        )
        self._assigner = Assigner(context, executors, self.attempts, sender, fence_check)
        self._completer = Completer(context, self.attempts, mishaps)
        self._reaper = Reaper(context, executors, self.attempts, mishaps)
        self._loader = WindowLoader(context, self.window, self._driver, self._on_open)
        self._post = Post(context, router, peers, self._on_own_hint)
        self._registrar = Registrar(clock, context.store, settings, context.metrics, self._on_created)
        self._handovers = HandoverLog(context)
        self._adoptions: set[asyncio.Task[None]] = set()
        self._demand_changed = asyncio.Event()
        self.stillness = Stillness(
            context,
            self.window,
            self._driver,
            self._loader,
            executors,
            self.attempts,
            self._completer,
            self._reaper,
            self._registrar,
            self._adoptions,
        )
        executors.on_credit = self._on_credit
        context.signals.fenced = self._fenced
        context.signals.queued = self._on_queued
        context.signals.lost = self._completer.lose
        context.signals.demand_changed = self._demand_changed.set
        context.signals.slipped = self._loader.sweep_soon

    async def run(self) -> None:
        """Runs every loop until cancelled."""
        clock = self._context.clock
        rounds = {
            "load": self._loader.load_round,
            "sweep": self._loader.sweep_round,
            "timer": self._driver.run_round,
            "claim": self._claimer.run_round,
            "assign": self._assigner.run_round,
            "complete": self._completer.run_round,
            "reap": self._reaper.run_round,
            "register": self._registrar.run_round,
            "post": self._post.run_round,
            "demand": self._demand_round,
            "handovers": self._handovers.run_round,
        }
        try:
            async with asyncio.TaskGroup() as group:
                for name, round_of in rounds.items():
                    group.create_task(keep_running(name, round_of, clock), name=name)
        finally:
            for adoption in self._adoptions:
                adoption.cancel()
            await asyncio.gather(
                self._claimer.stop(),
                self._assigner.stop(),
                self._completer.stop(),
                self._post.stop(),
                self._registrar.stop(),
                self.late_work.stop(),
                *self._adoptions,
                return_exceptions=True,
            )

    # --- between the parts ---------------------------------------------------------------------------------------

    def _on_due(self) -> None:
        self._claimer.wake()
        self._demand_changed.set()

    def _on_queued(self) -> None:
        self._assigner.wake()
        self._demand_changed.set()

    def _on_credit(self) -> None:
        self._assigner.wake()  # before the claimer: what was due longest goes first
        self._claimer.wake()

    def _on_own_hint(self, hint: Hint) -> None:
        self.accept_hints([hint])

    def _on_open(self, rows: Sequence[OpenExecution]) -> None:
        self._reaper.absorb(rows)

    def _fenced(self, leases: Sequence[PartitionLease]) -> None:
        held = self._context.held
        lost = [lease for lease in leases if held.epoch_of(lease.partition_id) == lease.epoch]
        if lost:
            log.warning("fenced", partitions=sorted(lease.partition_id for lease in lost))
            self._context.metrics.fenced.inc(len(lost))
            self.revoke(lost)
        self._on_fenced()

    async def _demand_round(self) -> None:
        """Tells the executors how much work waits for them, some times a second rather than at each change."""
        with contextlib.suppress(TimeoutError):
            async with self._context.clock.timeout(DEMAND_LOOK_S):
                await self._demand_changed.wait()
        self._demand_changed.clear()
        for session in self.executors.sessions():
            session.tell_waiting(
                self._claimer.waiting_for(session.handlers) + self._assigner.waiting_for(session.handlers)
            )
        metrics = self._context.metrics
        metrics.window_tasks.set(len(self.window))
        metrics.open_executions.set(len(self.attempts))
        metrics.partitions.set(len(self._context.held))
        metrics.executors.set(len(self.executors.sessions()))
        await self._context.clock.sleep(DEMAND_ROUND_S)

    # --- the API's side ------------------------------------------------------------------------------------------

    @property
    def registrar(self) -> Registrar:
        """Where tasks are registered."""
        return self._registrar

    def _on_created(self, created: Sequence[Created]) -> None:
        own: list[DueTask] = []
        for outcome in created:
            task = outcome.task
            due = due_task_of(task)
            if due is None or outcome.is_conflict:
                continue
            if self._context.held.epoch_of(task.ref.partition_id) is not None:
                own.append(due)
            elif due.due_at < self._context.clock.now() + int(self._context.settings.window_s * 1_000_000):
                self._post.hint(task.ref, due)
        self._loader.accept(own)

    def task_changed(self, task: Task) -> None:
        """Tells the owner of a task that a call changed it."""
        due = due_task_of(task)
        if self._context.held.epoch_of(task.ref.partition_id) is None:
            self._post.hint(task.ref, due)
        else:
            self.accept_hints([Hint(task.ref, due)])

    def accept_hints(self, hints: Sequence[Hint]) -> list[int]:
        """Takes hints in, from other nodes or this one; answers the positions of those whose partition is not held.

        A partition that is held and does not fire yet takes them too: its own load may have come before.
        """
        for hint in hints:
            if hint.due is None:
                self.window.forget(hint.ref)
        self._loader.accept([hint.due for hint in hints if hint.due is not None])
        held = self._context.held
        return [
            position for position, hint in enumerate(hints) if held.epoch_of(hint.ref.partition_id) is None
        ]

    # --- the executors' side -------------------------------------------------------------------------------------

    def executor_connected(self, session: ExecutorSession) -> None:
        """An executor's stream is open: asks it about what is believed to be there."""
        self.executors.connect(session)
        self._reaper.connected(session)
        self._demand_changed.set()

    @property
    def reaper(self) -> Reaper:
        """Where start acknowledgements and answers about open attempts go."""
        return self._reaper

    def accept_results(
        self,
        executor_id: str,
        results: Sequence[AttemptResult],
        answer: Callable[[Sequence[AttemptId]], None],
    ) -> None:
        """Takes results from an executor: writes those of own partitions, forwards the others to their owners."""
        held = self._context.held
        own = [r for r in results if held.epoch_of(r.attempt_id.ref.partition_id) is not None]
        self._completer.accept(own, answer)
        if len(own) < len(results):
            self._post.forward(
                executor_id,
                [r for r in results if held.epoch_of(r.attempt_id.ref.partition_id) is None],
                answer,
            )

    def accept_forwarded(
        self, results: Sequence[AttemptResult], answer: Callable[[Sequence[AttemptId]], None]
    ) -> None:
        """Takes results that reached another node: those of own partitions only, so that none goes round in circles."""
        self._completer.accept(results, answer)

    async def flush(self) -> None:
        """Returns when every result and hint accepted so far is written, sent or given up."""
        await self._completer.flush()
        await self._post.flush()

    # --- PartitionHost -------------------------------------------------------------------------------------------

    async def prepare(self, partition_ids: Sequence[int]) -> None:
        """Warms the database's memory with what is due soon; it is read again, in no time, once the row is taken."""
        await self._loader.read(partition_ids, DISTANT_PAST, self.window.frontier)

    def discard(self, partition_ids: Sequence[int]) -> None:
        """Nothing to forget: `prepare` keeps nothing."""

    def adopt(self, leases: Sequence[PartitionLease], changes: Sequence[OwnerChange] = ()) -> None:
        """Takes partitions over. They fire once their open executions and due tasks are loaded under the new epoch."""
        for lease in leases:
            self._context.held.hold(lease)
        adoption = asyncio.create_task(self._adopt(list(leases), changes), name="adopt")
        self._adoptions.add(adoption)
        adoption.add_done_callback(self._adoptions.discard)

    def adopt_missing(self, holds: Mapping[int, int]) -> None:
        """Adopts again what the shard manager holds and the engine does not: whatever went wrong, it does not stay so."""
        held = self._context.held
        missing = [PartitionLease(p, epoch) for p, epoch in holds.items() if held.epoch_of(p) is None]
        if missing:
            log.warning("partitions_missing", partitions=sorted(lease.partition_id for lease in missing))
            self.adopt(missing)

    async def _adopt(self, leases: list[PartitionLease], changes: Sequence[OwnerChange]) -> None:
        held, clock = self._context.held, self._context.clock
        pause_s = 0.05
        while leases := [lease for lease in leases if held.epoch_of(lease.partition_id) == lease.epoch]:
            try:
                tasks = await self._read_for_adoption([lease.partition_id for lease in leases])
            except Exception as error:
                # Whatever it is: a partition that is held and does not fire would be nobody's.
                is_bug = not isinstance(error, StoreError)
                log.warning("adopt_failed", error=repr(error), partitions=len(leases), exc_info=is_bug)
                await clock.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
                continue
            firing = {lease.partition_id for lease in leases if held.fire(lease)}
            firing_at = clock.now()
            self._loader.merge([task for task in tasks if task.partition_id in firing])
            self._claimer.wake()
            records = [
                self._handovers.add(
                    change,
                    firing_at=firing_at,
                    due_at=[t.due_at for t in tasks if t.partition_id == change.lease.partition_id],
                )
                for change in changes
                if change.lease.partition_id in firing
            ]
            log.info(
                "partitions_firing",
                count=len(firing),
                partitions=sorted(firing),
                gap_ms=max((r.gap_us / 1000 for r in records if r.gap_us is not None), default=None),
                late_executions=sum(record.late_count for record in records),
            )
            return

    async def _read_for_adoption(self, partition_ids: Sequence[int]) -> list[DueTask]:
        """Takes the open executions in and reads what is due up to the frontier, both at once.

        A partition claims nothing before it knows what its last owner left open: it fires after both. The frontier may
        move until the last statement is answered, and is caught up with.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._loader.load_open(partition_ids, None), name="adopt-open")
                reading = group.create_task(self._read_due(partition_ids, DISTANT_PAST), name="adopt-due")
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        tasks, read_until = reading.result()
        while read_until < self.window.frontier:
            more, read_until = await self._read_due(partition_ids, read_until)
            tasks += more
        return tasks

    async def _read_due(self, partition_ids: Sequence[int], from_at: int) -> tuple[list[DueTask], int]:
        """Reads what is due from an instant to the frontier; answers it and where the frontier was."""
        until_at = self.window.frontier
        tasks, is_complete = await self._loader.read(partition_ids, from_at, until_at)
        if not is_complete:
            # No room for all: what is due later is loaded again in its time, what is overdue the sweep brings.
            self.window.frontier = until_at = min(self.window.frontier, self._context.clock.now())
            self._loader.sweep_soon()
        return tasks, until_at

    async def surrender(self, leases: Sequence[PartitionLease]) -> None:
        """Stops claiming at once; returns when no transaction is under way under these leases, and forgets them.

        What was put on executors' streams has its start acknowledged by then, unless that takes too long: the successor
        asks over another stream, and its question must not overtake the work.
        """
        partition_ids = {lease.partition_id for lease in leases}
        self._context.held.stop_firing(partition_ids)
        await self._until_idle(partition_ids)
        await self._until_acknowledged(partition_ids)
        await self._until_idle(partition_ids)
        self.revoke(leases)

    async def _until_idle(self, partition_ids: Collection[int]) -> None:
        while self._context.held.has_work(partition_ids):
            await self._context.clock.sleep(SURRENDER_POLL_S)

    async def _until_acknowledged(self, partition_ids: Collection[int]) -> None:
        """Waits for the starts of what is on its way; not for executors that are not connected: they answer nobody."""
        clock = self._context.clock
        begun_s = clock.monotonic()
        sent = self.attempts.of_partitions(partition_ids)
        while sent := [
            attempt
            for attempt in sent
            if self.attempts.is_on_its_way(attempt)
            and self.executors.get(attempt.executor_id or "") is not None
        ]:
            is_dear = any(attempt.delivery is Delivery.AT_MOST_ONCE for attempt in sent)
            if clock.monotonic() - begun_s >= (LONGEST_DELIVERY_S if is_dear else ACKNOWLEDGE_S):
                log.warning("surrender_in_doubt", executions=len(sent), partitions=sorted(partition_ids))
                return
            await clock.sleep(SURRENDER_POLL_S)

    def revoke(self, leases: Sequence[PartitionLease]) -> None:
        """Drops these at once, with everything in memory about them."""
        dropped = {lease.partition_id for lease in leases if self._context.held.drop(lease)}
        if dropped:
            self.window.forget_partitions(dropped)
            self.attempts.forget_partitions(dropped)
            for session in self.executors.sessions():
                session.drop_work(dropped)
            self._claimer.wake()
            self._demand_changed.set()


def due_task_of(task: Task) -> DueTask | None:
    """What the window remembers of a stored task; None when it is not to fire."""
    if task.state is not TaskState.ACTIVE or task.due_at is None or task.scheduled_at is None:
        return None
    return DueTask(
        task.due_at,
        task.ref.partition_id,
        task.ref.task_key,
        task.scheduled_at,
        task.version,
        task.handler,
        task.schedule,
    )
