"""The loop that keeps this node's partitions what they should be.

A round reads the rows, takes the view as it is, decides (`ownership`), and starts the actions (`holdings`). Rounds
come every 2 s, every 100 ms while a partition is on its way, and at once when the members change, a release is
announced, or the engine finds itself fenced. Nothing is remembered that a round
does not check against the rows again: whatever is missed or goes wrong is put right by the next one, so that no
hiccup of ZooKeeper, the store or a peer keeps a partition or this node off for good.
"""

import asyncio
import random
from collections.abc import Coroutine, Iterable, Mapping, Sequence, Set

import structlog

from mainspring.shard_manager.handover import Release
from mainspring.shard_manager.holdings import Holdings
from mainspring.shard_manager.lease import PartitionLease, PartitionRow
from mainspring.shard_manager.membership import (
    LEAVING,
    ClusterTimer,
    Member,
    Membership,
    MembershipView,
    OwnershipStore,
    PartitionHost,
    Peers,
    Publication,
)
from mainspring.shard_manager.ownership import (
    Decisions,
    Take,
    TakeReason,
    announced_take,
    decide,
    is_fresh,
)
from mainspring.shard_manager.picture import Picture
from mainspring.shard_manager.settings import ManagerSettings, OwnershipStats
from mainspring.shard_manager.unowned import UnownedWatch

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

STARTING = "starting"
"""A reason to be aside: the other members have not been looked at yet."""


