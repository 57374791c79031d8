"""The times of a fixed interval, and what its exclusions leave of them.

Times are anchor_at + k * every_us, in microseconds UTC: clock changes do not matter to them. Exclusions speak of a local
clock; a time is left out when its second is excluded there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from mainspring.server.core.compound_walls import CompoundWalls
from mainspring.server.core.cron_fields import parse_cron
from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.schedule import Exclusions, GapPolicy, Interval, RepeatPolicy
from mainspring.server.core.time_zone import DAY, FIRST_SECONDS, time_zone
from mainspring.server.core.wall_fires import WallFires, excluded_days, excluded_walls

_EVERY_SECOND: Final = "* * * * * *"
MOST_EXCLUDED_RUNS: Final = 5_000
"""So many excluded stretches in a row that each hold the next time, and nothing more is looked for: half a year when
each time of an hourly interval has a stretch of its own."""


def next_time(timing: Interval, exclusions: Exclusions | None, low: int, high: int) -> int | None:
    """The first time in [low, high) that is not excluded, or None."""
    time = _at_or_after(timing, low)
    if exclusions is None:
        return time if time < high else None
    return _next_allowed(timing, _allowed(exclusions), time, high)


def last_time(timing: Interval, low: int, high: int) -> int | None:
    """The last time in [low, high), or None; for intervals without exclusions."""
    time = timing.anchor_at + (_count_before(timing, high) - 1) * timing.every_us
    return time if low <= time and timing.anchor_at <= time else None


def count_times(timing: Interval, exclusions: Exclusions | None, low: int, high: int) -> int:
    """How many times in [low, high) are not excluded.

    By arithmetic; with exclusions day by day, where the seconds of the times and the allowed seconds are sets of bits:
    some 50 us a day, or 0.2 us a time when the interval is no whole number of seconds.
    """
    if exclusions is None:
        return _count_before(timing, high) - _count_before(timing, low)
    allowed = _allowed(exclusions)
    count = 0
    time = _at_or_after(timing, low)
    while time < high:
        second = time // SECOND_US
        bits, end = allowed.seconds_from(second)
        number = _count_before(timing, min(end * SECOND_US, high)) - _count_before(timing, time)
        count += (bits & _bits_of_times(timing.every_us, time % SECOND_US, number)).bit_count()
        time += number * timing.every_us
    return count


def _bits_of_times(every_us: int, first_us: int, number: int) -> int:
    """The seconds of so many times as bits; the first lies `first_us` into the second of bit 0."""
    every_s, rest = divmod(every_us, SECOND_US)
    if rest == 0:
        return ((1 << every_s * number) - 1) // ((1 << every_s) - 1)
    last = (first_us + (number - 1) * every_us) // SECOND_US
    octets = bytearray(last // 8 + 1)
    for time in range(first_us, first_us + number * every_us, every_us):
        second = time // SECOND_US
        octets[second >> 3] |= 1 << (second & 7)
    return int.from_bytes(octets, "little")


def _count_before(timing: Interval, before_at: int) -> int:
    """How many times are earlier than `before_at`."""
    return max(0, -(-(before_at - timing.anchor_at) // timing.every_us))


def _at_or_after(timing: Interval, low: int) -> int:
    return timing.anchor_at + _count_before(timing, low) * timing.every_us


class _AllowedSeconds:
    """The seconds UTC whose wall time is not excluded."""

    def __init__(self, exclusions: Exclusions) -> None:
        self._zone = time_zone(exclusions.time_zone or "UTC")
        self._walls = CompoundWalls(
            (parse_cron(_EVERY_SECOND),), excluded_walls(exclusions), excluded_days(exclusions)
        )
        self._fires = WallFires(self._zone, GapPolicy.SKIP, RepeatPolicy.BOTH, None, self._walls, self._walls)

    def next_second(self, low: int) -> int | None:
        """The first allowed second that is not before `low`."""
        return self._fires.next_fire(max(low, FIRST_SECONDS) - 1)

    def seconds_from(self, second: int) -> tuple[int, int]:
        """The allowed seconds from one on as bits, and the second behind them: the end of the local day or of the offset."""
        offset = self._zone.offset_at(second)
        wall = second + offset
        end = second + DAY - wall % DAY
        if (change := self._zone.next_change(second, end)) is not None:
            end = min(end, change)
        return self._walls.bits_between(wall, end + offset), end


@lru_cache(maxsize=1_024)
def _allowed(exclusions: Exclusions) -> _AllowedSeconds:
    return _AllowedSeconds(exclusions)


def _next_allowed(timing: Interval, allowed: _AllowedSeconds, time: int, before_at: int) -> int | None:
    """The first time from `time`, one of them, on whose second is allowed."""
    for _ in range(MOST_EXCLUDED_RUNS):
        second = time // SECOND_US
        if time >= before_at or (found := allowed.next_second(second)) is None:
            return None
        if found == second:
            return time
        time = _at_or_after(timing, found * SECOND_US)
    return None
