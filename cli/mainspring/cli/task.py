"""`mainspring task`: register, read and end tasks."""

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from mainspring.cli.calls import run_calls
from mainspring.cli.json_form import task_json
from mainspring.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT,
    Addresses,
    AsJson,
    DeliveryMode,
    InUtc,
    Limit,
    Namespace,
    TaskId,
    Timeout,
    duration,
    instant,
    page_size,
)
from mainspring.cli.output import Output, first
from mainspring.cli.tables import TASK_COLUMNS, task_details, task_row
from mainspring.client import At, Cron, Delay, Delivery, Every, MainspringClient, Schedule, Task
from mainspring.client.task import DEFAULT_NAMESPACE

task_app = typer.Typer(no_args_is_help=True, help="Register, read and end tasks.")


@task_app.command("create")
def create(
    handler: Annotated[
        str, typer.Argument(metavar="HANDLER", help="The name of the code on an executor that runs it.")
    ],
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="Once, at this time: RFC 3339 with a zone. Up to 24h ago: runs at once.",
            rich_help_panel="When (exactly one)",
        ),
    ] = None,
    delay: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Once, this long from now: 90s, 5m, 2h30m, 1d.",
            rich_help_panel="When (exactly one)",
        ),
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(
            metavar="EXPRESSION",
            help="Whenever this matches: minute, hour, day of month, month, day of week; or six fields with "
            "seconds first; or @hourly, @daily and the like.",
            rich_help_panel="When (exactly one)",
        ),
    ] = None,
    every: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="At a fixed distance, at least 1s.",
            rich_help_panel="When (exactly one)",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="With --cron: the IANA time zone that it speaks of, such as Europe/Berlin. UTC when left out.",
            rich_help_panel="When (exactly one)",
        ),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="With --every: the first time, which fixes the phase. Left out: one distance from now.",
            rich_help_panel="When (exactly one)",
        ),
    ] = None,
    payload: Annotated[
        str | None, typer.Option(metavar="TEXT", help="For the handler, as UTF-8; - reads standard input.")
    ] = None,
    payload_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For the handler, byte by byte; - reads standard input."),
    ] = None,
    task_id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Unique in its namespace; made when left out. Makes repeating safe."
        ),
    ] = None,
    delivery: Annotated[
        DeliveryMode,
        typer.Option(
            metavar="MODE",
            help="What becomes of an execution whose executor dies, refuses it or does not know it: at-least-once runs it "
            "again, at-most-once ends it as LOST.",
        ),
    ] = DeliveryMode.AT_LEAST_ONCE,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006  # Typer reads the default and never changes it
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """Register a task: a handler, and when to run it. Once this returns, the task is durable.

    The same --id with the same definition answers as the first call did.

    \b
    Examples:
      $ mainspring task create send-email --delay 2h30m --payload '{"to": "ada"}'
      $ mainspring task create backup --at 2030-01-31T02:00:00Z
      $ mainspring task create report --id daily --cron '0 9 * * MON-FRI'
    """
    schedule = _schedule(at, delay, cron, every, time_zone, start)
    content = _payload(payload, payload_file)
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        task = await client.create_task(
            handler,
            schedule,
            payload=content,
            namespace=namespace,
            task_id=task_id,
            delivery=Delivery[delivery.name],
        )
        _show(task, output)

    run_calls(address, timeout, output, calls)


@task_app.command("get")
def get(
    task_id: TaskId,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """Show one task.

    \b
    Examples:
      $ mainspring task get daily
      $ mainspring task get daily --json | jq -r '.payload | @base64d'
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        _show(await client.get_task(task_id, namespace=namespace), output)

    run_calls(address, timeout, output, calls)


@task_app.command("list")
def list_(
    namespace: Namespace = DEFAULT_NAMESPACE,
    limit: Limit = DEFAULT_LIMIT,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """List the tasks of a namespace, in the order of their partitions. Payloads are left out.

    \b
    Examples:
      $ mainspring task list
      $ mainspring task list --limit 0 --json | jq -r '.[].id'
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        tasks = client.list_tasks(namespace=namespace, page_size=page_size(limit), omit_payload=True)
        if as_json:
            await output.array(first(tasks, limit, task_json))
            return
        rows = [row async for row in first(tasks, limit, lambda task: task_row(task, utc=utc))]
        output.table(TASK_COLUMNS, rows, empty=f"no task in namespace {namespace!r}")

    run_calls(address, timeout, output, calls)


@task_app.command("cancel")
def cancel(
    task_id: TaskId,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """End a task: nothing of it fires any more; what runs already goes on.

    \b
    Example:
      $ mainspring task cancel daily
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        _show(await client.cancel_task(task_id, namespace=namespace), output)

    run_calls(address, timeout, output, calls)


def _show(task: Task, output: Output) -> None:
    if output.as_json:
        output.document(task_json(task))
    else:
        output.details(task_details(task, utc=output.utc))


def _schedule(
    at: datetime | None,
    delay: timedelta | None,
    cron: str | None,
    every: timedelta | None,
    time_zone: str | None,
    start: datetime | None,
) -> Schedule:
    kinds: list[Schedule] = []
    if at is not None:
        kinds.append(At(at))
    if delay is not None:
        kinds.append(Delay(delay))
    if cron is not None:
        kinds.append(Cron(cron, time_zone or "UTC"))
    if every is not None:
        kinds.append(Every(every, start=start))
    if len(kinds) != 1:
        raise typer.BadParameter("say when: exactly one of --at, --delay, --cron and --every")
    if time_zone is not None and cron is None:
        raise typer.BadParameter("goes with --cron only", param_hint="--time-zone")
    if start is not None and every is None:
        raise typer.BadParameter("goes with --every only", param_hint="--start")
    return kinds[0]


def _payload(text: str | None, file: Path | None) -> bytes:
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
    return (text or "").encode(errors="surrogateescape")
