"""IANA time zones as integer arithmetic: offsets, gaps, repeats.

Zones come from the installed `tzdata` package and from nowhere else, so that all nodes that run one build agree,
whatever their systems carry. Names are exact (case included), as that package lists them.

Two time lines meet here. *Seconds* are UTC seconds since 1970. *Wall* seconds are what a local clock shows, counted
as if it were UTC. `wall = seconds + offset`. Where the offset rises, walls are left out (a gap); where it falls,
walls come twice (a repeat). Offsets change at most once a day: the closest two changes in tzdata, ever, are
almost seven days apart (a test holds it), and one probe a day therefore finds all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

import tzdata

DATABASE_RELEASE: Final[str] = tzdata.IANA_VERSION
"""The release of the IANA time zone database that is computed with, such as "2026f"."""

DATABASE_YEAR: Final = int(DATABASE_RELEASE[:4])

DAY: Final = 86_400
"""Seconds in a day."""

LAST_SECONDS: Final = 253_402_128_000
"""9999-12-30T00:00:00Z. Behind it no fire time is looked for: a local clock may leave year 9999."""

FIRST_SECONDS: Final = -62_135_424_000
"""0001-01-03T00:00:00Z, for the same reason."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock has no zone


class UnknownTimeZone(ValueError):
    """The name is not one of the zones of the installed tzdata."""


class TimeZone:
    """One zone. Immutable; get it from `time_zone`, which keeps one object per name."""

    __slots__ = ("_info", "name")

    def __init__(self, name: str, info: ZoneInfo) -> None:
        self.name = name
        self._info = info

    def offset_at(self, seconds: int) -> int:
        """Seconds to add to UTC for the local wall clock, at an instant."""
        offset = datetime.fromtimestamp(seconds, self._info).utcoffset()
        assert offset is not None
        return offset.days * DAY + offset.seconds

    def offsets_of_wall(self, wall: int) -> tuple[int, int]:
        """The offsets before and after the change that `wall` is part of.

        Returns:
            Equal for a plain wall time. The first smaller: `wall` lies in a gap. The first larger: it comes twice,
            at `wall - first` and later at `wall - second`.
        """
        local = _EPOCH + timedelta(seconds=wall)
        before = self._info.utcoffset(local)
        after = self._info.utcoffset(local.replace(fold=1))
        assert before is not None
        assert after is not None
        return before.days * DAY + before.seconds, after.days * DAY + after.seconds

    def change_between(self, low: int, high: int) -> int:
        """The first second of the new offset, for an offset that differs between `low` and `high`.

        `low` and `high` are instants at most a few days apart, with one change in (low, high].
        """
        old = self.offset_at(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset_at(middle) == old:
                low = middle
            else:
                high = middle
        return high

    def next_change(self, low: int, high: int) -> int | None:
        """The first offset change in (low, high], or None. Costs a probe a day (0.5 us each)."""
        old = self.offset_at(low)
        while low < high:
            step = min(low + DAY, high)
            if self.offset_at(step) != old:
                return self.change_between(low, step)
            low = step
        return None


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every name that `time_zone` accepts."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("ascii").split())


@lru_cache(maxsize=1024)
def time_zone(name: str) -> TimeZone:
    """The zone of that name.

    Raises:
        UnknownTimeZone: the installed tzdata has no zone of exactly that name.
    """
    if name not in zone_names():
        raise UnknownTimeZone(name)
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return TimeZone(name, ZoneInfo.from_file(data, key=name))
