"""Removes what has ended and is old, and what is beyond the number of executions that a task keeps.

One slice at a time, each followed by a pause of several times its own length, and a longer one while this process or the
database is slow: fresh work comes first. Everything is fenced, so a slice of a partition that was just lost removes nothing.

A partition's ledger is walked now and then from its beginning to what is not old yet. That costs little: what is old is
gone. Between these walks only the stretches are looked at in which something has become old since the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import structlog

from mainspring.server.core.model import ExecutionRef, TaskRef
from mainspring.server.core.namespaces import Cutoffs, Namespace, Span, cutoffs_at
from mainspring.server.core.policies import Policies
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.shard_manager.lease import PartitionLease

log = structlog.get_logger(__name__)

IDLE_S = 1.0
SHORTEST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 5.0
PAUSE_FACTOR = 4.0
"""A pause is so many times as long as the slice before it: at most a fifth of one connection is used."""
LAGGING_S = 0.1
"""When a pause takes so much longer than it should, the process has better things to do."""
LAGGING_PAUSE_S = 1.0
WHOLE_WALK_EVERY = 24
"""Each n-th walk of a partition looks everywhere, and at its tasks, too."""
NAMESPACES_PAGE = 1_000
TRIMMED_TOGETHER = 50
"""Tasks of one partition whose histories are cut in one transaction."""
CLEAR_US = 300_000
"""A task that is due sooner than this is left alone: its history is cut under a lock that claims do not wait for."""
MOST_TRIMS = 100_000
"""Tasks remembered for that; the others are remembered when they run again."""
SPARE = 10
"""A history may exceed what its task keeps by this fraction before it is cut: cutting one walks along all of it."""


@dataclass(slots=True)
class _Walk:
    """Through one partition."""

    lease: PartitionLease
    cutoffs: Cutoffs
    spans: Iterator[Span]
    is_whole: bool
    span: Span | None = None
    """Where executions are being removed; None: the tasks come next."""
    after: ExecutionRef | None = None
    removed_executions: int = 0
    removed_tasks: int = 0


@dataclass(slots=True)
class _Partition:
    """What is remembered of a partition that is held."""

    epoch: int
    next_walk_s: float
    walks: int = 0
    cutoffs: Cutoffs | None = None
    """Of the last walk that came to its end."""


@dataclass(slots=True)
class _Trim:
    keep: int
    ended: int = 0
    """Executions that have ended since the history was last cut."""


@dataclass(slots=True)
class _Trims:
    """Tasks whose histories may have become longer than they keep."""

    counting: dict[TaskRef, _Trim] = field(default_factory=dict)
    ready: dict[int, dict[bytes, int]] = field(default_factory=dict)
    """How many executions stay, by partition and task key."""


class Retention:
    """Runs as one of the engine's loops."""

    def __init__(self, context: OwnerContext, window: DueWindow) -> None:
        self._context = context
        self._window = window
        self._partitions: dict[int, _Partition] = {}
        self._walk: _Walk | None = None
        self._trims = _Trims()
        self._wake = asyncio.Event()

    def ended(self, ref: ExecutionRef, policies: Policies) -> None:
        """Notes that an execution has ended whose task has these policies."""
        keep = policies.keep
        if not keep or not self._context.settings.retention_round_s:
            return
        counting = self._trims.counting
        task = TaskRef(ref.partition_id, ref.task_key)
        trim = counting.get(task)
        if trim is None:
            if len(counting) >= MOST_TRIMS:
                return
            trim = counting[task] = _Trim(keep)
        trim.keep = keep
        trim.ended += 1
        if trim.ended > keep // SPARE:
            del counting[task]
            self._trims.ready.setdefault(task.partition_id, {})[task.task_key] = keep
            self._wake.set()

    async def run_round(self) -> None:
        """Removes one slice and pauses; waits when there is nothing to remove."""
        clock, settings = self._context.clock, self._context.settings
        begun_s = clock.monotonic()
        is_busy = await self._trim_some()
        if not is_busy and settings.retention_round_s:
            is_busy = await self._walk_on(begun_s)
        if not is_busy:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with clock.timeout(IDLE_S):
                    await self._wake.wait()
            return
        paused_s = clock.monotonic()
        pause_s = min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, PAUSE_FACTOR * (paused_s - begun_s)))
        await clock.sleep(pause_s)
        if clock.monotonic() - paused_s > pause_s + LAGGING_S:
            await clock.sleep(LAGGING_PAUSE_S)

    def _lease_of(self, partition_id: int) -> PartitionLease | None:
        """The partition's, while it fires: nothing begins in one that is about to be handed over."""
        held = self._context.held
        epoch = held.epoch_of(partition_id)
        return (
            None if epoch is None or not held.is_firing(partition_id) else PartitionLease(partition_id, epoch)
        )

    # --- by count ------------------------------------------------------------------------------------------------

    async def _trim_some(self) -> bool:
        ready = self._trims.ready
        for partition_id in list(ready):
            keeps = ready[partition_id]
            lease = self._lease_of(partition_id)
            some = dict(islice(self._not_due_soon(partition_id, keeps), TRIMMED_TOGETHER))
            for task_key in some:
                del keeps[task_key]
            if not keeps or lease is None:
                del ready[partition_id]
            if lease is None or not some:
                continue
            store, settings = self._context.store, self._context.settings
            answers = await store.trim_histories(
                self._context.node_id, lease, some, limit=settings.retention_slice
            )
            if not answers:
                self._context.refused([partition_id], {partition_id: lease.epoch})
            again = {key: some[key] for key, is_more in answers.items() if is_more}
            if again:
                ready.setdefault(partition_id, {}).update(again)
            return True
        return False

    def _not_due_soon(self, partition_id: int, keeps: Mapping[bytes, int]) -> Iterator[tuple[bytes, int]]:
        """Those of the tasks that will not be claimed while they are locked; the others come later."""
        soon_at = self._context.clock.now() + CLEAR_US
        for task_key, keep in keeps.items():
            due_at = self._window.due_at(TaskRef(partition_id, task_key))
            if due_at is None or due_at >= soon_at:
                yield task_key, keep

    # --- by age --------------------------------------------------------------------------------------------------

    async def _walk_on(self, now_s: float) -> bool:
        walk = self._walk
        if walk is None or self._lease_of(walk.lease.partition_id) != walk.lease:
            walk = self._walk = await self._next_walk(now_s)
        if walk is None:
            return False
        context = self._context
        limit = context.settings.retention_slice
        if walk.span is not None:
            step = await context.store.remove_executions(
                context.node_id, walk.lease, walk.cutoffs, walk.span, after=walk.after, limit=limit
            )
            walk.removed_executions += step.removed
            context.metrics.removed.labels("execution").inc(step.removed)
        else:
            step = await context.store.remove_tasks(
                context.node_id, walk.lease, walk.cutoffs, after=walk.after, limit=limit
            )
            walk.removed_tasks += step.removed
            context.metrics.removed.labels("task").inc(step.removed)
        walk.after = step.next
        if step.is_refused:
            self._walk = None
            context.refused([walk.lease.partition_id], {walk.lease.partition_id: walk.lease.epoch})
        elif step.next is None:
            was_at_tasks = walk.span is None
            walk.span = next(walk.spans, None)
            if was_at_tasks or (walk.span is None and not walk.is_whole):
                self._end(walk)
        return True

    def _end(self, walk: _Walk) -> None:
        self._walk = None
        partition = self._partitions.get(walk.lease.partition_id)
        if partition is not None and partition.epoch == walk.lease.epoch:
            partition.walks += 1
            partition.cutoffs = walk.cutoffs
            partition.next_walk_s = self._context.clock.monotonic() + self._context.settings.retention_round_s
        if walk.removed_executions or walk.removed_tasks:
            log.info(
                "old_rows_removed",
                partition_id=walk.lease.partition_id,
                executions=walk.removed_executions,
                tasks=walk.removed_tasks,
            )

    async def _next_walk(self, now_s: float) -> _Walk | None:
        """Through the partition that has waited longest, if one is due."""
        firing = self._context.held.firing()
        first_s = now_s + self._context.settings.retention_first_s
        for partition_id in firing:
            epoch = self._context.held.epoch_of(partition_id)
            known = self._partitions.get(partition_id)
            if epoch is not None and (known is None or known.epoch != epoch):
                self._partitions[partition_id] = _Partition(epoch, first_s)
        for partition_id in self._partitions.keys() - set(firing):
            del self._partitions[partition_id]
        due = [(p.next_walk_s, partition_id) for partition_id, p in self._partitions.items()]
        if not due or min(due)[0] > now_s:
            return None
        partition_id = min(due)[1]
        cutoffs = cutoffs_at(self._context.clock.now(), await self._namespaces())
        lease = self._lease_of(partition_id)
        partition = self._partitions[partition_id]
        if lease is None or lease.epoch != partition.epoch:
            return None
        is_whole = partition.walks % WHOLE_WALK_EVERY == 0
        spans = iter(cutoffs.spans(None if is_whole else partition.cutoffs))
        return _Walk(lease, cutoffs, spans, is_whole, span=next(spans))

    async def _namespaces(self) -> list[Namespace]:
        found: list[Namespace] = []
        while True:
            page = await self._context.store.list_namespaces(found[-1].name if found else "", NAMESPACES_PAGE)
            found += page
            if len(page) < NAMESPACES_PAGE:
                return found
