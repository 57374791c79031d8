"""Carries out the plan's faults, heals them, and writes down what the checker may excuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.clock import at_of
from simulation.database import DATABASE, Moment
from simulation.members import ExecutorProcess, NodeProcess, Surroundings
from simulation.network import OPEN
from simulation.plan import PlannedFault

from mainspring.shard_manager.membership import DRAINED
from mainspring.testing.history import Fault
from mainspring.testing.virtual_time import START_S, process_context

RECORDED = (
    ("kill", "kill"),
    ("stop", "stop"),
    ("drain", "drain"),
    ("join", "join"),
    ("freeze", "freeze"),
    ("stuck", "freeze"),
    ("cut", "cut"),
    ("slow", "slow"),
    ("", "outage"),
)
"""Kinds as the checker knows them, by how the plan's begin."""
INFLUENCE_S = 10.0
"""What the promise gives one fault: when another comes within it, both count as one outage, from the first to the last."""
OUTAGES = frozenset({"zookeeper_down", "database_down", "database_frozen"})


@dataclass(eq=False)
class _Done:
    """A fault under way or healed; `targets` are those whose runs it may explain."""

    kind: str
    targets: list[str]
    from_s: float
    until_s: float
    is_outage: bool
    peer: str = ""
    """For a cut: the other side."""

    def begin(self, at_s: float, target: str) -> None:
        """It begins only now."""
        self.from_s = self.until_s = at_s
        self.targets.append(target)


