"""`mainspring namespace`: how long what has ended is kept, and what tasks get that are created in a namespace."""

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from mainspring.cli.call_options import TimesCallOptions
from mainspring.cli.json_form import namespace_json
from mainspring.cli.namespace_words import NAMESPACE_COLUMNS, namespace_details, namespace_row
from mainspring.cli.option_sets import takes_option_sets
from mainspring.cli.options import DEFAULT_LIMIT, Etag, Limit, duration, page_size
from mainspring.cli.output import Output, first
from mainspring.cli.policy_options import PolicyOptions
from mainspring.cli.policy_reading import read_policies, says_parts
from mainspring.client import MainspringClient, Namespace, NamespaceUpdate, TaskDefaults
from mainspring.client.task import DEFAULT_NAMESPACE

namespace_app = typer.Typer(
    no_args_is_help=True,
    help="Say how long a namespace keeps what has ended, and what tasks get that are created in it.",
)

Name = Annotated[str, typer.Argument(metavar="NAMESPACE", help="The name of the namespace.")]
Retention = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="How long executions are kept after their end, and tasks after theirs: 1h to 3650d.",
        show_default="30d",
    ),
]


class Clearable(StrEnum):
    """What can go back to its default."""

    RETENTION = "retention"
    DELIVERY = "delivery"
    MISFIRE = "misfire"
    OVERLAP = "overlap"
    RETRY = "retry"
    TIMEOUTS = "timeouts"
    OBJECTIVE = "objective"
    KEEP = "keep"


_FIELDS: Final = {Clearable.OBJECTIVE: "lateness_objective", Clearable.KEEP: "keep_executions"}
"""Where a field of an update has another name."""


@namespace_app.command("create")
@takes_option_sets
def create(
    name: Name,
    policies: PolicyOptions,
    call: TimesCallOptions,
    retention: Retention = None,
) -> None:
    """Create a namespace. The policies are for tasks that are created in it from now on and do not say their own.

    Tasks may be in a namespace that nobody created: it has the defaults.

    \b
    Examples:
      $ mainspring namespace create billing --retention 90d
      $ mainspring namespace create sync --retry-attempts 3 --timeout-run 10m
    """
    defaults = TaskDefaults(**read_policies(policies))
    output = call.output

    async def calls(client: MainspringClient) -> None:
        _show(await client.create_namespace(name, retention=retention, task_defaults=defaults), output)

    call.run(calls)


@namespace_app.command("update")
@takes_option_sets
def update(
    name: Name,
    policies: PolicyOptions,
    call: TimesCallOptions,
    retention: Retention = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option(
            metavar="NAME",
            help="Back to its default: retention, delivery, misfire, overlap, retry, timeouts, objective or keep. Repeat it "
            "for more.",
        ),
    ] = None,
    etag: Etag = "",
) -> None:
    """Change a namespace. What is not said stays as it is, also within a policy; tasks that there are keep theirs.

    \b
    Examples:
      $ mainspring namespace update billing --retention 7d
      $ mainspring namespace update sync --retry-attempts 5 --clear timeouts
    """
    said: dict[str, Any] = {str(_FIELDS.get(each, each)): None for each in clear or ()}
    if retention is not None:
        said["retention"] = retention
    if not (said or policies.said()):
        raise typer.BadParameter("say what is to change")
    output = call.output

    async def calls(client: MainspringClient) -> None:
        changes, expected = dict(said), etag
        kept = None
        if says_parts(policies):
            before = await client.get_namespace(name)
            cleared = {each: None for each in said if each != Clearable.RETENTION}
            kept = replace(before.task_defaults, **cleared)
            expected = etag or before.etag  # what was read is part of what is written
        changes.update(read_policies(policies, kept))
        _show(await client.update_namespace(name, NamespaceUpdate(**changes), etag=expected), output)

    call.run(calls)


@namespace_app.command("get")
@takes_option_sets
def get(
    call: TimesCallOptions,
    name: Annotated[
        str, typer.Argument(metavar="[NAMESPACE]", help="The name of the namespace.")
    ] = DEFAULT_NAMESPACE,
) -> None:
    """Show one namespace; one that nobody created has the defaults.

    \b
    Example:
      $ mainspring namespace get billing
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        _show(await client.get_namespace(name), output)

    call.run(calls)


@namespace_app.command("list")
@takes_option_sets
def list_(call: TimesCallOptions, limit: Limit = DEFAULT_LIMIT) -> None:
    """List the namespaces that were created, by name.

    \b
    Examples:
      $ mainspring namespace list
      $ mainspring namespace list --json | jq -r '.[].name'
    """
    output = call.output

    async def calls(client: MainspringClient) -> None:
        namespaces = client.list_namespaces(page_size=page_size(limit))
        if output.as_json:
            await output.array(first(namespaces, limit, namespace_json))
            return
        rows = [
            row async for row in first(namespaces, limit, lambda each: namespace_row(each, utc=output.utc))
        ]
        output.table(NAMESPACE_COLUMNS, rows, empty="nobody created a namespace")

    call.run(calls)


def _show(namespace: Namespace, output: Output) -> None:
    if output.as_json:
        output.document(namespace_json(namespace))
    else:
        output.details(namespace_details(namespace, utc=output.utc))
