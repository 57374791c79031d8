"""Drives the timing wheel: sleeps to its next deadline, wakes on an earlier insert, hands what is due to the claimer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mainspring.server.clock import Clock
from mainspring.server.engine.due_window import DueWindow


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

    def advance(self) -> bool:
        """Hands over what is due by now; answers whether anything was."""
        if not self._window.advance(self._clock.now()):
            return False
        self._on_due()
        return True

    async def run_round(self) -> None:
        """Hands over what is due and sleeps to the next deadline."""
        self.advance()
        self._sleeping_until = self._window.next_deadline()
        self._earlier.clear()
        await self._clock.wait_until(self._earlier, self._sleeping_until)
        self._sleeping_until = None
