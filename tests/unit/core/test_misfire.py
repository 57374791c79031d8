"""I1 in small: every scheduled time up to the next one is run once or lies in the gap."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.short import cron, every, once

from mainspring.server.core.misfire import ClaimPlan, Gap, plan_claim
from mainspring.server.core.next_fire import next_fire
from mainspring.server.core.schedule import Schedule

US = 1_000_000
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
]


def times_from(schedule: Schedule, scheduled_at: int, now: int) -> list[int]:
    times: list[int] = []
    time: int | None = scheduled_at
    while time is not None and time <= now:
        times.append(time)
        time = next_fire(schedule, time)
    return times


@settings(max_examples=400, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    phase_us=st.integers(0, 2 * DAY),
    moved=st.booleans(),
    late_us=st.one_of(st.integers(-HOUR, HOUR), st.integers(0, 4 * DAY)),
    grace_us=st.sampled_from([0, 10 * US, HOUR, 20 * HOUR]),
    max_runs=st.integers(1, 40),
)
def test_every_time_is_run_once_or_in_the_gap(
    schedule: Schedule, phase_us: int, moved: bool, late_us: int, grace_us: int, max_runs: int
) -> None:
    scheduled_at = START + phase_us
    if not moved:
        fire = next_fire(schedule, scheduled_at)
        assert fire is not None
        scheduled_at = fire
    now = scheduled_at + late_us
    plan = plan_claim(schedule, scheduled_at, now, grace_us=grace_us, max_runs=max_runs)

    times = times_from(schedule, scheduled_at, now)
    to_run = [t for t in times if t >= now - grace_us or t == times[-1]]
    skipped = times[: len(times) - len(to_run)]
    assert plan.runs == tuple(to_run[:max_runs])
    assert plan.gap == (Gap(skipped[0], skipped[-1], len(skipped)) if skipped else None)
    if not times:
        assert plan.next_at == scheduled_at
    elif len(to_run) > max_runs:
        assert plan.next_at == to_run[max_runs]
    else:
        assert plan.next_at == next_fire(schedule, times[-1])
        assert plan.next_at is not None
        assert plan.next_at > now


@settings(max_examples=60, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    pauses_us=st.lists(st.integers(1, 6 * HOUR), min_size=1, max_size=8),
    max_runs=st.integers(1, 5),
)
def test_claims_one_after_another_leave_nothing_out(
    schedule: Schedule, pauses_us: list[int], max_runs: int
) -> None:
    first = next_fire(schedule, START)
    assert first is not None
    now, next_at, ran, skipped = START, first, [], 0
    for pause_us in pauses_us:
        now += pause_us
        for _ in range(20_000):
            plan = plan_claim(schedule, next_at, now, grace_us=600 * US, max_runs=max_runs)
            ran += plan.runs
            if plan.gap is not None:
                assert [plan.gap.from_at] == times_from(schedule, plan.gap.from_at, plan.gap.from_at)
                skipped += plan.gap.count
            assert plan.next_at is not None
            next_at = plan.next_at
            if next_at > now:
                break
    assert ran == sorted(set(ran))
    assert len(ran) + skipped == len(times_from(schedule, first, now))


def test_a_one_time_task_runs_however_late() -> None:
    assert plan_claim(once(5), 5, 5, grace_us=0, max_runs=1) == ClaimPlan((5,), None, None)
    assert plan_claim(once(5), 5, 10**15, grace_us=0, max_runs=1) == ClaimPlan((5,), None, None)
    assert plan_claim(once(5), 5, 4, grace_us=0, max_runs=1) == ClaimPlan((), None, 5)


def test_the_grace_includes_its_end() -> None:
    schedule = every(10 * US, START)
    now = START + 35 * US
    plan = plan_claim(schedule, START, now, grace_us=15 * US, max_runs=9)
    assert plan.runs == (START + 20 * US, START + 30 * US)
    plan = plan_claim(schedule, START, now, grace_us=15 * US - 1, max_runs=9)
    assert plan.runs == (START + 30 * US,)


@pytest.mark.parametrize(
    ("schedule", "per_day"),
    [(every(US, START), 86_400), (cron("* * * * * *", "Europe/Berlin"), 86_400)],
)
def test_years_of_backlog_are_one_step(schedule: Schedule, per_day: int) -> None:
    days = 3 * 365
    now = START + days * DAY + 500_000
    plan = plan_claim(schedule, START, now, grace_us=2 * US, max_runs=10)
    last = now - 500_000
    assert plan.runs == (last - US, last)
    assert plan.gap == Gap(START, last - 2 * US, days * per_day - 1)
    assert plan.next_at == last + US


def test_a_sparse_backlog_runs_its_latest_time_alone() -> None:
    schedule = cron("0 9 * * *", "Europe/Berlin")
    monday = next_fire(schedule, START)
    assert monday is not None
    plan = plan_claim(schedule, monday, monday + 100 * DAY + HOUR + HOUR, grace_us=10 * US, max_runs=5)
    assert len(plan.runs) == 1
    assert plan.gap is not None
    assert plan.gap.from_at == monday
    assert next_fire(schedule, plan.gap.to_at) == plan.runs[0]
    assert plan.gap.count == 100
    assert plan.next_at == next_fire(schedule, plan.runs[0])
