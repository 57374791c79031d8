"""`mainspring task`: register, read and count tasks."""

from datetime import datetime
from typing import Annotated

import typer

from mainspring.cli import task_change, task_life_cycle, task_lines
from mainspring.cli.answers import show_fires, show_scheduled_task, show_task
from mainspring.cli.call_options import CallOptions, TimesCallOptions
from mainspring.cli.filter_options import TaskFilterOptions, read_filter
from mainspring.cli.json_form import task_count_json, task_json
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import (
    DEFAULT_LIMIT,
    Limit,
    Namespace,
    TaskId,
    instant,
    page_size,
)
from mainspring.cli.output import first
from mainspring.cli.payload import PayloadFile, PayloadText, read_payload
from mainspring.cli.policy_options import TaskPolicyOptions
from mainspring.cli.policy_reading import read_task_policies
from mainspring.cli.schedule_json import preview_json
from mainspring.cli.schedule_options import ScheduleOptions
from mainspring.cli.schedule_reading import read_schedule
from mainspring.cli.schedule_words import schedule_words
from mainspring.cli.tables import COUNT_COLUMNS, TASK_COLUMNS, count_rows, task_row
from mainspring.cli.visible import visible
from mainspring.client import MainspringClient
from mainspring.client.task import DEFAULT_NAMESPACE

task_app = typer.Typer(no_args_is_help=True, help="Register tasks, read them, change and end them.")


@task_app.command("create")
@takes_option_sets
def create(
    handler: Annotated[
        str, typer.Argument(metavar="HANDLER", help="The name of the code on an executor that runs it.")
    ],
    when: ScheduleOptions,
    policies: TaskPolicyOptions,
    call: TimesCallOptions,
    payload: PayloadText = None,
    payload_file: PayloadFile = None,
    task_id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Unique in its namespace; made when left out. Makes repeating safe."
        ),
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="In place of --id: commands with the same one register one task, whose id is made from it.",
        ),
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Register a task: a handler, and when to run it. Once this returns, the task is durable.

    The same --id with the same definition answers as the first call did.

    \b
    Examples:
      $ mainspring task create send-email --delay 2h30m --payload '{"to": "ada"}'
      $ mainspring task create report --id daily --cron '0 9 * * MON-FRI'
      $ mainspring task create sync --every 1m --overlap skip --retry-attempts 3
    """
    schedule = read_schedule(when)
    content = read_payload(payload, payload_file) or b""
    asked = read_task_policies(policies)
    if task_id is not None and request_id is not None:
        raise typer.BadParameter("only one of --id and --request-id can be given")
    output = call.output

    async def calls(client: MainspringClient) -> None:
        task = await client.create_task(
            handler,
            schedule,
            payload=content,
            namespace=namespace,
            task_id=task_id,
            request_id=request_id,
            **asked,
        )
        show_scheduled_task(task, output)

    call.run(calls)


@task_app.command("preview")
@takes_option_sets
def preview(
    when: ScheduleOptions,
    call: TimesCallOptions,
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
) -> None:
    """Show what a schedule means and when it would fire, clock changes included. Nothing is created.

    \b
    Examples:
      $ mainspring task preview --cron '30 2 * * *' --time-zone Europe/Berlin
      $ mainspring task preview --calendar '2 weeks' --on mon --time 09:00
      $ mainspring task preview --cron 'H 3 * * *' --id backup --count 100
    """
    schedule = read_schedule(when)
    output = call.output

    async def calls(client: MainspringClient) -> None:
        found = await client.preview_schedule(
            schedule, namespace=namespace, task_id=task_id, after=after, count=count
        )
        if output.as_json:
            output.document(preview_json(found))
            return
        output.details(
            [
                ("schedule", schedule_words(found.schedule, utc=output.utc)),
                ("meaning", visible(found.meaning)),
            ]
        )
        print()
        show_fires(found.fires, output)
        if found.fires and found.is_complete:
            print()
            print("Nothing comes after these.")

    call.run(calls)


@task_app.command("get")
@takes_option_sets
def get(
    task_id: TaskId,
    call: TimesCallOptions,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Show one task.

    \b
    Examples:
      $ mainspring task get daily
      $ mainspring task get daily --json | jq -r '.payload | @base64d'
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        show_task(await client.get_task(task_id, namespace=namespace), output)

    call.run(calls)


@task_app.command("list")
@takes_option_sets
def list_(
    which: TaskFilterOptions,
    call: TimesCallOptions,
    namespace: Namespace = DEFAULT_NAMESPACE,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List the tasks of a namespace, in the order of their partitions. Payloads are left out.

    \b
    Examples:
      $ mainspring task list
      $ mainspring task list --state paused --label team=billing
      $ mainspring task list --limit 0 --json | jq -r '.[].id'
    """
    chosen = read_filter(which)
    output = call.output

    async def calls(client: MainspringClient) -> None:
        tasks = client.list_tasks(
            filter=chosen, namespace=namespace, page_size=page_size(limit), omit_payload=True
        )
        if output.as_json:
            await output.array(first(tasks, limit, task_json))
            return
        rows = [row async for row in first(tasks, limit, lambda task: task_row(task, utc=output.utc))]
        output.table(
            TASK_COLUMNS, rows, empty=f"no {'such ' if chosen else ''}task in namespace {namespace!r}"
        )

    call.run(calls)


@task_app.command("count")
@takes_option_sets
def count(
    which: TaskFilterOptions,
    call: CallOptions,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Count the tasks of a namespace, by state.

    \b
    Examples:
      $ mainspring task count
      $ mainspring task count --label team=billing --json | jq .count
    """
    chosen = read_filter(which)
    output = call.output

    async def calls(client: MainspringClient) -> None:
        found = await client.count_tasks(filter=chosen, namespace=namespace)
        if output.as_json:
            output.document(task_count_json(found))
        else:
            output.table(COUNT_COLUMNS, count_rows(found), empty="")

    call.run(calls)


task_app.command("create-many")(task_lines.create_many)
task_app.command("update")(task_life_cycle.update)
task_app.command("pause")(task_life_cycle.pause)
task_app.command("resume")(task_life_cycle.resume)
task_app.command("cancel")(task_life_cycle.cancel)
task_app.command("delete")(task_life_cycle.delete)
task_app.command("trigger")(task_life_cycle.trigger)
task_app.command("backfill")(task_life_cycle.backfill)
task_app.command("change")(task_change.change)
