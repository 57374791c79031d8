"""The checker's verdict, as a single seed is asked for it."""

from __future__ import annotations

from dataclasses import replace

from mainspring.testing.checker import Limits, Verdict, check
from mainspring.testing.history import History

NOTHING = ("no scheduled time had to run in the window", "no executor ran anything")
"""What no seed may be: the rest of what a run should hold is asked of a batch."""


def judge(history: History, limits: Limits | None = None) -> Verdict:
    """The verdict on a history. Of `vacuous` the worst stays: a short run need not hold everything."""
    verdict = check(history, limits)
    vacuous = tuple(reason for reason in verdict.vacuous if reason in NOTHING)
    return replace(verdict, vacuous=vacuous)
