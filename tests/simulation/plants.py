"""Bugs for the checker to catch, planted from outside: by wrapping a node's store, engine or membership.

Each is one that a scheduler could have and look healthy: it breaks a promise only when something goes wrong at the wrong
moment, and the run ends in order all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from simulation.database import NodeStore, Weather, run_at_once
from simulation.members import NodeProcess
from simulation.plan import PlannedFault, Wanted
from simulation.run import Plant, Simulation

import mainspring.server.engine.claim_former as claim_former_module
from mainspring.server.core.attempt import AssignOutcome, Dispatchable
from mainspring.server.core.claim import ClaimOutcome
from mainspring.server.core.model import ExecutionRef, TaskRef
from mainspring.server.core.schedule import Interval
from mainspring.server.core.schedule_text import decode
from mainspring.server.dispatch.frames import AttemptId, AttemptResult
from mainspring.server.errors import StoreUnavailable, UnknownOutcome

NOTHING_WANTED = Wanted()
Unit = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True)
class PlantedBug:
    """A bug, where to look for its effect, and what the checker should say.

    `wanted`: what brings it to light.
    `invariants`: each red verdict names one of them.
    """

    name: str
    plant: Plant
    invariants: frozenset[str]
    wanted: Wanted = NOTHING_WANTED
    seeds: int = 40
    """Among so many seeds at least one is red."""
    first: int = 0
    """The first of them: those before it were green when this was written."""


def _on_store(wrap: Callable[[Simulation, NodeStore], None]) -> Plant:
    """A plant in each node's store."""

    def plant(simulation: Simulation) -> None:
        simulation.on_node.append(lambda node: wrap(simulation, node.sim_store))

    return plant


def _on_engine(wrap: Callable[[Simulation, NodeProcess], None]) -> Plant:
    """A plant in each node once its parts are built."""

    def plant(simulation: Simulation) -> None:
        def when_built(node: NodeProcess) -> None:
            register = node.register_services

            def registered(*parts: Any) -> None:
                register(*parts)
                wrap(simulation, node)

            node.register_services = registered  # type: ignore[method-assign]

        simulation.on_node.append(when_built)

    return plant


# --- the fence -----------------------------------------------------------------------------------------------------------


def _ignore_fence(simulation: Simulation, store: NodeStore) -> None:
    """Writes under whatever epoch and owner the row shows at the moment, instead of one's own."""
    inner = simulation.database.store

    def present() -> dict[int, tuple[int, str | None]]:
        rows = run_at_once(inner.read_partitions())
        return {row.partition_id: (row.epoch, row.owner_id) for row in rows}

    async def by_owner(owner_id: str, items: Any, write: Callable[..., Any]) -> list[Any]:
        now = present()
        groups: dict[str, list[Any]] = {}
        for item in items:
            partition = item.due.partition_id if hasattr(item, "due") else item.ref.partition_id
            groups.setdefault(now[partition][1] or owner_id, []).append(item)
        return [await write(owner, group, now) for owner, group in groups.items()]

    claim, assign, complete = store.claim, store.assign, store.complete

    async def fenceless_claim(owner_id: str, epochs: Any, items: Any, **at: Any) -> ClaimOutcome:
        async def write(owner: str, group: Any, now: Any) -> ClaimOutcome:
            terms = {item.due.partition_id: now[item.due.partition_id][0] for item in group}
            outcome: ClaimOutcome = await claim(owner, terms, group, **at)
            return replace(
                outcome, claimed=[replace(c, epoch=epochs[c.ref.partition_id]) for c in outcome.claimed]
            )

        parts = await by_owner(owner_id, items, write)
        return ClaimOutcome(
            [c for p in parts for c in p.claimed],
            [m for p in parts for m in p.moved],
            [d for p in parts for d in p.dropped],
            frozenset().union(*(p.refused for p in parts)),
        )

    async def fenceless_assign(owner_id: str, items: Any, **at: Any) -> AssignOutcome:
        async def write(owner: str, group: Any, now: Any) -> AssignOutcome:
            believed = {item.ref: item.epoch for item in group}
            outcome = await assign(
                owner, [replace(item, epoch=now[item.ref.partition_id][0]) for item in group], **at
            )
            sent = [replace(d, epoch=believed[d.ref]) for d in outcome.dispatchable]
            return replace(outcome, dispatchable=sent)

        parts = await by_owner(owner_id, items, write)
        return AssignOutcome(
            [d for p in parts for d in p.dispatchable],
            [c for p in parts for c in p.cancelled],
            frozenset().union(*(p.refused for p in parts)),
        )

    async def fenceless_complete(owner_id: str, items: Any, **at: Any) -> frozenset[int]:
        async def write(owner: str, group: Any, now: Any) -> frozenset[int]:
            answer: frozenset[int] = await complete(
                owner, [replace(item, epoch=now[item.ref.partition_id][0]) for item in group], **at
            )
            return answer

        return frozenset().union(*await by_owner(owner_id, items, write))

    _put(store, claim=fenceless_claim, assign=fenceless_assign, complete=fenceless_complete)


