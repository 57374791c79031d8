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

from typing import ClassVar, Protocol

from mainspring.server.errors import StoreError
from mainspring.server.persistence.store.handovers import HandoverStore
from mainspring.server.persistence.store.ledger import LedgerStore
from mainspring.server.persistence.store.namespaces import NamespaceStore
from mainspring.server.persistence.store.owner import OwnerStore
from mainspring.server.persistence.store.partitions import PartitionStore
from mainspring.server.persistence.store.retention import RetentionStore
from mainspring.server.persistence.store.tasks import TaskStore


class SchemaMissing(StoreError):
    """The database has no schema that this software can use; run `mainspring migrate`."""

    reason: ClassVar[str] = "SCHEMA_MISSING"


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
