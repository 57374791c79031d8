"""Feeds the judge of duty (`core.duty`) with what this node sees, and tells the shard manager what follows."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from mainspring.server.clock import DatabaseClock
from mainspring.server.clock_watch import ClockWatch
from mainspring.server.core.duty import DATABASE, EXECUTORS, DutyFacts, DutyJudge
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.errors import StoreError
from mainspring.server.observability.metrics import Metrics
from mainspring.shard_manager.compatibility import makes_way_for
from mainspring.shard_manager.manager import STARTING, PartitionManager
from mainspring.shard_manager.membership import Member, Membership, ProtocolRange

log = structlog.get_logger(__name__)

CHECK_S = 0.5
CHECK_LIMIT_S = 3.0
"""An answer that takes longer is none (`DutyLimits.database_silent_s`)."""
SILENT_CHECK_S = 0.1
SILENT_CHECK_LIMIT_S = 1.0
"""While the database is silent: a look that hangs in a dead connection must not hide its return."""
PROTOCOL = "protocol"
"""A reason to be aside: a ready member speaks no version of the nodes' protocol that this node speaks."""
TELL_COUNT_S = 2.0
"""How often a changed number of executors is published; whether there are any, at once."""


class DutyWatch:
    """One node's look at its database, its executors and the other members. Belongs to one event loop."""

    def __init__(
        self,
        node_id: str,
        clock: DatabaseClock,
        database_time: Callable[[], Awaitable[int]],
        executors: ConnectedExecutors,
        membership: Membership,
        manager: PartitionManager,
        metrics: Metrics,
    ) -> None:
        """Looks at nothing yet. `database_time`: see `DatabaseClock.measure`."""
        self._node_id, self._clock, self._database_time = node_id, clock, database_time
        self._executors, self._membership = executors, membership
        self._manager, self._metrics = manager, metrics
        self._clock_watch = ClockWatch(metrics)
        self._judge = DutyJudge(clock.monotonic())
        self._reasons: frozenset[str] = frozenset({STARTING})
        self._in_the_way: Mapping[str, ProtocolRange] = {}
        manager.step_aside(STARTING)
        self._heard_s = -math.inf
        self._is_deaf = False
        self._told_count = 0
        self._told_at_s = -math.inf

    def is_deaf(self) -> bool:
        """Whether no executor is heard here while others hear some: their silence proves nothing then."""
        return self._is_deaf

    @property
    def is_database_there(self) -> bool:
        """Whether the database has answered lately."""
        return DATABASE not in self._reasons

    async def database_round(self) -> None:
        """Measures the database's clock, which also tells whether it answers; looks more often while it does not.

        Raises:
            StoreError: it failed in another way than by not answering.
        """
        is_silent = self._judge.is_silent(self._clock.monotonic())
        try:
            async with self._clock.timeout(SILENT_CHECK_LIMIT_S if is_silent else CHECK_LIMIT_S):
                reading = await self._clock.measure(self._database_time)
        except (StoreError, TimeoutError) as error:
            if not is_silent:
                log.warning("database_check_failed", error=repr(error))
            await self._clock.sleep(SILENT_CHECK_S)
            return
        self._judge.answered(self._clock.monotonic())
        if reading is not None:
            self._clock_watch.look(reading, self._clock.monotonic())
        if DATABASE in self._reasons:
            self.judge()
        await self._clock.sleep(CHECK_S)

    def judge(self) -> None:
        """Decides whether this node is on duty, and publishes what the others decide by."""
        now_s, lease_s = self._clock.monotonic(), self._clock.lease_time()
        ages_s = [
            lease_s - session.heard_at_s for session in self._executors.sessions() if not session.is_draining
        ]
        self._heard_s = max([self._heard_s, *(now_s - age_s for age_s in ages_s)])
        view = self._membership.view()
        others = [m for m in view.members.values() if m.node_id != self._node_id]
        facts = DutyFacts(self._heard_s, any(m.ready and m.executors > 0 for m in others))
        self._is_deaf = self._judge.is_deaf(facts, now_s)
        reasons = self._judge.judge(facts, now_s) | self._reasons & {STARTING, PROTOCOL}
        own = view.members.get(self._node_id)
        if view.is_connected and own is not None:
            reasons = reasons - {STARTING, PROTOCOL} | self._look_at_protocols(own, others)
        for reason in sorted(reasons - self._reasons):
            self._manager.step_aside(reason)
        for reason in sorted(self._reasons - reasons):
            self._manager.return_to_duty(reason)
        self._reasons = reasons
        for reason in (DATABASE, EXECUTORS, PROTOCOL):
            self._metrics.aside.labels(reason).set(reason in reasons)
        count = sum(self._judge.is_fresh(now_s - age_s, now_s) for age_s in ages_s)
        if bool(count) != bool(self._told_count) or now_s - self._told_at_s >= TELL_COUNT_S:
            self._told_count, self._told_at_s = count, now_s
        self._manager.note_surroundings(self._told_count, self._judge.steady_since_s(now_s))

    def _look_at_protocols(self, own: Member, others: Sequence[Member]) -> frozenset[str]:
        in_the_way = makes_way_for(own.protocol, own.ready, others)
        if in_the_way != self._in_the_way and in_the_way:
            log.error(
                "protocol_incompatible",
                own=own.protocol,
                members=in_the_way,
                remedy="this node waits until they are gone: update in steps that have a protocol version in common",
            )
        self._in_the_way = in_the_way
        return frozenset({PROTOCOL}) if in_the_way else frozenset()
