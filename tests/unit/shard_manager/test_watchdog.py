"""The watchdog tells a stuck loop from a healthy one and from a stopped process."""

import asyncio
import threading
import time

import pytest

from mainspring.shard_manager.watchdog import LoopWatchdog


async def test_stuck_loop_is_told_in_time_and_for_as_long_as_it_lasts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stalled = threading.Event()
    calls: list[float] = []

    def on_stall() -> None:
        calls.append(time.monotonic())
        stalled.set()

    watchdog = LoopWatchdog(0.3, on_stall)
    watchdog.start()
    await asyncio.sleep(0.5)
    assert not calls
    begun_at = time.monotonic()
    assert stalled.wait(5)  # this blocks the loop
    assert calls[0] - begun_at >= 0.25
    time.sleep(0.3)  # noqa: ASYNC251 - stuck still
    assert len(calls) > 1  # what must be done may not have been possible at first
    await asyncio.sleep(0.1)
    told = len(calls)
    await asyncio.sleep(0.3)
    assert len(calls) == told
    stalled.clear()
    assert stalled.wait(5)
    assert capsys.readouterr().out.count("event_loop_stuck") == 2
    watchdog.stop()
    watchdog.stop()
