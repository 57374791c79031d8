"""`mainspring execution`: read the ledger, and see it grow."""

import json
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated

import typer

from mainspring.cli import execution_change, execution_slo
from mainspring.cli.answers import show_execution
from mainspring.cli.call_options import TimesCallOptions
from mainspring.cli.calls import run_calls
from mainspring.cli.filter_options import ExecutionStateChoice
from mainspring.cli.json_form import execution_json, explanation_json, watched_json
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT,
    Addresses,
    InUtc,
    Limit,
    Namespace,
    TaskId,
    duration,
    instant,
    page_size,
)
from mainspring.cli.output import Output, first
from mainspring.cli.policy_reading import read_labels
from mainspring.cli.tables import (
    EXECUTION_COLUMNS,
    STAGE_COLUMNS,
    execution_row,
    explanation_details,
    stage_row,
    watch_line,
)
from mainspring.client import ExecutionState, MainspringClient
from mainspring.client.task import DEFAULT_NAMESPACE

execution_app = typer.Typer(
    no_args_is_help=True,
    help="Read the ledger: what ran, when and where, and what did not and why. Change single executions.",
)


@execution_app.command("list")
@takes_option_sets
def list_(
    call: TimesCallOptions,
    task_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[TASK_ID]",
            help="Only this task's, newest recorded first. Left out: the whole namespace.",
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
    state: Annotated[
        list[ExecutionStateChoice] | None,
        typer.Option(
            metavar="STATE",
            help="In this state, such as running, succeeded, failed, skipped or lost. Repeat it for any of several.",
        ),
    ] = None,
    handler: Annotated[
        str, typer.Option(metavar="HANDLER", help="Of this handler.", show_default=False)
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Of tasks with this label. Repeat it for those with all of several."
        ),
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List executions, one for each scheduled time. Results are left out.

    \b
    Examples:
      $ mainspring execution list --state failed --state lost
      $ mainspring execution list daily --start 2030-01-31T00:00:00Z --limit 0
      $ mainspring execution list --json | jq 'group_by(.state) | map(length)'
    """
    states = [ExecutionState[choice.name] for choice in state or ()]
    labels = read_labels(label or ())
    output = call.output

    async def calls(client: MainspringClient) -> None:
        executions = client.list_executions(
            task_id,
            start=start,
            end=end,
            states=states,
            handler=handler,
            labels=labels,
            namespace=namespace,
            page_size=page_size(limit),
        )
        if output.as_json:
            await output.array(first(executions, limit, execution_json))
            return
        rows = [
            row async for row in first(executions, limit, lambda item: execution_row(item, utc=output.utc))
        ]
        output.table(
            EXECUTION_COLUMNS,
            rows,
            empty="no such execution" if states or handler or labels else "no execution yet",
        )

    call.run(calls)


@execution_app.command("get")
@takes_option_sets
def get(
    task_id: TaskId,
    call: TimesCallOptions,
    scheduled_time: Annotated[
        datetime | None,
        typer.Argument(
            parser=instant, metavar="[SCHEDULED_TIME]", help="To the microsecond. Left out: the latest."
        ),
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Show one execution with its result and the time of each of its stages.

    \b
    Examples:
      $ mainspring execution get daily
      $ mainspring execution get daily 2030-01-31T09:00:00+01:00
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        execution = await client.get_execution(task_id, scheduled_time, namespace=namespace)
        show_execution(execution, output)

    call.run(calls)


@execution_app.command("explain")
@takes_option_sets
def explain(
    task_id: TaskId,
    call: TimesCallOptions,
    scheduled_time: Annotated[
        datetime | None,
        typer.Argument(parser=instant, metavar="[SCHEDULED_TIME]", help="Left out: the latest."),
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Tell why an execution went as it did, stage by stage, or why there is none for a scheduled time.

    \b
    Examples:
      $ mainspring execution explain daily
      $ mainspring execution explain daily 2030-01-31T02:00:00+01:00
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        found = await client.explain_execution(task_id, scheduled_time, namespace=namespace)
        if output.as_json:
            output.document(explanation_json(found))
            return
        output.details(explanation_details(found, utc=output.utc))
        if found.stages:
            print()
            output.table(
                STAGE_COLUMNS, [stage_row(stage, utc=output.utc) for stage in found.stages], empty=""
            )

    call.run(calls)


@execution_app.command("watch")
def watch(
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID")],
    resume_token: Annotated[
        str,
        typer.Option(
            metavar="TOKEN",
            help="Go on behind what another watch has shown: the last resume_token of its --json.",
            show_default="from now on",
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="COUNT", help="End after this many; 0 for never.")
    ] = 0,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Annotated[
        timedelta,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            show_default="10s",
            help="Give up when no node answers for this long.",
        ),
    ] = DEFAULT_TIMEOUT,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON document on each line; bytes are in base64, times in UTC."),
    ] = False,
    utc: InUtc = False,
) -> None:
    """Show the executions of a task as they change, one on each line, until Ctrl-C. Goes on by itself when a node leaves.

    The first line of --json has a token and no execution: from then on every change is shown.

    \b
    Examples:
      $ mainspring execution watch daily
      $ mainspring execution watch daily --json | jq -c '.executions[]'
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        watched = client.watch_executions(task_id, resume_token=resume_token, namespace=namespace)
        count = 0
        async with aclosing(watched):
            token = await watched.begin()
            if as_json:  # who reads along knows now that nothing is missed from here on
                output.line(json.dumps({"executions": [], "resume_token": token}))
            async for execution in watched:
                if as_json:
                    output.line(json.dumps(watched_json(execution, watched.resume_token)))
                else:
                    output.line(watch_line(execution, utc=utc))
                count += 1
                if count == limit:
                    return

    run_calls(address, timeout, output, calls, is_endless=True)


execution_app.command("slo")(execution_slo.slo)
execution_app.command("cancel")(execution_change.cancel)
execution_app.command("retry")(execution_change.retry)
execution_app.command("adjust")(execution_change.adjust)
