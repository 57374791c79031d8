"""What an update says of a field that it leaves alone."""

from enum import Enum
from typing import Final, Literal


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return self.name


UNCHANGED: Final = Unchanged.UNCHANGED
"""In an update: this field stays as it is. None is no such thing: it says the default."""

LeftAlone = Literal[Unchanged.UNCHANGED]
"""The type of `UNCHANGED` alone, for annotations."""
