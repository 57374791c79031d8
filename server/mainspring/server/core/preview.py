"""The scheduled times to come, with a note wherever a clock change has a hand in one.

A note is about wall times that the schedule names and that a clock change leaves out or brings twice (`wall_fires`). It
stands at the scheduled time that it explains: a wall time that comes twice at its own fire, one that is left out at the
next fire after the gap. Expressions that follow elapsed time fire all through a repeat; they get one note for the whole
of it, at the first fire after the change.

Cost for each time: one `next_fire`, and a look at the wall times around it, however far apart the times are. Instants
are int microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from typing import Final

from mainspring.server.core.adjustments import NO_ADJUSTMENTS, Adjustments, due_at
from mainspring.server.core.clock_changes import ClockChange, changes_between
from mainspring.server.core.compound_walls import WallSet
from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.next_fire import LAST_FIRE_AT, fires_between, next_fire
from mainspring.server.core.plain_english import time_of_day
from mainspring.server.core.schedule import CalendarInterval, Cron, GapPolicy, RepeatPolicy, Schedule
from mainspring.server.core.time_zone import DAY, time_zone
from mainspring.server.core.wall_fires import wall_fires

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock has no zone


class ClockChangeEffect(IntEnum):
    """What a clock change did to wall times that a schedule names. The numbers are the proto's."""

    MOVED = 1
    """They are left out; this scheduled time, the first instant after the gap, stands for them."""
    LEFT_OUT = 2
    """They are left out, and nothing stands for them."""
    FIRST_ONLY = 3
    """The wall time comes twice; this is the first time, and the second does not fire."""
    LAST_ONLY = 4
    """The wall time comes twice; this is the last time, and the first did not fire."""
    FIRST_OF_TWO = 5
    """The wall time comes twice and fires both times; this is the first."""
    SECOND_OF_TWO = 6
    """The wall time comes twice and fires both times; this is the second."""


@dataclass(frozen=True, slots=True)
class ClockChangeNote:
    """What one clock change did.

    Attributes:
        wall_time: the first of the wall times concerned, "2026-03-29T02:30:00".
        count: how many wall times are concerned.
        text: the same for people, one sentence.
    """

    effect: ClockChangeEffect
    wall_time: str
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class UpcomingFire:
    """One scheduled time to come.

    Attributes:
        due_at: when it is acted on.
        local_time: what the clock of the schedule's zone shows, with its offset: "2026-03-29T03:00:00+02:00".
    """

    scheduled_at: int
    due_at: int
    local_time: str
    notes: tuple[ClockChangeNote, ...]


def upcoming_fires(
    schedule: Schedule,
    task_key: bytes,
    *,
    first_at: int | None,
    after_at: int,
    already: int = 0,
    adjustments: Adjustments = NO_ADJUSTMENTS,
) -> Iterator[UpcomingFire]:
    """The scheduled times from `first_at` on, up to the last one that there will be.

    Args:
        task_key: what the part of the jitter is made from.
        first_at: the first of them; None: there is none.
        after_at: the instant that the first one follows: a change before it is not spoken of, and nothing is due before
            it.
        already: how many scheduled times the task has had, of those that it may have.
        adjustments: the task's, for those that are moved; one that is left out is a scheduled time all the same.

    Raises:
        BadCronExpression, UnknownTimeZone: as `next_fire`.
    """
    clock = _LocalClock(schedule)
    most = schedule.max_executions
    scheduled_at, before_at = first_at, after_at
    while scheduled_at is not None and (most is None or already < most):
        notes = clock.notes(before_at, scheduled_at) if scheduled_at > before_at else ()
        due = max(due_at(schedule, task_key, scheduled_at, adjustments), after_at)
        yield UpcomingFire(scheduled_at, due, clock.local_time(scheduled_at), tuple(notes))
        already += 1
        before_at = scheduled_at
        scheduled_at = _following(schedule, scheduled_at)


def _following(schedule: Schedule, fire_at: int) -> int | None:
    """The next fire; where tasks do not share their times, the memory of `next_fire` is spared."""
    if isinstance(schedule.timing, Cron | CalendarInterval):
        return next_fire(schedule, fire_at)
    return next(fires_between(schedule, fire_at, LAST_FIRE_AT, 1), None)


class _LookAhead:
    """A wall set of which the last answer is remembered: the same far wall is asked for before each fire."""

    def __init__(self, walls: WallSet) -> None:
        self._walls = walls
        self._low, self._found = 0, 0

    def next_wall(self, after: int) -> int | None:
        if not self._low <= after < self._found:
            found = self._walls.next_wall(after)
            if found is None:
                return None
            self._low, self._found = after, found
        return self._found

    def count_in(self, change: ClockChange) -> int:
        return self._walls.count_walls(change.first_wall, change.end_wall)

    def has(self, wall: int) -> bool:
        return self.next_wall(wall - 1) == wall


