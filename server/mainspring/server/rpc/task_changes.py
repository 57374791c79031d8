"""Calls that change tasks: committed, told to the owner, and answered when nothing older is sent any more (I5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mainspring.server.clock import Clock
from mainspring.server.core.life_cycle import StateChange, with_state_changed
from mainspring.server.core.model import Task, TaskRef, TaskState
from mainspring.server.core.task_filter import TaskFilter
from mainspring.server.engine.engine import Engine
from mainspring.server.errors import FailedPrecondition, InvalidField, NotFound, StaleEtag, Unavailable
from mainspring.server.persistence.store import Store
from mainspring.server.rpc.convert import etag_of
from mainspring.server.rpc.task_update import checked_mask, updated
from mainspring.server.rpc.validation import Limits
from mainspring.v1 import task_pb2

NOTE_CHARACTERS = 500
CHANGED_BY_CHARACTERS = 200
TASKS_A_STEP = 500
"""Of a change of many: their rows are locked for a few milliseconds at a time."""
LONGEST_CHANGE_S = 10.0
"""A change of many that takes longer answers how far it has come; the same call again goes on."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a task is changed, and by whom, for people."""

    note: str = ""
    changed_by: str = ""

    def checked(self) -> Reason:
        """Itself.

        Raises:
            InvalidField: it is too long.
        """
        for name, value, most in (
            ("note", self.note, NOTE_CHARACTERS),
            ("changed_by", self.changed_by, CHANGED_BY_CHARACTERS),
        ):
            if len(value) > most:
                raise InvalidField(name, f"has {len(value)} characters; at most {most} are allowed")
        return self


@dataclass(frozen=True, slots=True)
class NamedTask:
    """Which task a call is about, and in which state it believes it to be."""

    ref: TaskRef
    name: str
    """As the caller gave it, for complaints."""
    etag: str = field(default="", kw_only=True)
    """Empty: whatever its state."""

    def check(self, task: Task) -> None:
        """Raises StaleEtag when the task is not in that state."""
        if self.etag and self.etag != etag_of(task):
            raise StaleEtag("task", self.name, self.etag, etag_of(task))


class TaskChanges:
    """Carries the changes out, at any node."""

    def __init__(self, clock: Clock, store: Store, engine: Engine, limits: Limits) -> None:
        self._clock = clock
        self._store = store
        self._engine = engine
        self._limits = limits

    async def change_state(self, named: NamedTask, change: StateChange, why: Reason) -> Task:
        """Pauses, resumes or cancels a task; answers it as it is then.

        Raises:
            NotFound, StaleEtag: as they say.
            FailedPrecondition: it has ended, otherwise than the call asks for.
        """
        now = self._clock.now()
        return await self._change(
            named,
            lambda task: with_state_changed(task, change, now=now, note=why.note, changed_by=why.changed_by),
            lambda task: change is StateChange.CANCEL and task.state is TaskState.CANCELLED,
        )

    async def update(self, named: NamedTask, given: task_pb2.Task, paths: Sequence[str]) -> Task:
        """Changes the definition of a task; answers it as it is then.

        Raises:
            InvalidRequest: the mask or the fields are wrong.
            NotFound, StaleEtag: as they say.
            FailedPrecondition: it has ended.
        """
        mask = checked_mask(paths)
        now = self._clock.now()
        return await self._change(
            named,
            lambda task: updated(
                task,
                given,
                mask,
                now=now,
                partition_count=self._store.partition_count,
                limits=self._limits,
            ),
            lambda task: False,
        )

    async def _change(
        self,
        named: NamedTask,
        change: Callable[[Task], Task | None],
        is_as_wanted: Callable[[Task], bool],
    ) -> Task:
        def checked(task: Task) -> Task | None:
            named.check(task)
            if task.state in (TaskState.COMPLETED, TaskState.CANCELLED) and not is_as_wanted(task):
                ended = "has completed" if task.state is TaskState.COMPLETED else "was cancelled"
                raise FailedPrecondition(f"task {named.name!r} {ended}: nothing of it changes any more")
            return change(task)

        (changed,) = await self._store.change_tasks([named.ref], checked)
        if changed is None:
            raise NotFound("task", named.name)
        # Told again when there was nothing to change: the call before may have been cut off before it told.
        await self._engine.announce([changed.task])
        return changed.task

    async def change_many(
        self, namespace: str, only: TaskFilter, change: StateChange, why: Reason
    ) -> tuple[int, int]:
        """Changes the state of all tasks that a filter names; answers how many it named, and how many were changed.

        Raises:
            Unavailable: it takes too long. Some are changed; the same call again goes on.
        """
        begun_s = self._clock.monotonic()
        now = self._clock.now()
        matched = changed = 0
        after: TaskRef | None = None

        def change_one(task: Task) -> Task | None:
            return with_state_changed(task, change, now=now, note=why.note, changed_by=why.changed_by)

        while True:
            page = await self._store.list_tasks(namespace, after, TASKS_A_STEP, with_payload=False, only=only)
            if page:
                matched += len(page)
                outcome = await self._store.change_tasks(
                    [task.ref for task in page], change_one, with_payload=False
                )
                done = [answer.task for answer in outcome if answer is not None and answer.is_changed]
                changed += len(done)
                await self._engine.announce(done)
                after = page[-1].ref
            if len(page) < TASKS_A_STEP:
                return matched, changed
            if self._clock.monotonic() - begun_s > LONGEST_CHANGE_S:
                raise Unavailable(f"{changed} tasks were changed so far: call again for the others")
