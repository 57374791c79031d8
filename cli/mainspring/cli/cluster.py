"""`mainspring cluster`: who is there, and who owns what."""

from collections.abc import AsyncIterator

import typer

from mainspring.cli.calls import run_calls
from mainspring.cli.json_form import JsonObject, cluster_json, partition_json
from mainspring.cli.options import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Addresses, AsJson, InUtc, Timeout
from mainspring.cli.output import Output, note
from mainspring.cli.tables import (
    EXECUTOR_COLUMNS,
    NODE_COLUMNS,
    PARTITION_COLUMNS,
    executor_row,
    instant_words,
    node_row,
    partition_row,
)
from mainspring.client import MainspringClient

cluster_app = typer.Typer(
    no_args_is_help=True, help="See which nodes and executors there are, and who owns what."
)


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
