"""Why an execution went as it did: its stages, the one that broke the lateness objective, and a sentence in words. PURE.

All instants are int microseconds on cluster time; clocks of several nodes had a hand in them, so a stage that seems to end
before it began has no duration rather than a negative one. Why there is no execution at a scheduled time: `absence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import Execution, ExecutionOrigin, ExecutionState, Task
from mainspring.server.core.plain_english import counted, distance_words, instant_words
from mainspring.server.core.policies import Overlap, Policies
from mainspring.server.core.schedule import Schedule

_DAY_US: Final = 24 * 3_600 * SECOND_US
_LATENESS_STAGES: Final = ("claimed", "dispatched", "picked up")
"""What lies between the due time and the pick-up, in order."""
_ORIGINS: Final = {
    ExecutionOrigin.CATCH_UP: "It was missed and made up for later.",
    ExecutionOrigin.TRIGGER: "It was triggered by a call.",
    ExecutionOrigin.BACKFILL: "It was added by a backfill.",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an execution's life.

    Attributes:
        name: "registered", "due", "claimed", "dispatched", "picked up", "finished" or "saved".
        at: when it was reached.
        duration_us: since the stage before; 0 for the first.
    """

    name: str
    at: int
    duration_us: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer.

    Attributes:
        summary: in words.
        stages: those that it went through, in order.
        objective_us: the lateness that the task is meant to keep.
        lateness_us: pick-up minus due time; None before the pick-up.
        broken_stage: the stage that took most of a lateness beyond the objective, which may not be over yet; empty when the
            objective was kept.
    """

    summary: str
    stages: tuple[Stage, ...]
    objective_us: int
    lateness_us: int | None
    broken_stage: str


def explain(
    execution: Execution,
    task: Task,
    schedule: Schedule,
    policies: Policies,
    now: int,
    *,
    asked_at: int | None = None,
) -> Explanation:
    """Explains an execution that is in the ledger.

    Args:
        schedule, policies: the task's, decoded.
        now: cluster time.
        asked_at: the scheduled time that was asked about, when the execution is a gap row that holds it.
    """
    stages = _stages(execution, task)
    lateness_us = None
    if execution.picked_up_at is not None:
        lateness_us = max(0, execution.picked_up_at - execution.due_at)
    return Explanation(
        summary=_summary(execution, task, policies.overlap_of(schedule), lateness_us, asked_at),
        stages=stages,
        objective_us=policies.objective_us,
        lateness_us=lateness_us,
        broken_stage=_broken_stage(execution, stages, policies.objective_us, now),
    )


def _stages(execution: Execution, task: Task) -> tuple[Stage, ...]:
    reached: list[tuple[str, int | None]] = [
        ("registered", task.created_at if task.created_at <= execution.due_at else None),
        ("due", execution.due_at),
        ("claimed", execution.claimed_at),
        ("dispatched", execution.dispatched_at),
        ("picked up", execution.picked_up_at),
        ("finished", execution.finished_at),
        ("saved", execution.saved_at),
    ]
    stages: list[Stage] = []
    for name, at in reached:
        if at is not None:
            stages.append(Stage(name, at, max(0, at - stages[-1].at) if stages else 0))
    return tuple(stages)


def _broken_stage(execution: Execution, stages: tuple[Stage, ...], objective_us: int, now: int) -> str:
    if execution.state is ExecutionState.SKIPPED:
        return ""
    spent = {stage.name: stage.duration_us for stage in stages if stage.name in _LATENESS_STAGES}
    end_at = execution.picked_up_at
    if end_at is None:
        # It never started, or not yet: the time since then counts for the stage that it did not reach.
        end_at = now if execution.finished_at is None else execution.finished_at
        last = [stage for stage in stages if stage.name in ("due", *_LATENESS_STAGES)][-1]
        pending = next(name for name in _LATENESS_STAGES if name not in spent)
        spent[pending] = max(0, end_at - last.at)
    if end_at - execution.due_at <= objective_us:
        return ""
    return max(spent, key=lambda name: spent[name])


def _summary(
    execution: Execution, task: Task, overlap: Overlap, lateness_us: int | None, asked_at: int | None
) -> str:
    sentences = [_what_happened(execution, task, overlap, lateness_us, asked_at)]
    if execution.failure_count and execution.state is not ExecutionState.FAILED:
        kind = f", the last one as {execution.error_kind}" if execution.error_kind else ""
        sentences.append(f"{counted(execution.failure_count, 'attempt')} of it failed{kind}.")
    elif execution.attempt > 1:
        sentences.append(f"It took {counted(execution.attempt, 'attempt')}.")
    if execution.origin in _ORIGINS:
        sentences.append(_ORIGINS[execution.origin])
    if execution.due_at < execution.ref.scheduled_at and execution.origin is ExecutionOrigin.SCHEDULE:
        early = span_words(execution.ref.scheduled_at - execution.due_at)
        sentences.append(f"A call had moved it: it was due {early} before its scheduled time.")
    return " ".join(sentences)


def _what_happened(
    execution: Execution, task: Task, overlap: Overlap, lateness_us: int | None, asked_at: int | None
) -> str:
    state, reason = execution.state, _reason(execution.reason)
    late = f"{span_words(lateness_us)} after it was due" if lateness_us is not None else ""
    at_executor = f"executor {execution.executor_id!r}"
    if state is ExecutionState.SKIPPED:
        return _skipped(execution, asked_at)
    if state is ExecutionState.WAITING:
        return _waiting(execution, task, overlap)
    if state is ExecutionState.DISPATCHED:
        return f"It was given to {at_executor}; that it started is not recorded yet, or it is not long ago."
    if state is ExecutionState.RUNNING:
        started = f"started {late} on" if late else "runs on"
        return f"It {started} {at_executor} and has not ended."
    if state is ExecutionState.SUCCEEDED:
        return f"It ran {late} on {at_executor} and succeeded{_run_time(execution)}."
    if state is ExecutionState.FAILED:
        started = f"ran {late}" if late else "was given to an executor"
        return f"It {started} on {at_executor} and failed{_run_time(execution)}{reason}."
    if state is ExecutionState.CANCELLED:
        started = f"it had started {late} on {at_executor}" if late else "it had not started"
        return f"It was cancelled{reason}; {started}."
    if state is ExecutionState.EXPIRED:
        return f"It was not started in time, and then not any more{reason}."
    return f"It was lost{reason}: it may have run, wholly, in part or not at all."


def _skipped(execution: Execution, asked_at: int | None) -> str:
    reason = _reason(execution.reason)
    if execution.gap_last_scheduled_at is None or not execution.gap_count:
        return f"It was skipped{reason}."
    stretch = (
        f"{counted(execution.gap_count, 'scheduled time')} from {instant_words(execution.ref.scheduled_at)} to"
        f" {instant_words(execution.gap_last_scheduled_at)}"
    )
    if asked_at is None or execution.gap_count == 1:
        return f"{stretch} {'was' if execution.gap_count == 1 else 'were'} skipped{reason}."
    return f"It was skipped with the {stretch}{reason}."


def _waiting(execution: Execution, task: Task, overlap: Overlap) -> str:
    if execution.retry_at is not None:
        return f"It waits for another attempt, which comes at {instant_words(execution.retry_at)} at the earliest."
    wait = f"It is recorded and waits for an executor with free credit for handler {task.handler!r}"
    if execution.origin in (ExecutionOrigin.CATCH_UP, ExecutionOrigin.BACKFILL):
        wait += ", behind fresh work and at a bounded rate"
    if overlap in (Overlap.BUFFER_ONE, Overlap.REPLACE):
        wait += ", or for the end of an earlier execution of the task"
    return wait + "."


def _run_time(execution: Execution) -> str:
    if execution.picked_up_at is None or execution.finished_at is None:
        return ""
    return f" after {span_words(max(0, execution.finished_at - execution.picked_up_at))}"


def _reason(reason: str) -> str:
    return f": {reason}" if reason else ""


def span_words(microseconds: int) -> str:
    """An elapsed time as people measure it: "12 ms", "3.4 seconds", "90 seconds", "2 hours and 5 minutes", "3 days"."""
    if microseconds < SECOND_US:
        return f"{microseconds // 1_000:,} ms"
    if microseconds < 10 * SECOND_US:
        return distance_words(microseconds // 100_000 * 100_000)
    if microseconds < 7_200 * SECOND_US:
        return distance_words(microseconds // SECOND_US * SECOND_US)
    if microseconds < 2 * _DAY_US:
        return distance_words(microseconds // (60 * SECOND_US) * 60 * SECOND_US)
    return counted(microseconds // _DAY_US, "day")
