"""The fault matrix: what is done to a cluster, how long, and what it has to bear. Each raises when it did not happen."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path

from chaos.campaign import Campaign, Step

from mainspring.client import MainspringClient, MainspringError
from mainspring.testing.errors import TestingError
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.proxied_cluster import Side
from mainspring.testing.proxy.commits import CommitAction
from mainspring.testing.proxy.link import Mode

NODE_CUT_S = 15.0
FROZEN_S = 15.0
HERD = 5_000
LEASE_S = 3.0


def must(holds: object, what: str) -> None:
    """Refuse a run in which the fault did not bite."""
    if not holds:
        raise TestingError(f"the fault did not happen: {what}")


# --- nodes -----------------------------------------------------------------------------------------------------------


async def kill_node(run: Campaign) -> None:
    """kill -9; its partitions move; it is started again."""
    node, before = await run.some_node()
    async with run.away(node):
        async with run.fault("kill", node.name) as facts:
            facts["was_alive_before"] = node.is_running
            await asyncio.to_thread(node.kill)
            await run.moved_from(node, before)
            facts["epochs_moved"] = len(before)
        await run.start_again(node)


async def kill_half_the_nodes(run: Campaign) -> None:
    """All but the smaller half are killed in the same instant."""
    running = [node for node in run.cluster.nodes if node.is_running]
    victims = run.random.sample(running, (len(running) + 1) // 2)
    before = {node.name: await run.epochs(node) for node in victims}
    async with run.away(*victims), contextlib.AsyncExitStack() as stack:
        for node in victims:
            facts = {"was_alive_before": node.is_running}
            await stack.enter_async_context(run.fault("kill", node.name, facts=facts))
        await asyncio.gather(*(asyncio.to_thread(node.kill) for node in victims))
        for node in victims:
            await run.moved_from(node, before[node.name])
        run.facts["killed"] = len(victims)
        await run.start_again(*victims)


async def kill_all_nodes(run: Campaign) -> None:
    """Nobody is left; then all are started again."""
    nodes = [node for node in run.cluster.nodes if node.is_running]
    async with run.fault("kill", "nodes", is_outage=True) as facts:
        facts["was_alive_before"] = len(nodes) == len(run.cluster.nodes)
        await asyncio.gather(*(asyncio.to_thread(node.kill) for node in nodes))
        await asyncio.sleep(2.0)
        await run.start_again(*nodes)


async def kill_node_at_herd(run: Campaign) -> None:
    """5,000 tasks are due in the instant of the kill."""
    at = now_us() + 8 * SECOND_US
    await run.traffic.herd(HERD, at)
    must(now_us() < at, "the herd was registered too late")
    node, before = await run.some_node()
    await sleep_until(at + run.random.randrange(150_000))
    async with run.away(node):
        async with run.fault(
            "kill", node.name, facts={"was_alive_before": node.is_running, "herd_at": at}
        ) as facts:
            await asyncio.to_thread(node.kill)
            await run.moved_from(node, before)
            facts["epochs_moved"] = len(before)
        await run.start_again(node)


async def stop_node(run: Campaign) -> None:
    """SIGTERM; the others have its partitions when it ends; it is started again."""
    node, before = await run.some_node()
    async with run.away(node):
        async with run.fault("stop", node.name):
            code = await asyncio.to_thread(node.stop)
            must(code == 0, f"{node.name} ended with {code}\n{node.child.log_tail()}")
            await run.moved_from(node, before)
        await run.start_again(node)


async def join(run: Campaign) -> None:
    """One more node, which leaves again."""
    async with run.fault("join", f"node-{len(run.cluster.nodes) + 1}"):
        node = await asyncio.to_thread(run.cluster.add_node)
        await run.until_spread()
    run.facts["partitions taken"] = len(await run.epochs(node))
    await asyncio.sleep(1.0)
    async with run.away(node), run.fault("stop", node.name):
        await asyncio.to_thread(node.stop)


async def rolling_restart(run: Campaign) -> None:
    """Each node in turn: SIGTERM, and started again."""
    for node in [node for node in run.cluster.nodes if node.is_running]:
        async with run.away(node), run.fault("stop", node.name):
            code = await asyncio.to_thread(node.stop)
            must(code == 0, f"{node.name} ended with {code}\n{node.child.log_tail()}")
            await run.start_again(node)
        await run.until_spread()
        await run.until_connected()


async def zombie(run: Campaign) -> None:
    """SIGSTOP for 15 s, then SIGCONT: it does not know that time has passed."""
    node, before = await run.some_node()
    async with run.away(node), run.fault("freeze", node.name):
        until_s = time.monotonic() + FROZEN_S
        node.pause()
        try:
            await run.moved_from(node, before)
            await asyncio.sleep(until_s - time.monotonic())
        finally:
            node.resume()


async def zombie_in_claim(run: Campaign) -> None:
    """Stopped between the locks and the COMMIT of a claim; the COMMIT arrives when the world has moved on."""
    node, before = await run.some_node()
    link = f"{node.name}/{Side.MYSQL.value}"
    seen = run.cluster.counts(node, Side.MYSQL).trapped
    async with run.away(node), run.fault("freeze", node.name):
        run.cluster.proxies.set_trap(link, CommitAction.STOP_SENDER, pid=node.pid)
        try:
            async with asyncio.timeout(10.0):
                while run.cluster.counts(node, Side.MYSQL).trapped == seen:
                    await asyncio.sleep(0.02)
            until_s = time.monotonic() + FROZEN_S
            await run.moved_from(node, before)
            await asyncio.sleep(max(0.0, until_s - time.monotonic()))
        finally:
            run.cluster.proxies.set_trap(link, None)
            node.resume()
    run.facts["stopped at a COMMIT"] = run.cluster.counts(node, Side.MYSQL).trapped - seen


async def stuck_loop(run: Campaign) -> None:
    """The event loop stands still for 8 s while the other threads go on."""
    node, before = await run.some_node()
    stuck = run.log_count(node, '"event_loop_stuck"')
    async with run.away(node), run.fault("stall", node.name):
        node.child.send_signal(signal.SIGUSR2)
        await run.moved_from(node, before)
        async with asyncio.timeout(20.0):
            while run.log_count(node, '"event_loop_stuck"') == stuck:
                await asyncio.sleep(0.1)
    async with asyncio.timeout(20.0):
        await run.until_spread()


async def cut_from_zookeeper(run: Campaign) -> None:
    """One node alone; its session ends and the others take over."""
    await _cut(run, Side.ZOOKEEPER)


async def cut_from_mysql(run: Campaign) -> None:
    """One node alone: alive for ZooKeeper and good for nothing."""
    await _cut(run, Side.MYSQL)


async def _cut(run: Campaign, side: Side) -> None:
    node, before = await run.some_node()
    mode = run.random.choice([Mode.CUT, Mode.FREEZE])
    run.facts["how"] = mode.value
    peer = {Side.MYSQL: "MariaDB", Side.ZOOKEEPER: "ZooKeeper"}[side]
    async with (
        run.away(node),
        run.fault("cut", node.name, peer=peer) as facts,
        run.broken_link(node, side, mode),
    ):
        until_s = time.monotonic() + NODE_CUT_S
        await run.moved_from(node, before)
        facts["epochs_moved"] = len(before)
        await asyncio.sleep(max(0.0, until_s - time.monotonic()))


async def cut_from_executors(run: Campaign) -> None:
    """One node alone; clients and other nodes still reach it."""
    node, before = await run.some_node()
    mode = run.random.choice([Mode.CUT, Mode.FREEZE])
    run.facts["how"] = mode.value
    executors = [executor for executor in run.cluster.executors if executor.is_running]
    async with (
        run.away(node),
        run.fault("cut", node.name, peer="executors") as facts,
        run.broken_link(node, Side.CALLERS, mode, only=executors),
    ):
        until_s = time.monotonic() + NODE_CUT_S
        await run.moved_from(node, before)
        facts["epochs_moved"] = len(before)
        await asyncio.sleep(max(0.0, until_s - time.monotonic()))


async def wrong_clock(run: Campaign) -> None:
    """The wall clock of one node is 30 s ahead for 10 s, then 30 s behind for 10 s, then right again."""
    node, before = await run.some_node()
    async with run.fault("clock", node.name):
        try:
            for seconds in (30.0, -30.0):
                run.cluster.set_clock(node, seconds)
                await asyncio.sleep(10.0)
                offset_s = await run.metric(node, "mainspring_clock_offset_seconds")
                must(abs(abs(offset_s) - 30.0) < 1.0, f"{node.name} says its clock is off by {offset_s} s")
        finally:
            run.cluster.set_clock(node, 0.0)
    run.facts["partitions kept"] = len((await run.epochs(node)).keys() & before.keys())


# --- ZooKeeper ---------------------------------------------------------------------------------------------------------


async def zookeeper_stopped(run: Campaign, seconds: float = 60.0) -> None:
    """Firing, registration and completion go on."""
    assert run.cluster.zookeeper is not None
    before = await run.owners()
    await run.server_away(run.cluster.zookeeper, seconds, is_outage=False)
    run.facts["owners changed"] = sum(
        owner != before.get(partition) for partition, owner in (await run.owners()).items()
    )
    await _until_coordinated(run)


async def kill_node_without_zookeeper(run: Campaign) -> None:
    """Its partitions wait for ZooKeeper; the others say so: a metric, and an error in the log."""
    assert run.cluster.zookeeper is not None
    node, before = await run.some_node()
    others = [other for other in run.cluster.nodes if other.is_running and other is not node]
    alarms = sum(run.log_count(other, '"partitions_unowned"') for other in others)
    async with run.away(node):
        async with run.fault("stop", run.cluster.zookeeper.name, is_outage=True):
            await asyncio.to_thread(run.cluster.zookeeper.stop)
            async with run.fault("kill", node.name, facts={"was_alive_before": node.is_running}):
                await asyncio.to_thread(node.kill)
                async with asyncio.timeout(40.0):
                    while sum(run.log_count(o, '"partitions_unowned"') for o in others) == alarms:
                        await asyncio.sleep(0.2)
                unowned = await run.metric(others[0], "mainspring_partitions_unowned")
                run.facts["partitions said to be unowned"] = int(unowned)
                must(unowned == len(before), f"{len(before)} partitions had no owner, {unowned} are counted")
            await asyncio.to_thread(run.cluster.zookeeper.start)
        await run.moved_from(node, before)
        await run.start_again(node)
    await _until_coordinated(run)


async def zookeeper_expires_all(run: Campaign) -> None:
    """Frozen, and back before anybody's sign of life is let through: it ends every session."""
    assert run.cluster.zookeeper is not None
    nodes = [node for node in run.cluster.nodes if node.is_running]
    expired = {node.name: run.log_count(node, '"has_expired": true') for node in nodes}
    # With another fault beside it there may be nobody left who works: then the promise rests.
    async with run.fault("freeze", "ZooKeeper", is_outage=run.is_pair) as facts:
        run.cluster.zookeeper.pause()
        await asyncio.sleep(15.0)
        for node in nodes:
            run.cluster.set_link(node, Side.ZOOKEEPER, Mode.FREEZE)
        run.cluster.zookeeper.resume()
        # The sessions end at the first ticks after it goes on; 3 s sessions and 1 s ticks.
        await asyncio.sleep(5.0)
        for node in nodes:
            run.cluster.set_link(node, Side.ZOOKEEPER, Mode.PASS)
    await _until_coordinated(run)
    count = sum(run.log_count(node, '"has_expired": true') > expired[node.name] for node in nodes)
    facts["sessions_expired"] = run.facts["sessions expired"] = count
    must(count == len(nodes), f"{count} of {len(nodes)} sessions expired")


