"""The schema, as numbered files that are applied in order and never edited once released.

`NNNN_purpose.sql` holds statements that end in a semicolon at the end of a line. The first line is a comment with the
purpose; a line `-- compatible-from: M` names the lowest schema number whose software still works on the schema after
this file (M = NNNN when left out, that is: older software is refused). DDL commits by itself in MySQL, so each
statement must bear being run again after a crash in the middle of its file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_COMPATIBLE_FROM = re.compile(r"^-- compatible-from: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    compatible_from: int
    """The lowest schema number whose software works on the schema that this migration leaves."""
    statements: tuple[str, ...]


@cache
def migrations() -> tuple[Migration, ...]:
    """Reads all migrations, in order, numbered 1, 2, 3, ...

    Raises:
        ValueError: a number is missing or used twice.
    """
    found = []
    for file in files(__package__).iterdir():
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            continue
        text = file.read_text(encoding="utf-8")
        version = int(match[1])
        compatible = _COMPATIBLE_FROM.search(text)
        found.append(
            Migration(
                version=version,
                name=match[2],
                compatible_from=int(compatible[1]) if compatible else version,
                statements=_statements(text),
            )
        )
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations must be numbered 1, 2, 3, ... without a hole")
    return tuple(found)


def schema_version() -> int:
    """The number of the schema this software was written for."""
    return migrations()[-1].version


def _statements(text: str) -> tuple[str, ...]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    parts = re.split(r";\s*(?:\n|\Z)", without_comments)
    return tuple(part.strip() for part in parts if part.strip())
