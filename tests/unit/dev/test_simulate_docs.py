"""docs/simulate.md names every key of a simulation file, with the unit, the default and the bounds that the code has."""

from dataclasses import fields
from pathlib import Path

from mainspring.dev.simulate.config import (
    DURATIONS,
    LOADS,
    WHAT,
    Event,
    Executors,
    General,
    Load,
    Nodes,
)
from mainspring.dev.simulate.keys import Key, default_words, key_of
from mainspring.dev.simulate.reading import example_names

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "simulate.md").read_text(encoding="utf-8")
HEADER = ["key", "unit", "default", "range", "meaning"]


def tables() -> list[list[list[str]]]:
    """The tables of keys, in the order of the page: their rows, cell by cell."""
    found: list[list[list[str]]] = []
    is_inside = False
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells == HEADER:
            found.append([])
            is_inside = True
        elif not line.startswith("|"):
            is_inside = False
        elif is_inside and cells[0] != "---":
            found[-1].append(cells)
    return found


def range_words(key: Key) -> str:
    if key.low is None or key.high is None:
        return ""
    return "from 0" if key.high >= 2**63 - 1 else f"{key.low:g} to {key.high:,g}"


def rows(of: type, *, without: type | None = None) -> list[list[str]]:
    known = {field.name for field in fields(without)} if without else set()  # type: ignore[arg-type]
    return [
        [
            f"`{field.name}`",
            key_of(field).unit,
            default_words(field),
            range_words(key_of(field)),
            key_of(field).says,
        ]
        for field in fields(of)  # type: ignore[arg-type]
        if field.name not in known
    ]


def test_the_tables_are_the_dataclasses() -> None:
    loads = [rows(kind, without=Load) for kind in LOADS.values()]
    durations = [rows(kind) for kind in DURATIONS.values()]
    expected = [rows(General), rows(Nodes), rows(Executors), rows(Load), *loads, *durations, rows(Event)]
    assert tables() == expected


def test_schedules_durations_events_and_examples_are_named() -> None:
    named = [f'`schedule = "{name}"`' for name in LOADS]
    named += [f'kind = "{name}"' for name in DURATIONS]
    named += [f"`{name}`" for name in (*WHAT, *example_names())]
    assert [name for name in named if name not in TEXT] == []
