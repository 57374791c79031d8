"""Time that costs nothing: the loop jumps to its next timer when nothing can run, so the product's own pauses stay."""

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, ParamSpec

P = ParamSpec("P")

EPOCH_AT = 1_800_000_000_000_000
"""Cluster time at second 0 of the loop."""

MOST_ROUNDS = 50_000
"""More rounds of the loop than any test needs in one instant."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Everything in it is in this process and on this thread, so a run is the same each time.

    Somebody who works without end and waits for no time would stop it: that is an error, too.
    """

    def __init__(self) -> None:
        self._now_s = 1000.0
        rounds = 0
        selector = selectors.DefaultSelector()
        real_select = selector.select

        def select(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is None:
                raise RuntimeError("nothing can run and no timer is set: everybody waits for somebody else")
            nonlocal rounds
            rounds += 1
            if timeout > 0:
                self._now_s += timeout
                rounds = 0
            if rounds > MOST_ROUNDS:
                rounds = 0
                raise RuntimeError("somebody goes round and round without waiting")
            return real_select(0)

        selector.select = select  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self._now_s


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
