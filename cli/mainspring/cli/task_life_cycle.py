"""What `mainspring task` does to tasks that there are: update, pause, resume, cancel, delete, trigger, backfill."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from mainspring.cli.answers import show_execution, show_scheduled_task, show_task
from mainspring.cli.call_options import CallOptions, ReasonOptions, TimesCallOptions
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import (
    Etag,
    Namespace,
    RequestId,
    TaskId,
    instant,
)
from mainspring.cli.payload import PayloadFile, PayloadText, read_payload
from mainspring.cli.policy_options import TaskPolicyOptions
from mainspring.cli.policy_reading import read_task_policies, says_parts
from mainspring.cli.schedule_options import ScheduleOptions
from mainspring.cli.schedule_reading import read_schedule
from mainspring.cli.visible import visible
from mainspring.client import MainspringClient, TaskUpdate
from mainspring.client.task import DEFAULT_NAMESPACE


class Clearable(StrEnum):
    """What can go back to its default."""

    DELIVERY = "delivery"
    LABELS = "labels"
    MISFIRE = "misfire"
    OVERLAP = "overlap"
    RETRY = "retry"
    TIMEOUTS = "timeouts"
    OBJECTIVE = "objective"
    KEEP = "keep"


_CLEARED: Final[dict[Clearable, tuple[str, Any]]] = {
    Clearable.DELIVERY: ("delivery", None),
    Clearable.LABELS: ("labels", {}),
    Clearable.MISFIRE: ("misfire", None),
    Clearable.OVERLAP: ("overlap", None),
    Clearable.RETRY: ("retry", None),
    Clearable.TIMEOUTS: ("timeouts", None),
    Clearable.OBJECTIVE: ("lateness_objective", None),
    Clearable.KEEP: ("keep_executions", None),
}
"""The fields of a task, and their values when they say nothing."""


@takes_option_sets
def update(
    task_id: TaskId,
    when: ScheduleOptions,
    policies: TaskPolicyOptions,
    call: TimesCallOptions,
    handler: Annotated[
        str | None, typer.Option(metavar="HANDLER", help="The name of the code on an executor that runs it.")
    ] = None,
    payload: PayloadText = None,
    payload_file: PayloadFile = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option(
            metavar="NAME",
            help="Back to its default, which may be the namespace's: delivery, labels, misfire, overlap, retry, timeouts, "
            "objective or keep. Repeat it for more.",
        ),
    ] = None,
    etag: Etag = "",
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Change a task that is active or paused. What is not said stays as it is, also within a policy.

    Nothing of the old definition is sent any more once this returns; what runs goes on.
    A new schedule is said as a whole, and counts from now.

    \b
    Examples:
      $ mainspring task update daily --cron '0 8 * * MON-FRI'
      $ mainspring task update daily --retry-attempts 5 --label team=billing
      $ mainspring task update daily --clear retry --payload '{"to": "bob"}'
    """
    said: dict[str, Any] = {}
    if when.said():
        said["schedule"] = read_schedule(when)
    if handler is not None:
        said["handler"] = handler
    if (content := read_payload(payload, payload_file)) is not None:
        said["payload"] = content
    cleared = dict(_CLEARED[each] for each in clear or ())
    if not (said or cleared or policies.said()):
        raise typer.BadParameter("say what is to change")
    output = call.output

    async def calls(client: MainspringClient) -> None:
        changes, expected = {**said, **cleared}, etag
        kept = None
        if says_parts(policies):
            before = await client.get_task(task_id, namespace=namespace)
            kept = replace(before, **cleared)
            expected = etag or before.etag  # what was read is part of what is written
        changes.update(read_task_policies(policies, kept))
        show_scheduled_task(
            await client.update_task(task_id, TaskUpdate(**changes), namespace=namespace, etag=expected),
            output,
        )

    call.run(calls)


@takes_option_sets
def pause(
    task_id: TaskId,
    why: ReasonOptions,
    call: TimesCallOptions,
    etag: Etag = "",
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Stop a task until it is resumed; what runs already goes on.

    \b
    Example:
      $ mainspring task pause daily --note 'moving the database'
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        task = await client.pause_task(
            task_id, note=why.note, changed_by=why.changed_by, namespace=namespace, etag=etag
        )
        show_task(task, output)

    call.run(calls)


@takes_option_sets
def resume(
    task_id: TaskId,
    why: ReasonOptions,
    call: TimesCallOptions,
    etag: Etag = "",
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Let a paused task go on. What becomes of the times missed meanwhile says its --misfire.

    \b
    Example:
      $ mainspring task resume daily --note 'moved'
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        task = await client.resume_task(
            task_id, note=why.note, changed_by=why.changed_by, namespace=namespace, etag=etag
        )
        show_task(task, output)

    call.run(calls)


@takes_option_sets
def cancel(
    task_id: TaskId,
    why: ReasonOptions,
    call: TimesCallOptions,
    etag: Etag = "",
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """End a task: nothing of it fires any more; what runs already goes on.

    \b
    Example:
      $ mainspring task cancel daily --note 'no longer needed'
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        task = await client.cancel_task(
            task_id, note=why.note, changed_by=why.changed_by, namespace=namespace, etag=etag
        )
        show_task(task, output)

    call.run(calls)


@takes_option_sets
def delete(
    task_id: TaskId,
    call: CallOptions,
    etag: Etag = "",
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Remove a task with its ledger. Nothing of it may be running: cancel that first, or wait.

    \b
    Example:
      $ mainspring task delete daily
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        await client.delete_task(task_id, namespace=namespace, etag=etag)
        if output.as_json:
            output.document({})
        else:
            print(f"{visible(task_id)} is deleted")

    call.run(calls)


@takes_option_sets
def trigger(
    task_id: TaskId,
    call: TimesCallOptions,
    payload: PayloadText = None,
    payload_file: PayloadFile = None,
    request_id: RequestId = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Run a task once more, now, beside its schedule. Shows the new execution.

    \b
    Examples:
      $ mainspring task trigger daily
      $ mainspring task trigger daily --payload '{"to": "bob"}'
    """
    content = read_payload(payload, payload_file)
    output = call.output

    async def calls(client: MainspringClient) -> None:
        execution = await client.trigger_task(
            task_id, payload=content, request_id=request_id, namespace=namespace
        )
        show_execution(execution, output)

    call.run(calls)


@takes_option_sets
def backfill(
    task_id: TaskId,
    start: Annotated[
        datetime, typer.Option(parser=instant, metavar="TIME", help="Only scheduled times at or after this.")
    ],
    end: Annotated[
        datetime,
        typer.Option(parser=instant, metavar="TIME", help="Only scheduled times before this. Not after now."),
    ],
    call: CallOptions,
    namespace: Namespace = DEFAULT_NAMESPACE,
) -> None:
    """Run the past times of a schedule that were not run, one after the other. Safe to repeat.

    \b
    Example:
      $ mainspring task backfill daily \\
          --start 2030-01-01T00:00:00Z --end 2030-02-01T00:00:00Z
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        count = await client.backfill_task(task_id, start, end, namespace=namespace)
        if output.as_json:
            output.document({"count": count, "next_start_time": None})
        else:
            print(f"{count:,} {'execution is' if count == 1 else 'executions are'} to run")

    call.run(calls)
