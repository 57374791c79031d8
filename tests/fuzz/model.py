"""What a task is meant to be after the calls that were made about it, and what its ledger is meant to hold.

The fires of one schedule are the product's (`make oracle` compares them with two other readings); everything else is said
here a second time, from the protos.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fuzz.definitions import NOT_OFFERED
from fuzz.messages import DAY, SECOND, length, stamp

from mainspring.server.core.due_time import due_at
from mainspring.server.core.next_fire import next_fire
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.rpc.schedule_requests import checked_schedule
from mainspring.shard_manager.hashing import task_key
from mainspring.v1 import execution_pb2, namespace_service_pb2, policy_pb2, task_pb2

GRACE: Final = 30 * SECOND
ACTIVE: Final = task_pb2.TASK_STATE_ACTIVE
PAUSED: Final = task_pb2.TASK_STATE_PAUSED
COMPLETED: Final = task_pb2.TASK_STATE_COMPLETED
CANCELLED: Final = task_pb2.TASK_STATE_CANCELLED


class Extra(NamedTuple):
    """An execution beside the schedule."""

    origin: int
    payload: bytes | None = None
    """Its own; None: the task's."""
    is_like: int | None = None
    """The scheduled time of the execution whose payload it has."""


class Adjustment(NamedTuple):
    """What was said of one scheduled time; nothing of it: it goes as the task says."""

    is_skipped: bool = False
    due_at: int | None = None
    payload: bytes | None = None


@dataclass(slots=True)
class Taken:
    """Scheduled times that became rows of the ledger: all of them, those in a gap row, and those made up for."""

    times: list[int]
    gap: list[int]
    catch_up: list[int]


def readable(task: task_pb2.Task, key: bytes) -> Schedule:
    """The schedule of an answered task, as the product reads it."""
    return checked_schedule(task.schedule, now=0, task_key=key).schedule


DEFAULTED: Final = tuple(field.name for field in namespace_service_pb2.TaskDefaults.DESCRIPTOR.fields)
"""What a namespace may say of its tasks."""
NO_DEFAULTS: Final = namespace_service_pb2.TaskDefaults()
AT_MOST_ONCE: Final = task_pb2.DELIVERY_MODE_AT_MOST_ONCE


def of_namespace(
    given: task_pb2.Task, defaults: namespace_service_pb2.TaskDefaults, among: Collection[str] = DEFAULTED
) -> task_pb2.Task:
    """A task with what its namespace says where it says nothing itself; of these fields."""
    task = task_pb2.Task()
    task.CopyFrom(given)
    said = {descriptor.name for descriptor, _ in given.ListFields()}
    taken = namespace_service_pb2.TaskDefaults()
    taken.CopyFrom(defaults)
    for name in DEFAULTED:
        if name in said or name not in among:
            taken.ClearField(name)
    if given.schedule.WhichOneof("kind") in ("at", "delay"):
        taken.ClearField("overlap")
    if given.delivery == AT_MOST_ONCE:
        taken.ClearField("retry")
    if given.retry.max_attempts > 1:
        taken.ClearField("delivery")
    for descriptor, value in taken.ListFields():
        if descriptor.message_type:
            getattr(task, descriptor.name).CopyFrom(value)
        else:
            setattr(task, descriptor.name, value)
    return task


