"""Time zones for the oracle: loaded from the `tzdata` package, grouped by what their clocks did."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400

FIRST: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
END: Final = int(datetime(2040, 1, 1, tzinfo=UTC).timestamp())
"""The years that are looked at, in UTC seconds: [FIRST, END)."""

_PROBE: Final = 3 * HOUR
"""How far apart a clock is looked at when its changes are searched for. The closest two are days apart."""


@dataclass(frozen=True, slots=True)
class Change:
    """A clock change.

    Attributes:
        at: the first second of the new offset.
        before, after: seconds to add to UTC.
    """

    at: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class History:
    """What the clocks of one or more zones did in [FIRST, END): equal offsets at every instant.

    Attributes:
        zone: the first of their names, which stands for all of them.
        names: how many names share it.
        offset: at FIRST, in seconds.
    """

    zone: str
    names: int
    offset: int
    changes: tuple[Change, ...]


def zone_names() -> list[str]:
    """Every name of the package."""
    return sorted(resources.files("tzdata").joinpath("zones").read_text("ascii").split())


def zone_data(name: str) -> bytes:
    """A zone's file in the package."""
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


@cache
def zone(name: str) -> ZoneInfo:
    """A zone of the package: the system's may be older and have other rules."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def wall_at(info: ZoneInfo, second: int) -> int:
    """What the local clock shows at a UTC second, as seconds since 1970-01-01 00:00 on that clock."""
    local = datetime.fromtimestamp(second, info)
    day = local.toordinal() - 719_163
    return day * DAY + local.hour * HOUR + local.minute * MINUTE + local.second


def offset_at(info: ZoneInfo, second: int) -> int:
    """How far the local clock is ahead of UTC, in seconds."""
    return wall_at(info, second) - second


def changes_between(name: str, first: int, end: int) -> tuple[Change, ...]:
    """The clock changes of a zone in (first, end]: looked at every three hours, then found to the second."""
    info = zone(name)
    changes: list[Change] = []
    probes = [*range(first, end, _PROBE), end]
    offsets = [offset_at(info, probe) for probe in probes]
    for (low, high), (before, after) in zip(pairwise(probes), pairwise(offsets), strict=True):
        if before == after:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset_at(info, middle) == before:
                low = middle
            else:
                high = middle
        changes.append(Change(high, before, after))
    return tuple(changes)


def changes_of(name: str) -> tuple[Change, ...]:
    """The clock changes of a zone from FIRST to END."""
    return changes_between(name, FIRST, END - 1)


def histories(pool: Executor) -> list[History]:
    """The distinct histories, in the order of their names."""
    same_file: dict[bytes, list[str]] = {}
    for name in zone_names():
        same_file.setdefault(zone_data(name), []).append(name)
    firsts = [names[0] for names in same_file.values()]
    found = pool.map(changes_of, firsts, chunksize=8)
    return grouped((names, changes) for names, changes in zip(same_file.values(), found, strict=True))


def grouped(zones: Iterable[tuple[list[str], tuple[Change, ...]]]) -> list[History]:
    """Histories of zones and their changes; zones with equal offsets all along become one."""
    together: dict[tuple[int, tuple[Change, ...]], list[str]] = {}
    for names, changes in zones:
        together.setdefault((offset_at(zone(names[0]), FIRST), changes), []).extend(names)
    return sorted(
        (History(min(names), len(names), offset, changes) for (offset, changes), names in together.items()),
        key=lambda history: history.zone,
    )
