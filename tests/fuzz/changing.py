"""Calls that change, end or remove one task."""

from __future__ import annotations

from typing import Any, Final

from fuzz.caller import Code
from fuzz.definitions import placed, updates
from fuzz.ledger import DISPATCHED, RUNNING
from fuzz.model import (
    ACTIVE,
    CANCELLED,
    COMPLETED,
    PAUSED,
    Known,
    default_overlap,
    of_namespace,
    readable,
    with_defaults,
)
from fuzz.world import STALE_ETAGS, World, tasks
from hypothesis import strategies as st
from hypothesis.stateful import rule

from mainspring.v1 import task_pb2, task_service_pb2

NOTES: Final = st.sampled_from(("", "maintenance", "ü" * 500))
PEOPLE: Final = st.sampled_from(("", "ana", "n" * 200))
ETAGS: Final = st.sampled_from(("none", "none", "present", "stale"))
"""Which etag a call has."""


class Changing(World):
    """UpdateTask, PauseTask, ResumeTask, CancelTask and DeleteTask, on tasks in whatever state."""

    def put_etag(self, known: Known, request: Any, etag: str, *, changes: bool | None = True) -> bool:
        """Puts it into a request; answers whether the call is to be refused for it.

        Args:
            changes: whether the call would change anything; None: nobody knows. One that would not, with the etag before the
                latest change, is the call that made it, repeated.
        """
        if etag == "present":
            request.etag = known.task.etag
        elif etag == "stale":
            had = [earlier for earlier in known.etags if earlier != known.task.etag]
            request.etag = had[-1] if had and changes is not None else STALE_ETAGS[self.named % 2]
            is_one_behind = known.etags.get(request.etag) == known.task.version - 1
            return bool(changes) or not is_one_behind
        return etag == "stale"

    @rule(name=tasks, update=updates(), etag=ETAGS)
    def update(self, name: tuple[str, str], update: tuple[tuple[str, ...], task_pb2.Task], etag: str) -> None:
        """Some fields, each alone or together."""
        mask, given = update
        request = task_service_pb2.UpdateTaskRequest(task=placed(given, self.now, *name))
        request.update_mask.paths.extend(mask)
        known = self.find(name)
        if known is None:
            self.refused("UpdateTask", request, Code.NOT_FOUND)
            return
        has_passed = known.next_at is not None and known.next_at <= self.now
        if "schedule" in mask and has_passed:
            return  # the model has no place for what is owed of the schedule before
        if not known.is_live:
            is_stale = self.put_etag(known, request, etag)
            self.refused(
                "UpdateTask", request, *((Code.ABORTED,) if is_stale else (Code.FAILED_PRECONDITION,))
            )
            self.recheck(known)
            return
        wanted = self._updated(known, request.task, mask)
        most = wanted.schedule.max_executions
        is_wrong = wanted.retry.max_attempts > 1 and wanted.delivery == task_pb2.DELIVERY_MODE_AT_MOST_ONCE
        changes = None if is_wrong or "schedule" in mask else wanted != known.task
        if self.put_etag(known, request, etag, changes=changes):
            self.refused("UpdateTask", request, Code.ABORTED)
        elif is_wrong:
            self.refused("UpdateTask", request, Code.INVALID_ARGUMENT, "task.retry")
        elif "schedule" in mask and most and most <= known.task.execution_count:
            path = "task.schedule.max_executions"
            self.refused("UpdateTask", request, Code.INVALID_ARGUMENT, path)
        else:
            self._apply(known, request, wanted)
        self.check_after(known)

    def _updated(self, known: Known, given: task_pb2.Task, mask: tuple[str, ...]) -> task_pb2.Task:
        """The task with the fields of the mask as given, the others as they are."""
        merged = task_pb2.Task()
        merged.CopyFrom(known.task)
        if known.task.overlap == default_overlap(known.task):
            merged.ClearField("overlap")
        source = task_pb2.Task()
        source.CopyFrom(given)
        for descriptor, _ in given.ListFields():
            if descriptor.name not in mask:
                source.ClearField(descriptor.name)
        for field in mask:
            merged.ClearField(field)
        merged.MergeFrom(source)
        return with_defaults(of_namespace(merged, self.defaults_of(known.name[0]), mask))

    def _apply(
        self, known: Known, request: task_service_pb2.UpdateTaskRequest, wanted: task_pb2.Task
    ) -> None:
        """An update that is right."""
        answer = self.call("UpdateTask", request)
        before = known.task
        if "schedule" in request.update_mask.paths:
            self.check_schedule(answer.task, request.task)
            wanted.schedule.CopyFrom(answer.task.schedule)
        has_new_schedule = wanted.schedule != before.schedule
        known.schedule = readable(wanted, known.key)
        if has_new_schedule:
            wanted.next_scheduled_time.CopyFrom(answer.task.next_scheduled_time)
        is_changed = wanted != before
        known.task = wanted
        if is_changed:
            known.touch(self.now)
            known.sent = None
        if has_new_schedule:
            assert known.next_at is not None
            known.due = max(known.due_of(known.next_at), self.now)
            self.check_fires(known, answer)
        self.same_task(answer.task, known, "UpdateTask")

    @rule(name=tasks, note=NOTES, changed_by=PEOPLE, etag=ETAGS)
    def pause(self, name: tuple[str, str], note: str, changed_by: str, etag: str) -> None:
        """PauseTask."""
        request = task_service_pb2.PauseTaskRequest(
            namespace=name[0], id=name[1], note=note, changed_by=changed_by
        )
        known = self.find(name)
        if self._may_change("PauseTask", request, known, etag, PAUSED):
            assert known is not None
            answer = self.call("PauseTask", request)
            known.pause(self.now, note, changed_by)
            self.same_task(answer.task, known, "PauseTask")
            self.check_after(known)

    @rule(name=tasks, note=NOTES, changed_by=PEOPLE, etag=ETAGS)
    def resume(self, name: tuple[str, str], note: str, changed_by: str, etag: str) -> None:
        """ResumeTask."""
        request = task_service_pb2.ResumeTaskRequest(
            namespace=name[0], id=name[1], note=note, changed_by=changed_by
        )
        known = self.find(name)
        if self._may_change("ResumeTask", request, known, etag, ACTIVE):
            assert known is not None
            answer = self.call("ResumeTask", request)
            known.resume(self.now, note, changed_by)
            self.same_task(answer.task, known, "ResumeTask")
            self.check_after(known)

    def _may_change(self, method: str, request: Any, known: Known | None, etag: str, state: int) -> bool:
        """Whether a pause or resume is in order; else it is refused, and has been."""
        if known is None:
            self.refused(method, request, Code.NOT_FOUND)
            return False
        task = known.task
        has_note = state == ACTIVE or (task.note, task.changed_by) == (request.note, request.changed_by)
        is_stale = self.put_etag(known, request, etag, changes=task.state != state or not has_note)
        if not is_stale and known.is_live:
            return True
        self.refused(method, request, Code.ABORTED if is_stale else Code.FAILED_PRECONDITION)
        self.recheck(known)
        return False

    @rule(name=tasks, note=NOTES, changed_by=PEOPLE, etag=ETAGS)
    def cancel(self, name: tuple[str, str], note: str, changed_by: str, etag: str) -> None:
        """CancelTask: once more it answers the task with the note of the first call."""
        request = task_service_pb2.CancelTaskRequest(
            namespace=name[0], id=name[1], note=note, changed_by=changed_by
        )
        known = self.find(name)
        if known is None:
            self.refused("CancelTask", request, Code.NOT_FOUND)
            return
        is_stale = self.put_etag(known, request, etag, changes=known.task.state != CANCELLED)
        if is_stale or known.task.state == COMPLETED:
            self.refused("CancelTask", request, Code.ABORTED if is_stale else Code.FAILED_PRECONDITION)
            self.recheck(known)
        else:
            answer = self.call("CancelTask", request)
            known.cancel(self.now, note, changed_by)
            self.same_task(answer.task, known, "CancelTask")
            self.check_after(known)

    @rule(name=tasks, etag=ETAGS)
    def delete(self, name: tuple[str, str], etag: str) -> None:
        """DeleteTask: what is gone is gone, and its id is free."""
        request = task_service_pb2.DeleteTaskRequest(namespace=name[0], id=name[1])
        known = self.find(name)
        if known is None:
            self.refused("DeleteTask", request, Code.NOT_FOUND)
            return
        is_stale = self.put_etag(known, request, etag, changes=known.task.state != CANCELLED)
        if is_stale or self.is_running(known):
            self.refused("DeleteTask", request, Code.ABORTED if is_stale else Code.FAILED_PRECONDITION)
            self.recheck(known)
            return
        self.call("DeleteTask", request)
        self.forget(known)

    def is_running(self, known: Known) -> bool:
        """Whether an execution is at an executor."""
        return any(row.state in (DISPATCHED, RUNNING) for row in self.rows(known))

    def forget(self, known: Known) -> None:
        """It was deleted, with its ledger."""
        del self.known[known.name]
        self.removed.append(known.name)
        self.check_gone(known.name)
        self.check(not self.rows(known), "a ledger without a task")
