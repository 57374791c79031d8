"""Time that is moved by hand: a node's clock, and what an executor's handlers sleep on. For one event loop.

Only what somebody outside may see happen at an instant is virtual (see `mainspring.server.clock.Clock`); rounds, pauses
between retries and deadlines of calls take the machine's time, so that a jump of a month costs no more of them than a
jump of a second.
"""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mainspring.executor.job import Job


class Sleeper(NamedTuple):
    """An attempt whose handler is asleep."""

    namespace: str
    task_id: str
    scheduled_at: int
    attempt: int


class VirtualClock:
    """Stands still but for `move_to`. Implements the server's `DatabaseClock` and the executor's `Clock`.

    Args:
        start_at: The first `now`, microseconds UTC. Cut to whole milliseconds, which is as fine as tasks are timed.
    """

    def __init__(self, start_at: int) -> None:
        self._now = start_at - start_at % 1_000
        self._wakes: list[tuple[int, int, Sleeper, asyncio.Future[None]]] = []
        self._wake_count = 0
        self._asleep: Counter[Sleeper] = Counter()
        self._unconfirmed: set[Sleeper] = set()
        self._waits: dict[asyncio.Event, int] = {}

    def begin_at(self, at: int) -> None:
        """Stand elsewhere, also earlier: before anything has looked at it.

        Args:
            at: As `start_at`.
        """
        self._now = at - at % 1_000

    def now(self) -> int:
        """Return the virtual time, microseconds UTC."""
        return self._now

    def lease_time(self) -> float:
        """Return the virtual time, seconds."""
        return self._now / 1_000_000

    def monotonic(self) -> float:
        """Return the machine's monotonic clock, seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds of the machine's time."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """Return `asyncio.timeout`: the machine's time."""
        return asyncio.timeout(seconds)

    async def wait_until(self, event: asyncio.Event, at: int | None) -> None:
        """See the server's `Clock`. The move that reaches `at` sets the event."""
        if at is None:
            await event.wait()
            return
        if at <= self._now:
            await asyncio.sleep(0)
            return
        self._waits[event] = at
        try:
            await event.wait()
        finally:
            del self._waits[event]

    async def measure(self, database_time: Callable[[], Awaitable[int]]) -> None:
        """See the server's `DatabaseClock`: asks, and takes nothing over. Raises what `database_time` raises."""
        await database_time()

    async def sleep_in(self, job: Job, seconds: float) -> None:
        """Return after this many virtual seconds, for the handler of a job. Meanwhile that job holds no time up."""
        sleeper = Sleeper(job.namespace, job.task_id, job.scheduled_at, job.attempt)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wake_count += 1
        heapq.heappush(self._wakes, (self._now + round(seconds * 1e6), self._wake_count, sleeper, woken))
        self._asleep[sleeper] += 1
        self._unconfirmed.add(sleeper)
        try:
            await woken
        except asyncio.CancelledError:
            if woken.cancelled():
                self._rouse(sleeper)
            raise

    def asleep(self, is_started: Callable[[Sleeper], bool]) -> int:
        """Return how many attempts are asleep and are known to the node as started.

        Args:
            is_started: Whether the node knows the attempt as open and started; asked until it says yes.
        """
        if self._unconfirmed:
            self._unconfirmed = {sleeper for sleeper in self._unconfirmed if not is_started(sleeper)}
        return len(self._asleep) - len(self._unconfirmed)

    @property
    def next_wake_at(self) -> int | None:
        """When the next sleeper wakes, microseconds UTC; None when nobody sleeps."""
        while self._wakes and self._wakes[0][3].done():
            heapq.heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None

    def move_to(self, at: int) -> None:
        """Move virtual time on, and wake whom that reaches.

        Raises:
            ValueError: That would be back.
        """
        if at < self._now:
            raise ValueError(f"virtual time does not run back, from {self._now} to {at}")
        self._now = at
        while self._wakes and self._wakes[0][0] <= at:
            _, _, sleeper, woken = heapq.heappop(self._wakes)
            if not woken.done():
                woken.set_result(None)
                self._rouse(sleeper)
        for event, wait_at in self._waits.items():
            if wait_at <= at:
                event.set()

    def _rouse(self, sleeper: Sleeper) -> None:
        self._asleep[sleeper] -= 1
        if not self._asleep[sleeper]:
            del self._asleep[sleeper]
            self._unconfirmed.discard(sleeper)
