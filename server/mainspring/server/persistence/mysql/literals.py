"""Values as SQL text. PURE.

Statements are built here and not by the driver: its bound bytes cost thirteen times a hex literal, and its bulk insert
falls back to one statement a row. Every value passes one of these functions. They rely on the session's sql_mode
(NO_BACKSLASH_ESCAPES is off) and character set (utf8mb4), which `connection` sets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_STATEMENT_BYTES = 2 * 1024 * 1024
"""Where statements are split: well below MariaDB's packet limit of 16 MiB and our own of 4 MiB, since a single row of
256 KiB may come on top, twice as long in hex."""


def text(value: str | None) -> str:
    """A character string, or NULL."""
    if value is None:
        return "NULL"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def binary(value: bytes) -> str:
    """A byte string. `X''` and not `0x`: it can be empty."""
    return f"X'{value.hex()}'"


def integer(value: int | None) -> str:
    """A number, or NULL."""
    return "NULL" if value is None else str(int(value))


def integers(values: Iterable[int]) -> str:
    """A list for IN (...), which must not be empty."""
    return ",".join([str(int(value)) for value in values])


def document(rows: Sequence[Sequence[int | str | None]]) -> str:
    """A JSON array of arrays for JSON_TABLE. Bytes go in as hex strings."""
    return "'" + json.dumps(rows, separators=(",", ":")).replace("\\", "\\\\").replace("'", "\\'") + "'"


def split(parts: Sequence[T], sizes: Iterable[int], *, max_rows: int) -> Iterator[Sequence[T]]:
    """Cuts `parts` into runs of at most `max_rows` whose sizes add up to at most MAX_STATEMENT_BYTES.

    A single larger part makes a run of its own.
    """
    begin, total = 0, 0
    for index, size in enumerate(sizes):
        if index > begin and (total + size > MAX_STATEMENT_BYTES or index - begin >= max_rows):
            yield parts[begin:index]
            begin, total = index, 0
        total += size
    if begin < len(parts):
        yield parts[begin:]
