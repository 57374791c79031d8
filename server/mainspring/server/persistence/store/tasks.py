"""What the API asks a database about tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from mainspring.server.core.model import (
    NewTask,
    Task,
    TaskRef,
    TaskState,
)
from mainspring.server.core.task_filter import NO_FILTER, TaskFilter
from mainspring.server.errors import StoreError


@dataclass(frozen=True, slots=True)
class Created:
    """A registration's outcome: the stored task; `is_conflict` when it has another definition than the call's."""

    task: Task
    is_conflict: bool


class TasksRefused(StoreError):
    """The database refused the values of some of the tasks; the others are written.

    Does not happen to tasks that were validated. Never the whole batch for one row: the outcomes of the others are
    here.

    Args:
        created: the outcome of each task that was written or existed, by its index in the batch.
        refused: why not, by index, for the others.
    """

    reason: ClassVar[str] = "TASKS_REFUSED"

    def __init__(self, created: Mapping[int, Created], refused: Mapping[int, str]) -> None:
        super().__init__(f"{len(refused)} of {len(created) + len(refused)} tasks were refused")
        self.created = dict(created)
        self.refused = dict(refused)


@dataclass(frozen=True, slots=True)
class Changed:
    """A change's outcome: the task as it is now, and whether this call changed it."""

    task: Task
    is_changed: bool


class TaskStore(Protocol):
    """What the API asks about tasks. Safe from any node, owner or not."""

    async def create_tasks(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Writes the tasks that do not exist yet, durably, and answers for each in order, in one round.

        A task that exists is left as it is. The unit is idempotent, so it may be repeated after `UnknownOutcome`.
        The same name twice in one batch is allowed: the first wins.

        Raises:
            TasksRefused: some rows do not fit the schema; the others are written and answered inside the error.
        """
        ...

    async def get_task(self, ref: TaskRef) -> Task | None:
        """Reads one task."""
        ...

    async def list_tasks(
        self,
        namespace: str,
        after: TaskRef | None,
        limit: int,
        *,
        with_payload: bool,
        only: TaskFilter = NO_FILTER,
    ) -> list[Task]:
        """Reads up to `limit` tasks of a namespace that fit `only`, behind `after` in the order (partition, key).

        Without payloads, `Task.payload` is empty.
        """
        ...

    async def count_tasks(self, namespace: str, only: TaskFilter = NO_FILTER) -> dict[TaskState, int]:
        """Counts the tasks of a namespace that fit `only`, by state; states without any are left out."""
        ...

    async def change_tasks(
        self, refs: Sequence[TaskRef], change: Callable[[Task], Task | None], *, with_payload: bool = True
    ) -> list[Changed | None]:
        """Writes what `change` makes of tasks, in one transaction, under locks taken in key order.

        Answers for each name in order; None: there is no such task. What `change` raises comes through, and nothing is
        written. It may run several times and has no effects. It leaves the names, the ledger's count and `created_at`
        as they are; where it answers None, so is the rest.

        Args:
            with_payload: whether `change` and the answers see the payloads; else they are empty, and are left alone.
        """
        ...

    async def read_versions(self, refs: Sequence[TaskRef]) -> dict[TaskRef, int]:
        """Reads the versions of tasks, in one statement; those that do not exist are left out."""
        ...
