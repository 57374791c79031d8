"""The documented meaning of a stored schedule, by brute force: at which instants of a stretch it fires.

Reads the stored text (`core/schedule_text` describes its keys) and looks at every step of a local clock:

- A cron expression whose hour field begins with `*` follows elapsed time: it fires at every instant that shows a wall
  that it names, both times when one comes twice, and never for one that is left out.
- Any other expression, and every time of a calendar interval, is a fixed wall. Shown once, it fires then. Shown twice,
  the repeat policy says whether it fires the first time, the last time or both times. Left out by a gap shorter than
  24 hours, it fires at the first instant after the gap, or with the gap policy SKIP not at all. Left out by a gap of 24
  hours or more it does not fire.
- Several expressions fire at the union of these instants.
- An exclusion removes walls before any of this. For an interval it removes the instants that show an excluded wall.
- Nothing fires before `start_at`, nor at or after `end_at`.

Instants are microseconds UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import numpy as np
from oracle.dialect import Named, read_cron
from oracle.local_clock import Clock, Flags, Walls
from oracle.zones import DAY, MINUTE, wall_at, zone

SECOND_US: Final = 1_000_000
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
_UNIX_MONDAY: Final = date(1970, 1, 5).toordinal()

Record = Mapping[str, Any]
_DEFAULTS: Final[Record] = {}


@dataclass(frozen=True, slots=True)
class Excluded:
    """Walls that a schedule leaves out: whole local dates (days since 1970), and what expressions cover."""

    days: Sequence[int]
    expressions: Sequence[Named]

    @classmethod
    def of(cls, record: Record) -> Excluded:
        """The exclusions of a stored schedule."""
        return cls(
            [date.fromisoformat(text).toordinal() - _UNIX_DAY for text in record.get("exclude_dates", ())],
            [read_cron(text, whole_minutes=True) for text in record.get("exclude_expressions", ())],
        )

    def among(self, walls: Walls) -> Flags:
        """Which of these walls are left out."""
        covered = np.zeros(len(walls.days), np.bool_)
        for day in self.days:
            covered |= walls.days == day
        for named in self.expressions:
            covered |= named.among(walls)
        return covered


def fires(text: str, clock: Clock) -> list[int]:
    """When a stored cron or calendar schedule fires, in the stretch of a clock of its zone.

    The clock must go by seconds where `needs_seconds` says so.
    """
    record = json.loads(text)
    assert record["kind"] in ("cron", "calendar")
    return _bounded(record, fires_of(_named(record), clock, record))


def fires_of(all_named: Iterable[Named], clock: Clock, record: Record = _DEFAULTS) -> list[int]:
    """When walls fire, by the policies and without the exclusions of a stored schedule."""
    excluded = Excluded.of(record)
    fired = np.zeros(len(clock.walls), np.bool_)
    for named in all_named:
        assert clock.step == 1 or not named.needs_seconds
        if named.is_elapsed:
            fired |= _meant(named, excluded, clock.shown)
        else:
            fired |= _fixed(named, excluded, clock, record)
    instants: list[int] = ((clock.first + np.flatnonzero(fired) * clock.step) * SECOND_US).tolist()
    return instants


def interval_fires(text: str, first: int, end: int) -> list[int]:
    """When a stored interval fires in [first, end), in UTC seconds."""
    record = json.loads(text)
    every_us, anchor_at = record["every_us"], record["anchor_at"]
    instants = range(anchor_at, end * SECOND_US, every_us)
    late_enough = instants[max(0, -((anchor_at - first * SECOND_US) // every_us)) :]
    return _bounded(record, _not_excluded(record, list(late_enough)))


def needs_seconds(text: str) -> bool:
    """Whether a stored cron or calendar schedule names seconds other than the first of a minute."""
    return any(named.needs_seconds for named in _named(json.loads(text)))


def _meant(named: Named, excluded: Excluded, walls: Walls) -> Flags:
    """Which of these walls are named and not left out."""
    meant: Flags = named.among(walls) & ~excluded.among(walls)
    return meant


def _fixed(named: Named, excluded: Excluded, clock: Clock, record: Record) -> Flags:
    fired = _meant(named, excluded, clock.shown)
    match record.get("repeat", "FIRST"):
        case "FIRST":
            fired &= ~clock.was_shown
        case "LAST":
            fired &= ~clock.comes_again
        case other:
            assert other == "BOTH"
    if record.get("gap", "FIRE_AFTER") == "FIRE_AFTER":
        for gap in clock.gaps:
            if gap.length < DAY and _meant(named, excluded, gap.left_out).any():
                fired[gap.index] = True
    return fired


def _not_excluded(record: Record, instants: list[int]) -> list[int]:
    """The instants that do not show an excluded wall."""
    if "exclude_dates" not in record and "exclude_expressions" not in record:
        return instants
    info = zone(record.get("exclude_time_zone") or "UTC")
    walls = np.array([wall_at(info, at // SECOND_US) for at in instants], np.int64)
    left_out = Excluded.of(record).among(Walls.of(walls))
    return [at for at, is_out in zip(instants, left_out, strict=True) if not is_out]


def _bounded(record: Record, instants: list[int]) -> list[int]:
    start_at, end_at = record.get("start_at"), record.get("end_at")
    return [at for at in instants if (start_at is None or at >= start_at) and (end_at is None or at < end_at)]


def _named(record: Record) -> list[Named]:
    if record["kind"] == "cron":
        return [read_cron(text) for text in record.get("expressions") or [record["expression"]]]
    times = np.zeros(DAY, np.bool_)
    times[record["times"]] = True
    counted = (
        record["every"],
        record["unit"],
        record["start_date"],
        *(tuple(record.get(name, ())) for name in ("weekdays", "days_of_month")),
    )
    return [
        Named(
            times,
            lambda when: _counts(when, *counted),
            is_elapsed=False,
            needs_seconds=any(time % MINUTE for time in record["times"]),
        )
    ]


@lru_cache(maxsize=1 << 20)
def _counts(
    when: date,
    every: int,
    unit: str,
    start_date: str,
    weekdays: tuple[int, ...],
    days_of_month: tuple[int, ...],
) -> bool:
    """Whether a local date is one of a calendar interval."""
    start = date.fromisoformat(start_date)
    if when < start:
        return False
    if unit == "DAY":
        return (when - start).days % every == 0
    if unit == "WEEK":
        weeks = (when.toordinal() - _UNIX_MONDAY) // 7 - (start.toordinal() - _UNIX_MONDAY) // 7
        return weeks % every == 0 and when.isoweekday() in weekdays
    assert unit == "MONTH"
    months = (when.year - start.year) * 12 + when.month - start.month
    to_the_end = date(when.year + when.month // 12, when.month % 12 + 1, 1).toordinal() - when.toordinal()
    return months % every == 0 and (when.day in days_of_month or -to_the_end in days_of_month)
