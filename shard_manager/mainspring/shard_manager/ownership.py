"""What a node may do about each partition right now. PURE: facts in, decisions out; `manager` carries them out.

ZooKeeper only says when to look; the partition's row (epoch, owner) decides. A partition as one node sees it:

```
             mine by assignment            take won: epoch + 1
  ELSEWHERE -------------------> PREPARED ---------------------> HELD --.  the row shows a lower epoch:
     ^  ^                           |                             |  ^__|  re-asserted as max + 1
     |  '------ mine no more -------'                             |
     |                                                            |  another's by assignment, and that node
     |        row freed, new owner told                           v  has prepared it
     |<------------------------------------------------- SURRENDERING
     |
     '--- revoked at once, from HELD or SURRENDERING: the row shows a higher epoch, or this epoch and not us
```

When a partition that is ours by assignment is taken, by what its row says:

| owner in the row | taken |
| --- | --- |
| ourselves, not held | at once, with a new epoch: a take or release of ours had an unknown outcome |
| nobody | at once; in a session younger than 0.3 s (`settle_s`) when it is that old |
| no member | at once; in a session younger than 3 s (`grace_s`) when it is that old |
| a live member | when it has been asked for 2 s (`force_after_s`) and has let go of nothing for as long |
| a live member, aside for its database | the same after 0.3 s (`force_unable_s`): it cannot free a row |

- **Grace.** A new session means that we have just started or that our old session expired, and then the other nodes'
  sessions may have expired with ours (a frozen ZooKeeper does that): a node that is missing from the list may only be
  slower to return. So for 3 s nothing is taken from, and nothing given to, others. Free rows are exempt, else a lone
  first start would cost 3 s; the 0.3 s let nodes that start together share at once instead of moving a moment later.
- **Settling.** A partition of a live owner moves only when the set of ready nodes has been the same for 0.3 s, so that
  nodes that come back one after the other do not hand everything to the first of them.
- **A database that was away for all.** Nodes see it return one after the other. A node whose own database has not been
  steady for 3 s (`grace_s`) asks nothing of a member that is aside for its database: that one may only be slower to
  return. The fence makes the rest safe: what a cut-off owner still tries fails in the database, and is sent by nobody.
- **Nothing without a fresh view.** Disconnected, not registered, a listing older than `view_max_age_s`, or older than
  a freeze of our own process: what is held is kept, nothing is taken or given, and the 2 s start anew afterwards.
  Revoking, re-asserting and re-taking an own row need no view: the row alone tells.
- **An owner lets go only of what its successor has prepared**, so that the gap is two statements and one call. A
  successor that cannot prepare gets nothing; one whose word does not arrive takes it after 2 s.
- **Epochs never come again.** A take sets max(row, highest epoch ever seen) + 1.
"""

import enum
import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from mainspring.shard_manager.handover import ChangeReason, Release
from mainspring.shard_manager.lease import PartitionLease, PartitionRow
from mainspring.shard_manager.membership import DATABASE_AWAY, DRAINED, LEAVING, MembershipView


@dataclass(frozen=True, slots=True)
class OwnershipRules:
    """The waits of the module docstring, in seconds."""

    force_after_s: float = 2.0
    force_unable_s: float = 0.3
    settle_s: float = 0.3
    grace_s: float = 3.0
    view_max_age_s: float = 6.0
    """Three missed refreshes of the membership."""


class TakeReason(enum.Enum):
    """Why a partition is taken."""

    FREE = "free"
    OWNER_GONE = "owner_gone"
    FORCED = "forced"
    OWN_ROW = "own_row"
    REASSERTED = "reasserted"


class Take(NamedTuple):
    """Take a partition if its row still shows the expected epoch."""

    partition_id: int
    expected_epoch: int
    new_epoch: int
    previous_owner: str | None
    """Who fired last: the owner in the row; of a free one, who freed it; of one that we re-assert, ourselves."""
    reason: TakeReason
    change: ChangeReason
    """The same for operators, who want to know why it was free."""
    released_at: int | None = None
    """When the last owner stopped firing, microseconds of cluster time; only of a row that it has freed."""
    noticed_s: float | None = None
    """When this node noticed that nobody fires, seconds of the timer; only without `released_at`."""


class Move(NamedTuple):
    """A partition that we have prepared and asked its live owner for, and since when (seconds of the timer)."""

    owner_id: str
    since: float