async def _until_coordinated(run: Campaign) -> None:
    for node in [node for node in run.cluster.nodes if node.is_running]:
        async with MainspringClient(node.address) as client, asyncio.timeout(20):
            while True:
                with contextlib.suppress(MainspringError):
                    if (await client.list_nodes(timeout_s=2.0)).is_coordinator_connected:
                        break
                await asyncio.sleep(0.1)


# --- MySQL ---------------------------------------------------------------------------------------------------------------


async def mysql_killed(run: Campaign) -> None:
    """kill -9, and started again at once."""
    server = run.cluster.mariadb
    assert server is not None
    async with run.fault("kill", server.name, is_outage=True) as facts:
        facts["was_alive_before"] = server.is_running
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


async def mysql_down(run: Campaign, seconds: float = 20.0) -> None:
    """Stopped for 20 s."""
    assert run.cluster.mariadb is not None
    await run.server_away(run.cluster.mariadb, seconds)


async def mysql_frozen(run: Campaign) -> None:
    """Connections stay open and nothing answers for 10 s."""
    assert run.cluster.mariadb is not None
    await run.freeze(run.cluster.mariadb.name, run.cluster.mariadb, 10.0, is_outage=True)


async def mysql_read_only(run: Campaign) -> None:
    """It answers and writes nothing for 10 s."""
    assert run.cluster.mariadb is not None
    async with run.fault("read-only", run.cluster.mariadb.name, is_outage=True):
        refused = _refused_writes(run)
        await run.sql("SET GLOBAL read_only = 1", administrator=True)
        try:
            await asyncio.sleep(10.0)
        finally:
            await run.sql("SET GLOBAL read_only = 0", administrator=True)
    run.facts["refusals logged"] = _refused_writes(run) - refused
    must(run.facts["refusals logged"], "no write was refused")


