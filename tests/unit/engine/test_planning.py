"""What a claim writes: due times with jitter, and the count that the task goes on with."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core import policies
from mainspring.server.core.claim import ClaimItem, ClaimRun
from mainspring.server.core.due_time import due_at
from mainspring.server.core.model import DueTask, ExecutionOrigin, ExecutionRef
from mainspring.server.core.overlap import OpenOne
from mainspring.server.core.policies import Misfire, MisfireMode, Overlap, Policies
from mainspring.server.core.schedule import Interval, OneTime, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.engine.planning import claim_item, following, overlap_of, plan_of
from mainspring.server.engine.settings import EngineSettings

US = 1_000_000
T0 = 1_800_000_000 * US
KEY = bytes(range(16))
EVERY = Schedule(Interval(US, T0))
SETTINGS = EngineSettings(misfire_grace_s=5.0, max_runs_per_claim=3)


def due_task(
    schedule: Schedule,
    *,
    late_us: int = 0,
    execution_count: int = 0,
    overlap: Overlap = Overlap.ALLOW,
    misfire: Misfire = policies.DEFAULT.misfire,
) -> DueTask:
    due = due_at(schedule, KEY, T0) + late_us
    text = policies.encode(Policies(misfire, overlap))
    return DueTask(due, 1, KEY, T0, 1, "noop", encode(schedule), execution_count, text)


def item_of(
    task: DueTask, now: int, executor_ids: tuple[str, ...] = (), open_ones: tuple[OpenOne, ...] = ()
) -> ClaimItem:
    plan = plan_of(task, now, SETTINGS)
    beside = overlap_of(task, plan, open_ones)
    return claim_item(task, plan, beside, list(executor_ids), now=now, settings=SETTINGS)


def test_each_run_and_the_next_time_have_the_tasks_part_of_the_jitter() -> None:
    schedule = replace(EVERY, jitter_us=US // 2)
    part_us = due_at(schedule, KEY, T0) - T0
    assert part_us > 0
    task = due_task(schedule)
    item = item_of(task, T0 + 2 * US + part_us)
    assert [(run.scheduled_at - T0, run.due_at - T0) for run in item.runs] == [
        (n * US, n * US + part_us) for n in range(3)
    ]
    assert (item.next_scheduled_at, item.next_due_at) == (T0 + 3 * US, T0 + 3 * US + part_us)
    after = following(item)
    assert after is not None
    assert (after.scheduled_at, after.due_at) == (item.next_scheduled_at, item.next_due_at)


def test_the_first_run_is_due_when_the_row_says() -> None:
    """A task may have been registered late, or parked."""
    task = due_task(EVERY, late_us=700_000)
    (run,) = item_of(task, task.due_at, ("executor-1",)).runs
    assert (run.scheduled_at, run.due_at, run.executor_id) == (T0, T0 + 700_000, "executor-1")


def test_a_task_whose_row_is_due_before_its_schedule_says_is_put_right() -> None:
    """As after an update of the time zones, when the next scheduled time has come nearer or gone farther away."""
    task = due_task(replace(EVERY, jitter_us=US))._replace(due_at=T0)
    item = item_of(task, T0)
    assert (item.runs, item.gap, item.next_scheduled_at) == ((), None, T0)
    assert item.next_due_at == due_at(replace(EVERY, jitter_us=US), KEY, T0) > T0


def test_missed_times_are_made_up_for_one_after_the_other_and_fresh_ones_run() -> None:
    task = due_task(EVERY, misfire=Misfire(MisfireMode.ALL, limit=2))
    now = T0 + 12 * US
    item = item_of(task, now, ("e1", "e2", "e3"))
    assert item.gap is not None
    assert (item.gap.from_at, item.gap.to_at, item.gap.count) == (T0, T0 + 4 * US, 5)
    spacing_us = int(SETTINGS.catch_up_spacing_s * US)
    catch_up = ExecutionOrigin.CATCH_UP
    assert item.runs == (
        ClaimRun(T0 + 5 * US, T0 + 5 * US, None, catch_up, now),
        ClaimRun(T0 + 6 * US, T0 + 6 * US, None, catch_up, now + spacing_us),
        ClaimRun(T0 + 7 * US, T0 + 7 * US, "e1"),
        ClaimRun(T0 + 8 * US, T0 + 8 * US, "e2"),
        ClaimRun(T0 + 9 * US, T0 + 9 * US, "e3"),
    )


def test_what_overlaps_is_skipped_held_or_replaces_and_takes_no_executor() -> None:
    now = T0 + 2 * US
    reason = "overlap: the execution of 2027-01-15T08:00:0{}Z is still open"
    runs = item_of(due_task(EVERY, overlap=Overlap.BUFFER_ONE), now, ("e1",)).runs
    assert runs == (
        ClaimRun(T0, T0, "e1"),
        ClaimRun(T0 + US, T0 + US, None),
        ClaimRun(now, now, None, skip_reason=reason.format(1)),
    )
    beside = (OpenOne(T0 - US, is_waiting=False),)
    item = item_of(due_task(EVERY, overlap=Overlap.REPLACE), T0, (), beside)
    assert item.runs == (ClaimRun(T0, T0, None),)
    assert item.replaced == (ExecutionRef(1, T0 - US, KEY),)


def test_recurring_tasks_skip_by_default_and_one_time_ones_have_nothing_to_overlap_with() -> None:
    beside = (OpenOne(T0 - US, is_waiting=False),)
    (skipped,) = item_of(due_task(EVERY)._replace(policies=""), T0, (), beside).runs
    assert skipped.skip_reason.startswith("overlap: ")
    (run,) = item_of(due_task(Schedule(OneTime(T0)))._replace(policies=""), T0, ("e1",), beside).runs
    assert (run.executor_id, run.skip_reason) == ("e1", "")


@given(
    execution_count=st.integers(0, 50),
    left=st.integers(1, 80),
    lates_us=st.lists(st.integers(0, 40 * US)),
    overlap=st.sampled_from(Overlap),
    mode=st.sampled_from(MisfireMode),
)
def test_the_count_that_a_task_goes_on_with_leads_to_its_maximum(
    execution_count: int, left: int, lates_us: list[int], overlap: Overlap, mode: MisfireMode
) -> None:
    schedule = replace(EVERY, max_executions=execution_count + left)
    task: DueTask | None = due_task(
        schedule, execution_count=execution_count, overlap=overlap, misfire=Misfire(mode, limit=7)
    )
    recorded = 0
    for late_us in [*lates_us, *[100 * US] * left]:
        if task is None:
            break
        item = item_of(task, task.due_at + late_us)
        recorded += len(item.runs) + (item.gap.count if item.gap is not None else 0)
        task = following(item)
        assert task is None or task.execution_count == execution_count + recorded
    assert task is None
    assert recorded == left


def test_a_claim_that_is_out_of_date_replaces_none_of_its_own_times() -> None:
    """They are open, so another claim has recorded them; should this one be taken for carried out, it must not end them."""
    task = due_task(EVERY, overlap=Overlap.REPLACE)
    open_ones = tuple(OpenOne(T0 + n * US, is_waiting=False) for n in (-1, 1, 2))
    item = item_of(task, T0 + 2 * US, (), open_ones)
    assert [run.scheduled_at for run in item.runs] == [T0, T0 + US, T0 + 2 * US]
    assert item.replaced == (ExecutionRef(1, T0 - US, KEY),)
