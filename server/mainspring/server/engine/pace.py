"""How often batches begin: what becomes ready meanwhile goes into the next one."""

from __future__ import annotations

from mainspring.server.clock import Clock


class Pace:
    """Keeps the begins of batches apart, so that a steady trickle costs no transaction an item.

    The first after a pause begins at once; nothing waits for longer than the distance.

    Args:
        distance_s: between two begins, at least.
    """

    def __init__(self, clock: Clock, distance_s: float) -> None:
        self._clock = clock
        self._distance_s = distance_s
        self._begun_s = float("-inf")

    async def wait(self) -> None:
        """Waits until a batch may begin."""
        wait_s = self._begun_s + self._distance_s - self._clock.monotonic()
        if wait_s > 0:
            await self._clock.sleep(wait_s)

    def begin(self) -> None:
        """A batch begins."""
        self._begun_s = self._clock.monotonic()
