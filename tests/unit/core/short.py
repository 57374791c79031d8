"""Schedules in few words, for tests of the core."""

from __future__ import annotations

from mainspring.server.core.new_schedule import validate_cron
from mainspring.server.core.schedule import Interval, OneTime, Schedule


def once(at: int) -> Schedule:
    """Runs once."""
    return Schedule(OneTime(at))


def every(every_us: int, anchor_at: int) -> Schedule:
    """A fixed distance."""
    return Schedule(Interval(every_us, anchor_at))


def cron(expression: str, zone: str = "UTC") -> Schedule:
    """One cron expression."""
    return Schedule(validate_cron([expression], zone))