def _refused_writes(run: Campaign) -> int:
    """How often nodes logged the error of a server that is read-only."""
    return sum(run.log_count(node, "(1290:") for node in run.cluster.nodes)


async def commit_replies_cut(run: Campaign) -> None:
    """The answers to some COMMITs of claims are lost: nobody knows whether they took effect. Some never arrive."""
    nodes = [node for node in run.cluster.nodes if node.is_running]
    before = {node.name: run.cluster.counts(node, Side.MYSQL).trapped for node in nodes}
    async with run.fault("cut", "COMMIT") as facts:
        for action in (CommitAction.CUT_REPLY, CommitAction.CUT_REQUEST):
            for node in nodes:
                run.cluster.proxies.set_trap(f"{node.name}/{Side.MYSQL.value}", action, count=4)
            await asyncio.sleep(4.0)
        for node in nodes:
            run.cluster.proxies.set_trap(f"{node.name}/{Side.MYSQL.value}", None)
    count = sum(run.cluster.counts(node, Side.MYSQL).trapped - before[node.name] for node in nodes)
    facts["commits_cut"] = run.facts["COMMITs cut"] = count
    must(count, "no COMMIT was cut")


# --- executors -----------------------------------------------------------------------------------------------------------


async def kill_executor(run: Campaign) -> None:
    """kill -9; another one is started in its place."""
    await run.kill_executor(run.some_executor())
    await asyncio.sleep(LEASE_S)  # only then its attempts are given up