def with_defaults(
    given: task_pb2.Task, defaults: namespace_service_pb2.TaskDefaults = NO_DEFAULTS
) -> task_pb2.Task:
    """The definition of a task as it is answered; the schedule is left as it is given."""
    task = of_namespace(given, defaults)
    given = of_namespace(given, defaults)
    task.namespace = given.namespace or "default"
    task.delivery = given.delivery or task_pb2.DELIVERY_MODE_AT_LEAST_ONCE
    misfire = task.misfire
    misfire.mode = given.misfire.mode or policy_pb2.MISFIRE_MODE_LATEST
    if misfire.mode == policy_pb2.MISFIRE_MODE_ALL:
        if not given.misfire.HasField("catch_up_window"):
            misfire.catch_up_window.CopyFrom(length(DAY))
        misfire.catch_up_limit = given.misfire.catch_up_limit or 100
    task.overlap = given.overlap or default_overlap(given)
    retry = task.retry
    retry.max_attempts = retry.max_attempts or 1
    retry.multiplier = retry.multiplier or 2.0
    if not retry.HasField("initial_backoff"):
        retry.initial_backoff.CopyFrom(length(SECOND))
    if not retry.HasField("max_backoff"):
        longest = min(100 * retry.initial_backoff.ToMicroseconds(), DAY)
        retry.max_backoff.CopyFrom(length(longest))
    kinds = sorted(set(retry.non_retryable_error_kinds))
    del retry.non_retryable_error_kinds[:]
    retry.non_retryable_error_kinds.extend(kinds)
    usual = policy_pb2.RetryPolicy(
        max_attempts=1, multiplier=2.0, initial_backoff=length(SECOND), max_backoff=length(100 * SECOND)
    )
    if retry == usual:
        task.ClearField("retry")
    if not task.timeouts.ListFields():
        task.ClearField("timeouts")
    if not task.HasField("lateness_objective"):
        task.lateness_objective.CopyFrom(length(10 * SECOND))
    return task


def shown(defaults: namespace_service_pb2.TaskDefaults) -> namespace_service_pb2.TaskDefaults:
    """Defaults of a namespace as they are answered: without what is so for all tasks anyway."""
    task = task_pb2.Task()
    for descriptor, value in defaults.ListFields():
        if descriptor.message_type:
            getattr(task, descriptor.name).CopyFrom(value)
        else:
            setattr(task, descriptor.name, value)
    whole, usual = with_defaults(task), with_defaults(task_pb2.Task())
    made = namespace_service_pb2.TaskDefaults()
    for name in DEFAULTED:
        value = getattr(whole, name)
        if name == "overlap":
            made.overlap = defaults.overlap
        elif value == getattr(usual, name):
            continue
        elif isinstance(value, int):
            setattr(made, name, value)
        else:
            getattr(made, name).CopyFrom(value)
    return made


def default_overlap(task: task_pb2.Task) -> policy_pb2.OverlapPolicy:
    """What a task has that says nothing of it."""
    is_once = task.schedule.WhichOneof("kind") in ("at", "delay")
    return policy_pb2.OVERLAP_POLICY_ALLOW if is_once else policy_pb2.OVERLAP_POLICY_SKIP


