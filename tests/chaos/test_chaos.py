"""Scripted faults in the middle of the demo's workload, each with the checker's verdict: `make chaos`.

The servers must be this run's own: servers named by the environment are never stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mainspring.client import MainspringClient
from mainspring.testing.chaos import ChaosRun, note_chaos, run_chaos
from mainspring.testing.demo import Judgement
from mainspring.testing.external import external_sql_server, external_zookeeper
from mainspring.testing.load_run import SECOND_US, member_name, sleep_until
from mainspring.testing.run_note import note_path

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
    before = await epochs_of(run, node.name)
    await run.scenario.freeze(node.name, node, 8)
    await run.scenario.until_spread()
    after = {
        partition.partition_id: partition.epoch for partition in await run.scenario.client.list_partitions()
    }
    assert before
    assert all(after[partition_id] > epoch for partition_id, epoch in before.items()), (
        "nobody took its partitions"
    )


async def freeze_mysql(run: ChaosRun) -> None:
    """Connections stay open and nothing answers; the herd is due meanwhile."""
    assert run.scenario.cluster.mariadb is not None
    await run.scenario.freeze("MariaDB", run.scenario.cluster.mariadb, 10, is_outage=True)
    await run.scenario.until_spread()


async def freeze_zookeeper(run: ChaosRun) -> None:
    """When it goes on it expires every session at once, unless their next sign of life is read first: either may be."""
    assert run.scenario.cluster.zookeeper is not None
    await run.scenario.freeze("ZooKeeper", run.scenario.cluster.zookeeper, 20)
    for node in run.scenario.cluster.nodes:
        async with MainspringClient(node.address) as client, asyncio.timeout(10):
            while not (await client.list_nodes()).is_coordinator_connected:
                await asyncio.sleep(0.1)
    await run.scenario.until_spread()
    expired = [node.name for node in run.scenario.cluster.nodes if '"expired"' in node.child.log_text()]
    run.scenario.progress.event(f"sessions that expired: {', '.join(expired) or 'none'}")


async def freeze_an_executor(run: ChaosRun) -> None:
    """Longer than its leases, while it has its part of the herd; its results come back late."""
    await sleep_until(run.herd_at + SECOND_US // 20)
    executor = run.scenario.cluster.executors[0]
    await run.scenario.freeze(executor.name, executor, 6)


async def epochs_of(run: ChaosRun, node_name: str) -> dict[int, int]:
    """Epochs of the partitions that a node owns, by partition."""
    partitions = await run.scenario.client.list_partitions()
    return {p.partition_id: p.epoch for p in partitions if member_name(p.owner_id) == node_name}


def something_was_late(judgement: Judgement) -> bool:
    """The fault kept work back for a while."""
    return judgement.report.lateness.max_us > 2 * SECOND_US


def something_ran_again(judgement: Judgement) -> bool:
    """The executor had work in hand."""
    return judgement.report.duplicated > 0


def firing_went_on(judgement: Judgement) -> bool:
    """Tasks ran in every second of the fault."""
    [fault] = judgement.history.faults
    seconds = {run.started_at // SECOND_US for run in judgement.history.runs}
    return seconds.issuperset(range(fault.from_at // SECOND_US, fault.until_at // SECOND_US + 1))


SCRIPTS: dict[str, tuple[Callable[[ChaosRun], Awaitable[None]], Callable[[Judgement], bool]]] = {
    "kill -9 of a node": (kill_a_node, something_was_late),
    "MySQL stopped for 10 s": (stop_mysql, something_was_late),
    "ZooKeeper stopped for 20 s": (stop_zookeeper, firing_went_on),
    "kill -9 of an executor": (kill_an_executor, something_ran_again),
    "node frozen for 8 s": (freeze_a_node, something_was_late),
    "MySQL frozen for 10 s": (freeze_mysql, something_was_late),
    "ZooKeeper frozen for 20 s": (freeze_zookeeper, firing_went_on),
    "executor frozen for 6 s": (freeze_an_executor, something_ran_again),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_promises_hold(name: str) -> None:
    script, bites = SCRIPTS[name]
    judgement = await run_chaos(name, script)
    if path := note_path("chaos.md"):
        note_chaos(path, name, judgement)
    assert [str(violation) for violation in judgement.verdict.violations[:20]] == []
    assert judgement.verdict.vacuous == ()
    assert bites(judgement), f"the fault left no trace: {bites.__doc__}"
