"""The store, whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from mainspring.server.persistence.sqlite.additions import AdditionUnits
from mainspring.server.persistence.sqlite.attempts import AttemptUnits
from mainspring.server.persistence.sqlite.claims import ClaimUnits
from mainspring.server.persistence.sqlite.database import Database, SQLiteStats, Units
from mainspring.server.persistence.sqlite.handovers import HandoverUnits
from mainspring.server.persistence.sqlite.ledger import LedgerUnits
from mainspring.server.persistence.sqlite.life_cycle import LifeCycleUnits
from mainspring.server.persistence.sqlite.namespaces import NamespaceUnits
from mainspring.server.persistence.sqlite.partitions import PartitionUnits
from mainspring.server.persistence.sqlite.recovery import RecoveryUnits
from mainspring.server.persistence.sqlite.retention import RetentionUnits
from mainspring.server.persistence.sqlite.tasks import TaskUnits
from mainspring.server.persistence.sqlite.virtual_time import VirtualTimeUnits
from mainspring.server.persistence.sqlite.window import WindowUnits


def _wall_clock() -> int:
    return time.time_ns() // 1000


class SQLiteStore(
    TaskUnits,
    LifeCycleUnits,
    LedgerUnits,
    WindowUnits,
    ClaimUnits,
    RecoveryUnits,
    AttemptUnits,
    RetentionUnits,
    NamespaceUnits,
    AdditionUnits,
    PartitionUnits,
    HandoverUnits,
    VirtualTimeUnits,
):
    """Implements `Store` on a SQLite file, or in memory. It makes its schema by itself.

    All methods may be called from any task of the event loop that called `start`, concurrently. A unit yields to the
    loop once and then runs in one piece: cancelled before, it did nothing; it is never cut in the middle, its outcome is
    never unknown, and in memory the same calls give the same answers in the same order.

    Several nodes in one process share a database by `sibling` (one connection; the only way in memory) or by stores
    of their own on one file (a connection each). Another process is refused.

    Args:
        path: the file, created when it is missing (its folder is not), or ":memory:".
        partition_count: N of a new database, 1 to 4,096; None: 16. On an existing file it must be the same, or None.
        now: the database's clock, microseconds UTC; a virtual clock goes here.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = ":memory:",
        partition_count: int | None = None,
        *,
        now: Callable[[], int] = _wall_clock,
    ) -> None:
        super().__init__(Database(path, partition_count, now))

    def sibling(self) -> SQLiteStore:
        """A second handle on this store's database, as another node has it. To be started and closed by itself.

        The database is closed, and one in memory is gone, when the last of its handles is closed.
        """
        store = SQLiteStore.__new__(SQLiteStore)
        Units.__init__(store, self._db)
        return store

    @property
    def stats(self) -> SQLiteStats:
        """Counters of the database, shared by siblings."""
        return self._db.stats

    @property
    def partition_count(self) -> int:
        """See `Store.partition_count`."""
        return self._db.partition_count

    @property
    def cluster_id(self) -> str:
        """See `Store.cluster_id`."""
        return self._db.cluster_id

    async def start(self) -> None:
        """See `Store.start`: creates the file and its schema, or updates it. After it raised it may be called again.

        Raises:
            WrongPartitionCount: the file was created with another number of partitions.
            SchemaMissing: the file is not Mainspring's, or was written by newer software.
            StoreUnavailable: another process serves the file, or it cannot be opened or written.
            ValueError: the number of partitions is out of range.
        """
        if not self._is_open:
            self._db.open()
            self._is_open = True

    async def close(self) -> None:
        """See `Store.close`. May be called twice."""
        if self._is_open:
            self._is_open = False
            self._db.close()
