"""`mainspring task`: register, read and end tasks."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mainspring.cli.calls import run_calls
from mainspring.cli.json_form import scheduled_task_json, task_json
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
    instant,
    page_size,
)
from mainspring.cli.output import Output, first
from mainspring.cli.schedule_json import preview_json
from mainspring.cli.schedule_options import ScheduleOptions, takes_schedule
from mainspring.cli.schedule_reading import read_schedule
from mainspring.cli.schedule_words import fires_table, schedule_words
from mainspring.cli.tables import TASK_COLUMNS, scheduled_task_details, task_details, task_row
from mainspring.cli.visible import visible
from mainspring.client import Delivery, FireTime, MainspringClient, Task
from mainspring.client.task import DEFAULT_NAMESPACE

task_app = typer.Typer(no_args_is_help=True, help="Register, read and end tasks.")


@task_app.command("create")
@takes_schedule
def create(
    handler: Annotated[
        str, typer.Argument(metavar="HANDLER", help="The name of the code on an executor that runs it.")
    ],
    when: ScheduleOptions,
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
    schedule = read_schedule(when)
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
        if as_json:
            output.document(scheduled_task_json(task))
            return
        output.details(scheduled_task_details(task, utc=utc))
        if task.next_fires:
            print()
            _show_fires(task.next_fires, output)

    run_calls(address, timeout, output, calls)


@task_app.command("preview")
@takes_schedule
def preview(
    when: ScheduleOptions,
    after: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="As if created at this time: what comes after it.",
            show_default="now",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=1_000, metavar="COUNT", help="Show so many scheduled times.")
    ] = 10,
    task_id: Annotated[
        str,
        typer.Option(
            "--id", metavar="ID", help="The id of the task. Needed with H in an expression and with --jitter."
        ),
    ] = "",
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """Show what a schedule means and when it would fire, clock changes included. Nothing is created.

    \b
    Examples:
      $ mainspring task preview --cron '30 2 * * *' --time-zone Europe/Berlin
      $ mainspring task preview --calendar '2 weeks' --on mon --time 09:00
      $ mainspring task preview --cron 'H 3 * * *' --id backup --count 100
    """
    schedule = read_schedule(when)
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        found = await client.preview_schedule(
            schedule, namespace=namespace, task_id=task_id, after=after, count=count
        )
        if as_json:
            output.document(preview_json(found))
            return
        output.details(
            [("schedule", schedule_words(found.schedule, utc=utc)), ("meaning", visible(found.meaning))]
        )
        print()
        _show_fires(found.fires, output)
        if found.fires and found.is_complete:
            print()
            print("Nothing comes after these.")

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


def _show_fires(fires: Sequence[FireTime], output: Output) -> None:
    columns, rows = fires_table(fires)
    output.table(columns, rows, empty="nothing is left to fire")


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
