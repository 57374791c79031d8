"""Which tasks a call is about. PURE."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mainspring.server.core.model import TaskState


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Tasks that fit every restriction; what is left out does not restrict.

    Attributes:
        states: in one of these.
        handler: of this handler.
        labels: with all of these, as sorted pairs.
        next_from_at: whose next scheduled time is at or after this.
        next_until_at: whose next scheduled time is before this.
    """

    states: tuple[TaskState, ...] = ()
    handler: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    next_from_at: int | None = None
    next_until_at: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it restricts nothing."""
        return self == NO_FILTER


NO_FILTER = TaskFilter()


def label_fragment(key: str, value: str) -> str:
    """What stored labels contain exactly when this one is among them, once their first character, a brace, is a comma.

    A quotation mark within a key or value is stored behind a backslash, so what begins with a comma and a quotation mark
    begins a label.
    """
    return f",{json.dumps(key, ensure_ascii=False)}:{json.dumps(value, ensure_ascii=False)}"
