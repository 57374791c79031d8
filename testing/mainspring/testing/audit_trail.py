"""What triggers in the database wrote down about a run: the witness that neither nodes nor executors can talk to.

Pure records. `audit` sets the triggers and reads the trail. Instants are microseconds UTC on the database's clock, epochs
and owners are those of the rows. An owner is a node id (name, process id, chance), unique per process start.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition's row."""

    partition_id: int
    epoch: int
    owner_id: str | None


@dataclass(frozen=True, slots=True)
class OwnershipChange:
    """One change of a partition's row, in the order of commits per partition."""

    partition_id: int
    old_epoch: int
    new_epoch: int
    old_owner_id: str | None
    new_owner_id: str | None
    at: int


@dataclass(frozen=True, slots=True)
class StaleWrite:
    """A write of an execution under another (epoch, node) than its partition's row showed at that moment.

    Attributes:
        epoch: In the execution after the write, with `node_id`.
        owner_epoch: In the partition's row, with `owner_id`.
        writer: Name of the node whose account wrote; empty for any other account.
    """

    statement: Literal["INSERT", "UPDATE"]
    partition_id: int
    namespace: str
    task_id: str
    scheduled_at: int
    attempt: int
    epoch: int
    node_id: str | None
    owner_epoch: int | None
    owner_id: str | None
    at: int
    writer: str = ""


@dataclass(frozen=True, slots=True)
class FinalOverwrite:
    """A change of an execution that was final, or the removal of any execution (`state_after` None)."""

    statement: Literal["UPDATE", "DELETE"]
    partition_id: int
    namespace: str
    task_id: str
    scheduled_at: int
    state_before: str
    state_after: str | None
    attempt_before: int
    attempt_after: int | None
    at: int


@dataclass(frozen=True, slots=True)
class RemovedTask:
    """A task's row was removed, in the state that it was in."""

    partition_id: int
    namespace: str
    task_id: str
    state: str
    at: int


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """Everything that the triggers saw between their installation and the reading.

    Attributes:
        initial_partitions: The partitions' rows when the triggers were set.
        final_partitions: The same when the trail was read.
    """

    installed_at: int
    read_at: int
    initial_partitions: tuple[PartitionState, ...]
    final_partitions: tuple[PartitionState, ...]
    ownership_changes: tuple[OwnershipChange, ...]
    stale_writes: tuple[StaleWrite, ...] = ()
    final_overwrites: tuple[FinalOverwrite, ...] = ()
    removed_tasks: tuple[RemovedTask, ...] = ()


def member_name(node_id: str) -> str:
    """The name that a node was given: its id is name, process id and chance, with dashes between."""
    return node_id.rsplit("-", 2)[0]
