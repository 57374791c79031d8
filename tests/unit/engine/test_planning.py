"""What a claim writes: due times with jitter, and the count that the task goes on with."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.due_time import due_at
from mainspring.server.core.model import DueTask
from mainspring.server.core.schedule import Interval, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.engine.planning import claim_item, following, plan_of
from mainspring.server.engine.settings import EngineSettings

US = 1_000_000
T0 = 1_800_000_000 * US
KEY = bytes(range(16))
EVERY = Schedule(Interval(US, T0))
SETTINGS = EngineSettings(misfire_grace_s=5.0, max_runs_per_claim=3)


def due_task(schedule: Schedule, *, late_us: int = 0, execution_count: int = 0) -> DueTask:
    due = due_at(schedule, KEY, T0) + late_us
    return DueTask(due, 1, KEY, T0, 1, "noop", encode(schedule), execution_count)


def test_each_run_and_the_next_time_have_the_tasks_part_of_the_jitter() -> None:
    schedule = replace(EVERY, jitter_us=US // 2)
    part_us = due_at(schedule, KEY, T0) - T0
    assert part_us > 0
    task = due_task(schedule)
    item = claim_item(task, plan_of(task, T0 + 2 * US + part_us, SETTINGS), [])
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
    (run,) = claim_item(task, plan_of(task, task.due_at, SETTINGS), ["executor-1"]).runs
    assert (run.scheduled_at, run.due_at, run.executor_id) == (T0, T0 + 700_000, "executor-1")


def test_a_task_whose_row_is_due_before_its_schedule_says_is_put_right() -> None:
    """As after an update of the time zones, when the next scheduled time has come nearer or gone farther away."""
    task = due_task(replace(EVERY, jitter_us=US))._replace(due_at=T0)
    item = claim_item(task, plan_of(task, T0, SETTINGS), [])
    assert (item.runs, item.gap, item.next_scheduled_at) == ((), None, T0)
    assert item.next_due_at == due_at(replace(EVERY, jitter_us=US), KEY, T0) > T0


@given(
    execution_count=st.integers(0, 50), left=st.integers(1, 80), lates_us=st.lists(st.integers(0, 40 * US))
)
def test_the_count_that_a_task_goes_on_with_leads_to_its_maximum(
    execution_count: int, left: int, lates_us: list[int]
) -> None:
    schedule = replace(EVERY, max_executions=execution_count + left)
    task: DueTask | None = due_task(schedule, execution_count=execution_count)
    recorded = 0
    for late_us in [*lates_us, *[100 * US] * left]:
        if task is None:
            break
        item = claim_item(task, plan_of(task, task.due_at + late_us, SETTINGS), [])
        recorded += len(item.runs) + (item.gap.count if item.gap is not None else 0)
        task = following(item)
        assert task is None or task.execution_count == execution_count + recorded
    assert task is None
    assert recorded == left
