"""What the engine and the API ask of a database: coarse units, each one transaction or one statement.

Two databases need share no SQL, and nothing above this module knows which one it talks to. Every unit takes a batch.
Instants are integer microseconds since 1970 UTC. Any unit may raise

- `StoreUnavailable`: the database did not answer within the unit's deadline and nothing was applied;
- `UnknownOutcome`: the connection broke or the deadline passed after something was sent that may have been applied;
- `Contention`: deadlock or lock wait, after the unit's own retries: nothing was applied.

**The fence.** A unit that writes for an owner names the owner and, per item, the partition's epoch, and compares both with
the partition's row by a locking read inside the same transaction or statement. Items of a partition whose row shows
another owner or epoch are not written and their partitions are answered as `refused`; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from mainspring.server.core.execution_filter import EVERYTHING, ExecutionFilter
from mainspring.server.core.model import (
    AddedExecution,
    AddOutcome,
    Assignment,
    AssignOutcome,
    ClaimItem,
    ClaimOutcome,
    Completion,
    DueCursor,
    DueTask,
    Execution,
    ExecutionRef,
    Extension,
    FailedAttempt,
    NewTask,
    OpenExecution,
    RemoveOutcome,
    Task,
    TaskRef,
    TaskState,
)
from mainspring.server.core.namespaces import Cutoffs, Namespace, Span
from mainspring.server.core.task_filter import NO_FILTER, TaskFilter
from mainspring.server.errors import StoreError
from mainspring.shard_manager.handover import Handover
from mainspring.shard_manager.lease import PartitionLease, PartitionRow


class SchemaMissing(StoreError):
    """The database has no schema that this software can use; run `mainspring migrate`."""

    reason: ClassVar[str] = "SCHEMA_MISSING"


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


@dataclass(frozen=True, slots=True)
class Slice:
    """What one step of a removal did.

    Attributes:
        removed: how many rows are gone.
        next: where to go on behind; None: nothing is left.
        is_refused: the partition's row shows another owner or epoch; nothing was removed.
    """

    removed: int
    next: ExecutionRef | None
    is_refused: bool = False


class RetentionStore(Protocol):
    """What the owner of a partition removes: what has ended and is old. Fenced; small units, each idempotent."""

    async def remove_executions(
        self,
        owner_id: str,
        lease: PartitionLease,
        cutoffs: Cutoffs,
        span: Span,
        *,
        after: ExecutionRef | None,
        limit: int,
    ) -> Slice:
        """Looks at the next `limit` executions of a partition whose scheduled times lie in the span, in the order of the
        ledger, and removes those that are final, and scheduled and ended before the cutoff of their namespace.

        Namespaces are told apart by the beginnings of their tasks' keys: two that share one (of 4 billion pairs one does)
        have the longer retention of those that were created.
        """
        ...

    async def remove_tasks(
        self,
        owner_id: str,
        lease: PartitionLease,
        cutoffs: Cutoffs,
        *,
        after: ExecutionRef | None,
        limit: int,
    ) -> Slice:
        """Looks at the next `limit` tasks of a partition that are not due, by key, and removes those that are COMPLETED or
        CANCELLED, were not changed since the cutoff of their namespace, and whose latest execution is gone or ended before
        it. A task with an open execution stays.

        `after` and `Slice.next` hold the key of a task; their scheduled time means nothing.
        """
        ...

    async def trim_histories(
        self, owner_id: str, lease: PartitionLease, keeps: Mapping[bytes, int], *, limit: int
    ) -> dict[bytes, bool]:
        """Removes final executions of tasks of a partition beyond the newest `keep` of each, at most `limit` of each.

        The chain of what stays is closed around what is removed. For a moment the tasks are locked, so that a claim of one
        would leave it out: none of them should be due soon.

        `keeps`: how many stay, at least 1, by task key. Answers for each of these tasks whether there may be more; is empty
        when the partition is refused.
        """
        ...


class NamespaceStore(Protocol):
    """Namespaces that were created. Safe from any node."""

    async def create_namespace(self, namespace: Namespace, now: int) -> tuple[Namespace, bool]:
        """Writes a namespace unless there is one of that name; answers the stored one, and whether it is new."""
        ...

    async def change_namespace(
        self, name: str, change: Callable[[Namespace], Namespace | None]
    ) -> Namespace | None:
        """Reads a namespace under a lock, has it changed, and answers it as it is then; None: there is none.

        `change` may be called again, and what it raises comes out; where it answers None nothing changes.
        """
        ...

    async def get_namespace(self, name: str) -> Namespace | None:
        """Reads one."""
        ...

    async def list_namespaces(self, after: str, limit: int) -> list[Namespace]:
        """Reads up to `limit`, behind `after` in the order of the names."""
        ...


class PartitionStore(Protocol):
    """Ownership rows. The same shape as the shard manager's OwnershipStore."""

    async def read_partitions(self) -> list[PartitionRow]:
        """Reads all rows, by id."""
        ...

    async def take_partitions(
        self, takes: Sequence[tuple[int, int]], owner_id: str, are_free: bool = False
    ) -> list[PartitionLease]:
        """Takes each (partition, expected epoch) by compare-and-set, an autocommit statement each; answers those won.

        With `are_free` only those without an owner, and all in one statement.
        """
        ...

    async def release_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str, released_at: int | None = None
    ) -> None:
        """Frees each row that still shows exactly this epoch and owner.

        The row names the owner as `released_by`, and `released_at`, by default the database's time, in the same
        statement; a take sets both back to None.
        """
        ...

    async def reassert_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str
    ) -> list[PartitionLease]:
        """After the database lost commits: raises rows with an epoch below the lease's to lease epoch + 1, owner = me.

        Answers the new leases of the rows that were behind.
        """
        ...


class HandoverCursor(NamedTuple):
    """A place in the list of hand-overs, which is in descending order of these."""

    firing_at: int
    partition_id: int
    epoch: int


class HandoverStore(Protocol):
    """The record of changes of owner: for people, so nothing else depends on it."""

    async def record_handovers(self, records: Sequence[Handover], *, keep: int) -> None:
        """Writes records, each once (partition and epoch name it), and deletes those of their partitions that are
        `keep` or more epochs older. Idempotent. Two autocommit statements: the second may fail without the first."""
        ...

    async def list_handovers(
        self, *, node_id: str | None, since_at: int | None, before: HandoverCursor | None, limit: int
    ) -> list[Handover]:
        """Reads up to `limit` records behind `before`, newest first.

        `node_id`: only those from or to this node. `since_at`: only those that fired at or after this instant.
        """
        ...


class Store(
    TaskStore,
    LedgerStore,
    OwnerStore,
    RetentionStore,
    NamespaceStore,
    PartitionStore,
    HandoverStore,
    Protocol,
):
    """All of it, and its life."""

    @property
    def partition_count(self) -> int:
        """N, fixed when the schema was created; known after `start`."""
        ...

    @property
    def cluster_id(self) -> str:
        """32 hexadecimal digits that were drawn when the cluster was created; known after `start`."""
        ...

    async def start(self) -> None:
        """Connects and checks the schema.

        Raises:
            WrongPartitionCount: the cluster was created with another number of partitions than configured.
            SchemaMissing: `mainspring migrate` has not been run, or the schema is too old or too new for this software.
            StoreUnavailable: the database cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Closes every connection, finishing nothing."""
        ...
