"""Entry point of the `mainspring` command and of `python -m mainspring.cli`."""

import importlib
import io
import os
import sys

MISSING_EXTRA = (
    "mainspring: {missing} is not installed; the command needs the extra: pip install 'mainspring[server]'"
)


def main() -> None:
    """Run the command line and exit.

    Exit codes: 0 done, 1 the server said no, 2 usage, 3 unreachable.
    """
    # gRPC's own lines on stderr ("Got goaway") are no log lines of this program; read before grpc is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Ids may hold any letter; a terminal that lacks one gets an escape rather than a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        importlib.import_module("rich")
        importlib.import_module("typer")
    except ModuleNotFoundError as error:
        print(MISSING_EXTRA.format(missing=error.name), file=sys.stderr)
        sys.exit(2)
    from mainspring.cli.app import app

    app(prog_name="mainspring")


if __name__ == "__main__":
    main()
