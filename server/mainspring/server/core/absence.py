"""Why the ledger holds no execution at a scheduled time. PURE.

Asked when there is neither a row at that time nor a gap row around it. The answer speaks of the task as it is now: what an
earlier definition would have said is not stored.
"""

from __future__ import annotations

from dataclasses import replace

from mainspring.server.core import adjustments, owed_times
from mainspring.server.core.explain import span_words
from mainspring.server.core.model import Task, TaskState
from mainspring.server.core.next_fire import count_fires, last_fire, next_fire
from mainspring.server.core.plain_english import counted, instant_words
from mainspring.server.core.schedule import OneTime, Schedule

_ANY_TIME_BEFORE = -(2**62)


def why_none(task: Task, schedule: Schedule, scheduled_at: int, now: int, *, kept_from_at: int) -> str:
    """One or two sentences.

    Args:
        schedule: the task's, decoded.
        scheduled_at: what was asked about.
        now: cluster time.
        kept_from_at: what ended before this is removed from the ledger.
    """
    for owed in owed_times.decode(task.owed):
        is_of_it = task.scheduled_at is not None and task.scheduled_at <= scheduled_at < owed.next_at
        if is_of_it and _is_fire(owed.schedule, scheduled_at):
            return _to_come(task, owed.schedule, scheduled_at, now) + " It is of the schedule before."
    if not _is_fire(schedule, scheduled_at):
        if scheduled_at < kept_from_at:
            return _removed(kept_from_at)
        return _no_time_of(schedule, scheduled_at) + _changed(task)
    is_recurring = not isinstance(schedule.timing, OneTime)
    if is_recurring and scheduled_at <= task.created_at:
        return f"The task was registered after that, at {instant_words(task.created_at)}."
    first_at = owed_times.first_of_schedule(task)
    if first_at is not None and scheduled_at >= first_at:
        return _to_come(task, schedule, scheduled_at, now)
    if task.state is TaskState.CANCELLED and scheduled_at > (task.last_scheduled_at or _ANY_TIME_BEFORE):
        if scheduled_at >= kept_from_at or task.updated_at > kept_from_at:
            return f"The task was cancelled before it came to that, at {instant_words(task.updated_at)}{_who(task)}."
        return _removed(kept_from_at)
    if task.state is TaskState.COMPLETED and scheduled_at > (task.last_scheduled_at or _ANY_TIME_BEFORE):
        if schedule.max_executions is not None and task.execution_count >= schedule.max_executions:
            return _beyond(schedule.max_executions)
        return "The task had completed before that."
    if scheduled_at < kept_from_at:
        return _removed(kept_from_at)
    return "It is a time of the schedule, but was none when it passed, or it was removed." + _changed(task)


def _is_fire(schedule: Schedule, at: int) -> bool:
    if isinstance(schedule.timing, OneTime):
        return schedule.timing.at == at
    return next_fire(schedule, at - 1) == at


def _no_time_of(schedule: Schedule, at: int) -> str:
    if isinstance(schedule.timing, OneTime):
        return f"The task has one scheduled time, {instant_words(schedule.timing.at)}, and this is another."
    if (
        schedule.start_at is not None
        and at < schedule.start_at
        and _is_fire(replace(schedule, start_at=None), at)
    ):
        return f"It lies before the start of the schedule, {instant_words(schedule.start_at)}."
    if schedule.end_at is not None and at >= schedule.end_at and _is_fire(replace(schedule, end_at=None), at):
        return f"It lies at or after the end of the schedule, {instant_words(schedule.end_at)}."
    if schedule.exclusions is not None and _is_fire(replace(schedule, exclusions=None), at):
        return "It is left out by the exclusions of the schedule."
    around = []
    before = last_fire(schedule, _earliest(schedule, at), at)
    after = next_fire(schedule, at)
    if before is not None:
        around.append(f"the one before is {instant_words(before)}")
    if after is not None:
        around.append(f"the one after is {instant_words(after)}")
    nearest = f": {', '.join(around)}" if around else ""
    return f"It is no time of the schedule{nearest}."


def _earliest(schedule: Schedule, at: int) -> int:
    """How far back the time before is looked for: the start, and no more than some years."""
    back = at - 4 * 366 * 86_400_000_000
    return back if schedule.start_at is None else max(back, schedule.start_at - 1)


def _to_come(task: Task, schedule: Schedule, scheduled_at: int, now: int) -> str:
    assert task.scheduled_at is not None
    maximum = schedule.max_executions
    first_at = owed_times.first_of_schedule(task)
    if maximum is not None and first_at is not None and scheduled_at > first_at:
        earlier = 1 + count_fires(schedule, first_at, scheduled_at)
        if task.execution_count + earlier >= maximum:
            return _beyond(maximum)
    if task.state is TaskState.PAUSED:
        return (
            f"The task is paused since {instant_words(task.updated_at)}{_who(task)}. What becomes of the times that pass"
            " meanwhile its misfire policy says when it is resumed."
        )
    adjusted = _adjusted(task, scheduled_at)
    if scheduled_at > now:
        return f"It is still to come, in {span_words(scheduled_at - now)}.{adjusted}"
    if scheduled_at > task.scheduled_at:
        return (
            f"The task is behind: its next scheduled time is still {instant_words(task.scheduled_at)}. An execution is"
            f" recorded only when an executor has free credit for handler {task.handler!r}.{adjusted}"
        )
    if task.due_at is not None and task.due_at > now:
        return f"It is due in {span_words(task.due_at - now)}, at {instant_words(task.due_at)}.{adjusted}"
    due_for = "" if task.due_at is None else f" for {span_words(now - task.due_at)}"
    return (
        f"It has been due{due_for} and is not claimed yet: that takes an executor with free credit for handler"
        f" {task.handler!r}, and an owner of partition {task.ref.partition_id}.{adjusted}"
    )


def _adjusted(task: Task, scheduled_at: int) -> str:
    """What calls have made of a time that is to come."""
    one = adjustments.decode(task.adjustments).get(scheduled_at)
    if one is None:
        return ""
    if one.is_skipped:
        return " A call left it out: it will be skipped."
    said = [] if one.due_at is None else [f"moved it to {instant_words(one.due_at)}"]
    if one.has_payload:
        said.append("gave it a payload of its own")
    return f" A call {' and '.join(said)}."


def _beyond(maximum: int) -> str:
    return f"It lies beyond the maximum of {counted(maximum, 'execution')}."


def _removed(kept_from_at: int) -> str:
    return (
        f"The ledger does not reach back to it: what ended before {instant_words(kept_from_at)} is removed by the"
        " retention of the namespace."
    )


def _who(task: Task) -> str:
    by = f" by {task.changed_by}" if task.changed_by else ""
    return f"{by}{f' ({task.note})' if task.note else ''}"


def _changed(task: Task) -> str:
    if task.version <= 1:
        return ""
    return (
        f" The task was changed since it was registered, the last time at {instant_words(task.updated_at)}."
    )
