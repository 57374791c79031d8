"""Addresses of nodes. PURE."""

from collections.abc import Sequence


def parse_addresses(addresses: str | Sequence[str]) -> tuple[str, ...]:
    """Return distinct addresses (host:port) in order; a string may hold several, separated by commas.

    Raises:
        ValueError: There is none, or one is blank.
    """
    parts = addresses.split(",") if isinstance(addresses, str) else addresses
    cleaned = [part.strip() for part in parts]
    if not cleaned or not all(cleaned):
        raise ValueError("at least one address (host:port) is needed, and none may be blank")
    return tuple(dict.fromkeys(cleaned))
