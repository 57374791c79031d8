"""Reads a simulation file: every fault in it is named with the file, the key and what is wrong. Never a traceback."""

import difflib
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from mainspring.dev.simulate import timeline
from mainspring.dev.simulate.config import (
    DURATIONS,
    LOADS,
    MAX_TASKS,
    Duration,
    Event,
    Executors,
    General,
    Load,
    Nodes,
    Simulation,
)
from mainspring.dev.simulate.keys import key_of

MAX_FILE_BYTES = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
_SECTIONS = ("simulation", "nodes", "executors", "load", "event")
_T = TypeVar("_T")
_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
    bool: "true or false",
}


class BadFileError(Exception):
    """A simulation file is not valid; the message has a line for each fault."""


def example_names() -> list[str]:
    """The examples that are shipped."""
    folder = resources.files("mainspring.dev.simulate").joinpath("examples")
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def find_text(file: str) -> tuple[str, str]:
    """The name and the text of a file, or of a shipped example when no such file is there.

    Raises:
        BadFileError: There is neither, or it cannot be read.
    """
    if file in example_names() and not Path(file).is_file():
        entry = resources.files("mainspring.dev.simulate").joinpath("examples", f"{file}.toml")
        return f"{file}.toml", entry.read_text(encoding="utf-8")
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise BadFileError(f"{file}: larger than {MAX_FILE_BYTES:,} bytes")
        return file, data.decode("utf-8")
    except FileNotFoundError:
        examples = ", ".join(example_names())
        raise BadFileError(
            f"{file}: there is no such file, and no example of that name; examples: {examples}"
        ) from None
    except UnicodeDecodeError:
        raise BadFileError(f"{file}: is not text in UTF-8") from None
    except (OSError, ValueError) as error:
        raise BadFileError(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def parse(text: str, name: str) -> Simulation:
    """The simulation that a text describes.

    Args:
        text: TOML.
        name: Of the file, for messages.

    Raises:
        BadFileError: It is not valid.
    """
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise BadFileError(f"{name}: is nested too deeply") from None
    except ValueError as error:  # beside its own errors, what a number of 5,000 digits raises
        raise BadFileError(f"{name}: is not TOML: {error}") from None
    reader = _Reader()
    simulation = reader.document(document)
    if simulation is None or reader.problems:
        raise BadFileError("\n".join(f"{name}: {problem}" for problem in reader.problems))
    return simulation


class _Reader:
    """Collects what is wrong while it reads."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def document(self, document: dict[str, Any]) -> Simulation | None:
        self._unknown(document, _SECTIONS, "")
        general = self._table(General, document.get("simulation", {}), "simulation")
        nodes = self._table(Nodes, document.get("nodes", {}), "nodes")
        executors = self._table(Executors, document.get("executors", {}), "executors")
        loads = [self._load(table, path) for path, table in self._tables(document, "load")]
        events = [self._table(Event, table, path) for path, table in self._tables(document, "event")]
        if "load" not in document:
            self.problems.append("load: at least one [[load]] is needed, or nothing would be due")
        if self.problems or general is None or nodes is None or executors is None:
            return None
        simulation = Simulation(
            simulation=general,
            nodes=nodes,
            executors=executors,
            load=tuple(load for load in loads if load is not None),
            event=tuple(event for event in events if event is not None),
        )
        self._check(simulation)
        return simulation

    def _check(self, simulation: Simulation) -> None:
        """What only the whole shows."""
        if any(ord(character) < 32 for character in simulation.simulation.title):
            self.problems.append("simulation.title: holds a control character")
        names: set[str] = set()
        for number, load in enumerate(simulation.load, start=1):
            if not _NAME.fullmatch(load.name):
                self.problems.append(
                    f"load[{number}].name: {_shown(load.name)} is not 1 to 40 of A-Z a-z 0-9 . _ -"
                )
            if load.name in names:
                self.problems.append(f"load[{number}].name: {_shown(load.name)} is taken by another load")
            names.add(load.name)
            wrong = load.problems(simulation.simulation.seconds)
            self.problems += [f"load[{number}].{name}: {text}" for name, text in wrong]
        wrong_events = timeline.problems(simulation)
        self.problems += [f"event[{number}].{name}: {text}" for number, (name, text) in wrong_events]
        if not self.problems and simulation.task_count > MAX_TASKS:
            self.problems.append(
                f"load: {simulation.task_count:,} tasks in all; at most {MAX_TASKS:,} are allowed"
            )

    def _tables(self, document: dict[str, Any], name: str) -> list[tuple[str, Any]]:
        found = document.get(name, [])
        if not isinstance(found, list):
            self.problems.append(f"{name}: is {_kind(found)}, not a list of tables; write [[{name}]]")
            return []
        return [(f"{name}[{number}]", table) for number, table in enumerate(found, start=1)]

    def _load(self, table: Any, path: str) -> Load | None:
        return self._variant(LOADS, "schedule", table, path)

    def _variant(self, classes: dict[str, type[_T]], tag: str, table: Any, path: str) -> _T | None:
        """A table one of whose keys says of which class it is."""
        if not isinstance(table, dict):
            self.problems.append(f"{path}: is {_kind(table)}, not a table")
            return None
        chosen = table.get(tag)
        if not isinstance(chosen, str) or chosen not in classes:
            what = "is required" if tag not in table else f"{_shown(chosen)} is not known"
            self.problems.append(f"{path}.{tag}: {what}; one of {_listed(classes)}")
            return None
        return self._table(
            classes[chosen], {k: v for k, v in table.items() if k != tag}, path, f"{tag} {chosen!r}"
        )

    def _table(self, kind: type[_T], table: Any, path: str, of: str = "") -> _T | None:
        if not isinstance(table, dict):
            self.problems.append(f"{path}: is {_kind(table)}, not a table; write [{path}]")
            return None
        count = len(self.problems)
        known: dict[str, Field[Any]] = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
        self._unknown(table, known, f"{path}.", of)
        hints = get_type_hints(kind)
        values: dict[str, Any] = {}
        for name, each in known.items():
            if name in table:
                values[name] = self._value(each, hints[name], table[name], f"{path}.{name}")
            elif each.default is MISSING:
                self.problems.append(f"{path}.{name}: is required{f' for {of}' if of else ''}")
        if len(self.problems) > count:
            return None
        return kind(**values)

    def _value(self, of: "Field[Any]", hint: Any, value: Any, path: str) -> Any:
        if hint == Duration | None:
            duration = self._variant(DURATIONS, "kind", value, path)
            if duration is not None:
                self.problems += [f"{path}.{name}: {text}" for name, text in duration.problems()]
            return duration
        if hint == tuple[str, ...]:
            return self._texts(value, path)
        if hint is str:
            return self._text(of, value, path)
        return self._number(of, int if hint is int else float, value, path)

    def _number(self, of: "Field[Any]", kind: type[int] | type[float], value: Any, path: str) -> float | None:
        described = key_of(of)
        is_number = type(value) is int or (kind is float and type(value) is float and math.isfinite(value))
        if not is_number:
            self.problems.append(f"{path}: {_shown(value)} is not {_KINDS[kind]}")
            return None
        low, high = described.low, described.high
        if (low is not None and value < low) or (high is not None and value > high):
            self.problems.append(f"{path}: {_shown(value)} is not between {low:,} and {high:,}")
            return None
        return kind(value)

    def _text(self, of: "Field[Any]", value: Any, path: str) -> str | None:
        choices = key_of(of).choices
        if not isinstance(value, str):
            self.problems.append(f"{path}: {_shown(value)} is not a text")
            return None
        if choices and value not in choices:
            self.problems.append(f"{path}: {_shown(value)} is not known; one of {_listed(choices)}")
        return value

    def _texts(self, value: Any, path: str) -> tuple[str, ...] | None:
        if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
            self.problems.append(f"{path}: {_shown(value)} is not a list of texts with one at least")
            return None
        return tuple(value)

    def _unknown(self, table: dict[str, Any], known: Iterable[str], prefix: str, of: str = "") -> None:
        names = list(known)
        for name in table:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
                self.problems.append(
                    f"{prefix}{_bare(name)}: is not a key{f' of {of}' if of else ''}; {hint}"
                )


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a date or time")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4,300 digits
        text = "a very large number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _bare(name: str) -> str:
    return name if _NAME.fullmatch(name) else _shown(name)


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
