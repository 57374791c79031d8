"""What a command says where a package of the `server` extra is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from mainspring.cli.options import EXIT_USAGE
from mainspring.cli.output import note


@contextmanager
def needs_server_extra(command: str) -> Iterator[None]:
    """Guard imports of the server's packages: turn a missing dependency into one line that says what to install.

    Raises:
        typer.Exit: A package from outside of Mainspring is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "mainspring":
            raise
        note(f"error: {error.name} is not installed; {command} needs: pip install 'mainspring[server]'")
        raise typer.Exit(EXIT_USAGE) from None
