"""What calls make of tasks: pausing, resuming, cancelling, updating. PURE.

Each function answers the task as it is to be stored, or None when there is nothing to change. The store applies them
under the lock of the task's row, so they decide about the task as it is.

    ACTIVE <──pause / resume──> PAUSED          both ──cancel──> CANCELLED          COMPLETED and CANCELLED are final
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from mainspring.server.core import adjustments, owed_times
from mainspring.server.core.model import Delivery, Task, TaskState
from mainspring.server.core.policies import MisfireMode
from mainspring.server.core.schedule_text import decode

BEING_REMOVED = "it is being deleted"


class StateChange(IntEnum):
    """A change of a task's state by a call. The numbers are those of the proto's TaskChange."""

    PAUSE = 1
    RESUME = 2
    CANCEL = 3


def with_state_changed(
    task: Task, change: StateChange, *, now: int, note: str = "", changed_by: str = ""
) -> Task | None:
    """The task after a change of its state.

    A paused task keeps its next scheduled time and is not due; resumed, it is due at that time, or now when it has passed
    and a passed time runs. Where the misfire policy does not simply run it, it is due when it was: the claim decides.
    Pausing a paused task puts the new note in place of the old one. A final state does not change.

    Args:
        now: cluster time.
        note: why, for people.
        changed_by: who, for people.
    """
    if task.state not in (TaskState.ACTIVE, TaskState.PAUSED):
        return None
    changed = replace(
        task, version=task.version + 1, updated_at=max(now, task.updated_at), note=note, changed_by=changed_by
    )
    if change is StateChange.CANCEL:
        return replace(changed, state=TaskState.CANCELLED, scheduled_at=None, due_at=None)
    if change is StateChange.PAUSE:
        if task.state is TaskState.PAUSED and (task.note, task.changed_by) == (note, changed_by):
            return None
        return replace(changed, state=TaskState.PAUSED, due_at=None)
    if task.state is TaskState.ACTIVE or task.scheduled_at is None:
        return None
    return replace(changed, state=TaskState.ACTIVE, due_at=due_again(task, now))


def due_again(task: Task, now: int) -> int:
    """When the next scheduled time of a task is due that a call has put off or moved.

    As its schedule and its adjustments say, or now when that has passed and a passed time runs. Where the misfire policy
    does not simply run it, it is due when it was.

    Args:
        task: one that has a next scheduled time.
        now: cluster time.
    """
    assert task.scheduled_at is not None
    schedule, misfire = owed_times.governing(task)
    known = adjustments.decode(task.adjustments)
    due = max(adjustments.due_at(schedule, task.ref.task_key, task.scheduled_at, known), task.created_at)
    if misfire.mode is MisfireMode.LATEST:
        due = max(due, now)
    return due


def with_removal_begun(task: Task, *, now: int) -> Task | None:
    """The task as it is while it is removed: cancelled, whatever it was, with a note. None: it is cancelled already.

    Args:
        now: cluster time.
    """
    if task.state is TaskState.CANCELLED:
        return None
    return replace(
        task,
        state=TaskState.CANCELLED,
        version=task.version + 1,
        updated_at=max(now, task.updated_at),
        scheduled_at=None,
        due_at=None,
        note=BEING_REMOVED,
        changed_by="",
    )


def is_being_removed(task: Task) -> bool:
    """Whether a removal has begun that was not done yet, by `with_removal_begun`."""
    return task.state is TaskState.CANCELLED and task.note == BEING_REMOVED


@dataclass(frozen=True, slots=True)
class Definition:
    """What a caller says of a task, as stored; the fields are those of `Task`."""

    handler: str
    payload: bytes
    schedule: str
    definition_hash: bytes
    delivery: Delivery
    policies: str
    labels: str


def with_definition_changed(
    task: Task, definition: Definition, *, first_at: int | None, now: int
) -> Task | None:
    """The task with another definition. None: it has it already, or has ended.

    With another schedule its next scheduled time is `first_at`. Times of the one before that are due already stay, for the
    claim to decide about by the misfire policy before (`owed_times`).

    Args:
        first_at: the first time of the schedule behind `now`; needed when the schedule is another one.
        now: cluster time.

    Raises:
        FailedPrecondition: it was given too many schedules while nothing of it could be recorded.
    """
    if task.state not in (TaskState.ACTIVE, TaskState.PAUSED):
        return None
    changed = replace(
        task,
        handler=definition.handler,
        payload=definition.payload,
        schedule=definition.schedule,
        delivery=definition.delivery,
        policies=definition.policies,
        labels=definition.labels,
    )
    if changed == task:
        return None
    changed = replace(
        changed,
        definition_hash=definition.definition_hash,
        version=task.version + 1,
        updated_at=max(now, task.updated_at),
    )
    if definition.schedule == task.schedule:
        return changed
    if first_at is None:
        return changed
    schedule = decode(definition.schedule)
    key = task.ref.task_key
    owed, owed_until_at = owed_times.with_another_schedule(task, schedule, first_at, now)
    kept = dict(adjustments.kept_with(task.adjustments, schedule, key, first_at))
    if owed is not None:
        known = adjustments.decode(task.adjustments).items()
        kept |= {at: one for at, one in known if at < owed_until_at}
        return replace(changed, adjustments=adjustments.encode(kept), owed=owed)
    due = max(adjustments.due_at(schedule, key, first_at, kept), now)
    return replace(
        changed,
        scheduled_at=first_at,
        due_at=due if task.state is TaskState.ACTIVE else None,
        adjustments=adjustments.encode(kept),
    )
