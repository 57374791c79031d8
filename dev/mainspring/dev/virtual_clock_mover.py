"""Moves a virtual clock from due time to due time, and waits at each until all that it sets off has finished."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from mainspring.dev.virtual_clock import Sleeper, VirtualClock
from mainspring.server.core.expiry import watched_until
from mainspring.server.core.model import DueCursor, ExecutionRef
from mainspring.server.core.schedule import OneTime
from mainspring.server.core.schedule_text import decode
from mainspring.server.engine.stillness import Stillness
from mainspring.server.persistence.store import Store
from mainspring.server.rpc.validation import task_ref

YIELDS = 300
"""Work in this process takes some 30 turns of the loop; what has not settled after ten times as many is elsewhere."""
FIRST_PAUSE_S = 0.0005
LONGEST_PAUSE_S = 0.01
ROWS_A_PAGE = 5_000
ROWS_A_STEP = 10
"""Looking at all stored tasks may cost as much as reading this many rows at each step."""
DISTANT_PAST = -(1 << 62)
DISTANT_FUTURE = 1 << 62


class ClockBusyError(Exception):
    """Somebody else moves the clock."""


class LimitReachedError(Exception):
    """Something was left when virtual time had come to its limit."""


class NothingRunsItError(Exception):
    """All that is left is due, and no connected executor offers its handler; the message names them."""


@dataclass(slots=True)
class _OneTimeTasks:
    """The one-time tasks that are still to run."""

    count: int = 0
    last_at: int = DISTANT_PAST
    due_handlers: list[str] = field(default_factory=list)
    """Of those that are due and do not expire."""
    rows_read: int = 0


class TimeMover:
    """The one who moves the clock. For one event loop; one call at a time, others are refused.

    Args:
        clock: The clock of everything in this process.
        stillness: Of the engine of its only node.
        store: The node's.
        keep_time: Keeps an instant over restarts: each at which something falls due, and where a move ends. None keeps
            nothing.
        is_executor_away: Whether an executor that belongs to this process is between two connections. It comes back in a
            moment of the machine's time, and virtual time must not pass meanwhile.
    """

    def __init__(
        self,
        clock: VirtualClock,
        stillness: Stillness,
        store: Store,
        keep_time: Callable[[int], Awaitable[None]] | None = None,
        is_executor_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self.clock = clock
        self.waits_for = ""
        """What time stands still for, for people."""
        self._stillness = stillness
        self._store = store
        self._keep_time = keep_time
        self._is_executor_away = is_executor_away
        self._kept_at: int | None = None
        self._is_moving = False

    @property
    def finished(self) -> int:
        """How many executions reached a final state since the start."""
        return self._stillness.finished

    async def advance(self, to_at: int) -> None:
        """Move to an instant; returns when all that fell due has finished. Cancelled, time stays where it is.

        Raises:
            ClockBusyError: Somebody else moves the clock.
            StoreError: What is due next could not be read, or the new time not be kept.
        """
        async with self._moving():
            while not await self._step(to_at):
                pass

    async def run_until_idle(self, limit_at: int) -> None:
        """Move on until no one-time task is left and nothing runs. Cancelled, time stays where it is.

        Raises:
            ClockBusyError: Somebody else moves the clock.
            LimitReachedError: Something was left at the limit.
            NothingRunsItError: What is left will not run, however long one waits.
            StoreError: What is due next could not be read, or the new time not be kept.
        """
        async with self._moving():
            while True:
                await self._settle()
                left = await self._one_time_tasks()
                await self._settle()
                if not left.count and not self._stillness.open_count:
                    return
                if left.count and not self._stillness.open_count:
                    missing = self._stillness.without_executor(left.due_handlers)
                    if sum(handler in missing for handler in left.due_handlers) == left.count:
                        names = ", ".join(sorted(missing))
                        raise NothingRunsItError(
                            f"{left.count} tasks are left for handlers of nobody: {names}"
                        )
                for _ in range(1 + left.rows_read // ROWS_A_STEP):
                    if await self._step(limit_at):
                        await self._check_idle_at_limit()
                        return
                    if left.count and self.clock.now() >= left.last_at:
                        break

    async def _check_idle_at_limit(self) -> None:
        left = await self._one_time_tasks()
        if left.count or self._stillness.open_count:
            raise LimitReachedError(
                f"{left.count} one-time tasks and {self._stillness.open_count} open executions are left"
            )

    @contextlib.asynccontextmanager
    async def _moving(self) -> AsyncIterator[None]:
        if self._is_moving:
            raise ClockBusyError("another call moves the clock")
        self._is_moving = True
        try:
            try:
                yield
            finally:
                await self._keep()
        finally:
            self._is_moving = False

    async def _step(self, to_at: int) -> bool:
        """Settle, then move to the next instant at which something may happen; True when `to_at` is done with."""
        await self._settle()
        at = self._next_at(to_at)
        if at >= self._stillness.frontier:
            has_more = await self._stillness.look_ahead(at)
            await self._settle()
            at = self._next_at(to_at)
            # The frontier stays behind `at` when there is too much for memory: part by part, then. When memory is full
            # of what nobody runs, time has to go on.
            if self._stillness.frontier > self.clock.now():
                at = min(at, self._stillness.frontier)
            elif has_more:
                return False
        if at <= self.clock.now():
            return True
        self.clock.move_to(at)
        if self._stillness.time_moved():
            # Its transaction begins before those of what has become due. Steps on which nothing falls due cost none.
            await self._keep()
        return False

    async def _keep(self) -> None:
        now = self.clock.now()
        if self._keep_time is not None and now != self._kept_at:
            await self._keep_time(now)
            self._kept_at = now

    def _next_at(self, to_at: int) -> int:
        candidates = (self._stillness.next_at(), self.clock.next_wake_at, to_at)
        return min(at for at in candidates if at is not None)

    async def _settle(self) -> None:
        """Wait until nothing that is due goes on by itself."""
        yields, pause_s = 0, FIRST_PAUSE_S
        while (unfinished := self._unfinished()) is not None:
            if yields < YIELDS:
                yields += 1
                await asyncio.sleep(0)
                continue
            self.waits_for = unfinished
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        self.waits_for = ""

    def _unfinished(self) -> str | None:
        if self._is_executor_away():
            return "the executor of this process is connecting"
        return self._stillness.unfinished(self.clock.asleep(self._is_started))

    def _is_started(self, sleeper: Sleeper) -> bool:
        ref = task_ref(sleeper.namespace, sleeper.task_id, self._store.partition_count)
        return self._stillness.is_started(
            ExecutionRef(ref.partition_id, sleeper.scheduled_at, ref.task_key), sleeper.attempt
        )

    async def _one_time_tasks(self) -> _OneTimeTasks:
        left, cursor = _OneTimeTasks(), None
        while True:
            page = await self._store.load_due_tasks(
                range(self._store.partition_count),
                from_at=DISTANT_PAST,
                until_at=DISTANT_FUTURE,
                after=cursor,
                limit=ROWS_A_PAGE,
            )
            left.rows_read += len(page)
            for task in page:
                if isinstance(decode(task.schedule).timing, OneTime):
                    left.count += 1
                    until_at = watched_until(task.policies, task.due_at)
                    left.last_at = max(left.last_at, task.due_at if until_at is None else until_at + 1)
                    if task.due_at <= self.clock.now() and until_at is None:  # else it expires, at the latest
                        left.due_handlers.append(task.handler)
            if len(page) < ROWS_A_PAGE:
                return left
            last = page[-1]
            cursor = DueCursor(last.partition_id, last.due_at, last.task_key)