@dataclass(frozen=True, slots=True)
class Situation:
    """All a decision rests on. Instants are seconds of the timer."""

    node_id: str
    view: MembershipView
    rows: Mapping[int, PartitionRow]
    """Rows just read, without those that a running action may have changed meanwhile."""
    held: Mapping[int, int]
    """Partition to epoch of what we hold and are not surrendering."""
    prepared: Set[int]
    busy: Set[int]
    """Partitions with an action under way: only revoked."""
    desired: Mapping[int, str]
    """`assignment.assign` over the rows and the ready members; empty when none is ready."""
    highest_epochs: Mapping[int, int]
    """The highest epoch of each partition that was ever seen, in rows or in what members publish."""
    moves: Mapping[int, Move]
    """`Decisions.moves` of the last time."""
    now: float
    ready_changed_at: float
    """When the set of ready members last changed."""
    distrust_before: float
    """Views read before this are void: the end of the last gap in our own time."""
    is_ready: bool
    """Whether we may own anything new at all."""
    is_leaving: bool
    store_steady_since: float = -math.inf
    """Since when our database has answered without a break: -inf for always, +inf while it does not."""
    let_go_at: Mapping[str, float] = field(default_factory=dict)
    """When each node was last seen to let go of a partition."""
    unowned_since: Mapping[int, float] = field(default_factory=dict)
    """Since when partitions have been seen without a live owner, those that were seen before."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What to do, and what to remember for the next decision."""

    revoke: tuple[PartitionLease, ...]
    take: tuple[Take, ...]
    """Prepare where that has not been done yet, then take."""
    prepare: tuple[int, ...]
    """Make ready and say so; the owner is alive and will let go."""
    discard: tuple[int, ...]
    """Prepared, but not ours any more."""
    release: tuple[tuple[PartitionLease, str | None], ...]
    """Surrender, free the row, tell the node named (None: there is none)."""
    clear: tuple[PartitionLease, ...]
    """Rows that name us although we do not hold them and shall not: free the row, nothing else."""
    moves: Mapping[int, Move]
    is_fresh: bool
    """Whether the view could be used."""
    is_calm: bool
    """Nothing to do, nothing to wait for."""


def is_fresh(
    view: MembershipView, node_id: str, now: float, distrust_before: float, rules: OwnershipRules
) -> bool:
    """Return whether a view may be used to take and to give; instants are seconds of the timer."""
    return (
        view.is_connected
        and node_id in view.members
        and view.read_at >= distrust_before
        and now - view.read_at <= rules.view_max_age_s
    )


def decide(situation: Situation, rules: OwnershipRules) -> Decisions:
    """Return what to do now. Every partition appears in one list at most, but for `discard`."""
    draft = _Draft(situation, rules)
    for partition in sorted(situation.rows):
        draft.consider(situation.rows[partition])
    return draft.decisions()


