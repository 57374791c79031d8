"""What this node holds and has prepared, and the actions that change it: prepare, take, release.

Each action works on a small chunk of partitions in an asyncio task of its own, so that one slow partition does not
hold up the others. An action never decides anything and never fails: whatever happens, the partitions stop being
busy, and the next round reads the rows and finds out how it ended.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from mainspring.shard_manager.handover import OwnerChange, Release
from mainspring.shard_manager.lease import PartitionLease
from mainspring.shard_manager.membership import ClusterTimer, Member, OwnershipStore, PartitionHost, Peers
from mainspring.shard_manager.ownership import Take, TakeReason
from mainspring.shard_manager.settings import ActionLimits, OwnershipStats

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Holdings:
    """Used from one asyncio loop. `run` starts the actions' tasks; whoever owns the task group ends them."""

    def __init__(
        self,
        node_id: str,
        store: OwnershipStore,
        host: PartitionHost,
        peers: Peers,
        timer: ClusterTimer,
        limits: ActionLimits,
        stats: OwnershipStats,
        rng: random.Random,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called after each change of what is held or prepared, and at the end of each action."""
        self._node_id, self._store, self._host, self._peers = node_id, store, host, peers
        self._timer, self._limits, self._stats, self._rng = timer, limits, stats, rng
        self._on_change = on_change
        self._prepares = asyncio.Semaphore(limits.concurrent_prepares)
        self._takes = asyncio.Semaphore(limits.concurrent_takes)
        self._releases = asyncio.Semaphore(limits.concurrent_releases)
        self._retries: dict[int, tuple[int, float]] = {}
        self._prepared_at: dict[int, float] = {}
        self.held: dict[int, int] = {}
        """Partition to epoch; not any more from the moment its surrender begins."""
        self.busy: set[int] = set()

    @property
    def prepared(self) -> frozenset[int]:
        """Partitions prepared and not yet adopted."""
        return frozenset(self._prepared_at)

    def is_put_off(self, partition_id: int) -> bool:
        """Whether the last action on a partition did not succeed and its pause is not over yet."""
        retry = self._retries.get(partition_id)
        return retry is not None and self._timer.monotonic() < retry[1]

    def revoke(self, leases: Sequence[PartitionLease], why: str) -> None:
        """Drop leases at once, those that are held."""
        lost = [lease for lease in leases if self.held.get(lease.partition_id) == lease.epoch]
        if not lost:
            return
        for lease in lost:
            del self.held[lease.partition_id]
        self._stats.revoked += len(lost)
        log.warning("partitions_revoked", partition_ids=_ids(lost), why=why)
        self._host.revoke(lost)
        self._on_change()

    def discard(self, partition_ids: Iterable[int]) -> None:
        """Forget prepared partitions."""
        dropped = [
            partition for partition in partition_ids if self._prepared_at.pop(partition, None) is not None
        ]
        if dropped:
            self._host.discard(dropped)
            self._on_change()

    def prepare(self, partition_ids: Sequence[int]) -> list[Coroutine[object, object, None]]:
        """Return the actions that make partitions ready to be taken."""
        return [self._run(chunk, partial(self._prepare, chunk)) for chunk in self._chunks(partition_ids)]

    def take(
        self, takes: Sequence[Take], is_still_wanted: Callable[[Take], bool]
    ) -> list[Coroutine[object, object, None]]:
        """Return the actions that take partitions; `is_still_wanted` is asked again right before the statement."""
        by_id = {take.partition_id: take for take in takes}
        return [
            self._run(chunk, partial(self._take, [by_id[partition] for partition in chunk], is_still_wanted))
            for chunk in self._chunks(by_id)
        ]

    def release(
        self, leases: Sequence[PartitionLease], successor: Member | None
    ) -> list[Coroutine[object, object, None]]:
        """Return the actions that surrender leases, free their rows and say so."""
        by_id = {lease.partition_id: lease for lease in leases}
        return [
            self._run(chunk, partial(self._release, [by_id[partition] for partition in chunk], successor))
            for chunk in self._chunks(by_id)
        ]

    def clear(self, leases: Sequence[PartitionLease]) -> list[Coroutine[object, object, None]]:
        """Return the actions that free rows which name us although we do not hold them."""
        by_id = {lease.partition_id: lease for lease in leases}
        return [
            self._run(chunk, partial(self._clear, [by_id[partition] for partition in chunk]))
            for chunk in self._chunks(by_id)
        ]

    def _chunks(self, partition_ids: Iterable[int]) -> list[list[int]]:
        """Cut into chunks and mark them busy from now on."""
        wanted = list(partition_ids)
        self.busy.update(wanted)
        return [wanted[at : at + self._limits.chunk] for at in range(0, len(wanted), self._limits.chunk)]

    async def _run(
        self, chunk: Sequence[int], action: Callable[[], Coroutine[object, object, object]]
    ) -> None:
        try:
            await action()
        except Exception:
            log.exception("ownership_action_failed", partition_ids=list(chunk))
            self._put_off(chunk)
        finally:
            self.busy.difference_update(chunk)
            self._on_change()

    async def _prepare(self, partition_ids: Sequence[int]) -> None:
        try:
            async with self._prepares, self._timer.timeout(self._limits.prepare_s):
                begun_at = self._timer.monotonic()
                await self._host.prepare(partition_ids)
        except Exception as error:
            self._stats.failed_prepares += len(partition_ids)
            log.warning("prepare_failed", partition_ids=list(partition_ids), error=repr(error))
            for partition in partition_ids:
                self._prepared_at.pop(partition, None)
            self._host.discard(partition_ids)
            self._put_off(partition_ids)
        else:
            self._prepared_at.update(dict.fromkeys(partition_ids, begun_at))
            log.info("partitions_prepared", partition_ids=list(partition_ids))

    async def _take(self, takes: Sequence[Take], is_still_wanted: Callable[[Take], bool]) -> None:
        fresh_after = self._timer.monotonic() - self._limits.prepared_max_age_s
        stale = [
            take.partition_id
            for take in takes
            if take.partition_id not in self.held
            and self._prepared_at.get(take.partition_id, float("-inf")) < fresh_after
        ]
        if stale:
            await self._prepare(stale)
        for step in self._steps_of(takes):
            async with self._takes:
                await self._take_step(step, is_still_wanted)

    async def _take_step(self, takes: Sequence[Take], is_still_wanted: Callable[[Take], bool]) -> None:
        # What is re-asserted is fired by us until the statement, and prepared only afterwards.
        wanted = [
            take
            for take in takes
            if take.partition_id in (self.held if take.reason is TakeReason.REASSERTED else self._prepared_at)
            and is_still_wanted(take)
        ]
        leases = await self._state_claim(wanted) if wanted else []
        won = {lease.partition_id for lease in leases}
        for take in wanted:
            if take.partition_id in won:
                self._stats.taken[take.reason] += 1
                self._retries.pop(take.partition_id, None)
            else:
                self._stats.lost_takes += 1
                self._put_off([take.partition_id])
        renewed = [partition for partition in won if partition in self.held]
        if renewed:
            self.revoke(
                [PartitionLease(partition, self.held[partition]) for partition in renewed], "re-asserted"
            )
            await self._prepare(renewed)  # when it fails, the row names us, and the next round takes it again
        self._adopt([lease for lease in leases if lease.partition_id in self._prepared_at], wanted)

    async def _state_claim(self, takes: Sequence[Take]) -> list[PartitionLease]:
        """Write the rows; nothing is ours when the outcome is unknown."""
        plain = [take for take in takes if take.new_epoch == take.expected_epoch + 1]
        free = [take for take in plain if take.reason is TakeReason.FREE]
        owned = [take for take in plain if take.reason is not TakeReason.FREE]
        raised = [take for take in takes if take.new_epoch != take.expected_epoch + 1]
        leases: list[PartitionLease] = []
        try:
            async with self._timer.timeout(self._limits.statement_s):
                for some, are_free in ((free, True), (owned, False)):
                    if some:
                        expected = [(take.partition_id, take.expected_epoch) for take in some]
                        leases += await self._store.take_partitions(expected, self._node_id, are_free)
                if raised:
                    overtaken = [PartitionLease(take.partition_id, take.new_epoch - 1) for take in raised]
                    leases += await self._store.reassert_partitions(overtaken, self._node_id)
        except Exception as error:
            self._stats.failed_takes += len(takes) - len(leases)
            log.warning("take_failed", partition_ids=[t.partition_id for t in takes], error=repr(error))
        return leases

    def _adopt(self, leases: Sequence[PartitionLease], takes: Sequence[Take]) -> None:
        if not leases:
            return
        for lease in leases:
            self._prepared_at.pop(lease.partition_id, None)
            self.held[lease.partition_id] = lease.epoch
        by_id = {take.partition_id: take for take in takes}
        changes = [self._change(by_id[lease.partition_id], lease) for lease in leases]
        self._host.adopt(leases, changes)
        reasons = Counter(change.reason.name.lower() for change in changes)
        from_nodes = sorted({change.from_node for change in changes if change.from_node is not None})
        log.info("partitions_taken", leases=dict(leases), reasons=dict(reasons), from_nodes=from_nodes)
        self._on_change()

    def _change(self, take: Take, lease: PartitionLease) -> OwnerChange:
        noticed_at = None
        if take.noticed_s is not None:
            noticed_at = self._timer.now() - int((self._timer.monotonic() - take.noticed_s) * 1_000_000)
        return OwnerChange(lease, take.previous_owner, take.change, take.released_at, noticed_at)

    async def _release(self, leases: Sequence[PartitionLease], successor: Member | None) -> None:
        for step in self._steps_of(leases):
            async with self._releases:
                going = [lease for lease in step if self.held.get(lease.partition_id) == lease.epoch]
                if not going:
                    continue
                released_at = await self._surrender(going)
                if released_at is not None and successor is not None:
                    releases = [Release(*lease, self._node_id, released_at) for lease in going]
                    successor = successor if await self._announce(releases, successor) else None

    async def _surrender(self, leases: Sequence[PartitionLease]) -> int | None:
        """Stop firing and free the rows; return when firing stopped (cluster time), None when they may not be free."""
        for lease in leases:
            del self.held[lease.partition_id]
        stopped_at, stopped_s = self._timer.now(), self._timer.monotonic()
        try:
            async with self._timer.timeout(self._limits.surrender_s):
                await self._host.surrender(leases)
        except Exception as error:
            # Freeing the row is safe all the same: what is still in flight fails at the fence.
            log.warning("surrender_failed", partition_ids=_ids(leases), error=repr(error))
            self._host.revoke(leases)
        surrender_ms = round((self._timer.monotonic() - stopped_s) * 1000, 1)
        is_free = await self._free(leases, stopped_at, surrender_ms=surrender_ms)
        return stopped_at if is_free else None

    async def _announce(self, releases: Sequence[Release], successor: Member) -> bool:
        try:
            async with self._timer.timeout(self._limits.announce_s):
                await self._peers.announce_release(successor.node_id, successor.address, releases)
        except Exception as error:  # it looks at the rows every 100 ms anyway
            self._stats.failed_announcements += 1
            log.info("announce_release_failed", node_id=successor.node_id, error=repr(error))
            return False
        return True

    async def _free(self, leases: Sequence[PartitionLease], released_at: int | None, **facts: float) -> bool:
        begun_s = self._timer.monotonic()
        try:
            async with self._timer.timeout(self._limits.statement_s):
                await self._store.release_partitions(leases, self._node_id, released_at)
        except Exception as error:
            self._stats.failed_releases += len(leases)
            log.warning("release_failed", partition_ids=_ids(leases), error=repr(error))
            self._put_off(_ids(leases))
            return False
        self._stats.released += len(leases)
        statement_ms = round((self._timer.monotonic() - begun_s) * 1000, 1)
        log.info("partitions_released", partition_ids=_ids(leases), statement_ms=statement_ms, **facts)
        return True

    async def _clear(self, leases: Sequence[PartitionLease]) -> None:
        async with self._releases:
            await self._free(leases, None)

    def _steps_of(self, items: Sequence[T]) -> list[Sequence[T]]:
        return [items[at : at + self._limits.step] for at in range(0, len(items), self._limits.step)]

    def _put_off(self, partition_ids: Iterable[int]) -> None:
        for partition in partition_ids:
            times = self._retries.get(partition, (0, 0.0))[0]
            pause = min(self._limits.retry_most_s, self._limits.retry_first_s * 2**times)
            pause *= self._rng.uniform(0.5, 1.0)
            self._retries[partition] = (min(times + 1, 8), self._timer.monotonic() + pause)


def _ids(leases: Iterable[PartitionLease]) -> list[int]:
    return [lease.partition_id for lease in leases]
