"""One seed, from its plan to the verdict."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from simulation.clients import Clients
from simulation.clock import EPOCH_AT, at_of
from simulation.coordination import SimZooKeeper
from simulation.database import SimDatabase, Weather, run_at_once
from simulation.faults import Faults
from simulation.judge import judge
from simulation.log import Log
from simulation.members import PORT, ExecutorProcess, NodeProcess, Surroundings, trimmed
from simulation.network import ANY_NODE, Network
from simulation.plan import WINDOW_FROM_S, WINDOW_UNTIL_S, Plan, Wanted, plan_of
from simulation.trace import Trace
from simulation.witness import Witness

from mainspring.server.config import NodeConfig
from mainspring.server.core.time_limits import Limit
from mainspring.server.engine.mishaps import CHANGED
from mainspring.testing.checker import Verdict
from mainspring.testing.history import Fault, History
from mainspring.testing.virtual_time import START_S, SeededLoop

SETTLE_STEP_S = 0.5
CALM_S = 1.5
"""What is looked at once nothing is due or open any more: what comes late comes then."""
LONGEST_SETTLE_S = 14.0
"""Longer than the promise: what is not done by then is late."""
ENDING_S = 5.0
HELD_US = 300_000
"""What waits for longer between its record and its dispatch was held, or its first executor failed it."""
WINDOW_FROM_AT = EPOCH_AT + int(WINDOW_FROM_S * 1_000_000)
WINDOW_UNTIL_AT = EPOCH_AT + int(WINDOW_UNTIL_S * 1_000_000)
CONFIG = NodeConfig(listen=f"127.0.0.1:{PORT}", leave_s=6.0)


@dataclass
class SeedResult:
    """What came of one seed."""

    plan: Plan
    digest: str
    verdict: Verdict
    history: History
    counts: Counter[str]
    cpu_s: float
    lines: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    """What the product's code raised where nobody expects it."""


Plant = Callable[["Simulation"], None]
"""Puts a bug into a simulation that has not begun."""


class Simulation:
    """One run. For one loop."""

    def __init__(self, plan: Plan, loop: SeededLoop, *, is_kept: bool = False) -> None:
        self.plan = plan
        self.loop = loop
        self.trace = Trace(loop, is_kept=is_kept)
        self.network = Network(loop, self.rng("network"))
        self.database = SimDatabase(loop, self.network, self.trace, plan.partitions, self.rng("database"))
        self.witness = Witness(
            self.database.connection, lambda: at_of(loop.time()), lambda: self.database.writer
        )
        self.zookeeper = SimZooKeeper(loop, self.trace, self.rng("zookeeper"))
        self.around = Surroundings(loop, self.network, self.database, self.zookeeper, self.trace)
        self.clients = Clients(self.around, plan.tasks, self.rng("clients"))
        self.faults = Faults(self.around, self.rng("faults"), self.begin_node, self.begin_executor)
        self.on_node: list[Callable[[NodeProcess], None]] = []
        """Told of each node before it runs."""
        self.undo: list[Callable[[], None]] = []
        """Called when the run is over."""
        self.kept: list[object] = []
        """Tasks that nobody else holds."""

    def rng(self, name: str) -> Random:
        """A generator for one part, so that the parts do not change each other's luck."""
        return Random(f"{name} {self.plan.seed}")

    def begin_node(self) -> NodeProcess:
        """Starts one more."""
        name = f"n{len(self.around.nodes) + 1}"
        config = replace(CONFIG, engine=replace(CONFIG.engine, misfire_grace_s=self.plan.grace_s))
        node = NodeProcess.begin(self.around, name, config, self.rng(name))
        for told in self.on_node:
            told(node)
        return node

    def begin_executor(self) -> ExecutorProcess:
        """Starts one more."""
        name = f"e{len(self.around.executors) + 1}"
        addresses = tuple(node.address for node in self.around.nodes.values() if not node.is_gone)
        executor = ExecutorProcess(
            self.around, name, (*addresses, ANY_NODE), self.plan.capacity, self.rng(name)
        )
        self.around.executors[name] = executor
        return executor

    async def run(self) -> History:
        """Everything up to the evidence."""
        rng = self.rng("start")
        for _ in range(self.plan.nodes):
            self.begin_node()
            await asyncio.sleep(0.1 * rng.random())
        for _ in range(self.plan.executors):
            self.begin_executor()
            await asyncio.sleep(0.1 * rng.random())
        self.clients.begin()
        self.faults.begin(self.plan.faults)
        await self._until(WINDOW_FROM_S)
        self.database.weather = self.plan.weather
        self.around.lost_hints = self.plan.lost_hints
        weather_from_s = self.loop.time()
        await self._until(WINDOW_UNTIL_S)
        await self.faults.healed()
        self.database.weather = Weather()
        weather_until_s = self.loop.time()
        await self.clients.ended()
        await self._settle()
        faults = self.faults.records()
        if self.plan.weather != Weather():
            faults.append(Fault("weather", "database", at_of(weather_from_s), at_of(weather_until_s)))
        return self._evidence(tuple(faults))

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, START_S + at_s - self.loop.time()))

    async def _settle(self) -> None:
        """Waits until nothing is due or open, a little longer, and never longer than the promise."""
        until_s = self.loop.time() + LONGEST_SETTLE_S
        while self.witness.is_unfinished(WINDOW_UNTIL_AT) and self.loop.time() < until_s:
            await asyncio.sleep(SETTLE_STEP_S)
        await asyncio.sleep(CALM_S)

    def _evidence(self, faults: tuple[Fault, ...]) -> History:
        runs = [run for executor in self.around.executors.values() for run in executor.run_log.runs()]
        return History(
            tasks=tuple(self.clients.tasks()),
            runs=tuple(sorted(runs, key=lambda run: run.started_at)),
            ledger=self.witness.ledger(),
            faults=faults,
            window_from_at=WINDOW_FROM_AT,
            window_until_at=WINDOW_UNTIL_AT,
            ledger_read_at=at_of(self.loop.time()),
            earlier_ledger=self.witness.first_final(),
            listed_tasks=self.witness.tasks(),
            calls=tuple(self.clients.calls),
            audit=self.witness.audit(),
        )

    async def end(self) -> None:
        """Ends every task of every process, so that none is destroyed while it waits."""
        self.database.is_over = self.network.is_over = True
        self.loop.revive_all()
        mine = asyncio.current_task()
        until_s = self.loop.time() + ENDING_S
        while self.loop.time() < until_s:
            tasks = [task for task in asyncio.all_tasks() if task is not mine]
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.5)
        run_at_once(self.database.store.close())


