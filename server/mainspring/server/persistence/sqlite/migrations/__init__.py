"""The schema of the SQLite store, as numbered files `NNNN_purpose.sql`, applied in order, never edited once released.

A file is one script; DDL is transactional in SQLite, so it is applied whole, with the schema's number, or not at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True, slots=True)
class SQLiteMigration:
    """One file."""

    version: int
    script: str


@cache
def sqlite_migrations() -> tuple[SQLiteMigration, ...]:
    """Reads all migrations, in order, numbered 1, 2, 3, ...

    Raises:
        ValueError: a number is missing or used twice.
    """
    found = sorted(
        (
            SQLiteMigration(int(match[1]), file.read_text(encoding="utf-8"))
            for file in files(__package__).iterdir()
            if (match := _FILE_NAME.fullmatch(file.name))
        ),
        key=lambda migration: migration.version,
    )
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations must be numbered 1, 2, 3, ... without a hole")
    return tuple(found)
