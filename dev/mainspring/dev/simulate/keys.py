"""How a key of a simulation file is described: one place for its bounds, its unit and its meaning. PURE."""

from dataclasses import MISSING, Field, dataclass, field
from typing import Any

_METADATA = "simulation key"


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key beside its type and default.

    Attributes:
        says: What it means, for the documentation.
        unit: Of its number: "s", "ms", "1/s", or "" for a plain count.
        low: Least value, inclusive.
        high: Greatest value, inclusive.
        choices: The texts it may have; empty for any.
        default: How the default is written in the documentation where the value itself would mislead.
    """

    says: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    default: str = ""


def key(
    says: str,
    default: Any = MISSING,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    shown: str = "",
) -> Any:
    """A field of a dataclass that a key of the file fills; without a default the key is required."""
    described = Key(says, unit, low, high, choices, shown)
    return field(default=default, metadata={_METADATA: described})


def key_of(of: "Field[Any]") -> Key:
    """What was said of a field made by `key`."""
    described = of.metadata[_METADATA]
    assert isinstance(described, Key)
    return described


def default_words(of: "Field[Any]") -> str:
    """The default as the documentation shows it."""
    described = key_of(of)
    if described.default:
        return described.default
    if of.default is MISSING:
        return "required"
    if isinstance(of.default, str):
        return f'"{of.default}"' if of.default else "none"
    if isinstance(of.default, float):
        return f"{of.default:g}"
    return str(of.default)
