"""The n-th fire of a schedule after an instant, without a walk over those before it."""

from __future__ import annotations

from typing import Final

from mainspring.server.core.next_fire import LAST_FIRE_AT, count_fires, next_fire
from mainspring.server.core.schedule import Schedule

_WALK: Final = 32
"""So few fires are walked, from memory shared with other tasks."""
_FIRST_SPAN_US: Final = 2**32
"""71 minutes; a power of two, so that it is halved exactly."""


def nth_fire(schedule: Schedule, after_at: int, n: int) -> int | None:
    """The n-th fire strictly after `after_at`, n >= 1; None when there are fewer up to LAST_FIRE_AT.

    By counting in spans that double until one holds it, and are halved from then on: a few times the cost of one
    `count_fires` over the whole stretch, whatever n is.
    """
    span_us, is_in_sight = _FIRST_SPAN_US, False
    while n > _WALK:
        until_at = min(after_at + span_us, LAST_FIRE_AT)
        if until_at <= after_at:
            return None
        count = count_fires(schedule, after_at, until_at + 1)
        if count < n:
            n -= count
            after_at = until_at
        else:
            is_in_sight = True
        span_us = span_us // 2 if is_in_sight else span_us * 2
    fire: int | None = after_at
    while fire is not None and n > 0:
        fire = next_fire(schedule, fire)
        n -= 1
    return fire
