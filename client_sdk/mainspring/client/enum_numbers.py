"""Members of the client's enums <-> the numbers of the protos, where 0 stands for what a client does not know."""

from enum import Enum
from typing import Any, TypeVar

Member = TypeVar("Member", bound=Enum)


def from_number(kind: type[Member], number: int) -> Member:
    """Return the member of that number; UNSPECIFIED for one that only a newer server knows."""
    try:
        return kind(number)
    except ValueError:
        return kind(0)


def to_number(name: str, member: Enum) -> Any:
    """Return the number of a member that says something: to the server 0 would be its default, not what was read.

    Raises:
        ValueError: It is UNSPECIFIED.
    """
    if not member.value:
        raise ValueError(
            f"{name} is {member}: this client does not know what the server meant, so choose one"
        )
    return member.value
