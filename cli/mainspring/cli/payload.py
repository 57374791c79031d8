"""The options that say what a handler gets."""

import sys
from pathlib import Path
from typing import Annotated

import typer

PayloadText = Annotated[
    str | None,
    typer.Option("--payload", metavar="TEXT", help="For the handler, as UTF-8; - reads standard input."),
]
PayloadFile = Annotated[
    Path | None,
    typer.Option(
        "--payload-file", metavar="FILE", help="For the handler, byte by byte; - reads standard input."
    ),
]


def read_payload(text: str | None, file: Path | None) -> bytes | None:
    """Return what the options say; None when they say nothing.

    Raises:
        typer.BadParameter: Both are given, or the file cannot be read.
    """
    if text is not None and file is not None:
        raise typer.BadParameter("only one of --payload and --payload-file can be given")
    if text == "-" or (file is not None and str(file) == "-"):
        return sys.stdin.buffer.read()
    if file is not None:
        try:
            return file.read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--payload-file") from None
    # Bytes on a command line that are no UTF-8 go through as they came.
    return None if text is None else text.encode(errors="surrogateescape")
