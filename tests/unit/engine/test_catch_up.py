"""Missed times that are made up for: spaced, at a bounded rate, with the credit that nothing else wants, in turn."""

from __future__ import annotations

from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.core.model import ExecutionOrigin, ExecutionState, TaskRef
from mainspring.server.core.policies import Misfire, MisfireMode, Overlap, Policies
from mainspring.server.errors import StoreUnavailable

GRACE_S = 2.0
ALL = Misfire(MisfireMode.ALL)
BESIDE = Policies(ALL, Overlap.ALLOW)
ALONE = Policies(ALL, Overlap.SKIP)


def sent_times(bench: EngineBench, ref: TaskRef) -> list[int]:
    return [s.item.attempt_id.ref.scheduled_at for s in bench.sent_of(ref)]


@in_virtual_time
async def test_the_fresh_time_runs_at_once_and_missed_ones_one_after_the_other() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S) as bench:
        bench.executor(is_automatic=True, credit=20)
        (ref,) = await bench.store_tasks(bench.task(in_s=-51, every_s=10, policies=BESIDE))
        await bench.adopt(0)
        await bench.until(lambda: len(bench.sent_of(ref)) >= 6, within_s=5)
        times = sent_times(bench, ref)
        assert times[0] == max(times), "what is fresh comes first"
        assert times[1:] == sorted(times[1:])
        assert bench.sent_of(ref)[-1].at - bench.sent_of(ref)[1].at >= 3 * 200_000
        await bench.until_ended(ref, 6)
        rows = {row.ref.scheduled_at: row for row in await bench.ledger(ref)}
        assert {rows[at].origin for at in times[1:]} == {ExecutionOrigin.CATCH_UP}
        assert rows[times[0]].origin is ExecutionOrigin.SCHEDULE
        assert all(rows[at].due_at == at for at in times)


@in_virtual_time
async def test_what_is_due_finds_credit_while_a_backlog_of_long_ones_drains() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S) as bench:
        executor = bench.executor(credit=4)
        (old,) = await bench.store_tasks(bench.task(in_s=-101, every_s=10, policies=BESIDE))
        await bench.adopt(0)
        await bench.pass_time(4)
        assert len(executor.running) == 3, "the fresh one and half of the credit"
        (new,) = await bench.register(bench.task())
        await bench.until(lambda: bench.sent_of(new), within_s=0.5)
        while len(bench.sent_of(old)) < 11:
            made_up = [
                a
                for a in executor.running
                if a.ref in {s.item.attempt_id.ref for s in bench.sent_of(old)[1:]}
            ]
            assert len(made_up) <= 2
            executor.end(*made_up)
            await bench.pass_time(0.5)


@in_virtual_time
async def test_a_backlog_gets_no_credit_that_something_due_waits_for() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S) as bench:
        executor = bench.executor(credit=1)
        executor.regrants = False
        (old,) = await bench.store_tasks(bench.task(in_s=-51, every_s=1_000, policies=BESIDE))
        await bench.adopt(0)
        await bench.until(lambda: bench.sent_of(old), within_s=3)  # credit for one, and nothing else wants it
        refs = await bench.register(*(bench.task() for _ in range(3)))
        (older,) = await bench.register(bench.task(in_s=-51, every_s=1_000, policies=BESIDE))
        await bench.pass_time(1)
        for count in range(1, 4):
            executor.grant(1)
            await bench.until(lambda count=count: sum(len(bench.sent_of(ref)) for ref in refs) == count, 1)
        assert bench.sent_of(older) == []


@in_virtual_time
async def test_a_node_begins_so_many_a_second_whatever_waits() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S, catch_up_per_s=5.0) as bench:
        bench.executor(is_automatic=True, credit=50)
        await bench.store_tasks(*(bench.task(in_s=-51, every_s=1_000, policies=BESIDE) for _ in range(20)))
        await bench.adopt(0)
        await bench.until(lambda: len(bench.sent) == 20, within_s=10)
        assert bench.sent[-1].at - bench.sent[0].at >= 3_500_000