class _LocalClock:
    """The clock of a schedule's zone: what it shows, and what its changes do."""

    def __init__(self, schedule: Schedule) -> None:
        self._zone = time_zone(schedule.time_zone)
        self._start_at = schedule.start_at
        self._fixed: _LookAhead | None = None
        self._elapsed: _LookAhead | None = None
        timing = schedule.timing
        if isinstance(timing, Cron | CalendarInterval):
            self._gap, self._repeat = timing.gap, timing.repeat
            # Under these policies, which `wall_fires` may treat in its own way, fixed and elapsed walls are kept apart.
            usual = replace(timing, gap=GapPolicy.FIRE_AFTER, repeat=RepeatPolicy.FIRST)
            fires = wall_fires(usual, schedule.exclusions)
            self._fixed = _LookAhead(fires.fixed) if fires.fixed is not None else None
            self._elapsed = _LookAhead(fires.elapsed) if fires.elapsed is not None else None

    def local_time(self, at: int) -> str:
        offset = timedelta(seconds=self._zone.offset_at(at // SECOND_US))
        return (_EPOCH + timedelta(microseconds=at) + offset).replace(tzinfo=timezone(offset)).isoformat()

    def notes(self, before_at: int, fire_at: int) -> Iterator[ClockChangeNote]:
        """The notes at a fire, which follows `before_at`."""
        if self._start_at is not None:
            before_at = max(before_at, self._start_at - 1)
        low, fire = before_at // SECOND_US, fire_at // SECOND_US
        if self._fixed is not None:
            yield from self._left_out(self._fixed, low, fire, is_elapsed=False)
        if self._elapsed is not None:
            yield from self._left_out(self._elapsed, low, fire, is_elapsed=True)
        if self._fixed is not None:
            yield from self._comes_twice(self._fixed, fire)
        if self._elapsed is not None:
            yield from self._goes_through(self._elapsed, low, fire)

    def _left_out(
        self, walls: _LookAhead, low: int, fire: int, *, is_elapsed: bool
    ) -> Iterator[ClockChangeNote]:
        """For walls in gaps in (low, fire]. All walls of the set between those of the two fires lie in gaps and repeats."""
        last = fire + self._zone.offset_at(fire)
        wall = walls.next_wall(low + self._zone.offset_at(low))
        while wall is not None and wall <= last:
            before, after = self._zone.offsets_of_wall(wall)
            if before == after:
                return
            at = self._zone.change_between(wall - max(before, after), wall - min(before, after))
            change = ClockChange(at, before, after)
            if change.is_gap:
                count = walls.count_in(change)
                it = "it" if count == 1 else "they"
                if is_elapsed:
                    effect, outcome = ClockChangeEffect.LEFT_OUT, "the schedule follows elapsed time"
                elif self._gap is GapPolicy.FIRE_AFTER and after - before < DAY:
                    outcome = f"{it} fire{'s' if count == 1 else ' once,'} at {_reached(change)}"
                    effect = ClockChangeEffect.MOVED
                else:
                    effect, outcome = ClockChangeEffect.LEFT_OUT, f"{it} do{'es' * (count == 1)} not fire"
                yield self._note(effect, change, wall, count, outcome)
            wall = walls.next_wall(change.end_wall - 1)

    def _comes_twice(self, walls: _LookAhead, fire: int) -> Iterator[ClockChangeNote]:
        """For a fixed wall that is this very fire."""
        wall = fire + self._zone.offset_at(fire)
        before, after = self._zone.offsets_of_wall(wall)
        if before <= after or not walls.has(wall):
            return
        change = ClockChange(self._zone.change_between(wall - before, wall - after), before, after)
        if (found := _OF_A_REPEAT.get((self._repeat, fire < change.at))) is not None:
            effect, outcome = found
            yield self._note(effect, change, wall, 1, outcome)

    def _goes_through(self, walls: _LookAhead, low: int, fire: int) -> Iterator[ClockChangeNote]:
        """For walls that follow elapsed time: at the first fire after a repeat begins again, less than a day later."""
        change = next(changes_between(self._zone, max(low, fire - DAY), fire), None)
        if change is not None and not change.is_gap and (count := walls.count_in(change)):
            wall = walls.next_wall(change.first_wall - 1)
            assert wall is not None
            yield self._note(
                ClockChangeEffect.SECOND_OF_TWO, change, wall, count, "the schedule follows elapsed time"
            )

    def _note(
        self, effect: ClockChangeEffect, change: ClockChange, wall: int, count: int, outcome: str
    ) -> ClockChangeNote:
        """One sentence: which wall times, when, where, by which change, and with what outcome."""
        first = _shown(wall)
        which = (
            time_of_day(wall % DAY) if count == 1 else f"{count:,} times from {time_of_day(wall % DAY)} on"
        )
        if change.is_gap:
            what, direction = "does not exist" if count == 1 else "do not exist", "forward"
        else:
            what, direction = "comes twice" if count == 1 else "come twice", "back"
        clocks = f"{direction} from {time_of_day((change.at + change.before) % DAY)} to {_reached(change)}"
        text = (
            f"{which} {what} on {first:%Y-%m-%d} in {self._zone.name}, where clocks go {clocks}: {outcome}."
        )
        return ClockChangeNote(effect, first.isoformat(), count, text)


_OF_A_REPEAT: Final = {
    # by policy, and whether the fire is in the first pass
    (RepeatPolicy.FIRST, True): (
        ClockChangeEffect.FIRST_ONLY,
        "this is the first time, the second does not fire",
    ),
    (RepeatPolicy.LAST, False): (
        ClockChangeEffect.LAST_ONLY,
        "this is the last time, the first does not fire",
    ),
    (RepeatPolicy.BOTH, True): (ClockChangeEffect.FIRST_OF_TWO, "it fires both times, this is the first"),
    (RepeatPolicy.BOTH, False): (ClockChangeEffect.SECOND_OF_TWO, "it fires both times, this is the second"),
}


def _reached(change: ClockChange) -> str:
    """What the clock shows right after a change: "03:00", with the date when it is another one."""
    left, reached = change.at + change.before, change.at + change.after
    date = "" if left // DAY == reached // DAY else f" on {_shown(reached):%Y-%m-%d}"
    return time_of_day(reached % DAY) + date


def _shown(wall: int) -> datetime:
    return _EPOCH + timedelta(seconds=wall)
