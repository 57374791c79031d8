"""Tells when clocks disagree. Harmless, since cluster time is the database's, and a sign that something is set up wrong."""

from __future__ import annotations

import math

import structlog

from mainspring.server.core.clock_offset import ClockReading
from mainspring.server.observability.metrics import Metrics

log = structlog.get_logger(__name__)

OFFSET_LIMIT_S = 1.0
REPEAT_S = 60.0
"""How often what goes on is told again."""


class ClockWatch:
    """Turns readings of the database's clock into metrics, and into a line of the log now and then."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._told_at_s = {"clock_offset": -math.inf, "clock_step_refused": -math.inf}

    def look(self, reading: ClockReading, now_s: float) -> None:
        """Takes a reading in. `now_s`: monotonic seconds."""
        metrics, error_s = self._metrics, reading.wall_error_us / 1e6
        metrics.clock_offset.set(error_s)
        if reading.followed_step_us is not None:
            metrics.clock_steps.labels("followed").inc()
            log.warning("clock_step_followed", seconds=round(reading.followed_step_us / 1e6, 3))
        if reading.refused_step_us is not None:
            metrics.clock_steps.labels("refused").inc()
            if self._may_tell("clock_step_refused", now_s):
                log.error(
                    "clock_step_refused",
                    seconds=round(reading.refused_step_us / 1e6, 3),
                    remedy="the database's clock was set, or this machine's is wrong: make them agree",
                )
        elif abs(error_s) > OFFSET_LIMIT_S and self._may_tell("clock_offset", now_s):
            log.warning(
                "clock_offset",
                seconds=round(error_s, 3),
                remedy="this machine's wall clock is not the database's: synchronise both",
            )

    def _may_tell(self, event: str, now_s: float) -> bool:
        if now_s - self._told_at_s[event] < REPEAT_S:
            return False
        self._told_at_s[event] = now_s
        return True