def _send_refused(simulation: Simulation, store: NodeStore) -> None:
    """What waits for an executor is sent from memory, though the database refused to record it: the epoch had moved."""
    assign = store.assign

    async def obstinate_assign(owner_id: str, items: Any, *, now: int, wake_at: int) -> AssignOutcome:
        outcome: AssignOutcome = await assign(owner_id, items, now=now, wake_at=wake_at)
        refused = [item for item in items if item.ref.partition_id in outcome.refused]
        sent = [*outcome.dispatchable, *(_from_memory(simulation, item, now) for item in refused)]
        return AssignOutcome(sent, outcome.cancelled, frozenset())

    _put(store, assign=obstinate_assign)


def _from_memory(simulation: Simulation, item: Any, now: int) -> Dispatchable:
    ref = item.ref
    row = run_at_once(
        simulation.database.store.get_execution(TaskRef(ref.partition_id, ref.task_key), ref.scheduled_at)
    )
    task = run_at_once(simulation.database.store.get_task(TaskRef(ref.partition_id, ref.task_key)))
    return Dispatchable(
        ref,
        item.epoch,
        item.expected_attempt + 1,
        item.executor_id,
        task.namespace,
        task.task_id,
        task.handler,
        task.payload,
        row.due_at if row else ref.scheduled_at,
        task.version,
        now,
    )


# --- commits ---------------------------------------------------------------------------------------------------------------


PATIENCE_S = 0.03


def _send_before_commit(simulation: Simulation, store: NodeStore) -> None:
    """Takes a commit that takes long for granted: what was decided is sent while it is still on its way."""
    claim = store.claim

    async def hasty_claim(owner_id: str, epochs: Any, items: Any, *, now: int, wake_at: int) -> ClaimOutcome:
        commit = simulation.loop.create_task(claim(owner_id, epochs, items, now=now, wake_at=wake_at))
        done, _ = await asyncio.wait({commit}, timeout=PATIENCE_S)
        if done:
            outcome: ClaimOutcome = commit.result()
            return outcome
        commit.add_done_callback(lambda task: task.cancelled() or task.exception())
        claimed: list[Dispatchable] = []
        moved: list[Any] = []
        for item in items:
            task = run_at_once(simulation.database.store.get_task(item.due.ref))
            if task is not None and (task.scheduled_at, task.version) == (
                item.due.scheduled_at,
                item.due.version,
            ):
                moved.append(item)
                claimed += [_decided(item, run, task, epochs, now) for run in item.runs]
        ids = {id(item) for item in moved}
        return ClaimOutcome(claimed, moved, [i for i in items if id(i) not in ids], frozenset())

    _put(store, claim=hasty_claim)


def _decided(item: Any, run: Any, task: Any, epochs: Any, now: int) -> Dispatchable:
    """What the database will say of a run, if the commit succeeds."""
    return Dispatchable(
        ExecutionRef(item.due.partition_id, run.scheduled_at, item.due.task_key),
        epochs[item.due.partition_id],
        1 if run.executor_id else 0,
        run.executor_id,
        task.namespace,
        task.task_id,
        task.handler,
        task.payload,
        run.due_at,
        task.version,
        now,
    )


