"""A thread that notices when the event loop is stuck, so that a node which cannot work does not look alive."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class LoopWatchdog:
    """Calls back, from its own thread, again and again while the loop is stuck for longer than a limit.

    A stop of the whole process (SIGSTOP, a frozen machine) is no stall: the thread stood still too.
    """

    def __init__(self, limit_s: float, on_stall: Callable[[], None]) -> None:
        """`on_stall` runs in the watchdog's thread, six times per limit, and must not block."""
        self._limit_s, self._on_stall = limit_s, on_stall
        self._step_s = limit_s / 6
        self._beat_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="loop-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; works twice and before `start`."""
        self._end.set()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._beat_at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(self._step_s, self._beat)

    def _watch(self) -> None:
        told = False
        looked_at = time.monotonic()
        stopped_for_s = 0.0
        while not self._end.wait(self._step_s):
            now = time.monotonic()
            beat_at = self._beat_at
            if now - beat_at < 2 * self._step_s:
                stopped_for_s = 0.0
            stopped_for_s += max(0.0, now - looked_at - 2 * self._step_s)
            looked_at = now
            is_stalled = now - beat_at - stopped_for_s > self._limit_s
            if is_stalled:
                if not told:
                    log.error("event_loop_stuck", seconds=round(now - beat_at, 3))
                with contextlib.suppress(Exception):
                    self._on_stall()
            told = is_stalled
