"""How long to wait before trying again. PURE: no clock, and the randomness is an argument."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential growth up to a ceiling, then jitter taken off, so that jitter survives the ceiling.

    Attributes:
        initial_s: The wait after the first failure, before jitter, in seconds.
        ceiling_s: No wait is longer than this, in seconds.
        factor: Growth from one failure to the next.
        jitter: The share of a wait that is left to chance: 0 for none, 1 for anything from nothing on.
    """

    initial_s: float = 0.05
    ceiling_s: float = 1.0
    factor: float = 2.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.initial_s <= self.ceiling_s:
            raise ValueError("initial_s must be above 0 and at most ceiling_s")
        if self.factor < 1:
            raise ValueError("factor must be at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter must be between 0 and 1")

    def delay_s(self, failures: int, random: Random) -> float:
        """Return the wait in seconds after this many failures in a row (1 or more)."""
        if failures < 1:
            raise ValueError("failures must be at least 1")
        wait_s = self.initial_s
        for _ in range(failures - 1):
            wait_s *= self.factor
            if wait_s >= self.ceiling_s:  # also keeps a long outage from overflowing a power
                wait_s = self.ceiling_s
                break
        return wait_s * (1 - self.jitter * random.random())
