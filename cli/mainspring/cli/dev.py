"""`mainspring dev`: everything in one process."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mainspring.cli.extra import needs_server_extra
from mainspring.cli.options import Level, LogLevel, check_host_port, instant


def dev(
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Keep tasks and ledger in this SQLite file; it is made when missing.",
            show_default="in memory",
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            envvar="MAINSPRING_LISTEN",
            metavar="HOST:PORT",
            help="Where gRPC listens; port 0 takes a free one. There is no encryption.",
        ),
    ] = "127.0.0.1:7300",
    handlers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:ATTR",
            help="Where your Executor or HandlerRegistry is, such as app.jobs:executor, run beside the mock "
            "handlers noop, sleep, fail and echo. Repeat it for several.",
        ),
    ] = None,
    no_executor: Annotated[
        bool, typer.Option("--no-executor", help="Run no handlers here: executors of your own connect.")
    ] = False,
    capacity: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="COUNT", help="How many executions run at once.")
    ] = 100,
    run_log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append evidence of every run to this file, as JSON lines."),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, max=4_096, metavar="COUNT", help="Of a new database.", show_default="16, or the file's"
        ),
    ] = None,
    virtual_clock: Annotated[
        bool,
        typer.Option(
            "--virtual-clock",
            help="Time stands still until DevService moves it, for tests of schedules: docs/virtual-clock.md.",
        ),
    ] = False,
    start_time: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="Where the virtual clock stands at first, such as 2030-01-31T09:30:00Z.",
            show_default="now, or where the file's stood",
        ),
    ] = None,
    log_level: Level = LogLevel.WARNING,
) -> None:
    """Run Mainspring in one process, for trying it and for tests: no MySQL, no ZooKeeper, an executor inside.

    The engine and the API are those of a cluster. SIGTERM or Ctrl-C ends it in order, a second one at once (exit code 1).

    \b
    Examples:
      $ mainspring dev
      $ mainspring dev --file mainspring.db --handlers app.jobs:executor
      $ mainspring dev --virtual-clock --start-time 2030-01-31T09:30:00Z
    """
    check_host_port("--listen", listen)
    if no_executor and (handlers or run_log):
        option = "--handlers" if handlers else "--run-log"
        raise typer.BadParameter("makes no sense with --no-executor", param_hint=option)
    if start_time is not None and not virtual_clock:
        raise typer.BadParameter("makes no sense without --virtual-clock", param_hint="--start-time")
    with needs_server_extra("mainspring dev"):
        from mainspring.dev.command import CannotStartError, DevSettings, serve
        from mainspring.executor import event_loop

    settings = DevSettings(
        listen=listen,
        file=file,
        partitions=partitions,
        has_executor=not no_executor,
        handlers=tuple(handlers or ()),
        capacity=capacity,
        run_log=run_log,
        has_virtual_clock=virtual_clock,
        start_time=start_time,
        log_level=log_level.value,
    )
    try:
        with event_loop.runner() as runner:
            code = runner.run(serve(settings))
    except CannotStartError as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from None
    raise typer.Exit(code)
