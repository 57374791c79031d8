"""The whole run: every clock change of every history, and random days, in several processes."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from heapq import nsmallest
from typing import Final

from oracle import second_oracle
from oracle.comparison import Difference, Window, compare
from oracle.corpus import Case, cases
from oracle.zones import DAY, END, FIRST, MINUTE, Change, History, histories, wall_at, zone

AROUND_A_CHANGE: Final = 3 * DAY
RANDOM_DAYS: Final = 8
"""Random windows of each history; every second of them at the end of a local month."""
AROUND_A_DAY: Final = DAY
LONG: Final = 60 * DAY
"""One window of each history reaches so far to both sides, for what is rare."""

_LONG_GROUPS: Final = ("dialect", "unions", "calendar")
_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Place:
    """A window still to be looked at, and the clock changes of its zone."""

    zone: str
    middle: int
    reach: int
    changes: tuple[Change, ...]


@dataclass(slots=True)
class Tally:
    """What was compared.

    Attributes:
        windows: how many windows of each reach, in seconds.
        made: how many comparisons of each kind; "fires" are those within "fires_between".
        explained: how often cronsim differed by each rule.
        unexplained: how many differences are left, and `smallest` the smallest of them.
    """

    windows: Counter[int] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: int = 0
    smallest: list[Difference] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take another one in."""
        self.windows += other.windows
        self.made += other.made
        self.explained += other.explained
        self.unexplained += other.unexplained
        self.smallest = nsmallest(_KEPT, [*self.smallest, *other.smallest], key=lambda each: each.size)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    seed: int
    histories: Sequence[History]
    schedules: int
    tally: Tally
    seconds: float

    @property
    def changes(self) -> int:
        """Clock changes of all histories."""
        return sum(len(history.changes) for history in self.histories)


def run(seed: int, only: str, workers: int) -> Run:
    """Compare everything, or the groups of the corpus whose name contains `only`."""
    began = time.monotonic()
    tally = Tally()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        found = histories(pool)
        work = [(seed, only, places) for places in _chunks(places_of(found, seed))]
        for part in pool.map(look_at, work):
            tally.add(part)
    return Run(seed, found, len(corpus(only)), tally, time.monotonic() - began)


@cache
def corpus(only: str = "") -> tuple[Case, ...]:
    """The cases of some groups, made once in each process."""
    return tuple(case for case in cases() if only in case.group)


def places_of(found: Iterable[History], seed: int) -> Iterator[Place]:
    """Where to look: each change of each history, and its random days."""
    for history in found:
        rng = random.Random(f"{seed} {history.zone}")
        for change in history.changes:
            yield Place(history.zone, change.at, AROUND_A_CHANGE, history.changes)
        for number in range(RANDOM_DAYS):
            middle = rng.randrange(FIRST + DAY, END - DAY, MINUTE)
            if number % 2:
                middle = end_of_month(history.zone, middle)
            yield Place(history.zone, middle, AROUND_A_DAY, history.changes)
        yield Place(history.zone, rng.randrange(FIRST + LONG, END - LONG, MINUTE), LONG, history.changes)


def end_of_month(zone_name: str, second: int) -> int:
    """The midnight at which the next local month begins, or shortly after it in a zone that has none."""
    info = zone(zone_name)
    while _month(wall_at(info, second)) == _month(wall_at(info, second + DAY)):
        second += DAY
    first = _month(wall_at(info, second))
    while _month(wall_at(info, second)) == first:
        second += MINUTE
    return second


def look_at(work: tuple[int, str, Sequence[Place]]) -> Tally:
    """Compare over some windows, in any process."""
    seed, only, places = work
    tally = Tally()
    for place in places:
        _look_at_one(place, random.Random(f"{seed} {place.zone} {place.middle}"), corpus(only), tally)
    return tally


def _look_at_one(place: Place, rng: random.Random, schedules: Iterable[Case], tally: Tally) -> None:
    tally.windows[place.reach] += 1
    window = Window.around(place.zone, place.middle, place.reach)
    near = [change for change in place.changes if window.first <= change.at < window.end]
    differences: list[Difference] = []
    for case in schedules:
        if place.reach == LONG and case.group not in _LONG_GROUPS:
            continue
        differences += compare(case, window, rng, tally.made)
        if second_oracle.reads(case):
            tally.made["cronsim"] += 1
            differences += second_oracle.compare(case, window, near, tally.explained)
    tally.unexplained += len(differences)
    tally.smallest += nsmallest(_KEPT, differences, key=lambda each: each.size)


def _month(wall: int) -> int:
    return date.fromordinal(wall // DAY + 719_163).month


def _chunks(places: Iterable[Place]) -> Iterator[list[Place]]:
    chunk: list[Place] = []
    for place in places:
        chunk.append(place)
        if len(chunk) == 16:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
