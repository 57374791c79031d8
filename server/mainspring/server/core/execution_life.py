"""Which state of an execution may follow which, as docs/design.md draws it; tests compare both with what happens. PURE."""

from __future__ import annotations

from itertools import product
from typing import Final

from mainspring.server.core.model import ExecutionState

Transition = tuple[ExecutionState | None, ExecutionState]
"""From and to; None: there was no row."""

_WAITING, _DISPATCHED, _RUNNING = ExecutionState.WAITING, ExecutionState.DISPATCHED, ExecutionState.RUNNING
_AT_EXECUTOR = (_DISPATCHED, _RUNNING)

TRANSITIONS: Final[frozenset[Transition]] = frozenset(
    {
        (None, _DISPATCHED),
        (None, _WAITING),
        (None, ExecutionState.SKIPPED),
        (None, ExecutionState.EXPIRED),
        (_WAITING, _DISPATCHED),
        (_DISPATCHED, _RUNNING),
        (_WAITING, ExecutionState.CANCELLED),
        (_WAITING, ExecutionState.EXPIRED),
        (_DISPATCHED, ExecutionState.EXPIRED),
        *product(_AT_EXECUTOR, (_DISPATCHED, _WAITING)),
        *product(
            _AT_EXECUTOR,
            (
                ExecutionState.SUCCEEDED,
                ExecutionState.FAILED,
                ExecutionState.CANCELLED,
                ExecutionState.LOST,
            ),
        ),
    }
)
"""All there are, those from DISPATCHED to DISPATCHED with the next attempt. A final state has none: it never changes."""


def is_allowed(before: ExecutionState | None, after: ExecutionState) -> bool:
    """Whether a row may go from one state to the other; one that stays in an open state may change otherwise."""
    return (before, after) in TRANSITIONS or (before is after and not after.is_final)
