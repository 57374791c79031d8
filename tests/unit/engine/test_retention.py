"""Old executions, ended tasks and surplus histories are removed by the owner, beside its work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.engine.engine_bench import ME, PARTITIONS, EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.attempt import Completion
from mainspring.server.core.claim import ClaimItem, ClaimRun
from mainspring.server.core.model import ExecutionState, TaskRef
from mainspring.server.core.namespaces import DAY_US, Namespace
from mainspring.server.core.policies import Policies
from mainspring.server.errors import UnknownOutcome

SOON = {"retention_first_s": 1.0, "retention_round_s": 10.0, "retention_slice": 7}
PAST_US = 40 * DAY_US


async def _ran_long_ago(
    bench: EngineBench, count: int, *, ago_us: int = PAST_US, partitions: int = PARTITIONS
) -> list[TaskRef]:
    """One-time tasks that ran in the past and completed. Takes the partitions, which nobody fires."""
    leases = await bench.take(*range(partitions))
    epochs = {lease.partition_id: lease.epoch for lease in leases}
    at = bench.clock.now() - ago_us
    tasks = [
        replace(bench.task(n % partitions), scheduled_at=at, due_at=at, created_at=at) for n in range(count)
    ]
    refs = await bench.store_tasks(*tasks)
    store = bench.store.inner
    due = await store.load_due_tasks(range(partitions), from_at=at, until_at=at + 1, after=None, limit=10_000)
    assert len(due) == count
    items = [ClaimItem(d, (ClaimRun(at, at, "e0"),), None, None, None) for d in due]
    outcome = await store.claim(ME, epochs, items, now=at, wake_at=at + 1)
    ends = [
        Completion(s.ref, s.epoch, 1, ExecutionState.SUCCEEDED, "", b"", at, at, at) for s in outcome.claimed
    ]
    await store.complete(ME, ends, now=at)
    return refs


async def _tasks(bench: EngineBench) -> int:
    return len(await bench.store.inner.list_tasks("default", None, 10_000, with_payload=False))


@in_virtual_time
async def test_what_is_old_goes_beside_the_work() -> None:
    async with EngineBench(**SOON) as bench:
        await _ran_long_ago(bench, 100)
        bench.executor(is_automatic=True)
        await bench.adopt(*range(PARTITIONS))
        refs = await bench.register(*(bench.task(n % PARTITIONS, in_s=n / 10) for n in range(40)))
        await bench.until_state(refs, within_s=10)
        await bench.pass_time(5)

        assert {TaskRef(r.ref.partition_id, r.ref.task_key) for r in await bench.ledger()} == set(refs)
        assert await _tasks(bench) == 40
        assert max(s.at - s.item.due_at for s in bench.sent) < 50_000


@in_virtual_time
async def test_nothing_is_removed_before_the_first_walk_nor_when_it_is_off() -> None:
    async with EngineBench(retention_first_s=60.0) as bench:
        await _ran_long_ago(bench, 20)
        await bench.adopt(*range(PARTITIONS))
        await bench.pass_time(50)
        assert len(await bench.ledger()) == 20
        await bench.pass_time(20)
        assert await bench.ledger() == []
    async with EngineBench(retention_first_s=0.0, retention_round_s=0.0) as bench:
        await _ran_long_ago(bench, 20)
        await bench.adopt(*range(PARTITIONS))
        await bench.pass_time(120)
        assert len(await bench.ledger()) == 20


@in_virtual_time
async def test_a_partition_that_was_lost_is_left_alone_and_noticed() -> None:
    async with EngineBench(**SOON) as bench:
        await _ran_long_ago(bench, 40)
        await bench.adopt(*range(PARTITIONS))
        await bench.take(1, owner="somebody")
        await bench.until(lambda: bench.fenced, within_s=20)
        await bench.pass_time(20)

        assert {row.ref.partition_id for row in await bench.ledger()} == {1}
        assert not bench.held.is_firing(1)


@in_virtual_time
async def test_a_shorter_retention_is_heeded_at_the_next_walk() -> None:
    async with EngineBench(**SOON) as bench:
        await _ran_long_ago(bench, 20, ago_us=2 * DAY_US)
        await bench.adopt(*range(PARTITIONS))
        await bench.pass_time(5)
        assert len(await bench.ledger()) == 20
        await bench.store.inner.create_namespace(Namespace("default", DAY_US), bench.clock.now())
        await bench.pass_time(15)
        assert await bench.ledger() == []


@in_virtual_time
async def test_what_becomes_old_between_whole_walks_goes_too() -> None:
    async with EngineBench(**SOON) as bench:
        await _ran_long_ago(bench, 20, ago_us=30 * DAY_US - 40_000_000)
        await bench.adopt(*range(PARTITIONS))
        await bench.pass_time(30)
        assert len(await bench.ledger()) == 20
        spans = [args[3] for args in bench.store.calls["remove_executions"]]
        assert spans[-1].from_at > spans[0].from_at
        await bench.pass_time(30)
        assert await bench.ledger() == []


@in_virtual_time
@pytest.mark.parametrize("is_applied", [True, False])
async def test_a_slice_of_unknown_outcome_is_tried_again(is_applied: bool) -> None:
    async with EngineBench(**SOON) as bench:
        await _ran_long_ago(bench, 30)
        await bench.adopt(*range(PARTITIONS))
        for unit in ("remove_executions", "remove_tasks"):
            bench.store.once(unit, UnknownOutcome("broken"), is_applied=is_applied)
        await bench.pass_time(15)
        assert await bench.ledger() == []
        assert await _tasks(bench) == 0


@in_virtual_time
@pytest.mark.parametrize(("keep", "most"), [(1, 2), (3, 4), (40, 46)])
async def test_a_task_keeps_its_newest_executions(keep: int, most: int) -> None:
    async with EngineBench(**SOON) as bench:
        bench.executor(is_automatic=True)
        await bench.adopt(*range(PARTITIONS))
        (ref, other) = await bench.register(
            bench.task(every_s=1.0, policies=Policies(keep=keep)), bench.task(every_s=1.0)
        )
        await bench.pass_time(70.5)

        rows = sorted(row.ref.scheduled_at for row in await bench.ledger(ref))
        everything = sorted(row.ref.scheduled_at for row in await bench.ledger(other))
        assert keep <= len(rows) <= most
        assert len(everything) >= 70
        assert rows == everything[-len(rows) :]
        assert bench.store.calls["trim_histories"]


@in_virtual_time
async def test_a_long_surplus_goes_in_slices() -> None:
    async with EngineBench(**SOON) as bench:
        bench.executor(is_automatic=True)
        await bench.adopt(0)
        gate = bench.store.hold("trim_histories")
        (ref,) = await bench.register(bench.task(every_s=1.0, policies=Policies(keep=2)))
        await bench.pass_time(40)
        assert len(await bench.ledger(ref)) >= 39
        gate.release()
        await bench.pass_time(8)
        assert len(await bench.ledger(ref)) <= 3
        assert len(bench.store.calls["trim_histories"]) > 5


@in_virtual_time
async def test_a_task_of_a_lost_partition_is_not_trimmed() -> None:
    async with EngineBench(**SOON) as bench:
        bench.executor(is_automatic=True)
        await bench.adopt(0)
        gate = bench.store.hold("trim_histories")
        (ref,) = await bench.register(bench.task(every_s=1.0, policies=Policies(keep=1)))
        await bench.pass_time(5)
        await bench.take(0, owner="somebody")
        gate.release()
        await bench.until(lambda: bench.fenced, within_s=20)
        assert len(await bench.ledger(ref)) >= 4
