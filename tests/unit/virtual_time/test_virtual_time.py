"""Loops whose time costs nothing: jumps, seeded order, frozen and killed processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from mainspring.testing.virtual_time import SeededLoop, VirtualTimeLoop, current_process, process_context


def run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def test_a_long_sleep_takes_no_time() -> None:
    async def sleep() -> float:
        begun_s = asyncio.get_running_loop().time()
        await asyncio.sleep(3_600)
        return asyncio.get_running_loop().time() - begun_s

    begun_s = time.monotonic()
    assert run(VirtualTimeLoop(), sleep()) == 3_600
    assert time.monotonic() - begun_s < 5


def test_timers_run_in_the_order_of_their_times() -> None:
    async def main() -> list[int]:
        order: list[int] = []
        loop = asyncio.get_running_loop()
        for number in (3, 1, 2):
            loop.call_later(number, order.append, number)
        loop.call_later(1.5, order.append, 15).cancel()
        await asyncio.sleep(4)
        return order

    assert run(VirtualTimeLoop(), main()) == [1, 2, 3]


def test_waiting_for_nobody_is_an_error() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    loop = VirtualTimeLoop()
    with pytest.raises(RuntimeError, match="everybody waits"):
        loop.run_until_complete(wait())
    with pytest.raises(asyncio.CancelledError):
        _end(loop)


def test_going_round_without_waiting_is_an_error() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    loop = VirtualTimeLoop()
    with pytest.raises(RuntimeError, match="round and round"):
        loop.run_until_complete(spin())
    with pytest.raises(asyncio.CancelledError):
        _end(loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    (task,) = asyncio.all_tasks(loop)
    task.cancel()
    run(loop, task)  # type: ignore[arg-type]


def _order(seed: int) -> list[int]:
    async def main() -> list[int]:
        order: list[int] = []
        for number in range(10):
            asyncio.get_running_loop().call_soon(order.append, number)
        await asyncio.sleep(1)
        return order

    order: list[int] = run(SeededLoop(Random(seed)), main())
    return order


def test_the_seed_decides_the_order() -> None:
    assert _order(1) == _order(1)
    assert sorted(_order(1)) == list(range(10))
    assert len({tuple(_order(seed)) for seed in range(5)}) == 5


class Ticker:
    """A process that notes the time each second; `ends` counts its clean-ups."""

    def __init__(self, loop: SeededLoop, name: str) -> None:
        self.name = name
        self.ticks: list[float] = []
        self.ends = 0
        self._loop = loop
        self.task = loop.create_task(self._run(), context=process_context(name))

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(1)
                assert current_process() == self.name
                self.ticks.append(self._loop.time() - 1000)
        finally:
            self.ends += 1


def test_a_frozen_process_stands_still_and_time_does_not() -> None:
    loop = SeededLoop(Random(1))

    async def main() -> tuple[Ticker, Ticker]:
        a, b = Ticker(loop, "a"), Ticker(loop, "b")
        await asyncio.sleep(1.5)
        loop.freeze("a")
        assert loop.is_halted("a")
        await asyncio.sleep(3)
        loop.thaw("a")
        await asyncio.sleep(2)
        for ticker in (a, b):
            ticker.task.cancel()
        return a, b

    a, b = run(loop, main())
    assert a.ticks == [1, 4.5, 5.5]
    assert b.ticks == [1, 2, 3, 4, 5, 6]


def test_a_killed_process_does_not_clean_up() -> None:
    loop = SeededLoop(Random(1))

    async def main() -> Ticker:
        ticker = Ticker(loop, "a")
        await asyncio.sleep(1.5)
        loop.kill("a")
        loop.thaw("a")
        ticker.task.cancel()
        await asyncio.sleep(3)
        assert (ticker.ticks, ticker.ends) == ([1], 0)
        loop.revive_all()
        await asyncio.wait([ticker.task])
        return ticker

    assert run(loop, main()).ends == 1
