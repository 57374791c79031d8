"""What becomes of the due times of a task while executions of it are open: the overlap policy as a decision. PURE.

With every policy but ALLOW at most one execution of a task is under way at a time. Of the times that are to run at once
(`runs`, ascending), while others are open:

- SKIP: none runs while one is open; of several that are due together the first runs.
- BUFFER_ONE: one is held until the open one has ended; what comes while one is held is skipped.
- REPLACE: the open ones are to be cancelled, and the latest is held until they have ended; those before it are skipped.

**Executions in the background**, those that are made up for (catch-up, backfill), are scheduled times long past. One that
waits stands in nobody's way: new times come first. While one is under way a new time is held behind it under SKIP, too:
the policy is about times that overtake each other, and making up for old ones must not cost new ones.

What is held is released by `next_to_begin`: by facts that are in the rows, so a new owner goes on as the old one would.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mainspring.server.core.plain_english import instant_words
from mainspring.server.core.policies import Overlap


class OpenOne(NamedTuple):
    """An execution of the task that is recorded, or about to be, and not known to be final."""

    scheduled_at: int
    is_waiting: bool
    """Nothing was given to an executor yet, and nothing will be before `next_to_begin` names it."""
    is_background: bool = False
    """It is made up for."""


@dataclass(slots=True)
class OverlapPlan:
    """The decision; each of the given times is in one of the first three.

    Attributes:
        runs: run now, ascending.
        held: recorded, and not given to an executor before those that are open have ended; at most one.
        skipped: recorded as SKIPPED, ascending.
        reason: why those, for the ledger; empty when there are none.
        replaced: scheduled times of open executions that are to be cancelled.
    """

    runs: tuple[int, ...]
    held: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    reason: str = ""
    replaced: tuple[int, ...] = ()


def decide(policy: Overlap, open_ones: Collection[OpenOne], runs: Sequence[int]) -> OverlapPlan:
    """Decide about times that are due at once, ascending, beside what is open of the same task."""
    times = tuple(runs)
    if policy is Overlap.ALLOW or not times:
        return OverlapPlan(times)
    in_the_way = sorted(one for one in open_ones if not (one.is_waiting and one.is_background))
    if policy is Overlap.REPLACE:
        latest, skipped = times[-1:], times[:-1]
        reason = f"overlap: replaced by the execution of {instant_words(latest[0])}" if skipped else ""
        if not in_the_way:
            return OverlapPlan(latest, (), skipped, reason)
        return OverlapPlan((), latest, skipped, reason, tuple(one.scheduled_at for one in in_the_way))
    if not in_the_way:
        room = 1 if policy is Overlap.SKIP else 2
        return OverlapPlan(
            times[:1], times[1:room], times[room:], _still_open(times[room - 1]) if times[room:] else ""
        )
    foreground = [one for one in in_the_way if not one.is_background]
    if policy is Overlap.SKIP:
        blockers = foreground
    else:
        # One that waits is the one in the buffer, unless nothing else is open: then it waits for an executor alone.
        blockers = [one for one in foreground if one.is_waiting] if len(in_the_way) > 1 else []
    if blockers:
        return OverlapPlan((), (), times, _still_open(blockers[0].scheduled_at))
    return OverlapPlan((), times[:1], times[1:], _still_open(times[0]) if times[1:] else "")


def next_to_begin(open_ones: Collection[OpenOne]) -> OpenOne | None:
    """Which waiting execution of a task may be given to an executor next; None while one is under way, or when none waits.

    New times come before those that are made up for, and else the oldest first. For a task whose policy is not ALLOW.
    """
    if any(not one.is_waiting for one in open_ones):
        return None
    return min(open_ones, key=lambda one: (one.is_background, one.scheduled_at), default=None)


def _still_open(scheduled_at: int) -> str:
    return f"overlap: the execution of {instant_words(scheduled_at)} is still open"
