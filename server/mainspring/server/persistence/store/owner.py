"""What the owner of partitions asks a database, under the fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mainspring.server.core.attempt import Assignment, AssignOutcome, Completion, Extension, FailedAttempt
from mainspring.server.core.claim import ClaimItem, ClaimOutcome
from mainspring.server.core.model import (
    AddedExecution,
    AddOutcome,
    DueCursor,
    DueTask,
    OpenExecution,
    RemoveOutcome,
    TaskRef,
)


class OwnerStore(Protocol):
    """What the owner of partitions asks: the hot path. Every statement carries the partition."""

    async def database_time(self) -> int:
        """Reads the database's clock, microseconds UTC."""
        ...

    async def load_due_tasks(
        self,
        partition_ids: Sequence[int],
        *,
        from_at: int,
        until_at: int,
        after: DueCursor | None,
        limit: int,
    ) -> list[DueTask]:
        """Reads up to `limit` ACTIVE tasks with from_at <= due < until_at, in the order of `DueCursor`, behind `after`.

        Plain reads, one statement for all partitions.
        """
        ...

    async def load_open_executions(
        self, partition_ids: Sequence[int], *, until_at: int | None, after: DueCursor | None, limit: int
    ) -> list[OpenExecution]:
        """Reads up to `limit` executions that are not final, in the order (partition, wake_at, key, scheduled_at).

        `until_at`: only those with wake_at < until_at; None: all (take-over). `after`: the `DueCursor`
        (partition, wake_at, task_key) of the last row of the page before; the next page begins with that row's task
        again, so it may repeat rows of that task and wake_at. `limit` must be larger than the number of runs that
        one claim creates for one task, or a page could hold nothing new.
        """
        ...

    async def claim(
        self, owner_id: str, epochs: Mapping[int, int], items: Sequence[ClaimItem], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """Turns due tasks into executions and moves the tasks on, in one transaction.

        1. lock the partition rows in shared mode, compare (epoch, owner): mismatches are refused;
        2. re-read the tasks FOR UPDATE SKIP LOCKED in key order: those whose version, scheduled time or execution count
           is not the item's, or that are not ACTIVE, or are locked, are dropped;
        3. insert the gap row and one execution a run (DISPATCHED with attempt 1 where an executor is named, SKIPPED
           where a reason is, else WAITING with attempt 0 and the run's own wake time if it has one); a row that
           exists already is kept, and like what is skipped is not answered as claimed;
        4. move the task to its next time in place, or to COMPLETED, and count the rows that were inserted, a gap row
           with its count; commit.

        Args:
            epochs: the epoch under which the owner believes to hold each partition of the items.
            now: becomes `claimed_at`.
            wake_at: when the sweep looks at the new executions again if nothing happens to them.

        Raises:
            UnknownOutcome: the commit's answer was lost: call `recover_claim` with the same arguments.
        """
        ...

    async def recover_claim(
        self, owner_id: str, epochs: Mapping[int, int], items: Sequence[ClaimItem], *, now: int, wake_at: int
    ) -> ClaimOutcome:
        """Finds out what a claim of unknown outcome did, on a new session.

        Reads the task rows FOR UPDATE, which waits for the old transaction to end, then the executions: those that
        carry this owner and epoch and this claim's `now` are answered as claimed, or as outdated when their task is at
        another version by now; if the task did not move the item is dropped.
        """
        ...

    async def assign(
        self, owner_id: str, items: Sequence[Assignment], *, now: int, wake_at: int
    ) -> AssignOutcome:
        """Records the next attempt of open executions, fenced, in one statement, then reads back what was recorded.

        A row is changed only while it is open and shows the expected attempt. The attempt runs the task's current
        definition and records its version. Executions of a task that is PAUSED or CANCELLED end as CANCELLED instead,
        and so does the first attempt of a task that is at another version than the item says.
        Idempotent under the same arguments: what is recorded already is answered as dispatchable again.
        """
        ...

    async def complete(self, owner_id: str, items: Sequence[Completion], *, now: int) -> frozenset[int]:
        """Writes final states, fenced, each only while the row is open and shows the attempt; answers refused partitions.

        A row that is WAITING, or is not, although the item says otherwise, is left alone too.
        Everything not refused is settled, applied or not. `now` becomes `saved_at`. Idempotent.
        """
        ...

    async def retry(self, owner_id: str, items: Sequence[FailedAttempt]) -> frozenset[int]:
        """Writes failures that another attempt follows, fenced: WAITING until it may go on, with one failure more.

        Each only while its row is DISPATCHED or RUNNING and shows the attempt; answers refused partitions. Idempotent.
        """
        ...

    async def add_executions(
        self, owner_id: str, epoch: int, ref: TaskRef, items: Sequence[AddedExecution], *, now: int
    ) -> AddOutcome:
        """Adds WAITING executions of one task in their places of its history, fenced, in one transaction.

        They are not counted by the task and take nothing of its `max_executions`. `now` becomes `claimed_at`. Of two calls
        with one request key within a day the second finds what the first added; with request keys the unit is idempotent,
        and so it is for scheduled times that may not move.
        """
        ...

    async def remove_task(self, owner_id: str, epoch: int, ref: TaskRef, *, limit: int) -> RemoveOutcome:
        """Removes up to `limit` of the newest executions of a CANCELLED task, fenced; with the last one the task itself.

        Idempotent: to be called until nothing is left. Does nothing to a task in another state.
        """
        ...

    async def extend(self, owner_id: str, items: Sequence[Extension]) -> frozenset[int]:
        """Records signs of life, fenced, each only while its row is open and shows the attempt; answers the refused.

        A row that waits is no longer at an executor, and the other way round: then nothing is written. Progress and the
        reason to stop stay as they are where an item has none.
        """
        ...