@dataclass(slots=True)
class Known:
    """A task, as `GetTask` is meant to answer it, and what it has done.

    Attributes:
        task: the answer; its last scheduled time is looked up in the ledger.
        sent: the call that created it, while that would still be the same call.
        due: when its next scheduled time is acted on.
        begun: when its first scheduled time was due: what lies before was not missed, but registered late.
        taken: what the ledger is meant to hold.
        etags: those that it has had, with their versions.
        versions: its definition at each of its versions.
        extra: executions beside the schedule, by scheduled time.
        adjusted: what was said of single scheduled times that are still to come.
        ended: the executions that were seen to have ended, by scheduled time.
    """

    task: task_pb2.Task
    sent: task_pb2.Task | None
    key: bytes
    schedule: Schedule
    due: int
    begun: int
    taken: list[Taken] = field(default_factory=list)
    etags: dict[str, int] = field(default_factory=dict)
    versions: dict[int, task_pb2.Task] = field(default_factory=dict)
    extra: dict[int, Extra] = field(default_factory=dict)
    adjusted: dict[int, Adjustment] = field(default_factory=dict)
    ended: dict[int, execution_pb2.Execution] = field(default_factory=dict)

    @staticmethod
    def of(answer: task_pb2.Task, sent: task_pb2.Task, now: int) -> Known:
        """A task that was created now; its first scheduled time is believed, being compared with a preview elsewhere."""
        key = task_key(answer.namespace, answer.id)
        schedule = readable(answer, key)
        task = task_pb2.Task()
        task.CopyFrom(answer)
        task.ClearField("next_due_time")  # that is `due`
        due = max(due_at(schedule, key, answer.next_scheduled_time.ToMicroseconds()), now)
        known = Known(task, sent, key, schedule, due, due, etags={answer.etag: answer.version})
        known.keep_version()
        return known

    @property
    def name(self) -> tuple[str, str]:
        """Namespace and id."""
        return self.task.namespace, self.task.id

    def keep_version(self) -> None:
        """Its definition is that of its version."""
        kept = self.versions[self.task.version] = task_pb2.Task()
        kept.CopyFrom(self.task)

    def due_of(self, at: int) -> int:
        """When a scheduled time is acted on."""
        adjustment = self.adjusted.get(at)
        if adjustment is not None and adjustment.due_at is not None:
            return adjustment.due_at
        return due_at(self.schedule, self.key, at)

    @property
    def is_live(self) -> bool:
        """Whether calls may change it."""
        return self.task.state in (ACTIVE, PAUSED)

    @property
    def next_at(self) -> int | None:
        """Its next scheduled time."""
        return (
            self.task.next_scheduled_time.ToMicroseconds()
            if self.task.HasField("next_scheduled_time")
            else None
        )

    def touch(self, now: int) -> None:
        """It was changed by a call."""
        self.task.version += 1
        self.task.etag = ""
        self.task.update_time.CopyFrom(stamp(now))
        self.keep_version()

    def pause(self, now: int, note: str, changed_by: str) -> bool:
        """Answers whether that changed anything."""
        task = self.task
        if not self.is_live or (task.state == PAUSED and (task.note, task.changed_by) == (note, changed_by)):
            return False
        self.touch(now)
        task.state, task.note, task.changed_by = PAUSED, note, changed_by
        return True

    def resume(self, now: int, note: str, changed_by: str) -> bool:
        """Answers whether that changed anything."""
        task = self.task
        if task.state != PAUSED:
            return False
        self.touch(now)
        task.state, task.note, task.changed_by = ACTIVE, note, changed_by
        assert self.next_at is not None
        self.due = self.begun = self.due_of(self.next_at)
        return True

    def cancel(self, now: int, note: str = "", changed_by: str = "") -> bool:
        """Answers whether that changed anything."""
        task = self.task
        if not self.is_live:
            return False
        self.touch(now)
        task.state, task.note, task.changed_by = CANCELLED, note, changed_by
        task.ClearField("next_scheduled_time")
        return True

    def due_times(self, now: int, most: int) -> list[int]:
        """The scheduled times that an executor would be given up to an instant, at most so many."""
        task = self.task
        times: list[int] = []
        if task.state != ACTIVE or task.handler == NOT_OFFERED:
            return []
        at, due = self.next_at, self.due
        left = (self.schedule.max_executions or 2**62) - task.execution_count
        while at is not None and due <= now and len(times) < min(most, left):
            times.append(at)
            at = next_fire(self.schedule, at)
            due = self.due_of(at) if at is not None else 0
        return times

    def settle(self, now: int, *, is_backlog: bool) -> None:
        """It has been given to an executor up to now.

        Args:
            is_backlog: its times were due before and are taken at this one instant; else each was taken when it was due.
        """
        times = self.due_times(now, 2**62)
        if not times:
            return
        task = self.task
        due = {at: self.due_of(at) for at in times}
        missed = [at for at in times if due[at] < now - GRACE and self.begun <= due[at]] if is_backlog else []
        gap, catch_up = missed, list[int]()
        if task.misfire.mode == policy_pb2.MISFIRE_MODE_LATEST and len(missed) == len(times):
            gap = missed[:-1]
        elif missed and task.misfire.mode == policy_pb2.MISFIRE_MODE_ALL:
            window_at = now - task.misfire.catch_up_window.ToMicroseconds()
            latest = missed[-task.misfire.catch_up_limit :]
            catch_up = [at for at in latest if due[at] >= window_at]
            gap = missed[: len(missed) - len(catch_up)]
        self.taken.append(Taken(times, gap, catch_up))
        task.execution_count += len(times)
        following = next_fire(self.schedule, times[-1])
        if following is None or task.execution_count == self.schedule.max_executions:
            task.state = COMPLETED
            task.ClearField("next_scheduled_time")
        else:
            task.next_scheduled_time.CopyFrom(stamp(following))
            self.due = self.due_of(following)

    @property
    def is_once(self) -> bool:
        """Whether it fires once."""
        return isinstance(self.schedule.timing, OneTime)
