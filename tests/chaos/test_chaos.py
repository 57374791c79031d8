"""Scripted faults in the middle of the demo's workload, each with the checker's verdict: `make chaos`.

The servers must be this run's own: servers named by the environment are never stopped.
"""

from collections.abc import Awaitable, Callable

import pytest

from mainspring.testing.chaos import ChaosRun, note_chaos, run_chaos
from mainspring.testing.external import external_sql_server, external_zookeeper
from mainspring.testing.run_note import note_path
from mainspring.testing.scenario import SECOND_US, sleep_until

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        external_sql_server() is not None or external_zookeeper() is not None,
        reason="breaks only servers of its own",
    ),
]


async def kill_a_node(run: ChaosRun) -> None:
    """While it claims its part of the herd."""
    await sleep_until(run.herd_at + SECOND_US // 20)
    await run.scenario.kill_node(run.scenario.cluster.nodes[1])


async def stop_mysql(run: ChaosRun) -> None:
    """The herd is due while it is away."""
    assert run.scenario.cluster.mariadb is not None
    await run.scenario.server_away(run.scenario.cluster.mariadb, 10)


async def stop_zookeeper(run: ChaosRun) -> None:
    """Firing goes on: no outage in the sense of the promise."""
    assert run.scenario.cluster.zookeeper is not None
    await run.scenario.server_away(run.scenario.cluster.zookeeper, 20, is_outage=False)
    await run.scenario.until_spread()


async def kill_an_executor(run: ChaosRun) -> None:
    """While it has its part of the herd."""
    await sleep_until(run.herd_at + SECOND_US // 20)
    await run.scenario.kill_executor(run.scenario.cluster.executors[0])


async def freeze_a_node(run: ChaosRun) -> None:
    """Longer than its session, while it claims its part of the herd: it wakes up in a world that went on without it."""
    await sleep_until(run.herd_at + SECOND_US // 20)
    node = run.scenario.cluster.nodes[1]
    await run.scenario.freeze(node.name, node, 8)
    await run.scenario.until_spread()


async def freeze_mysql(run: ChaosRun) -> None:
    """Connections stay open and nothing answers; the herd is due meanwhile."""
    assert run.scenario.cluster.mariadb is not None
    await run.scenario.freeze("MariaDB", run.scenario.cluster.mariadb, 10, is_outage=True)
    await run.scenario.until_spread()


async def freeze_zookeeper(run: ChaosRun) -> None:
    """When it goes on it expires every session at once."""
    assert run.scenario.cluster.zookeeper is not None
    await run.scenario.freeze("ZooKeeper", run.scenario.cluster.zookeeper, 20)
    await run.scenario.until_spread()


async def freeze_an_executor(run: ChaosRun) -> None:
    """Longer than its leases, while it has its part of the herd; its results come back late."""
    await sleep_until(run.herd_at + SECOND_US // 20)
    executor = run.scenario.cluster.executors[0]
    await run.scenario.freeze(executor.name, executor, 6)


SCRIPTS: dict[str, Callable[[ChaosRun], Awaitable[None]]] = {
    "kill -9 of a node": kill_a_node,
    "MySQL stopped for 10 s": stop_mysql,
    "ZooKeeper stopped for 20 s": stop_zookeeper,
    "kill -9 of an executor": kill_an_executor,
    "node frozen for 8 s": freeze_a_node,
    "MySQL frozen for 10 s": freeze_mysql,
    "ZooKeeper frozen for 20 s": freeze_zookeeper,
    "executor frozen for 6 s": freeze_an_executor,
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_promises_hold(name: str) -> None:
    judgement = await run_chaos(name, SCRIPTS[name])
    if path := note_path("chaos.md"):
        note_chaos(path, name, judgement)
    assert [str(violation) for violation in judgement.verdict.violations[:20]] == []
    assert judgement.verdict.vacuous == ()
