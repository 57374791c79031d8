"""Why there is no execution at a scheduled time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mainspring.server.core.absence import why_none
from mainspring.server.core.model import Task, TaskRef, TaskState
from mainspring.server.core.namespaces import DAY_US
from mainspring.server.core.schedule import Cron, Exclusions, OneTime, Schedule

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOW = 1_800_000_000 * SECOND
"""2027-01-15T08:00:00Z, a Friday."""
HOURLY = Schedule(Cron(("0 * * * *",), "UTC"))
TASK = Task(
    ref=TaskRef(3, b"k" * 16),
    namespace="default",
    task_id="t",
    handler="mail",
    payload=b"",
    schedule="",
    definition_hash=b"",
    state=TaskState.ACTIVE,
    version=1,
    scheduled_at=NOW + HOUR,
    due_at=NOW + HOUR,
    last_scheduled_at=NOW,
    execution_count=9,
    created_at=NOW - 9 * HOUR - 1,
    updated_at=NOW - 9 * HOUR - 1,
)


def _why(
    at: int, schedule: Schedule = HOURLY, *, kept_from_at: int = NOW - 30 * DAY_US, **changes: Any
) -> str:
    return why_none(replace(TASK, **changes), schedule, at, NOW, kept_from_at=kept_from_at)


@pytest.mark.parametrize(
    ("at", "schedule", "changes", "answer"),
    [
        (NOW - 20 * HOUR, HOURLY, {}, "The task was registered after that, at 2027-01-14T22:59:59.999999Z."),
        (
            NOW + MINUTE,
            HOURLY,
            {},
            "It is no time of the schedule: the one before is 2027-01-15T08:00:00Z, the one after is 2027-01-15T09:00:00Z.",
        ),
        (
            NOW - MINUTE,
            HOURLY,
            {"version": 2},
            "It is no time of the schedule: the one before is 2027-01-15T07:00:00Z, the one after is 2027-01-15T08:00:00Z."
            " The task was changed since it was registered, the last time at 2027-01-14T22:59:59.999999Z.",
        ),
        (
            NOW,
            Schedule(OneTime(NOW + 1)),
            {},
            "The task has one scheduled time, 2027-01-15T08:00:00.000001Z, and this is another.",
        ),
        (
            NOW,
            replace(HOURLY, exclusions=Exclusions(expressions=("* 8 * * *",))),
            {},
            "It is left out by the exclusions of the schedule.",
        ),
        (
            NOW,
            replace(HOURLY, start_at=NOW + 1),
            {},
            "It lies before the start of the schedule, 2027-01-15T08:00:00.000001Z.",
        ),
        (
            NOW,
            replace(HOURLY, end_at=NOW),
            {},
            "It lies at or after the end of the schedule, 2027-01-15T08:00:00Z.",
        ),
        (NOW + 5 * HOUR, HOURLY, {}, "It is still to come, in 5 hours."),
        (
            NOW + 3 * HOUR,
            replace(HOURLY, max_executions=11),
            {},
            "It lies beyond the maximum of 11 executions.",
        ),
        (NOW + 2 * HOUR, replace(HOURLY, max_executions=11), {}, "It is still to come, in 2 hours."),
        (
            NOW + HOUR,
            HOURLY,
            {"state": TaskState.PAUSED, "due_at": None, "note": "moving", "changed_by": "ada"},
            "The task is paused since 2027-01-14T22:59:59.999999Z by ada (moving). What becomes of the times that pass"
            " meanwhile its misfire policy says when it is resumed.",
        ),
        (
            NOW,
            HOURLY,
            {
                "state": TaskState.CANCELLED,
                "scheduled_at": None,
                "due_at": None,
                "last_scheduled_at": NOW - HOUR,
                "updated_at": NOW - 1,
            },
            "The task was cancelled before it came to that, at 2027-01-15T07:59:59.999999Z.",
        ),
        (
            NOW,
            HOURLY,
            {
                "state": TaskState.COMPLETED,
                "scheduled_at": None,
                "due_at": None,
                "last_scheduled_at": NOW - HOUR,
            },
            "The task had completed before that.",
        ),
        (
            NOW,
            replace(HOURLY, max_executions=9),
            {
                "state": TaskState.COMPLETED,
                "scheduled_at": None,
                "due_at": None,
                "last_scheduled_at": NOW - HOUR,
            },
            "It lies beyond the maximum of 9 executions.",
        ),
        (
            NOW,
            HOURLY,
            {"scheduled_at": NOW, "due_at": NOW},
            "It has been due for 0 ms and is not claimed yet: that takes an executor with free credit for handler 'mail',"
            " and an owner of partition 3.",
        ),
        (
            NOW,
            HOURLY,
            {"scheduled_at": NOW, "due_at": NOW + MINUTE},
            "It is due in 1 minute, at 2027-01-15T08:01:00Z.",
        ),
        (
            NOW,
            HOURLY,
            {"scheduled_at": NOW - HOUR, "due_at": NOW - HOUR},
            "The task is behind: its next scheduled time is still 2027-01-15T07:00:00Z. An execution is recorded only"
            " when an executor has free credit for handler 'mail'.",
        ),
        (
            NOW - HOUR,
            HOURLY,
            {},
            "It is a time of the schedule, but was none when it passed, or it was removed.",
        ),
    ],
)
def test_each_reason_is_told_apart(at: int, schedule: Schedule, changes: dict[str, Any], answer: str) -> None:
    assert _why(at, schedule, **changes) == answer


def test_the_ledger_does_not_reach_back_for_ever() -> None:
    answer = _why(NOW - 3 * HOUR, kept_from_at=NOW - 2 * HOUR)
    assert answer.startswith(
        "The ledger does not reach back to it: what ended before 2027-01-15T06:00:00Z is removed"
    )
    assert _why(NOW - 3 * HOUR - 1, kept_from_at=NOW - 2 * HOUR) == answer


@pytest.mark.parametrize("at", [-62_135_596_800 * SECOND, 0, 253_402_300_799 * SECOND])
def test_the_first_and_the_last_instant_of_all_have_an_answer(at: int) -> None:
    assert _why(at)
    assert _why(
        at, replace(HOURLY, start_at=NOW, end_at=NOW + 1, exclusions=Exclusions(dates=("2027-01-15",)))
    )
