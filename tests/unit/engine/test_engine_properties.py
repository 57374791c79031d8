"""Whatever happens to an engine, in whatever order: when it calms down nothing is stuck, leaked, lost or sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from sampling import draws
from unit.engine.engine_bench import PARTITIONS, EngineBench
from unit.engine.faulty_store import UNITS
from unit.engine.hand_executor import HandExecutor

from mainspring.server.core.model import Delivery, ExecutionState, Task, TaskState
from mainspring.server.core.policies import Misfire, MisfireMode, Overlap, Policies
from mainspring.server.dispatch.frames import Outcome
from mainspring.server.engine.open_attempts import Place
from mainspring.server.errors import Contention, StoreUnavailable, UnknownOutcome
from mainspring.testing.virtual_time import VirtualTimeLoop

HANDLERS = ("a", "b")
OFFERS = {"e1": ("a",), "e2": ("a", "b"), "e3": ("b",)}
CAPACITY = 4
CALM_S = 6.0
"""Longer than any pause, lease and look in the settings below, one after the other."""
QUICK = {
    "window_s": 1.0,
    "load_page": 50,
    "sweep_interval_s": 0.4,
    "sweep_grace_s": 0.2,
    "full_sweep_every": 2,
    "claim_batch": 4,
    "claim_wake_s": 1.0,
    "extension_s": 2.0,
    "lease_s": 0.8,
    "heartbeat_interval_s": 0.2,
    "stale_commit_s": 0.3,
    "misfire_grace_s": 1.2,
    "catch_up_spacing_s": 0.1,
}


@dataclass(frozen=True)
class Create:
    """Registers tasks; without a hint only a load or the sweep finds them."""

    partition_id: int
    handler: str
    in_s: float
    every_s: float | None
    count: int
    is_hinted: bool
    delivery: Delivery
    policies: Policies

    async def do(self, world: World) -> None:
        bench = world.bench
        tasks = [
            bench.task(
                self.partition_id,
                handler=self.handler,
                in_s=self.in_s,
                every_s=self.every_s,
                delivery=self.delivery,
                policies=self.policies,
            )
            for _ in range(self.count)
        ]
        if self.is_hinted:
            world.spawn(bench.register(*tasks))
        else:
            await bench.store_tasks(*tasks)


@dataclass(frozen=True)
class Wait:
    """The clock moves."""

    seconds: float

    async def do(self, world: World) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class Grant:
    """Credit arrives, as much as there is room for."""

    executor_id: str
    credit: int

    async def do(self, world: World) -> None:
        executor = world.executors[self.executor_id]
        room = executor.capacity - len(executor.running) - executor.held
        executor.grant(min(self.credit, room))


@dataclass(frozen=True)
class End:
    """Results arrive, of what came first."""

    executor_id: str
    count: int
    outcome: Outcome

    async def do(self, world: World) -> None:
        executor = world.executors[self.executor_id]
        if ended := list(executor.running)[: self.count]:
            executor.end(*ended, outcome=self.outcome)


@dataclass(frozen=True)
class Break:
    """A stream breaks, its process lives."""

    executor_id: str

    async def do(self, world: World) -> None:
        world.executors[self.executor_id].drop()


@dataclass(frozen=True)
class Connect:
    """A stream is opened (an open one is replaced), by the same process or by a new one."""

    executor_id: str
    is_new_process: bool

    async def do(self, world: World) -> None:
        executor = world.executors[self.executor_id]
        executor.restart() if self.is_new_process else executor.connect()


@dataclass(frozen=True)
class Lose:
    """Another node takes a partition; the engine is told, or finds out."""

    partition_id: int
    is_told: bool

    async def do(self, world: World) -> None:
        await world.lose(self.partition_id, is_told=self.is_told)


@dataclass(frozen=True)
class Regain:
    """A partition comes (back) under a higher epoch."""

    partition_id: int

    async def do(self, world: World) -> None:
        await world.regain(self.partition_id)


@dataclass(frozen=True)
class Fail:
    """The next call of a unit is slow, or fails, or both, before or behind its commit."""

    unit: str
    error: type[Exception] | None
    is_applied: bool
    delay_s: float

    async def do(self, world: World) -> None:
        error = None if self.error is None else self.error("planned")
        world.bench.store.once(self.unit, error, is_applied=self.is_applied, delay_s=self.delay_s)


Step = Create | Wait | Grant | End | Break | Connect | Lose | Regain | Fail

_executor = st.sampled_from(sorted(OFFERS))
_partition = st.integers(0, PARTITIONS - 1)
_creates = st.builds(
    Create,
    _partition,
    st.sampled_from(HANDLERS),
    st.sampled_from([-1.0, 0.0, 0.3, 1.5]),
    st.sampled_from([None, None, 1.0]),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from(Delivery),
    st.builds(
        Policies,
        st.sampled_from([Misfire(), Misfire(MisfireMode.ALL, limit=3), Misfire(MisfireMode.NONE)]),
        st.sampled_from(Overlap),
    ),
)
_waits = st.builds(Wait, st.sampled_from([0.002, 0.01, 0.05, 0.1, 0.5, 1.2]))
_ends = st.builds(End, _executor, st.integers(1, CAPACITY), st.sampled_from(Outcome))
_fails = st.builds(
    Fail,
    st.sampled_from(UNITS),
    st.sampled_from([None, StoreUnavailable, Contention, UnknownOutcome, KeyError]),
    st.booleans(),
    st.sampled_from([0.0, 0.0, 0.05, 0.5]),
)
_WEIGHTS = [
    (4, _creates),
    (3, _waits),
    (5, _ends),
    (4, _fails),
    (2, st.builds(Grant, _executor, st.integers(1, CAPACITY))),
    (1, st.builds(Break, _executor)),
    (2, st.builds(Connect, _executor, st.booleans())),
    (1, st.builds(Lose, _partition, st.booleans())),
    (1, st.builds(Regain, _partition)),
]
"""What makes work and ends it comes more often, so that there is something for the rest to disturb."""
STEPS = st.sampled_from([steps for weight, steps in _WEIGHTS for _ in range(weight)]).flatmap(
    lambda steps: steps
)


class World:
    """An engine, three executors that start with little credit, and what the steps need to know."""

    def __init__(self, bench: EngineBench) -> None:
        self.bench = bench
        self.executors: dict[str, HandExecutor] = {}
        self._calls: set[asyncio.Task[object]] = set()

    async def begin(self) -> None:
        for executor_id, handlers in OFFERS.items():
            self.executors[executor_id] = self.bench.executor(
                executor_id, *handlers, credit=2, capacity=CAPACITY
            )
        await self.bench.adopt(*range(PARTITIONS))

    def spawn(self, call: Coroutine[Any, Any, object]) -> None:
        """A client's call: it may fail, it ends by itself."""
        self._calls.add(asyncio.create_task(call))

    async def lose(self, partition_id: int, *, is_told: bool) -> None:
        if self.bench.held.epoch_of(partition_id) is None:
            return
        if is_told:
            await self.bench.lose(partition_id)
        else:
            await self.bench.take(partition_id, owner="node-other")

    async def regain(self, partition_id: int) -> None:
        (lease,) = await self.bench.take(partition_id)
        if (epoch := self.bench.held.epoch_of(partition_id)) is not None:
            # As the shard manager does it: what was lost is dropped before it is taken again.
            self.bench.engine.host.revoke([lease._replace(epoch=epoch)])
        self.bench.engine.host.adopt([lease])

    async def calm_down(self) -> None:
        """Nothing fails any more, every partition is here; who is connected stays so, and credit as it is."""
        self.bench.store.heal()
        rows = await self.bench.store.inner.read_partitions()
        for row in rows:
            if row.owner_id != "node-me" or self.bench.held.epoch_of(row.partition_id) != row.epoch:
                await self.regain(row.partition_id)
        await self.bench.pass_time(CALM_S)
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def check_calm(self) -> None:
        """Nothing is stuck and nothing is leaked."""
        bench = self.bench
        connected = [e for e in self.executors.values() if e.is_connected]
        at_executors = {attempt_id for e in connected for attempt_id in e.running}
        rows = await bench.ledger()
        for executor in connected:
            credit = executor.live_session.credit
            assert credit == executor.held, f"{executor}: the node has {credit}"
            known = {(a.ref, a.attempt) for a in bench.engine.attempts.at_executor(executor.executor_id)}
            assert known <= executor.running.keys(), f"believed to be at {executor} and not there"
        starved = {
            handler for handler in HANDLERS if not any(e.held for e in connected if handler in e.handlers)
        }
        for row in rows:
            if row.state.is_final:
                continue
            attempt = bench.engine.attempts.get(row.ref)
            assert attempt is not None, f"open and unknown to its owner: {row}"
            if attempt.place is Place.AT_EXECUTOR:
                assert (row.ref, row.attempt) in at_executors, f"at nobody who lives: {row}"
                assert row.state in (ExecutionState.DISPATCHED, ExecutionState.RUNNING)
            elif attempt.place is Place.HELD:
                others = bench.engine.attempts.of_partitions({row.ref.partition_id})
                assert any(
                    o.ref.task_key == row.ref.task_key and o.place is not Place.HELD for o in others
                ), f"held for nobody: {attempt}"
            elif attempt.place is Place.PAUSED:
                assert attempt.look_at > bench.clock.now() - 500_000, f"its time has passed: {attempt}"
            elif attempt.place is Place.ENDING:
                assert attempt.look_at > bench.clock.now(), f"its end is not being written: {attempt}"
            elif attempt.is_background and attempt.handler not in starved:
                made_up = sum(bench.engine.attempts.background_at(e.executor_id) for e in connected)
                assert made_up, f"waits beside free credit: {attempt}"
            else:
                # Its executor may have come back with it, too late: it was given up, and waits for another.
                assert attempt.place is Place.QUEUED, f"neither at work nor waiting: {attempt}"
                assert attempt.handler in starved, f"waits beside free credit: {attempt}"
        overdue_at = bench.clock.now() - 500_000
        for task in await self.tasks():
            if task.state is TaskState.ACTIVE and task.due_at is not None and task.due_at < overdue_at:
                assert task.handler in starved, f"due beside free credit: {task}"
        await bench.until(lambda: not bench.held.is_working, within_s=0.5)

    async def tasks(self) -> list[Task]:
        return await self.bench.store.inner.list_tasks("default", None, 10_000, with_payload=False)

    async def finish(self) -> None:
        """Every executor is there and works: everything that is due ends."""
        for executor in self.executors.values():
            executor.is_automatic = True
            if not executor.is_connected:
                executor.connect()
            executor.end()
            executor.grant(executor.capacity - len(executor.running) - executor.held)
        await self.bench.pass_time(CALM_S)
        overdue_at = self.bench.clock.now() - 500_000
        for row in await self.bench.ledger():
            assert row.state.is_final or row.due_at > overdue_at
        for task in await self.tasks():
            assert task.state is TaskState.COMPLETED or (task.due_at or 0) > overdue_at
        await self.bench.until(self._is_all_credit_back, within_s=0.5)

    def _is_all_credit_back(self) -> bool:
        return all(e.live_session.credit == e.held == CAPACITY for e in self.executors.values())


async def run(steps: list[Step]) -> None:
    async with EngineBench(**QUICK) as bench:
        bench.may_crash = any(isinstance(step, Fail) and step.error is KeyError for step in steps)
        world = World(bench)
        await world.begin()
        for step in steps:
            await step.do(world)
        await world.calm_down()
        await world.check_calm()
        await world.finish()


@seed(20_261_123)
@settings(max_examples=draws(100), deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=30, max_size=80))
def test_nothing_is_stuck_leaked_or_sent_twice(steps: list[Step]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run(steps))
