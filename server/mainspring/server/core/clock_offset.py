"""How far the database's clock is from this process's monotonic clock. PURE.

The database's clock is the cluster's: no two nodes' wall clocks are ever compared. A node samples it, keeps the sample
with the best round trip of the last minute (half a round trip bounds its error), and slews towards it so that cluster
time never jumps and never runs backwards.

A step of the database's clock is followed only by nodes whose own wall clock agrees. The others go on by their monotonic
clock, for as long as it takes: nothing stalls and nothing fires early, and the refusals are an alarm. A node that starts
meanwhile has nothing to compare with and adopts what it reads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SAMPLE_WINDOW_S = 60.0
SLEW_PER_S = 0.05
"""At most 50 ms of correction a second: time visibly keeps its pace, and 1 s of error is gone in 20 s."""
STEP_US = 1_000_000


@dataclass(frozen=True, slots=True)
class OffsetSample:
    """One look at the database's clock: its offset to the monotonic clock and the round trip it took."""

    taken_at_s: float
    offset_us: float
    round_trip_s: float


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What a look at the database's clock showed."""

    wall_error_us: float
    """This machine's wall clock minus cluster time."""
    refused_step_us: float | None = None
    """How far the database's clock is from where it should be, when that was not followed."""
    followed_step_us: float | None = None
    """By how much cluster time has just jumped."""


class OffsetEstimator:
    """Cluster time as monotonic time plus a slewed offset.

    Not safe for threads; belongs to one event loop.
    """

    def __init__(self, wall_offset_us: float) -> None:
        """Begins with the node's own wall clock, until the first sample arrives.

        Args:
            wall_offset_us: wall clock minus monotonic clock, microseconds.
        """
        self._applied_us = wall_offset_us
        self._target_us = wall_offset_us
        self._applied_at_s: float | None = None
        self._samples: deque[OffsetSample] = deque()
        self.refused_steps = 0
        """How often the database's clock stepped by more than 1 s and this node's wall clock did not agree: an alarm."""

    def add(self, sample: OffsetSample, wall_offset_us: float) -> ClockReading:
        """Takes a sample in; answers what it showed.

        The first one is adopted at once. Later ones are slewed to; a step of more than 1 s is followed, at once, only
        when the node's own wall clock agrees with it within 1 s, else refused and counted.
        """
        if self._applied_at_s is None:
            self._samples.append(sample)
            self._applied_us = self._target_us = sample.offset_us
            self._applied_at_s = sample.taken_at_s
            return ClockReading(wall_offset_us - sample.offset_us)
        step_us: float | None = None
        if abs(sample.offset_us - self._target_us) > STEP_US + sample.round_trip_s * 500_000:
            if abs(sample.offset_us - wall_offset_us) > STEP_US:
                self.refused_steps += 1
                return ClockReading(
                    wall_offset_us - self._target_us, refused_step_us=sample.offset_us - self._target_us
                )
            step_us = sample.offset_us - self._applied_us
            self._samples.clear()
            self._applied_us = sample.offset_us
            self._applied_at_s = sample.taken_at_s
        self._samples.append(sample)
        while self._samples[0].taken_at_s < sample.taken_at_s - SAMPLE_WINDOW_S:
            self._samples.popleft()
        self._target_us = min(self._samples, key=lambda s: s.round_trip_s).offset_us
        return ClockReading(wall_offset_us - self._target_us, followed_step_us=step_us)

    def offset_us(self, monotonic_s: float) -> float:
        """The offset to add to monotonic time now, moved towards the target by at most the slew."""
        if self._applied_at_s is not None and self._applied_us != self._target_us:
            limit = max(0.0, monotonic_s - self._applied_at_s) * SLEW_PER_S * 1_000_000
            difference = self._target_us - self._applied_us
            self._applied_us += max(-limit, min(limit, difference))
            self._applied_at_s = max(self._applied_at_s, monotonic_s)
        elif self._applied_at_s is not None:
            self._applied_at_s = max(self._applied_at_s, monotonic_s)
        return self._applied_us