class PartitionManager:
    """One node's part in the ownership of all partitions.

    Use from one asyncio loop: `run` as a task of the caller's task group, the rest from anywhere in that loop.
    Starting and stopping the membership is the caller's: start it before, stop it after `leave`.
    """

    def __init__(
        self,
        node_id: str,
        membership: Membership,
        store: OwnershipStore,
        host: PartitionHost,
        peers: Peers,
        timer: ClusterTimer,
        settings: ManagerSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Nothing runs yet. `node_id` must be unique per process start; it becomes the owner id in the rows."""
        self._node_id = node_id
        self._membership, self._store, self._timer = membership, store, timer
        self._settings = settings or ManagerSettings()
        self._rng = rng or random.Random()
        self.stats = OwnershipStats()
        self._holdings = Holdings(
            node_id, store, host, peers, timer, self._settings.limits, self.stats, self._rng, self._publish
        )
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._away_reasons: set[str] = set()
        self._is_leaving = False
        self._picture = Picture(node_id, self._settings.rules)
        self._unowned = UnownedWatch(self._settings.unowned_alarm_s)
        self._unreachable: Set[str] | None = None
        self._failed_in_row = 0
        self._reconcilers: list[asyncio.Future[None]] = []
        self._executors = 0

    # What the rest of the node asks.

    @property
    def is_ready(self) -> bool:
        """Whether this node offers itself as an owner."""
        return not self._is_leaving and not self._away_reasons

    @property
    def away_reasons(self) -> frozenset[str]:
        """Why this node is aside; nothing when it is not."""
        return frozenset(self._away_reasons)

    @property
    def holds(self) -> Mapping[int, int]:
        """Partition to epoch of what is held now, a copy."""
        return dict(self._holdings.held)

    @property
    def rows(self) -> Sequence[PartitionRow]:
        """All partition rows as last read, by id."""
        return self._picture.rows

    @property
    def desired(self) -> Mapping[int, str]:
        """The assignment of the last round: partition to node id."""
        return self._picture.desired

    def owner_of(self, partition_id: int) -> Member | None:
        """Return the live member to send hints for a partition to, as far as known; may be a few seconds old."""
        members = self._membership.view().members
        if partition_id in self._holdings.held:
            return members.get(self._node_id)
        claims = [member for member in members.values() if partition_id in member.holds]
        claims = [member for member in claims if member.node_id != self._node_id]
        return max(claims, key=lambda member: member.holds[partition_id], default=None)

    def unowned(self) -> Mapping[int, float]:
        """Return the partitions without a live owner, and for how many seconds they have been."""
        return self._unowned.seconds(self._timer.monotonic())

    async def reconcile(self) -> None:
        """Return when rows read from now on have been compared with what is held, and lost leases are revoked.

        For a process that finds a gap in its own time. Waits as long as the store does not answer: bound it.
        """
        done = asyncio.get_running_loop().create_future()
        self._reconcilers.append(done)
        self._wake.set()
        await done

    # What the rest of the node tells.

    def step_aside(self, reason: str) -> None:
        """Stop being ready; others will take the partitions over. Reasons add up; works twice."""
        if reason not in self._away_reasons:
            self._away_reasons.add(reason)
            (log.info if reason == STARTING else log.warning)("stepped_aside", reason=reason)
            self._changed()

    def return_to_duty(self, reason: str | None = None) -> None:
        """Withdraw a reason for being aside (None: all); without any, the node is ready again. Works twice."""
        before = set(self._away_reasons)
        self._away_reasons = self._away_reasons - {reason} if reason is not None else set()
        if self._away_reasons != before:
            log.info("returned_to_duty", reason=reason, is_ready=self.is_ready)
            self._changed()

    def note_surroundings(self, executors: int, store_steady_since: float) -> None:
        """Take in what the node sees: how many executors it has, which is published, and since when its database has
        answered without a break (seconds of the timer; -inf: always, +inf: it does not)."""
        self._picture.store_steady_since = store_steady_since
        if executors != self._executors:
            self._executors = executors
            self._publish()

    def on_release_announced(self, releases: Sequence[Release]) -> None:
        """A peer has freed these for us: take what is prepared without a look at the rows, for the statement looks.

        The rows are read at once for the rest.
        """
        view, holdings = self._membership.view(), self._holdings
        self._picture.see_releases(releases, self._timer.monotonic())
        takes = [announced_take(release, view) for release in releases if self._may_take(release)]
        if self._tasks is not None:
            for action in holdings.take(takes, self._is_still_wanted):
                self._spawn(action, "shard-manager-action")
        if len(takes) < len(releases):
            self._wake.set()

    def _may_take(self, release: Release) -> bool:
        holdings, partition = self._holdings, release.partition_id
        return (
            self._picture.desired.get(partition) == self._node_id
            and partition in holdings.prepared
            and partition not in holdings.held
            and partition not in holdings.busy
            and not holdings.is_put_off(partition)
            and release.epoch >= self._picture.highest_epoch(partition)
        )

    def note_unreachable(self, node_ids: Set[str] | None) -> None:
        """Take in which members do not answer, while the membership cannot be read; None: it can. For the alarm alone."""
        self._unreachable = node_ids

    async def leave(self, deadline_s: float) -> None:
        """Hand everything over, then return; `run` ends then too. Takes `deadline_s` at most.

        Not ready at once, still firing until the successors are prepared. Whatever is left when the time runs short is
        surrendered and freed without a successor.
        """
        ends_at = self._timer.monotonic() + deadline_s
        last_resort_s = min(self._settings.limits.surrender_s + 1.0, deadline_s / 2)
        self._is_leaving = True
        log.info("leaving", held=len(self._holdings.held))
        self._changed()
        try:
            if self._tasks is not None:
                async with self._timer.timeout(deadline_s - last_resort_s):
                    await self._drained.wait()
        except TimeoutError:
            log.warning("leaving_without_successors", partition_ids=sorted(self._holdings.held))
        try:
            async with self._timer.timeout(max(0.0, ends_at - self._timer.monotonic())):
                await self._release_everything()
        except TimeoutError:
            log.warning("left_rows_behind")
        self._drained.set()
        self._wake.set()

    # The loop.

    async def run(self) -> None:
        """Run until `leave` is done or the task is cancelled; then nothing is released, as in a crash.

        Raises nothing of its own: errors of store, host and peers are logged and tried again.
        """
        try:
            async with asyncio.TaskGroup() as self._tasks:
                follower = self._spawn(self._follow_membership(), "shard-manager-membership")
                while not self._drained.is_set():
                    await self._pause(await self._try_round())
                follower.cancel()
        finally:
            self._tasks = None

    async def _follow_membership(self) -> None:
        generation = -1
        while True:
            await self._membership.wait_for_change(generation, self._settings.round_s)
            if generation != self._membership.view().generation:
                generation = self._membership.view().generation
                self._wake.set()

    async def _pause(self, seconds: float) -> None:
        seconds *= self._rng.uniform(0.8, 1.0)
        expected_by = self._timer.monotonic() + seconds
        await self._timer.sleep(min(self._settings.min_pause_s, seconds))
        try:
            async with self._timer.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        self._notice_gap(expected_by)

    def _notice_gap(self, expected_by: float) -> bool:
        """Return whether this process was stopped: then nothing counts that was read before."""
        now = self._timer.monotonic()
        if now - expected_by <= self._settings.gap_s:
            return False
        self.stats.time_gaps += 1
        self._picture.distrust_before = now
        log.warning("time_gap", seconds=round(now - expected_by, 3))
        return True

    async def _try_round(self) -> float:
        """Return how long to wait for the next round at most, in seconds."""
        try:
            pause_s = await self._round()
        except Exception as error:
            self.stats.failed_rounds += 1
            self._failed_in_row += 1
            log.warning("ownership_round_failed", error=repr(error), exc_info=self._failed_in_row == 1)
            return min(0.1 * self._failed_in_row, self._settings.round_s)
        self.stats.rounds += 1
        self._failed_in_row = 0
        return pause_s

    async def _round(self) -> float:
        holdings, picture = self._holdings, self._picture
        busy = set(holdings.busy)
        waiting = list(self._reconcilers)
        rows = await self._read_rows()
        self._revoke_lost(rows)
        for done in waiting:
            if not done.done():
                done.set_result(None)
        self._reconcilers = [done for done in self._reconcilers if not done.done()]
        # A row that an action may have changed while it was being read says nothing.
        usable = {row.partition_id: row for row in rows if row.partition_id not in busy | holdings.busy}
        view, now = self._membership.view(), self._timer.monotonic()
        picture.see_rows(usable.values() if picture.rows else rows, now)
        situation = picture.situation(
            view,
            usable,
            holdings.held,
            holdings.prepared,
            holdings.busy,
            now,
            self.is_ready,
            self._is_leaving,
            self._unowned.since,
        )
        decisions = decide(situation, self._settings.rules)
        picture.moves = decisions.moves
        self._carry_out(decisions, view)
        self._unowned.look(picture.rows, self._living(view, decisions.is_fresh), now)
        self._publish()
        if self._is_leaving and not holdings.held and not holdings.busy and not decisions.clear:
            self._drained.set()
        is_calm = decisions.is_calm and not holdings.busy
        return self._settings.round_s if is_calm else self._settings.moving_round_s

    def _living(self, view: MembershipView, is_fresh: bool) -> Set[str] | None:
        """Who counts as a live owner; None when that cannot be said."""
        known = view.members.keys() | {self._node_id}
        if is_fresh:
            return known
        return None if self._unreachable is None else known - self._unreachable

    async def _read_rows(self) -> list[PartitionRow]:
        begun_at = self._timer.monotonic()
        try:
            async with self._timer.timeout(self._settings.read_s):
                rows = await self._store.read_partitions()
        finally:
            was_stopped = self._notice_gap(begun_at + self._settings.read_s)
        if was_stopped:
            raise TimeoutError("the process was stopped while the rows were read")
        return rows

    def _carry_out(self, decisions: Decisions, view: MembershipView) -> None:
        holdings = self._holdings
        holdings.revoke(decisions.revoke, "another epoch was read")
        holdings.discard(decisions.discard)
        actions = holdings.prepare([p for p in decisions.prepare if not holdings.is_put_off(p)])
        takes = [take for take in decisions.take if not holdings.is_put_off(take.partition_id)]
        actions += holdings.take(takes, self._is_still_wanted)
        by_successor: dict[str | None, list[PartitionLease]] = {}
        for lease, successor in decisions.release:
            by_successor.setdefault(successor, []).append(lease)
        for successor, leases in by_successor.items():
            actions += holdings.release(leases, view.members[successor] if successor is not None else None)
        actions += holdings.clear([c for c in decisions.clear if not holdings.is_put_off(c.partition_id)])
        for action in actions:
            self._spawn(action, "shard-manager-action")

    def _is_still_wanted(self, take: Take) -> bool:
        """Whether a take decided some time ago, before it was prepared, is still right."""
        if take.reason in (TakeReason.OWN_ROW, TakeReason.REASSERTED):
            return not self._is_leaving
        now = self._timer.monotonic()
        return (
            (self.is_ready or self._picture.is_called_back)
            and is_fresh(
                self._membership.view(),
                self._node_id,
                now,
                self._picture.distrust_before,
                self._settings.rules,
            )
            and self._picture.desired.get(take.partition_id) == self._node_id
        )

    async def _release_everything(self) -> None:
        holdings = self._holdings
        idle = [(p, epoch) for p, epoch in holdings.held.items() if p not in holdings.busy]
        await asyncio.gather(*holdings.release([PartitionLease(*item) for item in idle], None))
        while holdings.busy:
            await self._timer.sleep(self._settings.min_pause_s)

    def _revoke_lost(self, rows: Iterable[PartitionRow]) -> bool:
        """Revoke what the rows say is not ours; return whether one shows less than we hold.

        Less is old news or a fail-over that lost commits: a round tells.
        """
        lost: list[PartitionLease] = []
        is_behind = False
        for row in rows:
            self._picture.see_epoch(row.partition_id, row.epoch)
            epoch = self._holdings.held.get(row.partition_id)
            if epoch is None:
                continue
            if row.epoch > epoch or (row.epoch == epoch and row.owner_id != self._node_id):
                lost.append(PartitionLease(row.partition_id, epoch))
            is_behind = is_behind or row.epoch < epoch
        self._holdings.revoke(lost, "another epoch was read")
        return is_behind

    def _changed(self) -> None:
        self._publish()
        self._wake.set()

    def _publish(self) -> None:
        holdings = self._holdings
        is_new = self._picture.is_new(self._membership.view(), self._timer.monotonic())
        away = self._away_reasons | ({LEAVING} if self._is_leaving else set())
        self._membership.publish(
            Publication(
                self.is_ready, holdings.held, holdings.prepared, is_new, frozenset(away), self._executors
            )
        )

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        if self._tasks is None:
            raise RuntimeError("the partition manager does not run")
        return self._tasks.create_task(work, name=name)