def _unknown_is_failed(simulation: Simulation, store: NodeStore) -> None:
    """A claim whose answer was lost counts as one that did not happen, and its rows are looked at too late."""
    claim = store.claim

    async def forgetful_claim(*args: Any, **at: Any) -> ClaimOutcome:
        try:
            late = {**at, "wake_at": at["wake_at"] + 5_000_000}
            outcome: ClaimOutcome = await claim(*args, **late)
        except UnknownOutcome as error:
            raise StoreUnavailable(str(error)) from error
        return outcome

    _put(store, claim=forgetful_claim)


def _changed_is_forgotten(simulation: Simulation, store: NodeStore) -> None:
    """Of a claim whose answer was lost, what was changed meanwhile is left to the sweep, which comes too late."""
    claim, recover_claim = store.claim, store.recover_claim

    async def late_claim(*args: Any, **at: Any) -> ClaimOutcome:
        outcome: ClaimOutcome = await claim(*args, **{**at, "wake_at": at["wake_at"] + 5_000_000})
        return outcome

    async def forgetful_recovery(*args: Any, **at: Any) -> ClaimOutcome:
        outcome: ClaimOutcome = await recover_claim(*args, **at)
        return replace(outcome, outdated=[])

    _put(store, claim=late_claim, recover_claim=forgetful_recovery)


# --- results ---------------------------------------------------------------------------------------------------------------

_OVERWRITE = """UPDATE executions SET state = ?, reason = ?, finished_at = ?, saved_at = ?
WHERE partition_id = ? AND scheduled_at = ? AND task_key = ? AND state >= 4"""


def _overwrite_final(simulation: Simulation, store: NodeStore) -> None:
    """A result that comes late is written over the final state that is there."""
    complete = store.complete

    async def late_complete(owner_id: str, items: Any, *, now: int) -> frozenset[int]:
        connection = simulation.database.connection
        final = {
            item.ref
            for item in items
            if connection.execute(
                "SELECT 1 FROM executions WHERE partition_id = ? AND scheduled_at = ? AND task_key = ? AND state >= 4",
                item.ref,
            ).fetchone()
        }
        refused: frozenset[int] = await complete(owner_id, items, now=now)
        for item in items:
            if item.ref in final and item.ref.partition_id not in refused:
                values = (int(item.state), item.reason, item.finished_at, now, *item.ref)
                connection.execute(_OVERWRITE, values)
        return refused

    _put(store, complete=late_complete)


def _accept_old_attempts(simulation: Simulation, node: NodeProcess) -> None:
    """A result counts for the execution, whichever attempt it is of."""
    engine = node.engine
    assert engine is not None
    completer = engine._completer
    accept = completer.accept

    def lenient_accept(results: Any, answer: Any) -> None:
        now: list[AttemptResult] = []
        for result in results:
            known = engine.attempts.get(result.attempt_id.ref)
            if (
                known is not None
                and known.attempt > result.attempt_id.attempt
                and result.outcome.name != "REFUSED"
            ):
                simulation.trace.note("planted", result.attempt_id.attempt, known.attempt)
                result = result._replace(attempt_id=AttemptId(result.attempt_id.ref, known.attempt))
            now.append(result)
        accept(now, answer)

    completer.accept = lenient_accept  # type: ignore[method-assign]


# --- time and ownership ----------------------------------------------------------------------------------------------------


def _no_sweep(simulation: Simulation, store: NodeStore) -> None:
    """Nobody looks for what is overdue: a lost hint is a lost task."""
    load = store.load_due_tasks

    async def blind_load(partition_ids: Any, *, from_at: int, until_at: int, after: Any, limit: int) -> Any:
        now = simulation.database.store._db.now()
        if until_at < now:
            return []
        return await load(partition_ids, from_at=from_at, until_at=until_at, after=after, limit=limit)

    _put(store, load_due_tasks=blind_load)


