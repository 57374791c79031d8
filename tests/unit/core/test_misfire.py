"""I1 in small: every scheduled time up to the next one is run once or lies in the gap; none is run before it is due, and
none exists beyond a maximum."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sampling import draws
from unit.core.short import cron, every, once

from mainspring.server.core.due_time import due_at
from mainspring.server.core.misfire import ClaimPlan, Gap, plan_claim
from mainspring.server.core.next_fire import next_fire
from mainspring.server.core.policies import Misfire, MisfireMode
from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Cron,
    Exclusions,
    RepeatPolicy,
    Schedule,
)

US = 1_000_000
KEY = bytes(range(16))
HOUR = 3600 * US
DAY = 24 * HOUR
START = int(datetime(2026, 10, 24, tzinfo=UTC).timestamp()) * US  # Berlin's clock goes back a day later

SCHEDULES: list[Schedule] = [
    every(10 * US, START),
    every(7 * HOUR, START - DAY),
    cron("*/5 * * * *", "UTC"),
    cron("*/20 1-3 * * *", "Europe/Berlin"),
    cron("30 2 * * *", "Europe/Berlin"),
    cron("0 * * * *", "Europe/Berlin"),
    Schedule(Cron(("*/7 * * * *", "0 */2 * * *"), "Europe/Berlin", repeat=RepeatPolicy.BOTH)),
    Schedule(CalendarInterval(1, CalendarUnit.DAY, "2026-10-01", (), (), (7_200, 9_000), "Europe/Berlin")),
    replace(every(60 * US, START), exclusions=Exclusions(expressions=("* 3-20 * * *",))),
    replace(cron("*/10 * * * *"), start_at=START + 3 * HOUR, end_at=START + 2 * DAY),
]


def planned(schedule: Schedule, scheduled_at: int, now: int, **arguments: Any) -> ClaimPlan:
    key = arguments.get("task_key", KEY)
    given = {
        "misfire": Misfire(),
        "due_at": due_at(schedule, key, scheduled_at),
        "task_key": KEY,
        "execution_count": 0,
        "grace_us": 10 * US,
        "max_runs": 5,
    }
    return plan_claim(schedule, scheduled_at, now, **{**given, **arguments})


MISFIRES = st.builds(
    Misfire,
    mode=st.sampled_from(MisfireMode),
    window_us=st.one_of(st.integers(1, HOUR), st.integers(1, 5 * DAY)),
    limit=st.one_of(st.integers(1, 5), st.integers(1, 1_000)),
)


def due_times(schedule: Schedule, scheduled_at: int, now: int, key: bytes = KEY) -> list[int]:
    """The scheduled times that are due, by brute force."""
    times: list[int] = []
    time: int | None = scheduled_at
    while time is not None and due_at(schedule, key, time) <= now:
        times.append(time)
        time = next_fire(schedule, time)
    return times


@settings(max_examples=draws(300), deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    phase_us=st.integers(0, 2 * DAY),
    moved=st.booleans(),
    late_us=st.one_of(st.integers(-HOUR, HOUR), st.integers(0, 4 * DAY)),
    grace_us=st.sampled_from([0, 10 * US, HOUR, 20 * HOUR]),
    max_runs=st.integers(1, 40),
    jitter_us=st.sampled_from([0, 0, 1, 7 * US, 300 * US, HOUR, DAY]),
    key=st.binary(min_size=16, max_size=16),
    left=st.one_of(st.none(), st.integers(1, 50), st.integers(1, 50_000)),
    execution_count=st.integers(0, 10**9),
    misfire=MISFIRES,
)
def test_every_due_time_up_to_the_maximum_is_run_made_up_for_or_in_the_gap(
    schedule: Schedule,
    phase_us: int,
    moved: bool,
    late_us: int,
    grace_us: int,
    max_runs: int,
    jitter_us: int,
    key: bytes,
    left: int | None,
    execution_count: int,
    misfire: Misfire,
) -> None:
    maximum = None if left is None else execution_count + left
    schedule = replace(schedule, jitter_us=jitter_us, max_executions=maximum)
    scheduled_at = START + phase_us
    if not moved:
        fire = next_fire(schedule, scheduled_at)
        assume(fire is not None)
        assert fire is not None
        scheduled_at = fire
    now = scheduled_at + late_us
    plan = planned(
        schedule,
        scheduled_at,
        now,
        misfire=misfire,
        task_key=key,
        execution_count=execution_count,
        grace_us=grace_us,
        max_runs=max_runs,
    )

    times = due_times(schedule, scheduled_at, now, key)[:left]
    to_run = [t for t in times if due_at(schedule, key, t) >= now - grace_us]
    if misfire.mode is MisfireMode.LATEST:
        to_run = to_run or times[-1:]
    missed = times[: len(times) - len(to_run)]
    made_up_for: list[int] = []
    if misfire.mode is MisfireMode.ALL:
        made_up_for = [t for t in missed if due_at(schedule, key, t) >= now - misfire.window_us]
        made_up_for = made_up_for[-misfire.limit :]
    skipped = missed[: len(missed) - len(made_up_for)]
    assert plan.runs == tuple(to_run[:max_runs])
    assert plan.catch_up == tuple(made_up_for)
    assert plan.gap == (Gap(skipped[0], skipped[-1], len(skipped)) if skipped else None)
    if not times:
        assert plan.next_at == scheduled_at
    elif len(to_run) > max_runs:
        assert plan.next_at == to_run[max_runs]
    elif len(times) == left:
        assert plan.next_at is None
    else:
        assert plan.next_at == next_fire(schedule, times[-1])
        assert plan.next_at is None or due_at(schedule, key, plan.next_at) > now


@settings(max_examples=draws(120), deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    pauses_us=st.lists(st.integers(1, 6 * HOUR), min_size=1, max_size=8),
    max_runs=st.integers(1, 5),
    jitter_us=st.sampled_from([0, 20 * US, DAY]),
    maximum=st.one_of(st.none(), st.integers(1, 60), st.integers(1, 20_000)),
    misfire=MISFIRES,
)
def test_claims_one_after_another_leave_nothing_out(
    schedule: Schedule,
    pauses_us: list[int],
    max_runs: int,
    jitter_us: int,
    maximum: int | None,
    misfire: Misfire,
) -> None:
    schedule = replace(schedule, jitter_us=jitter_us, max_executions=maximum)
    first = next_fire(schedule, START)
    assert first is not None
    next_at: int | None = first
    now, ran, count = START, [], 0
    for pause_us in pauses_us:
        now += pause_us
        while next_at is not None and due_at(schedule, KEY, next_at) <= now:
            plan = planned(
                schedule,
                next_at,
                now,
                misfire=misfire,
                execution_count=count,
                grace_us=600 * US,
                max_runs=max_runs,
            )
            ran += plan.catch_up + plan.runs
            assert all(due_at(schedule, KEY, time) <= now for time in ran)
            count += len(plan.catch_up) + len(plan.runs)
            if plan.gap is not None:
                assert plan.gap.from_at == next_at
                count += plan.gap.count
            next_at = plan.next_at
    assert ran == sorted(set(ran))
    assert count == len(due_times(schedule, first, now)[:maximum])
    if next_at is None:
        assert count == maximum or next_fire(schedule, now) is None
    else:
        assert count != maximum


def test_a_one_time_task_runs_however_late() -> None:
    assert planned(once(5), 5, 5, grace_us=0) == ClaimPlan((5,), None, None)
    assert planned(once(5), 5, 10**15, grace_us=0) == ClaimPlan((5,), None, None)
    assert planned(once(5), 5, 4, grace_us=0) == ClaimPlan((), None, 5)


def test_a_missed_one_time_task_follows_its_policy() -> None:
    fresh, late = START + 10 * US, START + 10 * US + 1
    for mode in MisfireMode:
        assert planned(once(START), START, fresh, misfire=Misfire(mode)) == ClaimPlan((START,), None, None)
    skipped = ClaimPlan((), Gap(START, START, 1), None)
    assert planned(once(START), START, late, misfire=Misfire(MisfireMode.NONE)) == skipped
    all_of_it = Misfire(MisfireMode.ALL, window_us=HOUR)
    assert planned(once(START), START, late, misfire=all_of_it) == ClaimPlan((), None, None, (START,))
    assert planned(once(START), START, START + HOUR + 1, misfire=all_of_it) == skipped


@pytest.mark.parametrize("mode", MisfireMode)
def test_a_one_time_task_that_was_registered_late_is_not_missed(mode: MisfireMode) -> None:
    registered_at = START + DAY
    plan = planned(once(START), START, registered_at + US, misfire=Misfire(mode), due_at=registered_at)
    assert plan == ClaimPlan((START,), None, None)


def test_a_recurring_task_that_is_due_late_has_missed_its_times() -> None:
    """As after a pause: what counts is when each time was due by its schedule."""
    resumed_at = START + 4 * HOUR + 60 * US
    plan = planned(
        every(HOUR, START), START, resumed_at, misfire=Misfire(MisfireMode.NONE), due_at=resumed_at
    )
    assert plan == ClaimPlan((), Gap(START, START + 4 * HOUR, 5), START + 5 * HOUR)


def test_a_one_time_task_with_jitter_is_not_run_before_it_is_due() -> None:
    schedule = replace(once(START), jitter_us=HOUR)
    due = due_at(schedule, KEY, START)
    assert START < due < START + HOUR
    assert planned(schedule, START, due - 1) == ClaimPlan((), None, START)
    assert planned(schedule, START, due) == ClaimPlan((START,), None, None)


def test_a_time_that_passed_and_is_not_due_is_the_next() -> None:
    schedule = replace(every(HOUR, START), jitter_us=HOUR)
    due = due_at(schedule, KEY, START + 3 * HOUR)
    assert due > START + 3 * HOUR
    before = planned(schedule, START, due - 1)
    assert (before.runs, before.gap) == ((START + 2 * HOUR,), Gap(START, START + HOUR, 2))
    assert before.next_at == START + 3 * HOUR
    after = planned(schedule, START, due)
    assert (after.runs, after.gap) == ((START + 3 * HOUR,), Gap(START, START + 2 * HOUR, 3))
    assert after.next_at == START + 4 * HOUR


def test_freshness_counts_from_the_due_time() -> None:
    """Scheduled half an hour ago, due just now: it is not late at all, and the one before it is not skipped either."""
    schedule = replace(every(2 * US, START), jitter_us=2 * US)
    dues = [due_at(schedule, KEY, START + n * 2 * US) for n in range(4)]
    plan = planned(schedule, START, dues[3], grace_us=dues[3] - dues[1])
    assert plan.runs == tuple(START + n * 2 * US for n in (1, 2, 3))


def test_the_grace_includes_its_end() -> None:
    schedule = every(10 * US, START)
    now = START + 35 * US
    plan = planned(schedule, START, now, grace_us=15 * US, max_runs=9)
    assert plan.runs == (START + 20 * US, START + 30 * US)
    plan = planned(schedule, START, now, grace_us=15 * US - 1, max_runs=9)
    assert plan.runs == (START + 30 * US,)


@pytest.mark.parametrize("jitter_us", [0, 400_000])
@pytest.mark.parametrize(
    ("schedule", "per_day"),
    [(every(US, START), 86_400), (cron("* * * * * *", "Europe/Berlin"), 86_400)],
)
def test_years_of_backlog_are_one_step(schedule: Schedule, per_day: int, jitter_us: int) -> None:
    days = 3 * 365
    now = START + days * DAY + 500_000
    plan = planned(replace(schedule, jitter_us=jitter_us), START, now, grace_us=2 * US, max_runs=10)
    last = now - 500_000
    assert plan.runs == (last - US, last)
    assert plan.gap == Gap(START, last - 2 * US, days * per_day - 1)
    assert plan.next_at == last + US


@pytest.mark.parametrize("jitter_us", [0, 400_000])
@pytest.mark.parametrize("schedule", [every(US, START), cron("* * * * * *", "Europe/Berlin")])
def test_of_years_of_backlog_only_what_is_made_up_for_is_walked(
    monkeypatch: pytest.MonkeyPatch, schedule: Schedule, jitter_us: int
) -> None:
    steps = 0

    def counted(schedule: Schedule, after_at: int) -> int | None:
        nonlocal steps
        steps += 1
        return next_fire(schedule, after_at)

    monkeypatch.setattr("mainspring.server.core.misfire.next_fire", counted)
    days, limit = 3 * 365, 700
    now = START + days * DAY + 500_000
    plan = planned(
        replace(schedule, jitter_us=jitter_us),
        START,
        now,
        misfire=Misfire(MisfireMode.ALL, limit=limit),
        grace_us=2 * US,
    )
    last = now - 500_000
    assert plan.runs == (last - US, last)
    assert plan.catch_up == tuple(last - US - n * US for n in range(limit, 0, -1))
    assert plan.gap == Gap(START, plan.catch_up[0] - US, days * 86_400 - 1 - limit)
    assert steps < limit + 50


@pytest.mark.parametrize("schedule", [every(US, START), cron("* * * * * *", "Europe/Berlin")])
def test_years_of_backlog_beyond_a_maximum_are_one_step(schedule: Schedule) -> None:
    schedule = replace(schedule, max_executions=50_000_123)
    plan = planned(schedule, START, START + 3 * 365 * DAY, execution_count=123)
    latest = START + 49_999_999 * US
    assert plan == ClaimPlan((latest,), Gap(START, latest - US, 49_999_999), None)


def test_the_latest_within_the_maximum_runs_and_is_the_end() -> None:
    schedule = replace(every(10 * US, START), max_executions=5)
    now = START + 1_000 * US
    plan = planned(schedule, START, now, execution_count=2)
    assert plan == ClaimPlan((START + 20 * US,), Gap(START, START + 10 * US, 2), None)
    assert planned(schedule, START, now, execution_count=4) == ClaimPlan((START,), None, None)


@pytest.mark.parametrize("execution_count", [5, 6])
def test_a_maximum_that_is_reached_ends_the_task_without_a_run(execution_count: int) -> None:
    schedule = replace(every(10 * US, START), max_executions=5)
    assert planned(schedule, START, START, execution_count=execution_count) == ClaimPlan((), None, None)


def test_a_sparse_backlog_runs_its_latest_time_alone() -> None:
    schedule = cron("0 9 * * *", "Europe/Berlin")
    monday = next_fire(schedule, START)
    assert monday is not None
    plan = planned(schedule, monday, monday + 100 * DAY + HOUR + HOUR)
    assert len(plan.runs) == 1
    assert plan.gap is not None
    assert plan.gap.from_at == monday
    assert next_fire(schedule, plan.gap.to_at) == plan.runs[0]
    assert plan.gap.count == 100
    assert plan.next_at == next_fire(schedule, plan.runs[0])
