"""`mainspring simulate`: concurrent mock executions as a file configures them."""

from pathlib import Path
from typing import Annotated

import typer

from mainspring.cli.extra import needs_server_extra
from mainspring.cli.options import EXIT_USAGE
from mainspring.cli.output import note


def simulate(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A TOML file, or an example: reminders, distributed-cron, notification-burst.",
        ),
    ],
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Run it on MariaDB, ZooKeeper and processes of their own instead of in this process.",
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="NUMBER", help="Other tasks alike.", show_default="the file's"),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Length of the time line; instants move in proportion, tasks and rates stay.",
            show_default="the file's",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Draw lateness and time line there: .png or .svg. Needs matplotlib."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Write the figures there, as JSON.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the file and run nothing: to begin one of your own.")
    ] = False,
) -> None:
    """Simulate concurrent executions: tasks, nodes and executors as a TOML file says, with live view and verdict.

    Nodes and executors run in this process, on a database in memory; they may join, leave and die meanwhile. The
    report says how late everything was, where and when. docs/simulate.md has every key.

    \b
    Exit codes: 0 all is well, 1 the verdict is red, 2 the file is not valid.

    \b
    Examples:
      $ mainspring simulate reminders
      $ mainspring simulate notification-burst --seed 7 --plot burst.svg
      $ mainspring simulate my.toml --cluster --json figures.json
    """
    with needs_server_extra("mainspring simulate"):
        from mainspring.dev.simulate import command
        from mainspring.dev.simulate.charts import CannotPlotError
        from mainspring.dev.simulate.reading import BadFileError, find_text

    settings = command.SimulateSettings(file, cluster, seed, seconds, plot, json)
    try:
        if show:
            print(find_text(file)[1], end="")
            return
        code = command.simulate(settings)
    except BadFileError as error:
        for line in str(error).splitlines():
            note(f"error: {line}")
        raise typer.Exit(EXIT_USAGE) from None
    except CannotPlotError as error:
        note(f"error: {error}")
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        note(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}")
        raise typer.Exit(EXIT_USAGE) from None
    raise typer.Exit(code)
