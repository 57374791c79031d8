"""What value types check of their arguments, so that a mistake shows where it is made. PURE."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any


def require(name: str, value: object, *kinds: type) -> None:
    """Refuse a value that is of none of these types; a datetime is no date here, nor a bool an int.

    Raises:
        TypeError: It is of another type. The message names the argument and what it wants.
    """
    is_other = (isinstance(value, datetime) and date in kinds) or (isinstance(value, bool) and int in kinds)
    if is_other or not isinstance(value, kinds):
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {wanted}; got {type(value).__name__} {value!r}")


def tuple_of(name: str, values: object, kind: type) -> tuple[Any, ...]:
    """Return the values of a sequence as a tuple; one string stands for itself where strings are wanted.

    Raises:
        TypeError: It is no sequence, or one of its values is of another type.
    """
    if kind is str and isinstance(values, str):
        return (values,)
    # A set has no order, and a schedule that is equal must look equal.
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(
            f"{name} must be a sequence of {kind.__name__}; got {type(values).__name__} {values!r}"
        )
    for position, value in enumerate(values):
        require(f"{name}[{position}]", value, kind)
    return tuple(values)


def text_map(name: str, values: object) -> dict[str, str]:
    """Return the texts of a mapping as a dict of its own.

    Raises:
        TypeError: It is no mapping, or a key or a value is no string.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a mapping of str to str; got {type(values).__name__} {values!r}")
    for key, value in values.items():
        require(f"a key of {name}", key, str)
        require(f"{name}[{key!r}]", value, str)
    return dict(values)


def require_at_least_1(name: str, count: float) -> None:
    """Refuse a number below 1, where 0 would say to the server that its default is meant.

    Raises:
        ValueError: It is below 1, or not a number.
    """
    if not count >= 1:
        raise ValueError(f"{name} must be at least 1; got {count}")
