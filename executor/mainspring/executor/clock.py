"""Time as the executor sees it: behind a protocol, so that it can run under virtual time."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Clock(Protocol):
    """The only time that session, agent and workload know."""

    def now(self) -> int:
        """Return the wall clock, microseconds UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary start, and go on while the machine is suspended."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Return after this many seconds."""
        ...

    def timeout(self, duration_s: float) -> AbstractAsyncContextManager[Any]:
        """Return a context that raises TimeoutError when its body takes longer, in seconds."""
        ...


_SINCE_START = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux's monotonic clock stands still while the machine is suspended: what was sent before would look fresh."""


class SystemClock:
    """The machine's clocks and the running event loop's timers."""

    def now(self) -> int:
        """Return the wall clock, microseconds UTC."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Return the time since the machine started, where the system tells that; else the monotonic clock."""
        return time.clock_gettime(_SINCE_START)

    async def sleep(self, duration_s: float) -> None:
        """Return after this many seconds."""
        await asyncio.sleep(duration_s)

    def timeout(self, duration_s: float) -> AbstractAsyncContextManager[Any]:
        """Return `asyncio.timeout`."""
        return asyncio.timeout(duration_s)