def _next_from_now(simulation: Simulation) -> None:
    """After a late fire the interval counts from now."""
    plan_of = claim_former_module.plan_of
    late_us = 1_000_000

    def drifting_plan(task: Any, now: int, settings: Any) -> Any:
        plan = plan_of(task, now, settings)
        timing = decode(task.schedule).timing
        if isinstance(timing, Interval) and plan.next_at is not None and now - task.due_at > late_us:
            plan = replace(plan, next_at=now + timing.every_us)
        return plan

    claim_former_module.plan_of = drifting_plan
    simulation.undo.append(lambda: setattr(claim_former_module, "plan_of", plan_of))


def _stop_after_blip(simulation: Simulation, node: NodeProcess) -> None:
    """An owner that lost sight of ZooKeeper stops firing, to be safe, and is still the owner when it is back."""
    notice = node.membership.disconnect

    def cautious_disconnect() -> None:
        notice()
        assert node.engine is not None
        held = node.engine._context.held
        held.stop_firing(held.held())

    node.membership.disconnect = cautious_disconnect  # type: ignore[method-assign]


def _overlap_by_own_memory(simulation: Simulation, node: NodeProcess) -> None:
    """What an earlier owner left open does not count when the next time is due."""
    assert node.engine is not None
    attempts = node.engine.attempts
    absorb = attempts.absorb

    def forgetful_absorb(row: Any, **at: Any) -> Any:
        attempt = absorb(row, **at)
        if attempt is not None:
            attempts.lines.drop(row.ref)
        return attempt

    attempts.absorb = forgetful_absorb  # type: ignore[method-assign]


def _put(store: NodeStore, **units: Unit) -> None:
    for name, unit in units.items():
        setattr(store, name, unit)


CUT = PlannedFault("cut_zookeeper", from_s=5.0, for_s=7.0)
"""Long enough for the session to end and others to take over; the node itself sees it in the rows a moment later."""
BLIP = replace(CUT, for_s=1.5, state="refused")
"""Noticed at once, and over before the session ends."""
LOST_ANSWERS = Weather(lost_after=0.2)
"""Many units are carried out, and nobody hears of it."""
KILL = PlannedFault("kill_executor", from_s=6.0, for_s=0.5)
"""What it ran is lost, and waits for another executor 3 s later."""

BUGS = (
    PlantedBug("fence_ignored", _on_store(_ignore_fence), frozenset({"I3"}), Wanted((CUT,))),
    PlantedBug("send_before_commit", _on_store(_send_before_commit), frozenset({"I1", "I6", "I7"})),
    PlantedBug(
        "waiting_sent_after_move",
        _on_store(_send_refused),
        frozenset({"I3"}),
        Wanted((CUT, replace(KILL, from_s=5.4), replace(KILL, from_s=6.4)), slow=0.9),
        seeds=150,
    ),
    PlantedBug("final_overwritten", _on_store(_overwrite_final), frozenset({"I2"})),
    PlantedBug("unknown_is_failed", _on_store(_unknown_is_failed), frozenset({"I10"})),
    PlantedBug(
        "changed_is_forgotten",
        _on_store(_changed_is_forgotten),
        frozenset({"I7", "I10"}),
        Wanted((), weather=LOST_ANSWERS),
        seeds=60,
    ),
    PlantedBug("no_sweep", _on_store(_no_sweep), frozenset({"I1", "I4"})),
    PlantedBug(
        "next_from_now",
        _next_from_now,
        frozenset({"I1"}),
        Wanted((PlannedFault("kill_node", from_s=6.0, for_s=1.0),)),
    ),
    PlantedBug(
        "old_attempt_accepted",
        _on_engine(_accept_old_attempts),
        frozenset({"I2", "I6"}),
        Wanted((PlannedFault("freeze_executor", from_s=5.5, for_s=4.0),), slow=0.9),
        seeds=80,
    ),
    PlantedBug(
        "overlap_by_own_memory",
        _on_engine(_overlap_by_own_memory),
        frozenset({"I11"}),
        Wanted((PlannedFault("stop_node", from_s=6.0, for_s=1.0),), slow=0.9),
        seeds=80,
        first=44,
    ),
    PlantedBug("stopped_after_blip", _on_engine(_stop_after_blip), frozenset({"I1", "I4"}), Wanted((BLIP,))),
)
__all__ = ["BUGS", "PlantedBug"]
