"""`mainspring executor`: run handlers."""

import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from mainspring.cli.options import (
    DEFAULT_ADDRESS,
    Addresses,
    Level,
    LogLevel,
    addresses_of,
    duration,
)


def executor(
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    handlers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:ATTR",
            help="Where your Executor or HandlerRegistry is, such as app.jobs:executor; the working directory "
            "is importable. Repeat it for several.",
        ),
    ] = None,
    mock: Annotated[
        bool, typer.Option("--mock", help="Offer the handlers noop, sleep, fail and echo, for trying things.")
    ] = False,
    capacity: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, metavar="COUNT", help="How much runs at once, over all nodes together."
        ),
    ] = 100,
    drain_timeout: Annotated[
        timedelta,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="How long a stop waits for running handlers and for their results to be saved.",
            show_default="30s",
        ),
    ] = timedelta(seconds=30),
    run_log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append evidence of every run to this file, as JSON lines."),
    ] = None,
    executor_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Unique per process start; made when left out."),
    ] = None,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Run an executor until SIGTERM or Ctrl-C, then finish what runs and exit. A second signal does not wait.

    One address is enough: the other nodes are learnt from it.

    \b
    Examples:
      $ mainspring executor --mock
      $ mainspring executor -a node-1:7300 --handlers app.jobs:executor
    """
    from mainspring.executor.process import HandlersNotFound, run_executor

    addresses = addresses_of(address)
    if not handlers and not mock:
        raise typer.BadParameter("name at least one, or use --mock", param_hint="--handlers")
    # The runtime shows what it logs where nobody has configured logging; this chooses the level.
    logging.basicConfig(
        level=log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    try:
        code = run_executor(
            addresses,
            capacity=capacity,
            handlers=handlers or (),
            mock=mock,
            run_log=run_log,
            executor_id=executor_id,
            drain_timeout_s=drain_timeout.total_seconds(),
        )
    except HandlersNotFound as error:
        raise typer.BadParameter(str(error), param_hint="--handlers") from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        # Its folder may be what cannot be made.
        if run_log is None or error.filename not in map(str, (run_log, *run_log.parents)):
            raise
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--run-log") from None
    raise typer.Exit(code)
