"""The history of a task is a chain: each of its executions names the one before it in time. PURE.

Claims add to its newer end. What calls add, and what is claimed late, may belong in the middle: `woven` says which links
that changes, so that following the chain still gives every execution once, newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Link(NamedTuple):
    """An execution of a task and the one before it, by their scheduled times."""

    scheduled_at: int
    previous_at: int | None


class Woven(NamedTuple):
    """How executions join a chain."""

    head_at: int
    """Its newest execution then."""
    new: list[Link]
    """The links of those that join."""
    changed: list[Link]
    """Links of others that change."""
    existing: list[int]
    """Of the times that were to join, those that are in the chain already."""


def woven(head_at: int | None, links: Sequence[Link], times: Sequence[int]) -> Woven:
    """Puts executions into a chain.

    Args:
        head_at: the newest execution; None when there is none.
        links: the chain from there down to the first execution before all of `times`, or to its end.
        times: of the executions that join; at least one.
    """
    known = {link.scheduled_at: link.previous_at for link in links}
    existing = sorted(set(times) & known.keys())
    joining = set(times) - known.keys()
    order = sorted(known.keys() | joining)
    previous = known[min(known)] if known else head_at  # below all of them
    if previous is not None and previous >= order[0]:
        previous = None
    new: list[Link] = []
    changed: list[Link] = []
    for at in order:
        if at in joining:
            new.append(Link(at, previous))
        elif previous in joining:
            changed.append(Link(at, previous))
        previous = at
    head = order[-1] if head_at is None else max(order[-1], head_at)
    return Woven(head, new, changed, existing)
