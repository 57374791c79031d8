"""What an execution's row says in words, stage by stage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mainspring.server.core.explain import Explanation, explain, span_words
from mainspring.server.core.model import (
    Execution,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    Task,
    TaskRef,
    TaskState,
)
from mainspring.server.core.policies import Overlap, Policies
from mainspring.server.core.schedule import Cron, OneTime, Schedule

MS = 1_000
SECOND = 1_000 * MS
DUE = 1_800_000_000 * SECOND
CRON = Schedule(Cron(("*/5 * * * *",), "UTC"))
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
    scheduled_at=DUE + 300 * SECOND,
    due_at=DUE + 300 * SECOND,
    last_scheduled_at=DUE,
    execution_count=1,
    created_at=DUE - 60 * SECOND,
    updated_at=DUE - 60 * SECOND,
)
RAN = Execution(
    ref=ExecutionRef(3, DUE, b"k" * 16),
    namespace="default",
    task_id="t",
    due_at=DUE,
    state=ExecutionState.SUCCEEDED,
    reason="",
    attempt=1,
    epoch=1,
    task_version=1,
    executor_id="e-1",
    node_id="n-1",
    result=b"",
    claimed_at=DUE + 5 * MS,
    dispatched_at=DUE + 8 * MS,
    picked_up_at=DUE + 12 * MS,
    finished_at=DUE + 1512 * MS,
    saved_at=DUE + 1530 * MS,
    gap_last_scheduled_at=None,
    gap_count=None,
)
DISPATCHED = replace(
    RAN,
    state=ExecutionState.DISPATCHED,
    picked_up_at=None,
    finished_at=None,
    saved_at=None,
    dispatched_at=None,
)
WAITING = replace(DISPATCHED, state=ExecutionState.WAITING, attempt=0, executor_id=None)


def _explain(
    execution: Execution,
    *,
    now: int = DUE + 60 * SECOND,
    overlap: Overlap | None = None,
    asked_at: int | None = None,
) -> Explanation:
    return explain(execution, TASK, CRON, Policies(overlap=overlap), now, asked_at=asked_at)


def test_a_plain_run() -> None:
    explanation = _explain(RAN)

    assert (
        explanation.summary
        == "It ran 12 ms after it was due on executor 'e-1' and succeeded after 1.5 seconds."
    )
    assert [(s.name, s.at - DUE, s.duration_us) for s in explanation.stages] == [
        ("registered", -60 * SECOND, 0),
        ("due", 0, 60 * SECOND),
        ("claimed", 5 * MS, 5 * MS),
        ("dispatched", 8 * MS, 3 * MS),
        ("picked up", 12 * MS, 4 * MS),
        ("finished", 1512 * MS, 1500 * MS),
        ("saved", 1530 * MS, 18 * MS),
    ]
    assert (explanation.lateness_us, explanation.objective_us) == (12 * MS, 10 * SECOND)
    assert explanation.broken_stage == ""


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("claimed", {"claimed_at": 11_000, "dispatched_at": 11_001, "picked_up_at": 11_002}),
        ("dispatched", {"dispatched_at": 10_500, "picked_up_at": 10_900}),
        ("picked up", {"picked_up_at": 10_001}),
    ],
)
def test_the_stage_that_took_most_of_a_broken_objective_is_named(stage: str, changes: dict[str, int]) -> None:
    late = replace(RAN, **{name: DUE + ms * MS for name, ms in changes.items()})  # type: ignore[arg-type]
    assert _explain(late).broken_stage == stage


def test_an_objective_is_kept_up_to_its_last_microsecond() -> None:
    assert _explain(replace(RAN, picked_up_at=DUE + 10 * SECOND)).broken_stage == ""
    assert _explain(replace(RAN, picked_up_at=DUE + 10 * SECOND + 1)).broken_stage == "picked up"


def test_a_stage_that_is_not_over_breaks_the_objective_too() -> None:
    assert _explain(DISPATCHED, now=DUE + 9 * SECOND).broken_stage == ""
    assert _explain(DISPATCHED, now=DUE + 11 * SECOND).broken_stage == "dispatched"
    assert (
        _explain(replace(DISPATCHED, dispatched_at=DUE + MS), now=DUE + 11 * SECOND).broken_stage
        == "picked up"
    )
    expired = replace(DISPATCHED, state=ExecutionState.EXPIRED, finished_at=DUE + 30 * SECOND)
    assert _explain(expired, now=DUE + 99 * SECOND).broken_stage == "dispatched"


@pytest.mark.parametrize(
    ("execution", "overlap", "summary"),
    [
        (
            replace(RAN, state=ExecutionState.FAILED, reason="no route", failure_count=1),
            None,
            "It ran 12 ms after it was due on executor 'e-1' and failed after 1.5 seconds: no route.",
        ),
        (
            replace(RAN, state=ExecutionState.CANCELLED, reason="the task was cancelled", picked_up_at=None),
            None,
            "It was cancelled: the task was cancelled; it had not started.",
        ),
        (
            replace(RAN, attempt=3, failure_count=2, error_kind="OSError", origin=ExecutionOrigin.CATCH_UP),
            None,
            "It ran 12 ms after it was due on executor 'e-1' and succeeded after 1.5 seconds. 2 attempts of it failed, the"
            " last one as OSError. It was missed and made up for later.",
        ),
        (
            WAITING,
            None,
            "It is recorded and waits for an executor with free credit for handler 'mail'.",
        ),
        (
            replace(WAITING, origin=ExecutionOrigin.BACKFILL),
            Overlap.BUFFER_ONE,
            "It is recorded and waits for an executor with free credit for handler 'mail', behind fresh work and at a"
            " bounded rate, or for the end of an earlier execution of the task. It was added by a backfill.",
        ),
        (
            replace(WAITING, retry_at=DUE + 90 * SECOND, failure_count=1),
            None,
            "It waits for another attempt, which comes at 2027-01-15T08:01:30Z at the earliest. 1 attempt of it failed.",
        ),
        (
            replace(RAN, state=ExecutionState.RUNNING, finished_at=None, saved_at=None),
            None,
            "It started 12 ms after it was due on executor 'e-1' and has not ended.",
        ),
        (
            replace(RAN, state=ExecutionState.EXPIRED, reason="not within 5 s"),
            None,
            "It was not started in time, and then not any more: not within 5 s.",
        ),
        (
            replace(RAN, state=ExecutionState.LOST, reason="executor 'e-1' died"),
            None,
            "It was lost: executor 'e-1' died: it may have run, wholly, in part or not at all.",
        ),
        (
            replace(RAN, state=ExecutionState.SKIPPED, reason="the execution before was running", attempt=0),
            None,
            "It was skipped: the execution before was running.",
        ),
    ],
)
def test_what_each_state_says(execution: Execution, overlap: Overlap | None, summary: str) -> None:
    assert _explain(execution, overlap=overlap).summary == summary


def test_a_gap_row_speaks_of_the_time_that_was_asked_about() -> None:
    gap = replace(
        RAN,
        state=ExecutionState.SKIPPED,
        reason="misfired",
        gap_last_scheduled_at=DUE + 900 * SECOND,
        gap_count=4,
        picked_up_at=None,
    )
    stretch = "4 scheduled times from 2027-01-15T08:00:00Z to 2027-01-15T08:15:00Z"
    assert _explain(gap).summary == f"{stretch} were skipped: misfired."
    asked = _explain(gap, asked_at=DUE + 300 * SECOND)
    assert asked.summary == f"It was skipped with the {stretch}: misfired."
    assert asked.broken_stage == ""


def test_clocks_that_differ_give_no_negative_stage() -> None:
    odd = replace(RAN, dispatched_at=DUE + 4 * MS, picked_up_at=DUE - MS)
    explanation = _explain(odd)
    assert min(stage.duration_us for stage in explanation.stages) == 0
    assert explanation.lateness_us == 0


def test_a_registration_behind_the_due_time_is_no_stage() -> None:
    late = explain(RAN, replace(TASK, created_at=DUE + 1), Schedule(OneTime(DUE)), Policies(), DUE + 1)
    assert late.stages[0].name == "due"


@pytest.mark.parametrize(
    ("microseconds", "words"),
    [
        (999, "0 ms"),
        (999_999, "999 ms"),
        (1_530_000, "1.5 seconds"),
        (2_000_000, "2 seconds"),
        (61_400_000, "61 seconds"),
        (7_261_000_000, "2 hours and 1 minute"),
        (200_000_000_000, "2 days"),
    ],
)
def test_spans_in_words(microseconds: int, words: str) -> None:
    assert span_words(microseconds) == words
