"""The surroundings of the shard manager, as protocols: who is alive, the table of owners, the engine, peers, time.

Everything here is used from one asyncio loop; nothing needs to be thread-safe unless it says so.
"""

import enum
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from mainspring.shard_manager.handover import OwnerChange, Release
from mainspring.shard_manager.lease import PartitionLease, PartitionRow


class ProtocolRange(NamedTuple):
    """The versions of the nodes' own protocol (calls between nodes, rows, hand-over) that a node speaks."""

    lowest: int
    highest: int

    def overlaps(self, other: "ProtocolRange") -> bool:
        """Whether there is a version that both speak."""
        return self.lowest <= other.highest and other.lowest <= self.highest


FIRST_PROTOCOL = ProtocolRange(1, 1)
"""What nodes speak that do not say."""

DRAINED = "drained"
"""In `Member.away`: it was told to give everything away."""
LEAVING = "leaving"
"""In `Member.away`: it was told to stop."""
DATABASE_AWAY = "database"
"""In `Member.away`: its database does not answer it, so that it cannot free a row."""


@dataclass(frozen=True, slots=True)
class Member:
    """One live node as it published itself. `holds` of all members is the routing table for hints."""

    node_id: str
    """Unique per process start, and the owner id written into partition rows."""
    address: str
    """host:port of the node's gRPC server."""
    version: str
    ready: bool
    """False while the node must not own partitions: it is leaving, or it cannot do its job."""
    holds: Mapping[int, int] = field(default_factory=dict)
    """Partition to epoch, as published; up to a second behind, so good for hints and never for a decision."""
    prepared: frozenset[int] = frozenset()
    """Partitions whose window the node has loaded and whose present owner may let go."""
    is_new: bool = False
    """Its session is so young that it does not take from nodes it does not see."""
    away: frozenset[str] = frozenset()
    """Why it is not ready, as codes; the one the ownership rules know is `DATABASE_AWAY`."""
    executors: int = 0
    """How many executors it has heard of lately."""
    protocol: ProtocolRange = FIRST_PROTOCOL
    time_zone_database: str = ""
    """The release of the time zone database that it computes with, for people; "" when it does not say."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What a node says of itself and may change while it lives; the fields are those of `Member`."""

    ready: bool
    holds: Mapping[int, int] = field(default_factory=dict)
    prepared: frozenset[int] = frozenset()
    is_new: bool = False
    away: frozenset[str] = frozenset()
    executors: int = 0

    def by(self, member: Member) -> Member:
        """Return the member that says this."""
        return replace(
            member,
            ready=self.ready,
            holds=dict(self.holds),
            prepared=self.prepared,
            is_new=self.is_new,
            away=self.away,
            executors=self.executors,
        )


class SessionState(enum.Enum):
    """The node's own membership session."""

    STARTING = "starting"
    """There was none yet since the start."""
    LIVE = "live"
    SUSPENDED = "suspended"
    """Cut off: the session may have ended without our knowing. Others may have taken our partitions."""
    EXPIRED = "expired"
    """The server said it has ended; a new one is being sought."""


@dataclass(frozen=True, slots=True)
class MembershipView:
    """What is known of the members, and how far it can be trusted. Instants are seconds of the `Timer`."""

    members: Mapping[str, Member]
    """By node id, oneself included once registered. While not connected: the last that was known."""
    is_connected: bool
    """The session is live and `members` was read in it."""
    generation: int
    """Rises with each change of anything here but `read_at`."""
    session: SessionState
    session_started_at: float | None
    """When the present or last session began; None before the first."""
    session_expired_at: float | None
    """When an own session was last found to have ended without our wish; None when that never happened."""
    read_at: float
    """When the reading behind `members` began: what happened later may be missing. -inf before the first."""


