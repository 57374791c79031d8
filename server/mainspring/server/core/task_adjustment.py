"""What AdjustExecution makes of a task: one scheduled time that is still to come, changed. PURE.

The store applies it under the lock of the task's row. A time that the row has not passed is not claimed, and a claim that
was planned before finds another `adjustments_version`. So from the commit on nothing goes by the earlier word (I5) without
anybody being told, and what waits of the task is left alone.

What a call says of a time adds to what calls before it said (moved, and with a payload of its own), but for these:
a time that is left out is nothing else, and one that is moved or gets a payload is not left out any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mainspring.server.core import adjustments as adjusting
from mainspring.server.core import due_time, owed_times
from mainspring.server.core.adjustments import AS_PLANNED, MOST_ADJUSTMENTS, Adjustment, Adjustments
from mainspring.server.core.life_cycle import due_again
from mainspring.server.core.model import Task, TaskState
from mainspring.server.core.next_fire import count_fires, last_fire, next_fire
from mainspring.server.core.owed_times import first_of_schedule
from mainspring.server.core.plain_english import instant_words
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.core.schedule_text import decode
from mainspring.server.errors import FailedPrecondition, InvalidField, ResourceExhausted


@dataclass(frozen=True, slots=True)
class WantedAdjustment:
    """What a call asks for: at most one of these; none of them: as the task says.

    Attributes:
        due_at: to be due then.
        payload: to get this payload.
        is_skipped: to be left out.
    """

    due_at: int | None = None
    payload: bytes | None = None
    is_skipped: bool = False


def with_adjustment(
    task: Task, scheduled_at: int, wanted: WantedAdjustment, *, now: int, payload_bytes: int
) -> Task | None:
    """The task with a scheduled time adjusted; None when it is so already.

    Args:
        task: with its payloads. Neither COMPLETED nor CANCELLED.
        now: cluster time.
        payload_bytes: what the payloads of all adjusted times of the task may have together.

    Raises:
        FailedPrecondition: the time was claimed already, or is none of the schedule.
        InvalidField: due_time; it cannot be due then. Or payload; that would be too much for a task.
        ResourceExhausted: so many times of the task are adjusted already.
    """
    schedule = decode(task.schedule)
    _check_is_to_come(task, schedule, scheduled_at)
    before = adjusting.decode(task.adjustments)
    payloads = {
        at: payload
        for at, payload in adjusting.decode_payloads(task.adjusted_payloads).items()
        if at in before and before[at].has_payload
    }
    after, new_payloads = dict(before), dict(payloads)
    after[scheduled_at] = _adjusted(before.get(scheduled_at, AS_PLANNED), wanted)
    if wanted.payload is not None:
        new_payloads[scheduled_at] = wanted.payload
    elif not after[scheduled_at].has_payload:
        new_payloads.pop(scheduled_at, None)
    if after[scheduled_at] == AS_PLANNED:
        del after[scheduled_at]
    if (after, new_payloads) == (before, payloads):
        return None
    if wanted.due_at is not None:
        _check_due(task, schedule, scheduled_at, wanted.due_at, before, now)
    if len(after) > MOST_ADJUSTMENTS:
        raise ResourceExhausted(
            f"{MOST_ADJUSTMENTS} scheduled times of the task are adjusted already: reset one, or wait until one has passed"
        )
    total = sum(map(len, new_payloads.values()))
    if wanted.payload is not None and total > payload_bytes:
        others = total - len(wanted.payload)
        raise InvalidField(
            "payload",
            f"has {len(wanted.payload)} bytes; at most {payload_bytes} are allowed for the adjusted times of a task, and"
            f" others of it have {others}",
        )
    changed = replace(
        task,
        adjustments_version=task.adjustments_version + 1,
        adjustments=adjusting.encode(after),
        adjusted_payloads=adjusting.encode_payloads(new_payloads),
    )
    was = adjusting.due_at(schedule, task.ref.task_key, scheduled_at, before)
    is_moved = was != adjusting.due_at(schedule, task.ref.task_key, scheduled_at, after)
    if scheduled_at == task.scheduled_at and task.state is TaskState.ACTIVE and is_moved:
        return replace(changed, due_at=due_again(changed, now))
    return changed


def _adjusted(before: Adjustment, wanted: WantedAdjustment) -> Adjustment:
    if wanted.is_skipped:
        return Adjustment(is_skipped=True)
    if wanted.due_at is not None:
        return replace(before, is_skipped=False, due_at=wanted.due_at)
    if wanted.payload is not None:
        return replace(before, is_skipped=False, has_payload=True)
    return AS_PLANNED


def _check_is_to_come(task: Task, schedule: Schedule, scheduled_at: int) -> None:
    words = instant_words(scheduled_at)
    first_at = first_of_schedule(task)
    if scheduled_at == first_at:
        return
    is_fire = (
        scheduled_at == schedule.timing.at
        if isinstance(schedule.timing, OneTime)
        else next_fire(schedule, scheduled_at - 1) == scheduled_at
    )
    if not is_fire:
        raise FailedPrecondition(f"{words} is no scheduled time of the task: PreviewSchedule tells which are")
    if first_at is None or scheduled_at < first_at:
        raise FailedPrecondition(
            f"the execution of {words} was claimed already, or passed before the task had this schedule"
        )
    maximum = schedule.max_executions
    if maximum is not None:
        owed_count = sum(one.count for one in owed_times.decode(task.owed))
        number = task.execution_count + owed_count + 2 + count_fires(schedule, first_at, scheduled_at)
        if number > maximum:
            raise FailedPrecondition(f"{words} lies beyond the maximum of {maximum} executions of the task")


def _check_due(
    task: Task, schedule: Schedule, scheduled_at: int, due_at: int, adjustments: Adjustments, now: int
) -> None:
    """Raises what speaks against a due time: the order of due times has to stay that of the scheduled times."""
    if due_at < now:
        raise InvalidField("due_time", "lies in the past: it must not lie before the call")
    low_at, high_at = _neighbours(task, schedule, scheduled_at, adjustments, now)
    if low_at is not None and due_at <= low_at:
        raise InvalidField(
            "due_time", f"must lie behind {instant_words(low_at)}, when the time before is scheduled and due"
        )
    if high_at is not None and due_at >= high_at:
        raise InvalidField(
            "due_time",
            f"must lie before {instant_words(high_at)}, when the following time is scheduled, or due if that is sooner",
        )


def _neighbours(
    task: Task, schedule: Schedule, scheduled_at: int, adjustments: Adjustments, now: int
) -> tuple[int | None, int | None]:
    """What a due time must lie behind and before."""
    if isinstance(schedule.timing, OneTime):
        return None, None
    key = task.ref.task_key
    low_at = high_at = None
    # One that passed before does not matter: no due time lies before `now`.
    from_at = now if task.scheduled_at is None else min(now, task.scheduled_at)
    earlier_at = last_fire(schedule, from_at - 1, scheduled_at) if from_at < scheduled_at else None
    if earlier_at is not None:
        natural = due_time.due_at(schedule, key, earlier_at)
        low_at = max(natural, adjusting.due_at(schedule, key, earlier_at, adjustments))
    later_at = next_fire(schedule, scheduled_at)
    if later_at is not None:
        high_at = min(later_at, adjusting.due_at(schedule, key, later_at, adjustments))
    return low_at, high_at
