"""A task whose time passed while it was paused: what becomes of that time is what its misfire policy says."""

from __future__ import annotations

import pytest
from unit.core.short import once

from mainspring.server.core import policies
from mainspring.server.core.life_cycle import StateChange, with_state_changed
from mainspring.server.core.misfire import ClaimPlan, Gap, plan_claim
from mainspring.server.core.model import Task, TaskRef, TaskState
from mainspring.server.core.policies import Misfire, MisfireMode, Policies
from mainspring.server.core.schedule_text import encode

US = 1_000_000
AT = 1_800_000_000 * US
GRACE_US = 30 * US


def resumed(mode: MisfireMode, *, created_at: int, now: int) -> Task:
    """A one-time task that was paused and is resumed now."""
    task = Task(
        *(TaskRef(0, bytes(16)), "default", "t", "noop", b"", encode(once(AT)), bytes(16)),
        *(TaskState.PAUSED, 2, AT, None, None, 0, created_at, created_at),
        policies=policies.encode(Policies(Misfire(mode))),
    )
    changed = with_state_changed(task, StateChange.RESUME, now=now)
    assert changed is not None
    return changed


def planned(task: Task, now: int) -> ClaimPlan:
    assert task.due_at is not None
    return plan_claim(
        once(AT),
        AT,
        now,
        misfire=policies.decode(task.policies).misfire,
        due_at=task.due_at,
        task_key=task.ref.task_key,
        execution_count=0,
        grace_us=GRACE_US,
        max_runs=1,
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (MisfireMode.NONE, ClaimPlan((), Gap(AT, AT, 1), None)),
        (MisfireMode.LATEST, ClaimPlan((AT,), None, None)),
        (MisfireMode.ALL, ClaimPlan((), None, None, (AT,))),
    ],
)
def test_a_time_that_was_missed_in_a_pause(mode: MisfireMode, expected: ClaimPlan) -> None:
    now = AT + GRACE_US + 1
    assert planned(resumed(mode, created_at=AT - US, now=now), now) == expected


@pytest.mark.parametrize("mode", MisfireMode)
def test_a_time_that_passed_in_a_short_pause_or_comes_later_runs(mode: MisfireMode) -> None:
    for now in (AT - US, AT + GRACE_US):
        task = resumed(mode, created_at=AT - 2 * US, now=now)
        assert planned(task, max(now, AT)) == ClaimPlan((AT,), None, None)


@pytest.mark.parametrize("mode", MisfireMode)
def test_a_task_that_was_registered_after_its_time_was_due_then(mode: MisfireMode) -> None:
    registered_at = AT + 3_600 * US
    now = registered_at + US
    assert planned(resumed(mode, created_at=registered_at, now=now), now) == ClaimPlan((AT,), None, None)
