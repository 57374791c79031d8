"""`mainspring migrate`: create the schema, or bring it up to date."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from mainspring.cli.extra import needs_server_extra
from mainspring.cli.options import EXIT_REFUSED, EXIT_UNREACHABLE, AsJson, MySqlUrl
from mainspring.cli.output import Output
from mainspring.client import FailedPrecondition, Unavailable

DEFAULT_PARTITIONS = 256


def migrate(
    mysql_url: MySqlUrl = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            metavar="COUNT",
            help="The number of partitions: fixed for good when a cluster is created, checked afterwards.",
            show_default="256 for a new cluster",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create the schema in a database, or bring it up to date. Safe to run at any time, also twice at once.

    \b
    Examples:
      $ mainspring migrate --mysql-url mysql://user:password@127.0.0.1/mainspring
      $ mainspring migrate --partitions 1024
    """
    with needs_server_extra("mainspring migrate"):
        from mainspring.server.errors import MainspringError, StoreUnavailable, WrongPartitionCount
        from mainspring.server.persistence.mysql.migrate import MigrationReport
        from mainspring.server.persistence.mysql.migrate import migrate as run_migrations
        from mainspring.server.persistence.mysql.settings import MySQLSettings

    if not mysql_url:
        raise typer.BadParameter(
            "is required: give it, or set MAINSPRING_MYSQL_URL", param_hint="--mysql-url"
        )
    try:
        settings = MySQLSettings.from_url(mysql_url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--mysql-url") from None

    output = Output(as_json)

    async def run() -> MigrationReport:
        try:
            return await run_migrations(settings, partitions or DEFAULT_PARTITIONS)
        except WrongPartitionCount:
            if partitions is not None:
                raise
            return await run_migrations(settings, None)  # nobody asked for another number: keep what is there

    try:
        report = asyncio.run(run())
    except MainspringError as error:
        is_away = isinstance(error, StoreUnavailable)
        kind = Unavailable if is_away else FailedPrecondition
        output.error(kind(error.message, reason=error.reason, metadata=error.metadata))
        raise typer.Exit(EXIT_UNREACHABLE if is_away else EXIT_REFUSED) from None
    if as_json:
        output.document(asdict(report))
        return
    for name in report.applied:
        print(f"applied {name}")
    print(f"The schema is at version {report.version}, with {report.partition_count} partitions.")