class _Draft:
    """The lists while they are being filled."""

    def __init__(self, situation: Situation, rules: OwnershipRules) -> None:
        self._facts = situation
        self._rules = rules
        self._fresh = is_fresh(
            situation.view, situation.node_id, situation.now, situation.distrust_before, rules
        )
        started_at = situation.view.session_started_at
        session_age = situation.now - started_at if started_at is not None else 0.0
        self._may_take_free = session_age >= rules.settle_s
        self._may_exchange = session_age >= rules.grace_s
        self._is_settled = situation.now - situation.ready_changed_at >= rules.settle_s
        self._is_store_steady = situation.now - situation.store_steady_since >= rules.grace_s
        self._revoke: list[PartitionLease] = []
        self._take: list[Take] = []
        self._prepare: list[int] = []
        self._discard: list[int] = []
        self._release: list[tuple[PartitionLease, str | None]] = []
        self._clear: list[PartitionLease] = []
        self._moves: dict[int, Move] = {}
        self._waiting = False

    def consider(self, row: PartitionRow) -> None:
        partition, me = row.partition_id, self._facts.node_id
        held = self._facts.held.get(partition)
        if held is not None:
            if row.epoch > held or (row.epoch == held and row.owner_id != me):
                self._revoke.append(PartitionLease(partition, held))
            elif partition in self._facts.busy:
                self._waiting = True
            elif row.epoch < held:
                self._add_take(row, TakeReason.REASSERTED)
            else:
                self._consider_giving(PartitionLease(partition, held))
        elif partition in self._facts.busy:
            self._waiting = True
        else:
            self._consider_taking(row)

    def _consider_giving(self, lease: PartitionLease) -> None:
        facts, partition = self._facts, lease.partition_id
        successor = facts.desired.get(partition)
        if successor == facts.node_id or not self._fresh:
            return
        if successor is None:
            if facts.is_leaving:
                self._release.append((lease, None))
            return
        self._waiting = True
        may_give = facts.is_leaving or (self._is_settled and self._may_exchange)
        if may_give and partition in facts.view.members[successor].prepared:
            self._release.append((lease, successor))

    def _consider_taking(self, row: PartitionRow) -> None:
        facts, partition, owner = self._facts, row.partition_id, row.owner_id
        is_mine = facts.desired.get(partition) == facts.node_id
        if not is_mine and partition in facts.prepared:
            self._discard.append(partition)
        if owner == facts.node_id:
            if facts.is_leaving or (self._fresh and not is_mine and partition in facts.desired):
                self._clear.append(PartitionLease(partition, row.epoch))
            else:
                self._add_take(row, TakeReason.OWN_ROW)
        elif is_mine and self._fresh and facts.is_ready and not facts.is_leaving:
            self._waiting = True
            if owner is None:
                if self._may_take_free:
                    self._add_take(row, TakeReason.FREE)
            elif owner not in facts.view.members:
                if self._may_exchange:
                    self._add_take(row, TakeReason.OWNER_GONE)
            else:
                self._ask_for(row, owner)

    def _ask_for(self, row: PartitionRow, owner: str) -> None:
        """Prepare a live owner's partition and wait for it; take it when the owner does not let go."""
        facts, partition = self._facts, row.partition_id
        is_unable = DATABASE_AWAY in facts.view.members[owner].away
        if not (self._is_settled and self._may_exchange) or (is_unable and not self._is_store_steady):
            return
        if partition not in facts.prepared:
            self._prepare.append(partition)
            return
        force_after_s = self._rules.force_unable_s if is_unable else self._rules.force_after_s
        quiet_since = max(self._asked_since(partition, owner), facts.let_go_at.get(owner, -math.inf))
        if facts.now - quiet_since >= force_after_s:
            self._add_take(row, TakeReason.FORCED)

    def _asked_since(self, partition: int, owner: str) -> float:
        move = self._facts.moves.get(partition)
        if move is None or move.owner_id != owner:
            move = Move(owner, self._facts.now)
        self._moves[partition] = move
        return move.since

    def _add_take(self, row: PartitionRow, reason: TakeReason) -> None:
        facts, partition = self._facts, row.partition_id
        highest = max(row.epoch, facts.highest_epochs.get(partition, 0))
        is_released = reason is TakeReason.FREE
        noticed_s = None
        if not is_released:
            is_dead = reason is TakeReason.OWNER_GONE
            noticed_s = facts.unowned_since.get(partition, facts.now) if is_dead else facts.now
        self._take.append(
            Take(
                partition,
                row.epoch,
                highest + 1,
                self._last_owner(row, reason),
                reason,
                _why_free(row, facts.view) if is_released else _SAME_WORD[reason],
                row.released_at if is_released else None,
                noticed_s,
            )
        )

    def _last_owner(self, row: PartitionRow, reason: TakeReason) -> str | None:
        if reason is TakeReason.REASSERTED:
            return self._facts.node_id
        return row.released_by if reason is TakeReason.FREE else row.owner_id

    def decisions(self) -> Decisions:
        work = self._revoke or self._take or self._prepare or self._release or self._clear
        return Decisions(
            revoke=tuple(self._revoke),
            take=tuple(self._take),
            prepare=tuple(self._prepare),
            discard=tuple(self._discard),
            release=tuple(self._release),
            clear=tuple(self._clear),
            moves=self._moves,
            is_fresh=self._fresh,
            is_calm=not work and not self._waiting,
        )


_SAME_WORD = {
    TakeReason.OWNER_GONE: ChangeReason.OWNER_GONE,
    TakeReason.FORCED: ChangeReason.FORCED,
    TakeReason.OWN_ROW: ChangeReason.RETAKEN,
    TakeReason.REASSERTED: ChangeReason.REASSERTED,
}


def announced_take(release: Release, view: MembershipView) -> Take:
    """Return the take of a partition whose owner says that it has let go of it: no need to read the row before."""
    row = PartitionRow(release.partition_id, release.epoch, None, release.released_at, release.released_by)
    return Take(
        row.partition_id,
        row.epoch,
        row.epoch + 1,
        row.released_by,
        TakeReason.FREE,
        _why_free(row, view),
        row.released_at,
    )


def _why_free(row: PartitionRow, view: MembershipView) -> ChangeReason:
    """Return why the last owner of a free partition has freed it, by what it says of itself now."""
    if row.released_by is None:
        return ChangeReason.FREE
    last_owner = view.members.get(row.released_by)
    if last_owner is None:
        return ChangeReason.LEAVING
    if last_owner.ready:
        return ChangeReason.REBALANCED
    if LEAVING in last_owner.away or not last_owner.away:
        return ChangeReason.LEAVING
    return ChangeReason.DRAINED if DRAINED in last_owner.away else ChangeReason.STEPPED_ASIDE
