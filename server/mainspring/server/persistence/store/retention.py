"""What the owner of a partition has a database remove: what has ended and is old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mainspring.server.core.model import (
    ExecutionRef,
)
from mainspring.server.core.namespaces import Cutoffs, Span
from mainspring.shard_manager.lease import PartitionLease


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