async def freeze_executor(run: Campaign) -> None:
    """SIGSTOP for 8 s: longer than its leases; its results come back late."""
    executor = run.some_executor()
    await run.freeze(executor.name, executor, 8.0)


async def slow_executor(run: Campaign) -> None:
    """For 10 s it runs a fifth of the time, in slices that no lease notices."""
    executor = run.some_executor()
    async with run.fault("slow", executor.name):
        until_s = time.monotonic() + 10.0
        run.facts["slices"] = 0
        try:
            while time.monotonic() < until_s:
                executor.pause()
                await asyncio.sleep(0.4)
                run.facts["slices"] += _is_stopped(executor.pid)
                executor.resume()
                await asyncio.sleep(0.1)
        finally:
            executor.resume()
    must(run.facts["slices"] > 5, "it was not stopped")


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal just now."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


SINGLES: dict[str, tuple[Step, ...]] = {
    "nodes": (
        Step("kill -9 of a node", kill_node, bound_s=6.0),
        Step("kill -9 of half the nodes", kill_half_the_nodes),
        Step("kill -9 of all nodes, restart", kill_all_nodes),
        Step("SIGTERM of a node", stop_node, bound_s=1.0),
        Step("a node joins and leaves", join, bound_s=1.0),
        Step("rolling restart of all nodes", rolling_restart, bound_s=1.0, takes_s=40),
        Step("herd of 5,000 at the kill of a node", kill_node_at_herd, takes_s=30),
    ),
    "zombies": (
        Step("node frozen for 15 s", zombie, takes_s=30),
        Step("node frozen between lock and commit", zombie_in_claim, takes_s=30),
        Step("event loop of a node stuck for 8 s", stuck_loop, takes_s=25),
        Step("node cut off from ZooKeeper", cut_from_zookeeper, takes_s=30),
        Step("node cut off from MySQL", cut_from_mysql, takes_s=30),
        Step("node cut off from executors", cut_from_executors, takes_s=30),
        Step("wall clock of a node 30 s ahead, then behind", wrong_clock, takes_s=30),
    ),
    "servers": (
        Step(
            "ZooKeeper stopped for 60 s", zookeeper_stopped, bound_s=1.0, registers_within_s=2.0, takes_s=75
        ),
        Step("kill -9 of a node while ZooKeeper is away", kill_node_without_zookeeper, takes_s=45),
        Step("ZooKeeper expires all sessions", zookeeper_expires_all, takes_s=35),
        Step("MySQL killed and restarted", mysql_killed, takes_s=25),
        Step("MySQL stopped for 20 s", mysql_down, takes_s=40),
        Step("MySQL frozen for 10 s", mysql_frozen, takes_s=30),
        Step("MySQL read-only for 10 s", mysql_read_only, takes_s=30),
        Step("replies to COMMIT cut", commit_replies_cut, takes_s=20),
    ),
    "executors": (
        Step("kill -9 of an executor", kill_executor),
        Step("executor frozen for 8 s", freeze_executor),
        Step("slow executor", slow_executor),
    ),
}
"""Every single fault, by the campaign it is played in."""