def run_seed(
    seed: int,
    *,
    plant: Plant | None = None,
    wanted: Wanted | None = None,
    is_kept: bool = False,
) -> SeedResult:
    """Runs one seed and judges it.

    Args:
        plant: a bug to put in.
        wanted: what the plan shall hold.
        is_kept: whether the trace's lines are kept.
    """
    begun_s = time.process_time()
    plan = plan_of(seed, wanted)
    loop = SeededLoop(Random(f"order {seed}"))
    log = Log()
    loop.set_exception_handler(lambda _, context: log.bugs.append(repr(context)))
    try:
        simulation = Simulation(plan, loop, is_kept=is_kept)
        if is_kept:
            log.trace = simulation.trace
        if plant is not None:
            plant(simulation)

        async def main() -> tuple[History, str, Counter[str]]:
            try:
                history = await simulation.run()
                log.counts.update(_counts(simulation))
                if plant is None:  # a planted bug is for the checker to find
                    simulation.around.bugs += simulation.witness.wrong_steps()
                return history, simulation.trace.digest, Counter(log.counts)
            finally:
                bugs = list(log.bugs)
                await simulation.end()
                log.bugs = bugs  # what is cut off at the end is none

        with log.listening(), trimmed():
            history, digest, counts = loop.run_until_complete(main())
    finally:
        loop.close()
        for undo in simulation.undo:
            undo()
    verdict = judge(history)
    return SeedResult(
        plan,
        digest,
        verdict,
        history,
        counts,
        time.process_time() - begun_s,
        simulation.trace.lines or [],
        [*log.bugs, *simulation.around.bugs],
    )


def _counts(simulation: Simulation) -> Counter[str]:
    """What happened, for the proof that it was not nothing."""
    counts = Counter(simulation.trace.counts)
    for node in simulation.around.nodes.values():
        if node.manager is not None:
            stats = node.manager.stats
            counts.update({f"taken_{reason.value}": n for reason, n in stats.taken.items()})
            counts.update(released=stats.released, revoked=stats.revoked, gaps=stats.time_gaps)
    policies = {task.task_id: task.overlap for task in simulation.plan.tasks}
    for row in simulation.witness.ledger():
        is_sent = row.attempt > 0 and row.dispatched_at is not None and row.claimed_at is not None
        waited_us = (row.dispatched_at or 0) - (row.claimed_at or 0) if is_sent else 0
        counts["overlap_skipped"] += row.state == "SKIPPED" and row.reason.startswith("overlap")
        counts["replaced"] += row.state == "CANCELLED" and policies[row.task_id] == "replace"
        counts["expired"] += row.state == "EXPIRED"
        counts["failed_again"] += row.state == "FAILED" and row.attempt > 1
        counts["too_slow"] += row.state == "FAILED" and row.reason.startswith(Limit.START_TO_FINISH.value)
        counts["expired_unclaimed"] += row.state == "EXPIRED" and row.claimed_at == row.saved_at
        counts["unsent_of_changed"] += row.state == "CANCELLED" and row.reason == CHANGED
        counts["made_up_for"] += row.is_made_up_for and row.attempt > 0
        counts["held"] += waited_us > HELD_US and policies[row.task_id] in ("buffer-one", "replace")
    counts["virtual_s"] = round(simulation.loop.time() - START_S)
    return counts
