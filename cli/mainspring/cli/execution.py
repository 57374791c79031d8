"""`mainspring execution`: read the ledger."""

from datetime import datetime
from typing import Annotated

import typer

from mainspring.cli.calls import run_calls
from mainspring.cli.json_form import execution_json
from mainspring.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT,
    Addresses,
    AsJson,
    InUtc,
    Limit,
    Namespace,
    TaskId,
    Timeout,
    instant,
    page_size,
)
from mainspring.cli.output import Output, first
from mainspring.cli.tables import EXECUTION_COLUMNS, execution_details, execution_row
from mainspring.client import MainspringClient
from mainspring.client.task import DEFAULT_NAMESPACE

execution_app = typer.Typer(
    no_args_is_help=True, help="Read the ledger: what ran, when and where, and what did not and why."
)


@execution_app.command("list")
def list_(
    task_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[TASK_ID]", help="Only this task's, newest first. Left out: the whole namespace."
        ),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="TIME", help="Only scheduled times at or after this."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="TIME", help="Only scheduled times before this."),
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
    limit: Limit = DEFAULT_LIMIT,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """List executions, one for each scheduled time. Results are left out.

    \b
    Examples:
      $ mainspring execution list daily
      $ mainspring execution list daily --start 2030-01-31T00:00:00Z --limit 0
      $ mainspring execution list --json | jq 'group_by(.state) | map(length)'
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        executions = client.list_executions(
            task_id, start=start, end=end, namespace=namespace, page_size=page_size(limit)
        )
        if as_json:
            await output.array(first(executions, limit, execution_json))
            return
        rows = [row async for row in first(executions, limit, lambda item: execution_row(item, utc=utc))]
        output.table(EXECUTION_COLUMNS, rows, empty="no execution yet")

    run_calls(address, timeout, output, calls)


@execution_app.command("get")
def get(
    task_id: TaskId,
    scheduled_time: Annotated[
        datetime | None,
        typer.Argument(
            parser=instant, metavar="[SCHEDULED_TIME]", help="To the microsecond. Left out: the latest."
        ),
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """Show one execution with its result and the time of each of its stages.

    \b
    Examples:
      $ mainspring execution get daily
      $ mainspring execution get daily 2030-01-31T09:00:00+01:00
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        execution = await client.get_execution(task_id, scheduled_time, namespace=namespace)
        if as_json:
            output.document(execution_json(execution))
        else:
            output.details(execution_details(execution, utc=utc))

    run_calls(address, timeout, output, calls)