@in_virtual_time
async def test_with_skip_missed_times_take_turns_and_cost_no_fresh_time() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S) as bench:
        executor = bench.executor(credit=10)
        (ref,) = await bench.store_tasks(bench.task(in_s=-34.5, every_s=5, policies=ALONE))
        await bench.adopt(0)
        await bench.until(lambda: executor.running, within_s=2)
        for _ in range(60):
            assert len(executor.running) <= 1, "two of one task at a time"
            await bench.pass_time(1.3)
            executor.end()
            await bench.pass_time(0.05)
            if len(bench.sent_of(ref)) >= 20:
                break
        executor.is_automatic = True
        executor.end()
        await bench.pass_time(2)
        rows = await bench.ledger(ref)
        assert {row.state for row in rows} == {ExecutionState.SUCCEEDED}, "none was skipped"
        assert len(rows) == len(bench.sent_of(ref))
        made_up = [row.ref.scheduled_at for row in rows if row.origin is ExecutionOrigin.CATCH_UP]
        assert len(made_up) >= 5
        assert [at for at in sent_times(bench, ref) if at in made_up] == sorted(made_up)


@in_virtual_time
async def test_with_replace_missed_times_wait_and_replace_nothing() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S) as bench:
        executor = bench.executor()
        policies = Policies(ALL, Overlap.REPLACE)
        (ref,) = await bench.store_tasks(bench.task(in_s=-51, every_s=50, policies=policies))
        await bench.adopt(0)
        await bench.until(lambda: executor.running, within_s=2)
        executor.start()
        await bench.pass_time(8)  # it is looked at again and again
        assert executor.cancels == []
        assert len(bench.sent_of(ref)) == 1
        executor.end()
        await bench.until(lambda: len(bench.sent_of(ref)) == 2, within_s=2)


@in_virtual_time
async def test_a_new_owner_goes_on_where_the_last_one_was() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S, catch_up_spacing_s=2.0) as bench:
        bench.executor(is_automatic=True)
        (ref,) = await bench.store_tasks(bench.task(in_s=-51, every_s=10, policies=BESIDE))
        await bench.adopt(0)
        await bench.pass_time(3)
        sent = len(bench.sent_of(ref))
        assert 2 <= sent <= 3
        await bench.lose(0)
        await bench.adopt(0)
        await bench.pass_time(0.5)
        assert len(bench.sent_of(ref)) <= sent + 1, "those that wait for their time were sent at once"
        await bench.pass_time(7)
        assert sorted(sent_times(bench, ref))[:6] == sorted(set(sent_times(bench, ref)))[:6]
        assert len(bench.sent_of(ref)) >= 6


@in_virtual_time
async def test_a_claim_records_a_bounded_number_of_executions() -> None:
    """And the tasks that it leaves come next, none later than its turn."""
    async with EngineBench(misfire_grace_s=GRACE_S, claim_rows=50, claim_lanes=1) as bench:
        bench.executor(is_automatic=True, credit=50)
        refs = await bench.store_tasks(
            *(bench.task(in_s=-300 - n, every_s=10, policies=BESIDE) for n in range(6))
        )
        await bench.adopt(0)
        await bench.until(lambda: all(bench.sent_of(ref) for ref in refs), within_s=3)
        sizes = [sum(len(item.runs) for item in call[2]) for call in bench.store.calls["claim"]]
        assert max(sizes) <= 50 + 31
        assert sum(sizes) >= 180


@in_virtual_time
async def test_an_assignment_that_fails_gives_the_backlog_its_turn_again() -> None:
    async with EngineBench(misfire_grace_s=GRACE_S) as bench:
        bench.executor(is_automatic=True)
        bench.store.once("assign", StoreUnavailable("away"))
        (ref,) = await bench.store_tasks(bench.task(in_s=-51, every_s=10, policies=ALONE))
        await bench.adopt(0)
        await bench.until(lambda: len(bench.sent_of(ref)) >= 6, within_s=8)
        assert len(bench.store.calls["assign"]) >= 6
