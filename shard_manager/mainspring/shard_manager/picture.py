"""What this node knows of the cluster, put together from rows and views; feeds the decisions."""

import math
from collections.abc import Iterable, Mapping, Sequence, Set

import structlog

from mainspring.shard_manager.assignment import assign
from mainspring.shard_manager.handover import Release
from mainspring.shard_manager.lease import PartitionRow
from mainspring.shard_manager.membership import DRAINED, MembershipView
from mainspring.shard_manager.ownership import Move, OwnershipRules, Situation

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Picture:
    """The rows last read, the highest epochs ever seen, the ready members and the assignment that follows."""

    def __init__(self, node_id: str, rules: OwnershipRules) -> None:
        """Nothing is known yet."""
        self._node_id, self._rules = node_id, rules
        self._rows: dict[int, PartitionRow] = {}
        self._highest: dict[int, int] = {}
        self._let_go_at: dict[str, float] = {}
        self._ready_ids: frozenset[str] = frozenset()
        self._ready_changed_at = -math.inf
        self.distrust_before = -math.inf
        """Views read before this instant (seconds of the timer) are void."""
        self.is_called_back = False
        """Whether this node is drained and has to own partitions all the same, for no other is ready."""
        self.store_steady_since = -math.inf
        """See `Situation.store_steady_since`."""
        self.desired: Mapping[int, str] = {}
        self.moves: Mapping[int, Move] = {}

    @property
    def rows(self) -> Sequence[PartitionRow]:
        """All partition rows as last read, by id."""
        return [self._rows[partition] for partition in sorted(self._rows)]

    def see_rows(self, rows: Iterable[PartitionRow], now: float) -> None:
        """Remember rows just read; rows of partitions that are missing (a database away) stay as they were."""
        for row in rows:
            before = self._rows.get(row.partition_id)
            if before is not None and before.owner_id is not None and before.owner_id == row.released_by:
                self._let_go_at[before.owner_id] = now
            self._rows[row.partition_id] = row
            self.see_epoch(row.partition_id, row.epoch)

    def see_releases(self, releases: Iterable[Release], now: float) -> None:
        """Remember that an owner goes on letting go."""
        self._let_go_at.update({release.released_by: now for release in releases})

    def see_epoch(self, partition_id: int, epoch: int) -> None:
        """Remember an epoch that is or was in use."""
        if epoch > self.highest_epoch(partition_id):
            self._highest[partition_id] = epoch

    def highest_epoch(self, partition_id: int) -> int:
        """Return the highest epoch ever seen of a partition; 0 when none was."""
        return self._highest.get(partition_id, 0)

    def situation(
        self,
        view: MembershipView,
        usable_rows: Mapping[int, PartitionRow],
        held: Mapping[int, int],
        prepared: Set[int],
        busy: Set[int],
        now: float,
        is_ready: bool,
        is_leaving: bool,
        unowned_since: Mapping[int, float],
    ) -> Situation:
        """Return the facts for a decision, with the assignment computed anew."""
        ready_ids = frozenset(member.node_id for member in view.members.values() if member.ready)
        if not is_ready:  # what we publish takes a moment to come back
            ready_ids -= {self._node_id}
        self.is_called_back = False
        if not ready_ids:
            # Nobody else is left: better a drained node than none.
            ready_ids = frozenset(m.node_id for m in view.members.values() if m.away == {DRAINED})
            self.is_called_back = self._node_id in ready_ids
        if ready_ids != self._ready_ids:
            self._ready_ids, self._ready_changed_at = ready_ids, now
            log.info("ready_members_changed", node_ids=sorted(ready_ids), is_connected=view.is_connected)
        self.desired = self._assign(view, now)
        self._let_go_at = {node_id: at for node_id, at in self._let_go_at.items() if node_id in view.members}
        for holds in (held, *(member.holds for member in view.members.values())):
            for partition, epoch in holds.items():
                self.see_epoch(partition, epoch)
        return Situation(
            node_id=self._node_id,
            view=view,
            rows=usable_rows,
            held=held,
            prepared=prepared,
            busy=busy,
            desired=self.desired,
            highest_epochs=self._highest,
            moves=self.moves,
            now=now,
            ready_changed_at=self._ready_changed_at,
            distrust_before=self.distrust_before,
            is_ready=is_ready or self.is_called_back,
            is_leaving=is_leaving,
            store_steady_since=self.store_steady_since,
            let_go_at=self._let_go_at,
            unowned_since=unowned_since,
        )

    def is_new(self, view: MembershipView, now: float) -> bool:
        """Whether our own session is in its grace."""
        started_at = view.session_started_at
        return started_at is None or now - started_at < self._rules.grace_s

    def _assign(self, view: MembershipView, now: float) -> dict[int, str]:
        """Return the assignment, with what a crash has orphaned kept from waiting for new nodes.

        A node in its grace may not take from the dead. When a node dies while another joins, nodes that are twice as
        old as the grace take the joiner's share of the orphans (so not after a restart of all, where the ages are
        alike) and hand it over later.
        """
        owners = {partition: row.owner_id for partition, row in self._rows.items()}
        desired = assign(owners, dict.fromkeys(self._ready_ids, 1.0))
        started_at = view.session_started_at
        if started_at is None or now - started_at < 2 * self._rules.grace_s:
            return desired
        new_ids = {node_id for node_id in self._ready_ids if view.members[node_id].is_new}
        waiting = [
            partition
            for partition, owner in owners.items()
            if owner is not None and owner not in view.members and desired.get(partition) in new_ids
        ]
        seasoned = self._ready_ids - new_ids
        if waiting and seasoned:
            substitutes = assign(owners, dict.fromkeys(seasoned, 1.0))
            desired.update({partition: substitutes[partition] for partition in waiting})
        return desired
