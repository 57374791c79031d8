"""What the API asks a database about executions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mainspring.server.core.execution_filter import EVERYTHING, ExecutionFilter
from mainspring.server.core.model import (
    Execution,
    ExecutionRef,
    TaskRef,
)


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """Some executions, and where the next page goes on; None: this is the last."""

    executions: list[Execution]
    next: ExecutionRef | None


class LedgerStore(Protocol):
    """What the API asks about executions."""

    async def get_execution(self, ref: TaskRef, scheduled_at: int | None) -> Execution | None:
        """Reads one execution with its result; the latest of the task when no time is given."""
        ...

    async def get_gap(self, ref: TaskRef, at: int) -> Execution | None:
        """Reads the gap row of a task that holds the scheduled time `at`.

        Walks the task's history from the newest row, 50,000 rows at most.
        """
        ...

    async def list_task_executions(
        self, ref: TaskRef, *, only: ExecutionFilter = EVERYTHING, from_at: int | None = None, limit: int
    ) -> ExecutionPage:
        """Reads up to `limit` executions of one task that fit `only`, newest first, without results.

        Follows the chain of `previous_scheduled_at`, which ends where a row is gone. No other task's rows are read, and a
        bounded number of its own: a page may hold less than `limit`, or nothing, and another follow all the same.

        Args:
            from_at: the scheduled time of `next` of the page before; the walk begins with that row.
        """
        ...

    async def list_executions(
        self,
        namespace: str,
        *,
        only: ExecutionFilter = EVERYTHING,
        after: ExecutionRef | None = None,
        limit: int,
    ) -> ExecutionPage:
        """Reads up to `limit` executions of a namespace that fit `only`, in the order of `ExecutionRef`, without results.

        Looks at a bounded number of rows: a page may hold less than `limit`, or nothing, and another follow all the same.

        Args:
            after: `next` of the page before; the page begins behind it.
        """
        ...
