"""Namespaces: what is said about all of a namespace's tasks. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY_US: Final = 24 * 3_600 * 1_000_000
DEFAULT_RETENTION_US: Final = 30 * DAY_US


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace. One that nobody created has the defaults.

    Attributes:
        name: 1 to 200 characters.
        retention_us: how long what has ended is kept.
        description: for people.
        created_at: when it was created; None for one that nobody created.
        updated_at: when it last changed.
    """

    name: str
    retention_us: int = DEFAULT_RETENTION_US
    description: str = ""
    created_at: int | None = None
    updated_at: int | None = None
