"""Says that ZooKeeper is away, and who has died meanwhile: nobody else tells.

Firing goes on without it, but a dead node's partitions wait for its return. So the other members, as last known, are asked
themselves: for the alarm and the metrics only, never to take anything from them.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from mainspring.server.clock import Clock
from mainspring.server.observability.metrics import Metrics
from mainspring.shard_manager.manager import PartitionManager
from mainspring.shard_manager.membership import Membership

log = structlog.get_logger(__name__)

ROUND_S = 2.0
ALARM_S = 15.0
SILENT_ROUNDS = 2
"""A member that did not answer so often in a row counts as dead."""


class CoordinatorWatch:
    """One node's look at its connection to ZooKeeper. Belongs to one event loop."""

    def __init__(
        self,
        node_id: str,
        clock: Clock,
        membership: Membership,
        does_answer: Callable[[str], Awaitable[bool]],
        manager: PartitionManager,
        metrics: Metrics,
    ) -> None:
        """Looks at nothing yet. `does_answer`: whether a node answers at an address, within a second or two."""
        self._node_id, self._clock, self._membership = node_id, clock, membership
        self._does_answer, self._manager, self._metrics = does_answer, manager, metrics
        self._silent: Counter[str] = Counter()
        self._away_since_s: float | None = None
        self._alarmed_s = -math.inf

    async def run_round(self) -> None:
        """Looks once, then waits a little."""
        view = self._membership.view()
        self._metrics.coordinator_connected.set(view.is_connected)
        if view.is_connected:
            self._away_since_s = None
            self._silent.clear()
            self._manager.note_unreachable(None)
        else:
            await self._ask(
                {m.node_id: m.address for m in view.members.values() if m.node_id != self._node_id}
            )
            self._alarm()
        await self._clock.sleep(ROUND_S)

    async def _ask(self, addresses: dict[str, str]) -> None:
        answers = await asyncio.gather(*(self._does_answer(address) for address in addresses.values()))
        for node_id, has_answered in zip(addresses, answers, strict=True):
            self._silent[node_id] = 0 if has_answered else self._silent[node_id] + 1
        self._manager.note_unreachable(
            frozenset(node_id for node_id in addresses if self._silent[node_id] >= SILENT_ROUNDS)
        )

    def _alarm(self) -> None:
        now_s = self._clock.monotonic()
        if self._away_since_s is None:
            self._away_since_s = now_s
        away_s = now_s - self._away_since_s
        if away_s >= ALARM_S and now_s - self._alarmed_s >= ALARM_S:
            self._alarmed_s = now_s
            log.error(
                "coordinator_away",
                seconds=round(away_s, 1),
                meaning="tasks go on to run; partitions of nodes that die meanwhile wait until ZooKeeper is back",
            )
