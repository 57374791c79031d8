"""The tree of commands."""

from typing import Annotated

import typer

from mainspring.cli.cluster import cluster_app
from mainspring.cli.dev import dev
from mainspring.cli.execution import execution_app
from mainspring.cli.executor import executor
from mainspring.cli.migrate import migrate
from mainspring.cli.namespace import namespace_app
from mainspring.cli.server import server
from mainspring.cli.simulate import simulate
from mainspring.cli.task import task_app

app = typer.Typer(
    name="mainspring",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # what gets that far is a bug, and its plain traceback the best report
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if not is_wanted:
        return
    from importlib.metadata import PackageNotFoundError, version  # a third of the start-up time

    try:
        number = version("mainspring")
    except PackageNotFoundError:
        number = "0+source"
    typer.echo(f"mainspring {number}")
    raise typer.Exit


@app.callback()
def mainspring(
    is_version_wanted: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Run tasks at their time, on a cluster that may lose nodes.

    Nodes (server) keep tasks in MySQL and hand them, when due, to executors, which run your handlers.

    \b
    A first cluster, one line per terminal:
      $ export MAINSPRING_MYSQL_URL=mysql://user:password@127.0.0.1/mainspring
      $ mainspring migrate
      $ mainspring server --zookeeper 127.0.0.1:2181
      $ mainspring executor --mock
      $ mainspring task create echo --delay 5s --payload hello

    \b
    Exit codes: 0 done, 1 the server said no, 2 wrong usage, 3 no answer (safe to try again).
    """


app.command()(dev)
app.command()(simulate)
app.command()(server)
app.command()(executor)
app.command()(migrate)
app.add_typer(task_app, name="task")
app.add_typer(execution_app, name="execution")
app.add_typer(namespace_app, name="namespace")
app.add_typer(cluster_app, name="cluster")