class Membership(Protocol):
    """The registry of live nodes. It comes up without its server and survives any outage by itself."""

    async def start(self) -> None:
        """Begin to register and to watch, in the background: returns at once, server or not."""

    async def stop(self) -> None:
        """Leave the registry and release everything; bounded in time, works twice and before `start`."""

    def view(self) -> MembershipView:
        """Return the present view; cheap, never blocks."""

    async def wait_for_change(self, seen_generation: int, timeout_s: float) -> None:
        """Return when the view's generation differs from `seen_generation`, or after `timeout_s`."""

    def publish(self, publication: Publication) -> None:
        """Set what this node tells the others. Never blocks; calls are coalesced, the last one wins, and it is
        written again until it sticks and in each new session."""


class OwnershipStore(Protocol):
    """The partition rows. Any exception means: outcome unknown, read again and retry later.

    With several databases a call may cover what it can reach: rows and leases that are missing from an answer are
    treated like an error for those partitions alone.
    """

    async def read_partitions(self) -> list[PartitionRow]:
        """Return all partition rows, committed and from the primary."""

    async def take_partitions(
        self, takes: Sequence[tuple[int, int]], owner_id: str, are_free: bool = False
    ) -> list[PartitionLease]:
        """Take each (partition, expected epoch) whose row still shows that epoch: epoch + 1, this owner.

        One autocommit statement each (``SET epoch = epoch + 1, owner_id = ? WHERE id = ? AND epoch = ?``),
        so that no row waits for another. With `are_free` only those that nobody owns, in one statement: who freed them
        left no transaction behind. Returns the leases won, with the new epoch.
        """

    async def reassert_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str
    ) -> list[PartitionLease]:
        """Raise each row whose epoch is below the lease's to the lease's epoch + 1, with this owner.

        For rows that show less than has been in use already (a fail-over lost commits): an epoch that
        executors have seen must never come again. Returns the new leases of the rows that were behind.
        """

    async def release_partitions(
        self, leases: Sequence[PartitionLease], owner_id: str, released_at: int | None = None
    ) -> None:
        """Free each row that still shows this owner and exactly this epoch; the epoch stays.

        The row says from then on who freed it, and since when nobody fires: `released_at`, microseconds of cluster time;
        the present when left out.
        """


class PartitionHost(Protocol):
    """The engine, as the shard manager sees it: what fires the tasks of the partitions held.

    Calls for one partition come in the order prepare, (discard | adopt, (surrender | revoke)); calls for different
    partitions overlap. The synchronous ones must not fail.
    """

    async def prepare(self, partition_ids: Sequence[int]) -> None:
        """Load what is needed to fire at once. The partitions are not owned yet, so nothing is written; up to a few
        seconds may pass until `adopt`. Raises anything to say: not now, ask again. May be called again for partitions
        that are prepared already, to bring them up to date."""

    def discard(self, partition_ids: Sequence[int]) -> None:
        """Forget what `prepare` loaded; also called when it failed half-way."""

    def adopt(self, leases: Sequence[PartitionLease], changes: Sequence[OwnerChange] = ()) -> None:
        """Begin to fire. What changed since `prepare` has to be found by the host: one sweep at once will do.

        `changes` say where the leases come from, for the record.
        """

    async def surrender(self, leases: Sequence[PartitionLease]) -> None:
        """Stop claiming at once; return when nothing is in flight under these leases and the successor, asking about
        what they left open, will be told the truth. Then their state is gone. After an error or a few seconds,
        `revoke` follows."""

    def revoke(self, leases: Sequence[PartitionLease]) -> None:
        """Drop these at once: another epoch rules, or may rule. Leases that are not held are ignored."""


class Peers(Protocol):
    """Best-effort calls to other nodes; bounded in time by the implementation. Errors are logged and forgotten."""

    async def announce_release(self, node_id: str, address: str, releases: Sequence[Release]) -> None:
        """Tell a node that these partitions are free for it: it calls `PartitionManager.on_release_announced`."""


class Timer(Protocol):
    """Time, so that another one can be put in its place."""

    def monotonic(self) -> float:
        """Return seconds that only rise, also while the process is frozen."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a context that raises TimeoutError when its body takes longer; as `asyncio.timeout`."""


class ClusterTimer(Timer, Protocol):
    """Time, and the instant by which the whole cluster goes, for the record."""

    def now(self) -> int:
        """Return cluster time, microseconds since 1970 UTC."""
