"""From a due task to everything its claim writes. PURE: decided before the transaction begins."""

from __future__ import annotations

from mainspring.server.core.due_time import due_at
from mainspring.server.core.misfire import ClaimPlan, plan_claim
from mainspring.server.core.model import ClaimGap, ClaimItem, ClaimRun, DueTask
from mainspring.server.core.schedule_text import decode
from mainspring.server.engine.settings import EngineSettings

MISFIRED = "misfired: nothing could run it at its time"


def plan_of(task: DueTask, now: int, settings: EngineSettings) -> ClaimPlan:
    """What of a task's due times runs, what is skipped, and its next time."""
    return plan_claim(
        decode(task.schedule),
        task.scheduled_at,
        now,
        task_key=task.task_key,
        execution_count=task.execution_count,
        grace_us=int(settings.misfire_grace_s * 1_000_000),
        max_runs=settings.max_runs_per_claim,
    )


def claim_item(task: DueTask, plan: ClaimPlan, executor_ids: list[str]) -> ClaimItem:
    """A claim's item; `executor_ids` (at most one a run) go to the earliest runs, the others wait."""
    schedule = decode(task.schedule)
    runs = tuple(
        ClaimRun(
            scheduled_at,
            # What is stored counts: a task may be due later than its schedule says (registered late, or parked).
            task.due_at
            if scheduled_at == task.scheduled_at
            else due_at(schedule, task.task_key, scheduled_at),
            executor_ids[i] if i < len(executor_ids) else None,
        )
        for i, scheduled_at in enumerate(plan.runs)
    )
    gap, next_at = plan.gap, plan.next_at
    return ClaimItem(
        task,
        runs,
        ClaimGap(gap.from_at, gap.to_at, gap.count, MISFIRED) if gap is not None else None,
        next_at,
        None if next_at is None else due_at(schedule, task.task_key, next_at),
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
    )
