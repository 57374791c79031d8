"""A local cluster to play with: `python -m mainspring.testing.local_cluster` (`make cluster`).

Starts MariaDB, ZooKeeper, scheduler nodes and executors with the mock handlers as processes, says how to reach them, and
stays until Ctrl-C. Everything it started ends with it, and its data go.
"""

import argparse
import asyncio
import sys

from mainspring.testing.cluster import Cluster
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.run_folder import RunFolder


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="local_cluster", description="A local cluster to play with.")
    parser.add_argument("--nodes", type=int, default=3, help="scheduler nodes (default 3)")
    parser.add_argument(
        "--executors", type=int, default=2, help="executors with the mock handlers (default 2)"
    )
    arguments = parser.parse_args()
    if arguments.nodes < 1 or arguments.executors < 0:
        parser.error("at least one node is needed")
    return run_in_foreground(lambda: _play(arguments.nodes, arguments.executors))


async def _play(nodes: int, executors: int) -> int:
    with Cluster(RunFolder.create("cluster")) as cluster:
        await asyncio.to_thread(_start, cluster, nodes, executors)
        print(f"{nodes} nodes and {executors} executors are up. In another terminal:")
        print(f"  export MAINSPRING_ADDRESS={cluster.addresses[0]}")
        print("  .venv/bin/mainspring task create echo --delay 2s --payload hello")
        print("  .venv/bin/mainspring execution list")
        print(f"nodes: {', '.join(cluster.addresses)}; logs: {cluster.folder.logs}")
        print("Ctrl-C ends it.", flush=True)
        await asyncio.Event().wait()
    return 0


def _start(cluster: Cluster, nodes: int, executors: int) -> None:
    cluster.start_servers()
    cluster.migrate()
    for _ in range(nodes):
        cluster.add_node(waits=False)
    cluster.wait_until_listening()
    for _ in range(executors):
        cluster.add_executor()


if __name__ == "__main__":
    sys.exit(main())
