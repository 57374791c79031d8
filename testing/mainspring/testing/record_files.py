"""Records of a history as JSON lines: one object per line, the record's fields by name."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

_R = TypeVar("_R")
_NAMES: dict[Any, tuple[str, ...]] = {}


class HistoryError(ValueError):
    """A file of a history does not hold what it should; the message names the file and line."""


def _names(kind: Any) -> tuple[str, ...]:
    """Of each kind asked for only once: `fields` is slow, and there are many records."""
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(field.name for field in fields(kind))
    return names


def to_dict(record: object) -> dict[str, Any]:
    """The record's fields by name, as they stand in a file."""
    return {name: getattr(record, name) for name in _names(type(record))}


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of JSON objects."""
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def write_records(path: Path, records: Iterable[object]) -> None:
    """Write a file of records."""
    write_lines(path, map(to_dict, records))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON objects.

    Raises:
        HistoryError: The file is missing, or a line is no JSON object.
    """
    lines: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                try:
                    line = json.loads(text)
                except json.JSONDecodeError as error:
                    raise HistoryError(f"{path}:{number}: not JSON: {error}") from error
                if not isinstance(line, dict):
                    raise HistoryError(f"{path}:{number}: not a JSON object")
                lines.append(line)
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror}") from error
    return lines


def read_records(path: Path, kind: type[_R]) -> tuple[_R, ...]:
    """Read a file of records of one kind.

    Raises:
        HistoryError: As `read_lines`, or a line lacks a field, has one too many, or holds what the kind refuses.
    """
    records: list[_R] = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            records.append(kind(**line))
        except (TypeError, ValueError) as error:
            raise HistoryError(f"{path}:{number}: {error}") from error
    return tuple(records)
