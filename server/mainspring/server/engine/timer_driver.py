"""Drives the timing wheel: sleeps to its next deadline, wakes on an earlier insert, hands what is due to the claimer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mainspring.server.clock import Clock
from mainspring.server.engine.due_window import DueWindow

LONGEST_SLEEP_S = 0.5
"""Cluster time is re-read at least this often: it may be slewed while the driver sleeps."""


class TimerDriver:
    """The one caller of `DueWindow.advance`."""

    def __init__(self, clock: Clock, window: DueWindow, on_due: Callable[[], None]) -> None:
        self._clock = clock
        self._window = window
        self._on_due = on_due
        self._earlier = asyncio.Event()
        self._sleeping_until: int | None = None

    def inserted(self) -> None:
        """To be called after inserts: wakes the driver when something became due earlier than it sleeps."""
        deadline = self._window.next_deadline()
        if deadline is not None and (self._sleeping_until is None or deadline < self._sleeping_until):
            self._earlier.set()

    async def run_round(self) -> None:
        """Hands over what is due and sleeps to the next deadline."""
        now = self._clock.now()
        if self._window.advance(now):
            self._on_due()
        deadline = self._window.next_deadline()
        longest = now + int(LONGEST_SLEEP_S * 1_000_000)
        self._sleeping_until = longest if deadline is None else min(deadline, longest)
        self._earlier.clear()
        delay_s = (self._sleeping_until - now) / 1_000_000
        if delay_s > 0:
            try:
                async with self._clock.timeout(delay_s):
                    await self._earlier.wait()
            except TimeoutError:
                pass
        else:
            await self._clock.sleep(0)
        self._sleeping_until = None
