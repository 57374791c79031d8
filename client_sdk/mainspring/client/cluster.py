"""The cluster as operators see it."""

from dataclasses import dataclass
from datetime import datetime


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
    """

    node_id: str
    address: str
    version: str
    is_ready: bool
    partition_count: int
    is_self: bool


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