class Faults:
    """Everything that goes wrong in one run, in tasks of its own.

    Args:
        begin_node, begin_executor: start one more.
    """

    def __init__(
        self,
        around: Surroundings,
        rng: Random,
        begin_node: Callable[[], NodeProcess],
        begin_executor: Callable[[], ExecutorProcess],
    ) -> None:
        self._around = around
        self._rng = rng
        self._begin_node = begin_node
        self._begin_executor = begin_executor
        self._context = process_context("faults")
        self._tasks: list[asyncio.Task[None]] = []
        self._done: list[_Done] = []
        self._planned = 0

    def begin(self, faults: tuple[PlannedFault, ...]) -> None:
        """Each in its time."""
        self._planned = len(faults)
        loop = self._around.loop
        for fault in faults:

            def begin(fault: PlannedFault = fault) -> None:
                self._tasks.append(loop.create_task(self._run(fault), context=self._context.copy()))

            loop.call_at(START_S + fault.from_s, begin, context=self._context)

    async def healed(self) -> None:
        """Waits until the last of them is over."""
        while len(self._tasks) < self._planned:
            await asyncio.sleep(0.1)
        await asyncio.gather(*self._tasks)

    def records(self) -> list[Fault]:
        """What the checker is told: each fault, and an outage for each combination."""
        records = [
            Fault(
                next(kind for begin, kind in RECORDED if done.kind.startswith(begin)),
                target,
                at_of(done.from_s),
                at_of(max(done.until_s, done.from_s + 0.001)),
                done.is_outage,
                done.peer,
            )
            for done in self._done
            for target in done.targets
        ]
        done = sorted(self._done, key=lambda d: d.from_s)
        start = 0
        for index in range(1, len(done) + 1):
            group = done[start:index]
            reach_s = max(max(d.until_s, d.from_s + INFLUENCE_S) for d in group)
            if index == len(done) or done[index].from_s > reach_s:
                if len(group) > 1:
                    until_s = max(d.until_s for d in group)
                    # Nobody else may have been there to ask the executors.
                    records += [
                        Fault("cut", "executors", at_of(d.from_s), at_of(d.until_s), peer="nodes")
                        for d in group
                        if d.peer == "executors"
                    ]
                    records.append(
                        Fault(
                            "combination", "cluster", at_of(group[0].from_s), at_of(until_s), is_outage=True
                        )
                    )
                start = index
        return records

    # --- one fault -----------------------------------------------------------------------------------------------

    async def _run(self, fault: PlannedFault) -> None:
        around = self._around
        around.trace.note("fault", fault.kind, fault.target, fault.for_s)
        from_s = around.loop.time()
        done = _Done(fault.kind, [], from_s, from_s, fault.kind in OUTAGES)
        await getattr(self, f"_{fault.kind}")(fault, done)
        if done.targets:
            self._done.append(done)
        if done.until_s == done.from_s and not done.kind.startswith(("kill", "join")):
            done.until_s = around.loop.time()
        if self._is_nobody_left():  # the last one left, or died while it did
            done.is_outage, done.until_s = True, around.loop.time()
            self._begin_node()
        around.trace.note("healed", fault.kind)

    def _node(self, fault: PlannedFault) -> NodeProcess | None:
        return _choose([n for n in self._around.nodes.values() if not n.is_gone], fault)

    def _executor(self, fault: PlannedFault) -> ExecutorProcess | None:
        return _choose([e for e in self._around.executors.values() if not e.is_gone], fault)

    async def _cut(self, ends: list[tuple[str, str]], fault: PlannedFault) -> None:
        network = self._around.network
        for a, b in ends:
            network.set(a, b, fault.state)
        await asyncio.sleep(fault.for_s)
        for a, b in ends:
            network.set(a, b, OPEN)

    async def _kill_node(self, fault: PlannedFault, done: _Done) -> None:
        node = self._node(fault)
        if node is None:
            return
        done.begin(self._around.loop.time(), node.name)
        node.kill()
        if fault.variant < 0.6 or self._is_nobody_left():
            await asyncio.sleep(fault.for_s)
            if self._is_nobody_left():
                done.is_outage, done.until_s = True, self._around.loop.time()
            self._begin_node()

    def _is_nobody_left(self) -> bool:
        return all(node.is_gone for node in self._around.nodes.values())

    async def _stop_node(self, fault: PlannedFault, done: _Done) -> None:
        node = self._node(fault)
        if node is None:
            return
        done.targets.append(node.name)
        if fault.variant < 0.5 or sum(not n.is_gone for n in self._around.nodes.values()) < 2:
            self._begin_node()  # a rolling restart: the new one first
            await asyncio.sleep(0.5)
        node.terminate()
        await node.gone.wait()
        done.until_s = self._around.loop.time()

    async def _drain_node(self, fault: PlannedFault, done: _Done) -> None:
        """Emptied, and given its share again."""
        node = self._node(fault)
        if node is None or node.manager is None:
            return
        done.targets.append(node.name)
        self._around.loop.call_soon(node.manager.step_aside, DRAINED, context=node.process_context)
        await asyncio.sleep(fault.for_s)
        self._around.loop.call_soon(node.manager.return_to_duty, DRAINED, context=node.process_context)

    async def _join_node(self, fault: PlannedFault, done: _Done) -> None:
        done.targets.append(self._begin_node().name)

    async def _freeze_node(self, fault: PlannedFault, done: _Done) -> None:
        node = self._node(fault)
        if node is None:
            return
        loop = self._around.loop
        done.begin(loop.time(), node.name)
        loop.freeze(node.name)
        node.membership.unplug(is_noticed=False)
        await asyncio.sleep(fault.for_s)
        loop.thaw(node.name)
        node.membership.plug(0.3 * fault.variant**2)

    async def _stuck_node(self, fault: PlannedFault, done: _Done) -> None:
        """Its event loop hangs, its ZooKeeper client has a thread of its own and goes on."""
        if (node := self._node(fault)) is not None:
            done.targets.append(node.name)
            self._around.loop.freeze(node.name)
            await asyncio.sleep(fault.for_s)
            self._around.loop.thaw(node.name)

    async def _freeze_in_claim(self, fault: PlannedFault, done: _Done) -> None:
        if await self._in_claim(fault) is not None:
            await self._freeze_node(fault, done)

    async def _kill_in_claim(self, fault: PlannedFault, done: _Done) -> None:
        if await self._in_claim(fault) is not None:
            await self._kill_node(fault, done)

    async def _in_claim(self, fault: PlannedFault) -> NodeProcess | None:
        """Waits until a claim of the node is between lock and commit, or between commit and answer."""
        node = self._node(fault)
        if node is None:
            return None
        reached = asyncio.Event()
        moment = Moment(node.name, "lock" if fault.variant < 0.5 else "commit", reached.set)
        self._around.database.moments.append(moment)
        try:
            async with asyncio.timeout(3.0):
                await reached.wait()
        except TimeoutError:
            self._around.database.moments.remove(moment)
        return None if node.is_gone else node

    async def _cut_zookeeper(self, fault: PlannedFault, done: _Done) -> None:
        node = self._node(fault)
        if node is None:
            return
        done.targets.append(node.name)
        done.peer = "zookeeper"
        node.membership.unplug(is_noticed=fault.state != "silent")
        await asyncio.sleep(fault.for_s)
        node.membership.plug(0.5 * fault.variant)

    async def _cut_database(self, fault: PlannedFault, done: _Done) -> None:
        if (node := self._node(fault)) is not None:
            done.targets.append(node.name)
            done.peer = DATABASE
            await self._cut([(node.name, DATABASE)], fault)

    async def _cut_executors(self, fault: PlannedFault, done: _Done) -> None:
        """One node hears no executor, neither those that are there nor those that come."""
        if (node := self._node(fault)) is not None:
            done.targets.append(node.name)
            done.peer = "executors"
            network = self._around.network
            network.deaf[node.name] = fault.state
            for executor in self._around.executors:
                network.set(node.name, executor, fault.state)
            await asyncio.sleep(fault.for_s)
            network.deaf.pop(node.name, None)
            for executor in self._around.executors:
                network.set(node.name, executor, OPEN)

    async def _cut_executor(self, fault: PlannedFault, done: _Done) -> None:
        """One executor reaches no node, or one node only does not."""
        if (executor := self._executor(fault)) is not None:
            done.targets.append(executor.name)
            nodes = list(self._around.nodes)
            done.peer = "nodes"
            if fault.variant < 0.5:
                nodes = [n.name for n in self._around.nodes.values() if not n.is_gone][:1]
                done.peer = nodes[0] if nodes else "nodes"
            await self._cut([(node, executor.name) for node in nodes], fault)

    async def _cut_peers(self, fault: PlannedFault, done: _Done) -> None:
        if (node := self._node(fault)) is not None:
            done.targets.append(node.name)
            done.peer = "nodes"
            await self._cut([(node.name, n) for n in self._around.nodes if n != node.name], fault)

    async def _slow_database(self, fault: PlannedFault, done: _Done) -> None:
        if (node := self._node(fault)) is not None:
            done.targets.append(node.name)
            link = self._around.network.link(node.name, DATABASE)
            link.slow_s = 0.4 * fault.variant
            await asyncio.sleep(fault.for_s)
            link.slow_s = 0.0

    async def _zookeeper_down(self, fault: PlannedFault, done: _Done) -> None:
        zookeeper = self._around.zookeeper
        done.targets.append("zookeeper")
        zookeeper.is_down = True
        for node in self._around.nodes.values():
            node.membership.unplug(is_noticed=fault.state != "silent", may_expire=False)
        await asyncio.sleep(fault.for_s)
        zookeeper.is_down = False
        if fault.variant < 0.5:
            zookeeper.expire_all()
        for node in self._around.nodes.values():
            zookeeper.unplugged(node.membership)  # a fresh time-out for every session, also of the dead
            if not node.is_gone:
                node.membership.plug(0.8 * self._rng.random())

    async def _database_down(self, fault: PlannedFault, done: _Done) -> None:
        done.targets.append(DATABASE)
        await self._cut([(node, DATABASE) for node in self._around.nodes], fault)

    async def _database_frozen(self, fault: PlannedFault, done: _Done) -> None:
        done.targets.append(DATABASE)
        self._around.loop.freeze(DATABASE)
        await asyncio.sleep(fault.for_s)
        self._around.loop.thaw(DATABASE)

    async def _kill_executor(self, fault: PlannedFault, done: _Done) -> None:
        if (executor := self._executor(fault)) is not None:
            done.targets.append(executor.name)
            executor.kill()
            await asyncio.sleep(fault.for_s)
            if all(e.is_gone for e in self._around.executors.values()):
                done.is_outage, done.until_s = True, self._around.loop.time()
            self._begin_executor()

    async def _stop_executor(self, fault: PlannedFault, done: _Done) -> None:
        if (executor := self._executor(fault)) is not None:
            done.targets.append(executor.name)
            self._begin_executor()
            executor.terminate()
            await asyncio.sleep(fault.for_s)

    async def _freeze_executor(self, fault: PlannedFault, done: _Done) -> None:
        if (executor := self._executor(fault)) is not None:
            done.targets.append(executor.name)
            self._around.loop.freeze(executor.name)
            await asyncio.sleep(fault.for_s)
            self._around.loop.thaw(executor.name)


def _choose(candidates: list[Any], fault: PlannedFault) -> Any:
    return candidates[fault.target % len(candidates)] if candidates else None
