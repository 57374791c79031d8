"""Calls about all tasks that a filter names."""

from __future__ import annotations

from collections import Counter
from typing import Final

from fuzz.changing import NOTES, PEOPLE, Changing
from fuzz.definitions import LABELS, NAMESPACES, NOT_OFFERED, OFFERED, one_of, some_of, sometimes
from fuzz.messages import DAY, HOUR, stamp
from fuzz.model import ACTIVE, CANCELLED, COMPLETED, PAUSED, Known
from hypothesis import strategies as st
from hypothesis.stateful import rule

from mainspring.v1 import task_pb2, task_service_pb2

MOST_CHANGED: Final = 40


@st.composite
def filters(draw: st.DrawFn, *, fewest: int = 0) -> task_service_pb2.TaskFilter:
    """A filter with so many restrictions at least; its instants are distances from the call."""
    made = task_service_pb2.TaskFilter()
    chosen = some_of(draw, ("states", "handler", "labels", "next_from_time", "next_until_time"), fewest)
    if "states" in chosen:
        made.states.extend(some_of(draw, (ACTIVE, PAUSED, COMPLETED, CANCELLED), 1, 3))
    if "handler" in chosen:
        made.handler = one_of(draw, *OFFERED, NOT_OFFERED)
    if "labels" in chosen:
        made.labels["team"] = one_of(draw, *LABELS["team"])
        if sometimes(draw, 20):
            made.labels["Größe"] = one_of(draw, *LABELS["Größe"])
    if "next_from_time" in chosen:
        made.next_from_time.CopyFrom(stamp(one_of(draw, 0, HOUR, DAY)))
    if "next_until_time" in chosen:
        made.next_until_time.CopyFrom(stamp(one_of(draw, 40 * DAY, HOUR, 0)))
    return made


def fits(known: Known, only: task_service_pb2.TaskFilter) -> bool:
    """Whether a filter names a task."""
    task, next_at = known.task, known.next_at
    if only.HasField("next_from_time") and (
        next_at is None or next_at < only.next_from_time.ToMicroseconds()
    ):
        return False
    if only.HasField("next_until_time") and (
        next_at is None or next_at >= only.next_until_time.ToMicroseconds()
    ):
        return False
    return (
        (not only.states or task.state in only.states)
        and (not only.handler or task.handler == only.handler)
        and all(key in task.labels and task.labels[key] == value for key, value in only.labels.items())
    )


class Many(Changing):
    """ListTasks, CountTasks and ChangeTasks."""

    def placed_filter(self, given: task_service_pb2.TaskFilter) -> task_service_pb2.TaskFilter:
        """A filter with instants."""
        made = task_service_pb2.TaskFilter()
        made.CopyFrom(given)
        for name in ("next_from_time", "next_until_time"):
            if made.HasField(name):
                getattr(made, name).CopyFrom(stamp(self.now + getattr(given, name).ToMicroseconds()))
        return made

    def named_by(self, namespace: str, only: task_service_pb2.TaskFilter) -> list[Known]:
        """The tasks that a filter names."""
        space = namespace or "default"
        return [known for known in self.known.values() if known.name[0] == space and fits(known, only)]

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        given=filters(),
        omit_payload=st.booleans(),
        page_size=st.sampled_from((0, 1, 7, 1_000)),
    )
    def list_tasks(
        self, namespace: str, given: task_service_pb2.TaskFilter, omit_payload: bool, page_size: int
    ) -> None:
        """ListTasks and CountTasks."""
        only = self.placed_filter(given)
        wanted = self.named_by(namespace, only)
        count = self.call("CountTasks", task_service_pb2.CountTasksRequest(namespace=namespace, filter=only))
        self.check(count.count == len(wanted), f"{count.count} tasks instead of {len(wanted)}")
        states = Counter(known.task.state for known in wanted)
        self.check({entry.state: entry.count for entry in count.by_state} == dict(states), "by state")
        request = task_service_pb2.ListTasksRequest(
            namespace=namespace, filter=only, omit_payload=omit_payload, page_size=page_size
        )
        listed: list[task_pb2.Task] = []
        while True:
            page = self.call("ListTasks", request)
            listed.extend(page.tasks)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        names = sorted((task.namespace, task.id) for task in listed)
        self.check(names == sorted(known.name for known in wanted), "the names of the list")
        for task in listed:
            known = self.known[task.namespace, task.id]
            self.same_task(task, known, "ListTasks", without_payload=omit_payload)

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        given=filters(fewest=1),
        change=st.sampled_from((1, 2, 1, 2, 3, 4)),
        dry_run=st.booleans(),
        note=NOTES,
        changed_by=PEOPLE,
    )
    def change_many(
        self,
        namespace: str,
        given: task_service_pb2.TaskFilter,
        change: int,
        dry_run: bool,
        note: str,
        changed_by: str,
    ) -> None:
        """ChangeTasks: each task as by the call for one."""
        only = self.placed_filter(given)
        named = self.named_by(namespace, only)
        if len(named) > MOST_CHANGED:
            return
        request = task_service_pb2.ChangeTasksRequest(
            namespace=namespace,
            filter=only,
            change=change,  # type: ignore[arg-type]
            dry_run=dry_run,
            note=note,
            changed_by=changed_by,
        )
        is_removal = change == task_service_pb2.TASK_CHANGE_DELETE
        removed = [k for k in named if not self.is_running(k)] if is_removal and not dry_run else []
        answer = self.call("ChangeTasks", request)
        changed = len(removed)
        if not dry_run and not is_removal:
            for known in named:
                do = (known.pause, known.resume, known.cancel)[change - 1]
                changed += do(self.now, note, changed_by)
        self.check(
            (answer.matched_count, answer.changed_count) == (len(named), changed),
            f"{short_counts(answer)} instead of {len(named)} and {changed}",
        )
        self.settle()
        for known in named:
            if known in removed:
                self.forget(known)
            else:
                self.recheck(known)
                self.check_ledger(known)


def short_counts(answer: task_service_pb2.ChangeTasksResponse) -> str:
    """Both numbers."""
    return f"{answer.matched_count} matched and {answer.changed_count} changed"
