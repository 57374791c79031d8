"""The watchdog tells a stuck loop from a healthy one and from a stopped process."""

import asyncio
import threading
import time

from mainspring.shard_manager.watchdog import LoopWatchdog


async def test_stuck_loop_is_noticed_once_and_in_time() -> None:
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
    assert len(calls) == 1
    await asyncio.sleep(0.3)
    stalled.clear()
    assert stalled.wait(5)
    assert len(calls) == 2
    watchdog.stop()
    watchdog.stop()