def _single(name: str) -> Step:
    return next(step for steps in SINGLES.values() for step in steps if step.name == name)


PAIRABLE: tuple[Step, ...] = tuple(
    _single(name)
    for name in (
        "kill -9 of a node",
        "SIGTERM of a node",
        "node frozen for 15 s",
        "event loop of a node stuck for 8 s",
        "node cut off from ZooKeeper",
        "node cut off from MySQL",
        "node cut off from executors",
        "ZooKeeper expires all sessions",
        "MySQL killed and restarted",
        "MySQL frozen for 10 s",
        "replies to COMMIT cut",
        "kill -9 of an executor",
        "executor frozen for 8 s",
        "slow executor",
    )
)
"""Faults of which two may be played at once."""

OF_EXECUTORS = frozenset({"kill -9 of an executor", "executor frozen for 8 s", "slow executor"})
"""There are two executors, and one has to work."""

MINUTE: tuple[Step, ...] = tuple(
    _single(name)
    for name in (
        "kill -9 of a node",
        "SIGTERM of a node",
        "replies to COMMIT cut",
        "kill -9 of an executor",
        "executor frozen for 8 s",
        "MySQL killed and restarted",
    )
)
"""What fits into the tests that everybody runs."""


def pair_of(first: Step, second: Step, *, delay_s: float) -> Step:
    """Two faults at once, the second so much later. The promise of 10 s holds, from the end of an outage if one is."""

    async def both(run: Campaign) -> None:
        async def later() -> None:
            await asyncio.sleep(delay_s)
            await second.script(run)

        with run.in_pair():
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(first.script(run), name=first.name)
                    group.create_task(later(), name=second.name)
            except* TestingError as errors:
                raise errors.exceptions[0] from None

    return Step(
        f"{first.name} + {second.name}",
        both,
        takes_s=max(first.takes_s, delay_s + second.takes_s) + 10.0,
    )
