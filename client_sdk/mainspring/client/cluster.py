"""The cluster as operators see it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class Node:
    """One scheduler process.

    Attributes:
        node_id: Unique per process start.
        address: host:port of its gRPC server.
        version: Of its software.
        is_ready: Whether it takes partitions.
        partition_count: How many partitions it says it holds.
        is_self: Whether it is the node that answered.
        away_reasons: Why it is not ready, by its own account: "drained", or the trouble that made it step aside.
        time_zone_database: The release of the IANA time zone database that it computes with, such as "2026f"; empty
            for a node that does not tell.
    """

    node_id: str
    address: str
    version: str
    is_ready: bool
    partition_count: int
    is_self: bool
    away_reasons: tuple[str, ...] = ()
    time_zone_database: str = ""

    @property
    def is_drained(self) -> bool:
        """Whether it was told to give its partitions away."""
        return "drained" in self.away_reasons


@dataclass(frozen=True, slots=True)
class ConnectedExecutor:
    """One executor as the node that answered sees it.

    Attributes:
        executor_id: Unique per process start.
        handlers: What it runs.
        capacity: Items of work at once, over all nodes together.
        credit: How many more items the node may send it now.
        open_attempts: How many attempts of the node are open there.
        is_draining: Whether it takes no more work.
        connect_time: When it connected, cluster time.
    """

    executor_id: str
    handlers: tuple[str, ...]
    capacity: int
    credit: int
    open_attempts: int
    is_draining: bool
    connect_time: datetime | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """What one node knows of the cluster.

    Attributes:
        nodes: The members, by id.
        executors: Those connected to the node that answered, by id.
        partition_count: How many partitions the cluster was created with.
        is_coordinator_connected: When not, `nodes` is what the node last saw.
        cluster_time: At the node that answered.
    """

    nodes: tuple[Node, ...]
    executors: tuple[ConnectedExecutor, ...]
    partition_count: int
    is_coordinator_connected: bool
    cluster_time: datetime | None


@dataclass(frozen=True, slots=True)
class Partition:
    """One hash bucket of tasks.

    Attributes:
        partition_id: 0 to N - 1.
        epoch: Rises with each change of owner.
        owner_id: The node that owns it by the database; empty when none does.
        owner_address: Empty when the owner is no member.
    """

    partition_id: int
    epoch: int
    owner_id: str
    owner_address: str


class HandoverReason(IntEnum):
    """Why a partition changed its owner. The numbers are those of the proto."""

    UNSPECIFIED = 0
    """Not known to this client."""
    FREE = 1
    """Nobody had it: the first owner."""
    REBALANCED = 2
    """Its owner gave it away for the sake of balance: a node has joined."""
    LEAVING = 3
    """Its owner was told to stop."""
    DRAINED = 4
    """Its owner was drained."""
    STEPPED_ASIDE = 5
    """Its owner found that it could not do its job."""
    OWNER_GONE = 6
    """Its owner died, or was cut off."""
    FORCED = 7
    """Its owner is alive and did not let go in time."""
    RETAKEN = 8
    """Its own owner took it again after an unknown outcome."""
    REASSERTED = 9
    """Its own owner took it again after the database had lost commits."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One partition that changed its owner.

    Attributes:
        partition_id: 0 to N - 1.
        epoch: The fencing number of the new owner.
        reason: Why.
        from_node_id: The owner before; empty when there was none.
        to_node_id: The new owner.
        release_time: When the owner before stopped firing, cluster time; None when it did not say.
        notice_time: Without a release: when the new owner noticed that nobody fires, or took it by force.
        fire_time: When the new owner began to fire, cluster time.
        gap: From release or notice to fire; None for the first owner. After a crash the time before it was noticed,
            some seconds, is not part of it.
        late_execution_count: Due tasks whose due time passed in the gap; without a release, all that were overdue.
        max_lateness: The greatest lateness among them when the new owner began to fire.
    """

    partition_id: int
    epoch: int
    reason: HandoverReason
    from_node_id: str
    to_node_id: str
    release_time: datetime | None
    notice_time: datetime | None
    fire_time: datetime | None
    gap: timedelta | None
    late_execution_count: int
    max_lateness: timedelta
