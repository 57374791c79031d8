"""The store, whole."""

from __future__ import annotations

from mainspring.server.persistence.mysql.additions import AdditionUnits
from mainspring.server.persistence.mysql.attempts import AttemptUnits
from mainspring.server.persistence.mysql.claims import ClaimUnits
from mainspring.server.persistence.mysql.connection import StoreStats
from mainspring.server.persistence.mysql.database import Database
from mainspring.server.persistence.mysql.handovers import HandoverUnits
from mainspring.server.persistence.mysql.ledger import LedgerUnits
from mainspring.server.persistence.mysql.life_cycle import LifeCycleUnits
from mainspring.server.persistence.mysql.namespaces import NamespaceUnits
from mainspring.server.persistence.mysql.partitions import PartitionUnits
from mainspring.server.persistence.mysql.recovery import RecoveryUnits
from mainspring.server.persistence.mysql.retention import RetentionUnits
from mainspring.server.persistence.mysql.schema import check_schema
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.tasks import TaskUnits
from mainspring.server.persistence.mysql.window import WindowUnits


class MySQLStore(
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
):
    """Implements `Store` on MySQL or MariaDB.

    All methods may be called from any task of the event loop that called `start`, concurrently. Cancelling one cuts
    its connection; what it had sent may still be applied.
    """

    def __init__(self, settings: MySQLSettings) -> None:
        super().__init__(Database(settings))
        self._is_started = False
        self._cluster_id = ""

    @property
    def stats(self) -> StoreStats:
        """Counters since the store was built."""
        return self._db.stats

    @property
    def open_connections(self) -> dict[str, int]:
        """Connections open or being opened, by lane."""
        return {pool.name: pool.open_connections for pool in self._db.pools}

    @property
    def waiting_callers(self) -> dict[str, int]:
        """Callers waiting for a connection, by lane."""
        return {pool.name: pool.waiters for pool in self._db.pools}

    @property
    def partition_count(self) -> int:
        """See `Store.partition_count`."""
        return self._db.partition_count

    @property
    def cluster_id(self) -> str:
        """See `Store.cluster_id`."""
        return self._cluster_id

    async def start(self) -> None:
        """See `Store.start`. After it raised it may be called again."""
        self._db.partition_count, self._cluster_id = await check_schema(
            self._db, self._db.settings.partition_count
        )
        if not self._is_started:
            self._db.start()
            self._is_started = True

    async def close(self) -> None:
        """See `Store.close`."""
        await self._db.close()
