"""From a due task to everything its claim writes. PURE: decided before the transaction begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from operator import attrgetter

from mainspring.server.core import adjustments, expiry, overlap, owed_times, policies
from mainspring.server.core.claim import ClaimGap, ClaimItem, ClaimRun
from mainspring.server.core.misfire import ClaimPlan, plan_claim
from mainspring.server.core.model import DueTask, ExecutionOrigin, ExecutionRef, Task, TaskState
from mainspring.server.core.overlap import OpenOne, OverlapPlan
from mainspring.server.core.schedule_text import decode
from mainspring.server.core.time_limits import expired_reason
from mainspring.server.engine.settings import EngineSettings

MISFIRED = "misfired: nothing could run it at its time"


def plan_of(task: DueTask, now: int, settings: EngineSettings) -> ClaimPlan:
    """What of a task's due times runs, what is made up for, what is skipped, and its next time."""
    schedule, misfire = owed_times.governing(task)
    if owed := owed_times.decode(task.owed):
        schedule = owed_times.bounded(owed[0], task.execution_count, decode(task.schedule).max_executions)
    return plan_claim(
        schedule,
        task.scheduled_at,
        now,
        misfire=misfire,
        due_at=task.due_at,
        task_key=task.task_key,
        execution_count=task.execution_count,
        grace_us=int(settings.misfire_grace_s * 1_000_000),
        max_runs=settings.max_runs_per_claim,
        adjustments=adjustments.decode(task.adjustments),
    )


def too_late_of(task: DueTask, plan: ClaimPlan, now: int) -> tuple[int, ...]:
    """Those of the plan's runs that are too late to start."""
    if not task.policies:
        return ()
    return expiry.expired(policies.decode(task.policies), plan.runs, _due(task), now)


def overlap_of(
    task: DueTask, plan: ClaimPlan, open_ones: Collection[OpenOne], too_late: Collection[int] = ()
) -> OverlapPlan:
    """What of the plan's runs runs now, beside what is open of the task. `too_late`: those that do not run at all."""
    runs = tuple(at for at in plan.runs if at not in too_late)
    if not runs:
        return OverlapPlan(())
    policy = policies.decode(task.policies).overlap_of(decode(task.schedule))
    return overlap.decide(policy, open_ones, runs)


def _due(task: DueTask) -> Callable[[int], int]:
    """When each time of a task is due."""
    schedule, _ = owed_times.governing(task)
    adjusted = adjustments.decode(task.adjustments)

    def due(scheduled_at: int) -> int:
        # What is stored counts: a task may be due later than its schedule says (registered late, or put off).
        if scheduled_at == task.scheduled_at:
            return task.due_at
        return adjustments.due_at(schedule, task.task_key, scheduled_at, adjusted)

    return due


def claim_item(
    task: DueTask,
    plan: ClaimPlan,
    beside: OverlapPlan,
    executor_ids: list[str],
    too_late: Collection[int] = (),
    *,
    now: int,
    settings: EngineSettings,
) -> ClaimItem:
    """A claim's item; `executor_ids` (at most one for each of `beside.runs`) go to the earliest runs, the others wait.

    Args:
        too_late: those of the plan's runs that are too late to start.
    """
    schedule, _ = owed_times.governing(task)
    adjusted = adjustments.decode(task.adjustments)
    due = _due(task)

    def has_payload(scheduled_at: int) -> bool:
        return scheduled_at in adjusted and adjusted[scheduled_at].has_payload

    late_reason = expired_reason(policies.decode(task.policies).timeouts) if too_late else ""

    def runs() -> Iterator[ClaimRun]:
        spacing_us = int(settings.catch_up_spacing_s * 1_000_000)
        for i, at in enumerate(plan.catch_up):
            wake_at = now + i * spacing_us
            yield ClaimRun(at, due(at), None, ExecutionOrigin.CATCH_UP, wake_at, has_payload=has_payload(at))
        executors = dict(zip(beside.runs, executor_ids, strict=False))
        for at in plan.runs:
            if at in too_late:
                yield ClaimRun(
                    at, due(at), None, skip_reason=late_reason, is_expired=True, has_payload=has_payload(at)
                )
                continue
            reason = beside.reason if at in beside.skipped else ""
            yield ClaimRun(
                at, due(at), executors.get(at), skip_reason=reason, has_payload=has_payload(at) and not reason
            )
        for at in plan.skipped:
            yield ClaimRun(at, due(at), None, skip_reason=adjustments.SKIPPED)

    gap, next_at, next_schedule, next_owed = plan.gap, plan.next_at, schedule, None
    if owed := owed_times.decode(task.owed):
        present = decode(task.schedule)
        next_at, left = owed_times.after_claim(owed, plan, task.execution_count, present.max_executions)
        next_schedule = left[0].schedule if left else present
        next_owed = owed_times.encode(left)
    recorded = tuple(sorted(runs(), key=attrgetter("scheduled_at")) if plan.skipped else runs())
    # A time of its own that is open already was claimed before: this claim is out of date, and nothing replaces itself.
    own = {run.scheduled_at for run in recorded}
    return ClaimItem(
        task,
        recorded,
        ClaimGap(gap.from_at, gap.to_at, gap.count, MISFIRED) if gap is not None else None,
        next_at,
        None if next_at is None else adjustments.due_at(next_schedule, task.task_key, next_at, adjusted),
        tuple(ExecutionRef(task.partition_id, at, task.task_key) for at in beside.replaced if at not in own),
        adjustments.left_from(task.adjustments, next_at),
        next_owed,
    )


def following(item: ClaimItem) -> DueTask | None:
    """The task as it is due next, once its claim is committed; None when nothing is left."""
    if item.next_scheduled_at is None or item.next_due_at is None:
        return None
    skipped = item.gap.count if item.gap is not None else 0
    return item.due._replace(
        due_at=item.next_due_at,
        scheduled_at=item.next_scheduled_at,
        execution_count=item.due.execution_count + skipped + len(item.runs),
        adjustments=item.next_adjustments,
        owed=item.next_owed,
    )


def due_task_of(task: Task) -> DueTask | None:
    """What the window remembers of a stored task; None when it is not to fire."""
    if task.state is not TaskState.ACTIVE or task.due_at is None or task.scheduled_at is None:
        return None
    return DueTask(
        task.due_at,
        task.ref.partition_id,
        task.ref.task_key,
        task.scheduled_at,
        task.version,
        task.handler,
        task.schedule,
        task.execution_count,
        task.policies,
        task.adjustments_version,
        task.adjustments,
        task.owed,
    )
