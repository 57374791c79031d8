"""`mainspring task create-many`: register tasks from lines of JSON."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from mainspring.cli.call_options import CallOptions
from mainspring.cli.json_form import error_json, task_json
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import EXIT_REFUSED
from mainspring.cli.output import Output
from mainspring.client import (
    InvalidArgument,
    MainspringClient,
    MainspringError,
    NewTask,
    Task,
    new_task_from_json,
)

LINES_AT_ONCE = 4_000
"""Held in memory; the client cuts them into calls and has several of these open."""


@takes_option_sets
def create_many(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A task on each line; - reads standard input.")
    ],
    call: CallOptions,
) -> None:
    """Register many tasks, each line of a file one in the JSON form of the API. Exits with 1 when any was refused.

    A line without an "id" gets one anew each time: give ids, and repeating is safe.

    \b
    Examples:
      $ mainspring task create-many tasks.jsonl
      $ mainspring task get daily --json | jq -c . | mainspring task create-many -
    """
    output = call.output
    line_count = refused_count = 0

    async def calls(client: MainspringClient) -> None:
        nonlocal line_count, refused_count
        with _opened(file) as lines:
            numbered = ((n, line) for n, line in enumerate(lines, start=1) if line.strip())
            while chunk := list(islice(numbered, LINES_AT_ONCE)):
                read = [_read(line) for _, line in chunk]
                answers = iter(
                    await client.create_tasks([each for each in read if isinstance(each, NewTask)])
                )
                line_count += len(chunk)
                for (number, _), each in zip(chunk, read, strict=True):
                    answer = next(answers) if isinstance(each, NewTask) else each
                    refused_count += isinstance(answer, MainspringError)
                    _show(number, answer, output)

    call.run(calls)
    if not output.as_json:
        print(
            f"{line_count - refused_count:,} of {line_count:,} {'task' if line_count == 1 else 'tasks'} registered"
        )
    if refused_count:
        raise typer.Exit(EXIT_REFUSED)


def _read(line: bytes) -> NewTask | MainspringError:
    try:
        return new_task_from_json(line.decode())
    except (ValueError, TypeError) as error:
        return InvalidArgument(f"the line cannot be read: {error}")


def _show(number: int, answer: Task | MainspringError, output: Output) -> None:
    if output.as_json:
        document = {"task": task_json(answer)} if isinstance(answer, Task) else error_json(answer)
        print(json.dumps({"line": number, **document}))
    elif isinstance(answer, MainspringError):
        output.error(answer, before=f"line {number:,}: ")


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        lines = file.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    with lines:
        yield lines
