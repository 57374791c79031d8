"""What is too late to start, and what of a claim needs no executor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.expiry import expired, watched_until, without_executor
from mainspring.server.core.instants import SECOND_US as S
from mainspring.server.core.misfire import ClaimPlan, Gap, plan_claim
from mainspring.server.core.policies import DEFAULT, Misfire, MisfireMode, Policies, Timeouts, encode
from mainspring.server.core.schedule import Interval, Schedule

KEY = bytes(16)
GRACE_US = 30 * S


def policies(start_s: int, mode: MisfireMode = MisfireMode.LATEST) -> Policies:
    return Policies(misfire=Misfire(mode), timeouts=Timeouts(start_s * S))


def test_a_due_time_is_watched_when_its_task_knows_a_deadline() -> None:
    assert watched_until(encode(policies(5)), 100) == 100 + 5 * S
    assert watched_until(encode(policies(5, MisfireMode.NONE)), 100) == 100 + 5 * S
    assert watched_until(encode(DEFAULT), 100) is None
    assert watched_until(encode(Policies(timeouts=Timeouts(0, 5 * S, 5 * S))), 100) is None
    assert watched_until(encode(policies(5, MisfireMode.ALL)), 100) is None, "it is missed, and made up for"
    assert watched_until('{"of": "a newer version"}', 100) is None


def test_what_is_due_for_longer_than_the_timeout_is_too_late() -> None:
    times = (0, 1 * S, 2 * S)
    assert expired(policies(5), times, lambda at: at, 6 * S) == (0,)
    assert expired(policies(5), times, lambda at: at, 6 * S + 1) == (0, S)
    assert expired(policies(5), times, lambda at: at + 3 * S, 6 * S) == ()
    assert expired(DEFAULT, times, lambda at: at, 10**15) == ()


def test_what_lies_before_the_first_that_may_start_needs_no_executor() -> None:
    plan = ClaimPlan((20, 30, 40), Gap(0, 10, 2), 50, (), (15, 35))
    assert without_executor(plan, (20, 30, 40)) == plan
    assert without_executor(plan, (20, 30)) == ClaimPlan((20, 30), Gap(0, 10, 2), 40, (), (15, 35))
    assert without_executor(plan, (20,)) == ClaimPlan((20,), Gap(0, 10, 2), 30, (), (15,))
    assert without_executor(plan, ()) == ClaimPlan((), Gap(0, 10, 2), 20, (), (15,))
    assert without_executor(ClaimPlan((20,), None, 30), ()) is None
    assert without_executor(ClaimPlan((20,), None, 30, (10,)), (20,)) is None, (
        "what is made up for has to wait"
    )


@pytest.mark.parametrize("mode", [MisfireMode.NONE, MisfireMode.LATEST])
@given(
    every_s=st.integers(1, 90),
    passed_s=st.integers(0, 400),
    start_s=st.integers(1, 120),
    maximum=st.none() | st.integers(1, 8),
)
def test_each_time_is_decided_about_once_and_only_late_ones_without_an_executor(
    mode: MisfireMode, every_s: int, passed_s: int, start_s: int, maximum: int | None
) -> None:
    """What is recorded without one and what is planned afterwards are together all that is due, in order."""
    known = policies(start_s, mode)
    schedule = Schedule(Interval(every_s * S, 0), max_executions=maximum)
    now = passed_s * S + 1

    def plan(at: int, count: int) -> ClaimPlan:
        return plan_claim(
            schedule,
            at,
            now,
            misfire=known.misfire,
            due_at=at,
            task_key=KEY,
            execution_count=count,
            grace_us=GRACE_US,
            max_runs=1_000,
        )

    whole = plan(0, 0)
    too_late = expired(known, whole.runs, lambda at: at, now)
    assert too_late == whole.runs[: len(too_late)]
    part = without_executor(whole, too_late)
    if part is None:
        assert too_late == ()
        assert whole.gap is None
        return
    assert set(part.runs) <= set(too_late)
    assert part.gap == whole.gap
    if part.next_at is None:
        assert part == whole
        return
    assert part.next_at > max((*part.runs, -1 if part.gap is None else part.gap.to_at))
    rest = plan(part.next_at, part.decided_count)
    assert (*part.runs, *rest.runs) == whole.runs
    assert rest.gap is None
    assert rest.next_at == whole.next_at
