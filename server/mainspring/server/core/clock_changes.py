"""The clock changes of a zone, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from mainspring.server.core.cron_walls import UNIX_DAY
from mainspring.server.core.time_zone import DAY, FIRST_SECONDS, LAST_SECONDS, TimeZone, time_zone

YEARS_AHEAD: Final = 10


@dataclass(frozen=True, slots=True)
class ClockChange:
    """One change of a zone's offset. Instants are UTC seconds, walls are seconds of the local clock (`time_zone`).

    Attributes:
        at: the first second of the new offset.
        before, after: the offsets. The greater `after`: a gap. The smaller: a repeat.
    """

    at: int
    before: int
    after: int

    @property
    def is_gap(self) -> bool:
        """Whether walls are left out; else they come twice."""
        return self.after > self.before

    @property
    def first_wall(self) -> int:
        """The first wall that is left out or comes twice."""
        return self.at + min(self.before, self.after)

    @property
    def end_wall(self) -> int:
        """The first wall behind those."""
        return self.at + max(self.before, self.after)


def changes_between(zone: TimeZone, low: int, high: int) -> Iterator[ClockChange]:
    """The changes in (low, high], ascending. Costs a probe a day (0.5 us each)."""
    while (at := zone.next_change(low, high)) is not None:
        yield ClockChange(at, zone.offset_at(at - 1), zone.offset_at(at))
        low = at


@lru_cache(maxsize=1_024)
def changes_from(zone_name: str, year: int) -> tuple[ClockChange, ...]:
    """The changes of YEARS_AHEAD years from the beginning of `year` on. Costs 2 ms once.

    Raises:
        UnknownTimeZone: see `time_zone`.
    """
    low = (date(max(1, min(year, 9999)), 1, 1).toordinal() - UNIX_DAY) * DAY
    high = min(low + YEARS_AHEAD * 366 * DAY, LAST_SECONDS)
    return tuple(changes_between(time_zone(zone_name), max(low, FIRST_SECONDS), high))
