"""`mainspring cluster`: who is there, who owns what and since when, and giving a node's partitions away."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated

import typer

from mainspring.cli.calls import run_calls
from mainspring.cli.gap_spread import gap_spread
from mainspring.cli.json_form import cluster_json, gap_spread_json, handover_json, partition_json
from mainspring.cli.json_values import JsonObject
from mainspring.cli.options import (
    DEFAULT_ADDRESS,
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT,
    EXIT_REFUSED,
    Addresses,
    AsJson,
    InUtc,
    Limit,
    Timeout,
    duration,
    instant,
    page_size,
)
from mainspring.cli.output import Output, first, note
from mainspring.cli.tables import (
    EXECUTOR_COLUMNS,
    HANDOVER_COLUMNS,
    NODE_COLUMNS,
    PARTITION_COLUMNS,
    executor_row,
    gap_spread_words,
    handover_row,
    instant_words,
    node_row,
    partition_row,
    time_zone_databases,
)
from mainspring.client import Handover, MainspringClient

cluster_app = typer.Typer(
    no_args_is_help=True, help="See which nodes and executors there are, and who owns what; drain a node."
)

DRAIN_LOOK_S = 0.2
DEFAULT_DRAIN_WAIT = timedelta(seconds=60)
NodeName = Annotated[
    str,
    typer.Argument(metavar="NODE", help="The node's id, or the name it was given if only one has it."),
]


@cluster_app.command("nodes")
def nodes(
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """Show the nodes, and the executors connected to the node that answers.

    \b
    Examples:
      $ mainspring cluster nodes
      $ mainspring cluster nodes --json | jq '.nodes | length'
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        cluster = await client.list_nodes()
        if as_json:
            output.document(cluster_json(cluster))
            return
        output.table(NODE_COLUMNS, [node_row(node) for node in cluster.nodes], empty="no node")
        print()
        output.table(
            EXECUTOR_COLUMNS,
            [executor_row(executor, utc=utc) for executor in cluster.executors],
            empty="no executor is connected to the node that answered",
        )
        print()
        print(f"{cluster.partition_count} partitions; {instant_words(cluster.cluster_time, utc=utc)}")
        databases = time_zone_databases(cluster.nodes)
        if len(databases) == 1:
            print(f"time zone database {next(iter(databases))}")
        elif databases:
            told = "; ".join(f"{release} on {', '.join(node_ids)}" for release, node_ids in databases.items())
            note(f"warning: nodes compute local times with different time zone databases: {told}")
        if not cluster.is_coordinator_connected:
            note("The node that answered has lost ZooKeeper: the nodes are those it last saw.")

    run_calls(address, timeout, output, calls)


@cluster_app.command("partitions")
def partitions(
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Show every partition with its owner, by what the database says.

    \b
    Examples:
      $ mainspring cluster partitions
      $ mainspring cluster partitions --json | jq '.[] | select(.owner_id == "")'
    """
    output = Output(as_json)

    async def calls(client: MainspringClient) -> None:
        found = await client.list_partitions()
        if as_json:

            async def documents() -> AsyncIterator[JsonObject]:
                for partition in found:
                    yield partition_json(partition)

            await output.array(documents())
            return
        output.table(
            PARTITION_COLUMNS, [partition_row(partition) for partition in found], empty="no partition"
        )

    run_calls(address, timeout, output, calls)


@cluster_app.command("handovers")
def handovers(
    node: Annotated[
        str, typer.Option("--node", metavar="NODE_ID", help="Only those from or to the node with this id.")
    ] = "",
    since: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="TIME", help="Only those that ended at or after this."),
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
    utc: InUtc = False,
) -> None:
    """Show which partitions changed their owner, newest first: from, to, why, the gap, what became late.

    The gap is the time for which nobody fired a partition. With a plus sign it began earlier than it says: the owner died,
    and the gap is counted from when that was noticed. The last 100 or so changes of each partition are kept.

    \b
    Examples:
      $ mainspring cluster handovers --since 2030-01-31T09:00:00Z --limit 0
      $ mainspring cluster handovers --json | jq .gaps.p99
    """
    output = Output(as_json, utc)

    async def calls(client: MainspringClient) -> None:
        listed = client.list_handovers(node_id=node, since=since, page_size=page_size(limit))
        found: list[Handover] = [item async for item in first(listed, limit, lambda item: item)]
        spread = gap_spread(found)
        if as_json:
            output.document(
                {"handovers": [handover_json(item) for item in found], "gaps": gap_spread_json(spread)}
            )
            return
        output.table(
            HANDOVER_COLUMNS, [handover_row(item, utc=utc) for item in found], empty="no hand-over yet"
        )
        if found:
            print()
            print(gap_spread_words(spread))

    run_calls(address, timeout, output, calls)


@cluster_app.command("drain")
def drain(
    node: NodeName,
    is_waiting: Annotated[
        bool, typer.Option("--wait", help="Return when the node owns nothing any more.")
    ] = False,
    within: Annotated[
        timedelta,
        typer.Option(
            parser=duration, metavar="DURATION", show_default="60s", help="Give up the wait after this long."
        ),
    ] = DEFAULT_DRAIN_WAIT,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Have a node give all its partitions to others, in order. Any node may be asked.

    The node goes on to serve calls and executors; it takes no partition until `undrain` or its next start.

    \b
    Examples:
      $ mainspring cluster drain node-2 --wait
      $ mainspring cluster undrain node-2
    """
    output = Output(as_json)

    async def calls(client: MainspringClient) -> None:
        node_id = await client.drain_node(node)
        left = await _owned(client, node_id)
        until_s = time.monotonic() + within.total_seconds()
        while is_waiting and left and time.monotonic() < until_s:
            await asyncio.sleep(DRAIN_LOOK_S)
            left = await _owned(client, node_id)
        if as_json:
            output.document({"node_id": node_id, "partition_count": left})
        else:
            print(f"{node_id} is drained; it still owns {left} partitions" if left else f"{node_id} is empty")
        if is_waiting and left:
            note(f"error: {node_id} is not empty after {within.total_seconds():g} s, and goes on giving away")
            raise typer.Exit(EXIT_REFUSED)

    run_calls(address, timeout, output, calls)


@cluster_app.command("undrain")
def undrain(
    node: NodeName,
    address: Addresses = [DEFAULT_ADDRESS],  # noqa: B006
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """End the drain of a node: it takes its share of the partitions again.

    \b
    Examples:
      $ mainspring cluster undrain node-2
    """
    output = Output(as_json)

    async def calls(client: MainspringClient) -> None:
        node_id = await client.undrain_node(node)
        if as_json:
            output.document({"node_id": node_id})
        else:
            print(f"{node_id} takes partitions again")

    run_calls(address, timeout, output, calls)


async def _owned(client: MainspringClient, node_id: str) -> int:
    return sum(partition.owner_id == node_id for partition in await client.list_partitions())
