"""The engine's clock under virtual time, and the way to run a test there."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, ParamSpec

from mainspring.testing.virtual_time import VirtualTimeLoop

P = ParamSpec("P")

EPOCH_AT = 1_800_000_000_000_000
"""Cluster time at second 0 of the loop."""


class LoopClock:
    """The running loop's time as the engine's clock; implements `Clock`."""

    def now(self) -> int:
        return EPOCH_AT + round(self.monotonic() * 1_000_000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def lease_time(self) -> float:
        return self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)

    async def wait_until(self, event: asyncio.Event, at: int | None) -> None:
        delay_s = 0.5 if at is None else min(0.5, (at - self.now()) / 1_000_000)
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await event.wait()


def in_virtual_time(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Makes a plain test of an async one that runs under virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def body() -> None:
            await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(body())

    return run
