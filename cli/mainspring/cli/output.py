"""Everything the client commands print: JSON documents, tables, and errors."""

import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mainspring.cli.json_form import error_json
from mainspring.cli.json_values import JsonObject
from mainspring.cli.visible import visible
from mainspring.client import MainspringError
from mainspring.client.errors import InvalidArgument

Item = TypeVar("Item")

UNBROKEN = (
    *("SCHEDULED", "STATE", "ATTEMPT", "LATENESS", "NEXT", "LAST", "CONNECTED", "TIME", "GAP"),
    *("LOCAL TIME", "UTC", "DUE"),
)
"""Columns that a narrow terminal does not fold: short ones, and those that are copied."""

UNBOUNDED_WIDTH = 100_000
"""Columns of a table that goes to a file or a pipe: nothing is wrapped there, one line is one row."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a command answers: one JSON document, or tables for people.

    Attributes:
        as_json: JSON instead of tables.
        utc: Whether tables show times in UTC instead of the local time zone; JSON always has UTC.
    """

    as_json: bool
    utc: bool = False

    def document(self, document: JsonObject) -> None:
        """Print one JSON object."""
        _write(json.dumps(document, indent=2) + "\n")

    async def array(self, documents: AsyncIterator[JsonObject]) -> None:
        """Print a JSON array as its elements come, one on each line, so that long lists take no memory."""
        separator = "[\n"
        async for document in documents:
            _write(separator + json.dumps(document))
            separator = ",\n"
        _write("[]\n" if separator == "[\n" else "\n]\n")

    def line(self, text: str) -> None:
        """Print a line of its own at once, for those who read along."""
        _write(text + "\n")
        sys.stdout.flush()

    def details(self, details: Sequence[tuple[str, str]]) -> None:
        """Print labels and words, one pair on each line."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for label, words in details:
            grid.add_row(label, Text(words))
        _print(grid)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
        """Print rows under the names of their columns, or one sentence when there are none."""
        if not rows:
            note(empty)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column in UNBROKEN)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        _print(table)

    def error(self, error: MainspringError, hint: str = "", *, before: str = "error: ") -> None:
        """Print on stderr what the server, or the way to it, said; for people with some words before it."""
        if self.as_json:
            print(json.dumps(error_json(error), indent=2), file=sys.stderr)
            return
        fields = error.fields if isinstance(error, InvalidArgument) else []
        note(f"{before}{'the request is not valid' if fields else visible(error.message)} ({error.code})")
        for violation in fields:
            note(f"  {visible(violation.field)}: {visible(violation.description)}")
        if hint:
            note(hint)


async def first(items: AsyncIterator[Item], limit: int, form: Callable[[Item], Any]) -> AsyncIterator[Any]:
    """Yield the first items, formed; say on stderr when there are more. A limit of 0 is none."""
    count = 0
    async for item in items:
        if limit and count == limit:
            note(f"only the first {limit:,} are shown; --limit 0 shows all")
            return
        count += 1
        yield form(item)


def note(sentence: str) -> None:
    """Print a sentence for people on stderr, where it disturbs no reader of the output."""
    print(sentence, file=sys.stderr)


def ask(question: str) -> bool:
    """Ask on stderr and return whether the answer, a line of standard input, is yes; no answer is none."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not sys.stdin.isatty():  # nobody's return key has ended the line
        print(file=sys.stderr)
    return answer.strip().lower() in ("y", "yes")


def _write(text: str) -> None:
    sys.stdout.write(text)


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    plain = io.StringIO()
    Console(file=plain, width=UNBOUNDED_WIDTH, highlight=False).print(table)
    _write("".join(line.rstrip() + "\n" for line in plain.getvalue().splitlines()))
