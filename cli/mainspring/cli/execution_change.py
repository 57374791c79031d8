"""What `mainspring execution` does to single executions: cancel, retry, adjust."""

from datetime import datetime
from typing import Annotated

import typer

from mainspring.cli.answers import show_execution
from mainspring.cli.call_options import TimesCallOptions
from mainspring.cli.calls import run_calls
from mainspring.cli.instants import format_instant
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT,
    Addresses,
    AsJson,
    InUtc,
    Namespace,
    Note,
    RequestId,
    ScheduledTime,
    TaskId,
    Timeout,
    instant,
)
from mainspring.cli.output import Output
from mainspring.cli.payload import PayloadFile, PayloadText, read_payload
from mainspring.cli.visible import visible
from mainspring.client import MainspringClient
from mainspring.client.task import DEFAULT_NAMESPACE


@takes_option_sets
def cancel(
    task_id: TaskId,
    scheduled_time: ScheduledTime,
    call: TimesCallOptions,
    note: Note = "",
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """End an execution. A running handler is told, and the execution ends when it does.

    \b
    Example:
      $ mainspring execution cancel daily 2030-01-31T09:00:00+01:00
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        execution = await client.cancel_execution(task_id, scheduled_time, note=note, namespace=namespace)
        show_execution(execution, output)

    call.run(calls)


@takes_option_sets
def retry(
    task_id: TaskId,
    scheduled_time: ScheduledTime,
    call: TimesCallOptions,
    request_id: RequestId = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Run an execution again that ended as FAILED, EXPIRED or LOST. Shows the new one, which is due now.

    \b
    Example:
      $ mainspring execution retry daily 2030-01-31T09:00:00+01:00
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        execution = await client.retry_execution(
            task_id, scheduled_time, request_id=request_id, namespace=namespace
        )
        show_execution(execution, output)

    call.run(calls)


def adjust(
    task_id: TaskId,
    scheduled_time: ScheduledTime,
    skip: Annotated[bool, typer.Option("--skip", help="It does not run.")] = False,
    due: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="Act on it at this time instead, before the scheduled time that follows it.",
        ),
    ] = None,
    payload: PayloadText = None,
    payload_file: PayloadFile = None,
    reset: Annotated[bool, typer.Option("--reset", help="It goes as the task says again.")] = False,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """Change one scheduled time that is still to come: leave it out, move it, or give it a payload of its own.

    \b
    Examples:
      $ mainspring execution adjust daily 2030-12-24T09:00:00+01:00 --skip
      $ mainspring execution adjust daily 2030-12-24T09:00:00Z \\
          --due 2030-12-24T11:00:00Z
    """
    content = read_payload(payload, payload_file)
    words = {
        "is left out": skip,
        f"is due at {format_instant(due, utc=utc)}" if due else "": due is not None,
        "has a payload of its own": content is not None,
        "goes as the task says": reset,
    }
    chosen = [each for each, is_wanted in words.items() if is_wanted]
    if len(chosen) != 1:
        raise typer.BadParameter(
            "say what: exactly one of --skip, --due, --payload, --payload-file and --reset"
        )
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        await client.adjust_execution(
            task_id,
            scheduled_time,
            skip=skip,
            due_time=due,
            payload=content,
            reset=reset,
            namespace=namespace,
        )
        if as_json:
            output.document({})
        else:
            print(f"{format_instant(scheduled_time, utc=utc)} of {visible(task_id)} {chosen[0]}")

    run_calls(address, timeout, output, calls)
