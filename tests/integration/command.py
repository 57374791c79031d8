"""The `mainspring` command without a process of its own, for what it says to a server: most of a process is its start."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from click.testing import Result
from typer.testing import CliRunner

from mainspring.cli.app import app

TIME_ZONE = "Europe/Berlin"


@contextmanager
def _time_zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    try:
        os.environ["TZ"] = TIME_ZONE
        time.tzset()
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def run_here(*words: str, stdin: bytes = b"", environment: dict[str, str] | None = None) -> Result:
    """`mainspring WORDS` on a thread with a loop of its own, to its end; one at a time, for output is a process's.

    Args:
        environment: beside it no variable is set that the command reads.
    """
    unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MAINSPRING_")}
    variables = {**unset, "COLUMNS": "200", **(environment or {})}
    with _time_zone(), ThreadPoolExecutor(1) as thread:
        running = thread.submit(CliRunner().invoke, app, list(words), input=stdin, env=variables)
        return running.result(60)
