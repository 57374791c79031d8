"""What an update says of a field that it leaves alone."""

from dataclasses import fields
from enum import Enum
from typing import Any, Final, Literal


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return self.name


UNCHANGED: Final = Unchanged.UNCHANGED
"""In an update: this field stays as it is. None is no such thing: it says the default."""

LeftAlone = Literal[Unchanged.UNCHANGED]
"""The type of `UNCHANGED` alone, for annotations."""


def changed_fields(update: Any) -> tuple[str, ...]:
    """Return the names of the fields of an update, a dataclass, that it does not leave alone."""
    return tuple(each.name for each in fields(update) if getattr(update, each.name) is not UNCHANGED)
