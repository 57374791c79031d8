"""What a local clock shows, step by step, and which of it comes twice or never.

A *wall* is what the clock shows, in seconds since 1970-01-01 00:00 on that clock. Everything here is read off the
clock: each UTC minute of a stretch is asked for its wall, and walls are compared with each other. No rule of any
zone is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from oracle.zones import DAY, MINUTE, wall_at

Flags = NDArray[np.bool_]
Seconds = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Walls:
    """Walls taken apart: the number of the local day since 1970-01-01, and the second of that day."""

    days: Seconds
    times: Seconds

    @classmethod
    def of(cls, walls: Seconds) -> Walls:
        """Take walls apart."""
        days = walls // DAY
        return cls(days, walls - days * DAY)


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """Walls that the clock never shows because it was put forward.

    Attributes:
        index: the step of the stretch at which the clock has just been put forward.
        length: how far, in seconds.
        left_out: the walls, `step` apart.
    """

    index: int
    length: int
    left_out: Walls


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """What a local clock shows over a stretch of UTC.

    Attributes:
        first: the first instant, in UTC seconds; the others follow `step` seconds apart.
        walls: what the clock shows at each.
        shown: the same, taken apart.
        was_shown: the clock has shown the same before.
        comes_again: the clock will show the same again.
        gaps: what it left out.
    """

    first: int
    step: int
    walls: Seconds
    shown: Walls
    was_shown: Flags
    comes_again: Flags
    gaps: tuple[Gap, ...]

    @property
    def end(self) -> int:
        """The end of the stretch, in UTC seconds."""
        return self.first + len(self.walls) * self.step

    def cut(self, first: int, end: int) -> Clock:
        """A part of the stretch, which still knows what came before it and comes after it."""
        low, high = (first - self.first) // self.step, (end - self.first) // self.step
        assert 0 <= low < high <= len(self.walls)
        return Clock(
            first=self.first + low * self.step,
            step=self.step,
            walls=self.walls[low:high],
            shown=Walls(self.shown.days[low:high], self.shown.times[low:high]),
            was_shown=self.was_shown[low:high],
            comes_again=self.comes_again[low:high],
            gaps=tuple(
                Gap(gap.index - low, gap.length, gap.left_out) for gap in self.gaps if low <= gap.index < high
            ),
        )

    def in_seconds(self) -> Clock:
        """The same stretch, second by second. Offsets change on full minutes, which `zones` has looked at."""
        return Clock(
            first=self.first,
            step=1,
            walls=_each_second(self.walls),
            shown=Walls.of(_each_second(self.walls)),
            was_shown=np.repeat(self.was_shown, MINUTE),
            comes_again=np.repeat(self.comes_again, MINUTE),
            gaps=tuple(
                Gap(
                    gap.index * MINUTE,
                    gap.length,
                    Walls.of(_each_second(gap.left_out.days * DAY + gap.left_out.times)),
                )
                for gap in self.gaps
            ),
        )


def read_clock(info: ZoneInfo, first: int, end: int) -> Clock:
    """Read a clock at every minute of [first, end), both full UTC minutes in seconds.

    What lies outside of the stretch is not known to it: take it a day longer on both sides than what is looked at.
    """
    walls = np.array([wall_at(info, second) for second in range(first, end, MINUTE)], np.int64)
    was_shown, comes_again = _repeats(walls)
    return Clock(first, MINUTE, walls, Walls.of(walls), was_shown, comes_again, _gaps(walls))


def _repeats(walls: Seconds) -> tuple[Flags, Flags]:
    """Which walls were there before, and which come again."""
    was_shown, comes_again = np.zeros(len(walls), np.bool_), np.zeros(len(walls), np.bool_)
    order = np.argsort(walls, kind="stable")  # equal walls stay in the order of time
    same = walls[order[:-1]] == walls[order[1:]]
    comes_again[order[:-1][same]] = True
    was_shown[order[1:][same]] = True
    return was_shown, comes_again


def _gaps(walls: Seconds) -> tuple[Gap, ...]:
    steps = np.diff(walls)
    return tuple(
        Gap(
            index=int(before) + 1,
            length=int(steps[before]) - MINUTE,
            left_out=Walls.of(
                np.arange(int(walls[before]) + MINUTE, int(walls[before + 1]), MINUTE, dtype=np.int64)
            ),
        )
        for before in np.flatnonzero(steps > MINUTE)
    )


def _each_second(minutes: Seconds) -> Seconds:
    seconds: Seconds = (minutes[:, np.newaxis] + np.arange(MINUTE, dtype=np.int64)).reshape(-1)
    return seconds
