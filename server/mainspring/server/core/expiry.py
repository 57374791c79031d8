"""Which due times are too late to start, and what of a claim needs no executor. PURE.

A `schedule_to_start` timeout tells that nobody came in time, so it passes for what no executor can run, too: the time
ends as EXPIRED at its deadline and not when somebody comes at last. With misfire ALL what nobody could run is missed
and made up for, and does not expire before it was claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from mainspring.server.core import policies
from mainspring.server.core.misfire import ClaimPlan
from mainspring.server.core.policies import MisfireMode, Policies
from mainspring.server.core.time_limits import start_deadline
from mainspring.server.errors import UnreadablePolicies


def watched_until(text: str, due_at: int) -> int | None:
    """The last instant at which a due time may start; None when it does not expire while it waits to be claimed.

    Args:
        text: the policies of its task, as stored. Those of a newer version are no reason to expire anything.
        due_at: when it is due, microseconds UTC.
    """
    if not text:
        return None
    try:
        known = policies.decode(text)
    except UnreadablePolicies:
        return None
    return None if known.misfire.mode is MisfireMode.ALL else start_deadline(known.timeouts, due_at)


def expired(known: Policies, times: Collection[int], due: Callable[[int], int], now: int) -> tuple[int, ...]:
    """Those of scheduled times that would run now and are too late to start. `due`: when each is due."""
    if not known.timeouts.schedule_to_start_us:
        return ()
    return tuple(
        at for at in times if (by := start_deadline(known.timeouts, due(at))) is not None and now > by
    )


def without_executor(plan: ClaimPlan, too_late: Collection[int]) -> ClaimPlan | None:
    """What of a plan lies before its first time that may still start. None: nothing, or it makes up for missed times.

    Args:
        too_late: its runs that are too late to start.
    """
    if plan.catch_up:
        return None
    first = next((at for at in plan.runs if at not in too_late), None)
    if first is None:
        return plan
    before = replace(
        plan,
        runs=tuple(at for at in plan.runs if at < first),
        next_at=first,
        skipped=tuple(at for at in plan.skipped if at < first),
    )
    return before if before.decided_count else None
