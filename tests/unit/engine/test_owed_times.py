"""Another schedule for a task that is behind: what was due before is owed by the old one, nothing is lost or added (I1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.short import cron, every, once
from unit.core.test_misfire import HOUR, KEY, START, US

from mainspring.server.core import adjustments as adjusting
from mainspring.server.core import due_time, owed_times, policies
from mainspring.server.core.absence import why_none
from mainspring.server.core.adjustments import Adjustment
from mainspring.server.core.life_cycle import (
    Definition,
    StateChange,
    with_definition_changed,
    with_state_changed,
)
from mainspring.server.core.model import DueTask, Task, TaskRef, TaskState
from mainspring.server.core.next_fire import first_fire, next_fire
from mainspring.server.core.policies import Misfire, MisfireMode, Policies
from mainspring.server.core.schedule import Schedule
from mainspring.server.core.schedule_text import decode, encode
from mainspring.server.core.task_adjustment import WantedAdjustment, with_adjustment
from mainspring.server.engine.planning import claim_item, due_task_of, following, overlap_of, plan_of
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.errors import FailedPrecondition

HOURLY = every(HOUR, START)
MINUTELY = cron("* * * * *", "UTC")
NONE, LATEST = Misfire(MisfireMode.NONE), Misfire(MisfireMode.LATEST)


def task_of(schedule: Schedule, misfire: Misfire = LATEST, **fields: Any) -> Task:
    """A task that was registered at START."""
    at = first_fire(schedule, START)
    task = Task(
        *(TaskRef(0, KEY), "default", "t", "noop", b"", encode(schedule), bytes(16)),
        *(TaskState.ACTIVE, 1, at, due_time.due_at(schedule, KEY, at), None, 0, START, START),
        policies=policies.encode(Policies(misfire)),
    )
    return replace(task, **fields)


def updated(task: Task, schedule: Schedule, now: int, misfire: Misfire = LATEST) -> Task:
    text = policies.encode(Policies(misfire))
    definition = Definition(
        task.handler, task.payload, encode(schedule), bytes(16), task.delivery, text, task.labels
    )
    changed = with_definition_changed(task, definition, first_at=first_fire(schedule, now), now=now)
    assert changed is not None
    return changed


class Recorded:
    """What claims record of a task up to an instant, as its owner would make them."""

    def __init__(self, task: Task, now: int) -> None:
        self.runs: list[int] = []
        self.gaps: list[tuple[int, int, int]] = []
        due: DueTask | None = due_task_of(task)
        rounds = 0
        while due is not None and due.due_at <= now:
            plan = plan_of(due, now, EngineSettings())
            beside = overlap_of(due, plan, [])
            item = claim_item(due, plan, beside, [], now=now, settings=EngineSettings())
            assert item.runs or item.gap, "a claim that decides about nothing would be made for ever"
            self.runs += [run.scheduled_at for run in item.runs]
            if item.gap is not None:
                self.gaps.append((item.gap.from_at, item.gap.to_at, item.gap.count))
            due = following(item)
            rounds += 1
            assert rounds < 10_000
        self.next = due

    @property
    def count(self) -> int:
        return len(self.runs) + sum(count for _, _, count in self.gaps)


def fires(schedule: Schedule, first: int, key: bytes, due_by: int) -> list[int]:
    """The times from one on that are due by an instant, by brute force."""
    times: list[int] = []
    at: int | None = first
    while at is not None and due_time.due_at(schedule, key, at) <= due_by:
        times.append(at)
        at = next_fire(schedule, at)
    return times


SCHEDULES = [
    MINUTELY,
    cron("*/20 * * * *", "Europe/Berlin"),
    every(7 * 60 * US, START),
    every(HOUR, START + 9),
    replace(every(90 * US, START), end_at=START + 6 * HOUR),
]


@settings(max_examples=200, deadline=None)
@given(
    schedules=st.lists(st.sampled_from(SCHEDULES), min_size=2, max_size=4, unique=True),
    misfires=st.lists(st.builds(Misfire, st.sampled_from(MisfireMode)), min_size=4, max_size=4),
    pauses_us=st.lists(st.integers(1, 3 * HOUR), min_size=4, max_size=4),
    jitter_us=st.sampled_from([0, 0, 50 * US, HOUR]),
    is_paused=st.booleans(),
    maximum=st.one_of(st.none(), st.integers(1, 300)),
)
def test_each_time_of_the_schedule_that_counted_then_is_recorded_once(
    schedules: list[Schedule],
    misfires: list[Misfire],
    pauses_us: list[int],
    jitter_us: int,
    is_paused: bool,
    maximum: int | None,
) -> None:
    schedules = [replace(one, jitter_us=jitter_us) for one in schedules]
    schedules[-1] = replace(schedules[-1], max_executions=maximum)
    now = START
    task = task_of(schedules[0], misfires[0])
    if is_paused:
        paused = with_state_changed(task, StateChange.PAUSE, now=now)
        assert paused is not None
        task = paused
    stretches: list[list[int]] = []
    first = first_fire(schedules[0], now)
    for n in range(1, len(schedules)):
        now += pauses_us[n - 1]
        if next_fire(schedules[n], now) is None:
            return  # no call would be allowed to give it that
        stretches.append(fires(schedules[n - 1], first, KEY, now))
        first = first_fire(schedules[n], now)
        task = updated(task, schedules[n], now, misfires[n])
    now += pauses_us[-1]
    stretches.append(fires(schedules[-1], first, KEY, now))
    if is_paused:
        resumed = with_state_changed(task, StateChange.RESUME, now=now)
        assert resumed is not None
        task = resumed

    recorded = Recorded(task, now)

    wanted = [at for times in stretches for at in times][:maximum]
    assert recorded.count == len(wanted)
    in_gaps = {at for low, high, _ in recorded.gaps for at in wanted if low <= at <= high}
    assert not in_gaps.intersection(recorded.runs)
    assert sorted(in_gaps | set(recorded.runs)) == sorted(set(wanted))
    assert len(recorded.runs) == len(set(recorded.runs))
    if len(wanted) == maximum:
        assert recorded.next is None
    elif recorded.next is not None:
        assert recorded.next.owed is None
        assert recorded.next.scheduled_at == (
            next_fire(schedules[-1], stretches[-1][-1]) if stretches[-1] else first
        )


def test_fires_of_the_new_schedule_before_the_update_are_none() -> None:
    """A task that was not run for two hours gets another schedule: the minutes of these hours never were times of it."""
    now = START + 2 * HOUR + 600 * US
    task = updated(task_of(HOURLY), MINUTELY, now, NONE)
    assert task.scheduled_at == START + HOUR
    assert owed_times.first_of_schedule(task) == now + 60 * US
    recorded = Recorded(task, now)
    assert (recorded.runs, recorded.gaps) == ([START + 2 * HOUR], [(START + HOUR, START + HOUR, 1)])
    assert recorded.next is not None
    assert (recorded.next.scheduled_at, recorded.next.owed) == (now + 60 * US, None)


@pytest.mark.parametrize(
    ("before", "after", "runs", "gaps"),
    [
        (NONE, LATEST, [], [(START + HOUR, START + 3 * HOUR, 3)]),
        (LATEST, NONE, [START + 3 * HOUR], [(START + HOUR, START + 2 * HOUR, 2)]),
        (Misfire(MisfireMode.ALL), NONE, [START + n * HOUR for n in (1, 2, 3)], []),
    ],
)
def test_what_is_owed_is_owed_by_the_policy_before(
    before: Misfire, after: Misfire, runs: list[int], gaps: list[tuple[int, int, int]]
) -> None:
    now = START + 3 * HOUR + 600 * US
    recorded = Recorded(updated(task_of(HOURLY, before), MINUTELY, now, after), now)
    assert (recorded.runs, recorded.gaps) == (runs, gaps)


def test_a_one_time_task_that_gets_another_time_is_moved() -> None:
    overdue = START + 2 * HOUR
    for state in (TaskState.ACTIVE, TaskState.PAUSED):
        task = task_of(once(START + HOUR), state=state)
        moved = updated(task, once(overdue + HOUR), overdue)
        assert (moved.scheduled_at, moved.owed) == (overdue + HOUR, None)
        assert moved.due_at == (overdue + HOUR if state is TaskState.ACTIVE else None)
    recorded = Recorded(updated(task_of(once(START + HOUR)), once(overdue + HOUR), overdue), START + 9 * HOUR)
    assert (recorded.runs, recorded.gaps, recorded.next) == ([overdue + HOUR], [], None)


def test_a_one_time_task_that_recurs_from_now_on_owes_its_time() -> None:
    now = START + 3 * HOUR + 1
    recorded = Recorded(updated(task_of(once(START + HOUR)), HOURLY, now), now)
    assert recorded.runs == [START + HOUR]
    assert recorded.next is not None
    assert recorded.next.scheduled_at == START + 4 * HOUR
    again = Recorded(updated(task_of(HOURLY), once(START + 9 * HOUR), now), START + 9 * HOUR)
    assert again.runs == [START + 3 * HOUR, START + 9 * HOUR]
    assert (again.gaps, again.next) == ([(START + HOUR, START + 2 * HOUR, 2)], None)


def test_adjustments_of_times_that_are_owed_stay() -> None:
    now = START + 3 * HOUR + 1
    known = {
        START + HOUR: Adjustment(has_payload=True),
        START + 3 * HOUR: Adjustment(is_skipped=True),
        START + 4 * HOUR: Adjustment(is_skipped=True),
        START + 5 * HOUR: Adjustment(is_skipped=True),
    }
    task = updated(task_of(HOURLY, adjustments=adjusting.encode(known)), cron("0 */4 * * *", "UTC"), now)
    assert set(adjusting.decode(task.adjustments)) == {START + n * HOUR for n in (1, 3, 4)}
    due = due_task_of(task)
    assert due is not None
    plan = plan_of(due, now, EngineSettings())
    assert (plan.runs, plan.skipped) == ((START + 2 * HOUR,), (START + 3 * HOUR,))


def test_what_is_owed_is_not_adjusted() -> None:
    """It was due before the call: the policy before decides about it."""
    now = START + 3 * HOUR + 600 * US
    task = updated(task_of(HOURLY), MINUTELY, now)
    skip = WantedAdjustment(is_skipped=True)
    assert task.scheduled_at == START + HOUR
    for at in (START + HOUR, START + 2 * HOUR, now):
        with pytest.raises(FailedPrecondition):
            with_adjustment(task, at, skip, now=now, payload_bytes=0)
    adjusted = with_adjustment(task, now + 60 * US, skip, now=now, payload_bytes=0)
    assert adjusted is not None
    recorded = Recorded(adjusted, now + 90 * US)
    assert recorded.runs == [START + 3 * HOUR, now + 60 * US]


def test_too_many_schedules_in_one_pause_are_refused() -> None:
    task = task_of(HOURLY)
    now = START
    for n in range(owed_times.MOST_STRETCHES):
        now += 2 * HOUR
        task = updated(task, [HOURLY, MINUTELY][n % 2 == 0], now)
    assert task.owed is not None
    with pytest.raises(FailedPrecondition, match="8 earlier schedules"):
        updated(task, cron("5 * * * *", "UTC"), now + 2 * HOUR)
    assert owed_times.encode(owed_times.decode(task.owed)) == task.owed


def test_an_explanation_tells_what_is_owed() -> None:
    now = START + 3 * HOUR + 600 * US
    task = updated(task_of(HOURLY), MINUTELY, now)

    def why(at: int) -> str:
        return why_none(task, decode(task.schedule), at, now, kept_from_at=0)

    assert why(START + 2 * HOUR).startswith("The task is behind")
    assert why(START + 2 * HOUR).endswith("It is of the schedule before.")
    assert why(START + 2 * HOUR + 60 * US).startswith(
        "It is a time of the schedule, but was none when it passed"
    )
    assert why(now + 60 * US).startswith("It is still to come")
