"""Calls that change tasks: committed, told to the owner, and answered when nothing older is sent any more (I5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from google.rpc import code_pb2

from mainspring.server.clock import Clock
from mainspring.server.core.life_cycle import StateChange, with_state_changed
from mainspring.server.core.model import Task, TaskRef, TaskState
from mainspring.server.core.task_adjustment import WantedAdjustment, with_adjustment
from mainspring.server.core.task_filter import TaskFilter
from mainspring.server.engine.engine import Engine
from mainspring.server.errors import (
    FailedPrecondition,
    InvalidField,
    MainspringError,
    NotFound,
    StaleEtag,
    Unavailable,
)
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import etag_before, etag_of
from mainspring.server.rpc.namespace_cache import NamespaceCache
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.server.rpc.status import status_of
from mainspring.server.rpc.task_update import checked_mask, updated
from mainspring.server.rpc.validation import Limits
from mainspring.v1 import task_pb2, task_service_pb2

NOTE_CHARACTERS = 500
CHANGED_BY_CHARACTERS = 200
TASKS_A_STEP = 500
"""Of a change of many: their rows are locked for a few milliseconds at a time."""
REMOVALS_AT_ONCE = 16
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

    def check(self, task: Task, is_as_wanted: Callable[[], bool]) -> None:
        """Lets a task pass that is in that state, or that is one change behind it and as the call wants it.

        The latter is what a call finds that is repeated because its answer was lost.

        Raises:
            StaleEtag: otherwise.
        """
        if not self.etag or self.etag == etag_of(task):
            return
        if self.etag != etag_before(task) or not is_as_wanted():
            raise StaleEtag("task", self.name, self.etag, etag_of(task))


def named_task(
    namespace: str, task_id: str, partition_count: int, *, field: str = "id", etag: str = ""
) -> NamedTask:
    """The task that a call names.

    Args:
        field: where the id stands in the request.

    Raises:
        InvalidField: the name cannot be one.
    """
    namespace = validation.name(namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
    task_id = validation.name(task_id, field)
    return NamedTask(
        validation.task_ref(namespace, task_id, partition_count), f"{namespace}/{task_id}", etag=etag
    )


class TaskChanges:
    """Carries the changes out, at any node."""

    def __init__(
        self,
        clock: Clock,
        store: Store,
        engine: Engine,
        limits: Limits,
        owner_calls: OwnerCalls,
        namespaces: NamespaceCache,
    ) -> None:
        self._clock = clock
        self._store = store
        self._namespaces = namespaces
        self._engine = engine
        self._limits = limits
        self._owner_calls = owner_calls

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
        defaults = await self._namespaces.defaults_of(given)
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
                defaults=defaults,
            ),
            lambda task: False,
        )

    async def adjust(self, named: NamedTask, scheduled_at: int, wanted: WantedAdjustment) -> None:
        """Adjusts one scheduled time of a task that is still to come. Nobody has to be waited for (`task_adjustment`).

        Raises:
            NotFound: there is no such task.
            FailedPrecondition: it has ended, or the time was claimed already, or is none of its schedule.
            InvalidField, ResourceExhausted: as `with_adjustment`.
        """
        now = self._clock.now()
        changed = await self._write(
            named,
            lambda task: with_adjustment(
                task, scheduled_at, wanted, now=now, payload_bytes=self._limits.payload_bytes
            ),
            lambda task: False,
        )
        # Told again when there was nothing to change: the call before may have been cut off before it told.
        self._engine.hint_adjusted(changed)

    async def _change(
        self,
        named: NamedTask,
        change: Callable[[Task], Task | None],
        is_as_wanted: Callable[[Task], bool],
    ) -> Task:
        changed = await self._write(named, change, is_as_wanted)
        # Told again when there was nothing to change: the call before may have been cut off before it told.
        await self._engine.announce([changed])
        return changed

    async def _write(
        self,
        named: NamedTask,
        change: Callable[[Task], Task | None],
        is_as_wanted: Callable[[Task], bool],
    ) -> Task:
        """Changes one task, which has not ended but for when that is what is wanted; answers it as it is then."""

        def checked(task: Task) -> Task | None:
            is_over = task.state in (TaskState.COMPLETED, TaskState.CANCELLED) and not is_as_wanted(task)
            named.check(task, lambda: not is_over and change(task) is None)
            if is_over:
                ended = "has completed" if task.state is TaskState.COMPLETED else "was cancelled"
                raise FailedPrecondition(f"task {named.name!r} {ended}: nothing of it changes any more")
            return change(task)

        (changed,) = await self._store.change_tasks([named.ref], checked)
        if changed is None:
            raise NotFound("task", named.name)
        return changed.task

    async def change_many(
        self, namespace: str, only: TaskFilter, change: StateChange | None, why: Reason
    ) -> tuple[int, int]:
        """Changes the state of all tasks that a filter names; answers how many it named, and how many were changed.

        A task that has ended, or cannot be removed for an execution of it runs, is left as it is.

        Args:
            change: None: removes them.

        Raises:
            Unavailable: it takes too long. Some are changed; the same call again goes on.
        """
        begun_s = self._clock.monotonic()
        matched = changed = 0
        after: TaskRef | None = None
        while True:
            page = await self._store.list_tasks(namespace, after, TASKS_A_STEP, with_payload=False, only=only)
            matched += len(page)
            if change is None:
                changed += await self._remove(page)
            else:
                changed += await self._change_page(page, change, why)
            if len(page) < TASKS_A_STEP:
                return matched, changed
            after = page[-1].ref
            if self._clock.monotonic() - begun_s > LONGEST_CHANGE_S:
                raise Unavailable(f"{changed} tasks were changed so far: call again for the others")

    async def _change_page(self, page: Sequence[Task], change: StateChange, why: Reason) -> int:
        now = self._clock.now()
        outcome = await self._store.change_tasks(
            [task.ref for task in page],
            lambda task: with_state_changed(task, change, now=now, note=why.note, changed_by=why.changed_by),
            with_payload=False,
        )
        done = [answer.task for answer in outcome if answer is not None and answer.is_changed]
        await self._engine.announce(done)
        return len(done)

    async def _remove(self, page: Sequence[Task]) -> int:
        removals = asyncio.Semaphore(REMOVALS_AT_ONCE)

        async def remove(task: Task) -> bool:
            request = task_service_pb2.DeleteTaskRequest(namespace=task.namespace, id=task.task_id)
            async with removals:
                try:
                    await self._owner_calls.call("DeleteTask", task.ref.partition_id, request)
                except MainspringError as error:
                    if status_of(error).code in (code_pb2.FAILED_PRECONDITION, code_pb2.NOT_FOUND):
                        return False
                    raise
            return True

        return sum(await asyncio.gather(*(remove(task) for task in page)))
