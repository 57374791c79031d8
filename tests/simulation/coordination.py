"""ZooKeeper: the registry of members, and each node's session with it, which a fault can cut, expire or leave behind."""

from __future__ import annotations

from contextvars import Context
from dataclasses import replace
from random import Random

from simulation.clock import SimClock
from simulation.trace import Trace

from mainspring.shard_manager.local import LocalMembership, LocalRegistry
from mainspring.shard_manager.membership import MembershipView, Publication
from mainspring.testing.virtual_time import SeededLoop, process_context

NOTICE_SHARE = 2 / 3
"""A client notices a silent server after this share of its session's time."""


class SimZooKeeper(LocalRegistry):
    """The registry; news reach the nodes some milliseconds later, in their own processes.

    Args:
        session_s: how long a session outlives the last sign of life, at least and at most.
    """

    def __init__(
        self, loop: SeededLoop, trace: Trace, rng: Random, session_s: tuple[float, float] = (2.6, 5.7)
    ) -> None:
        super().__init__()
        self.loop = loop
        self.trace = trace
        self.rng = rng
        self.is_down = False
        self._session_s = session_s
        self._context = process_context("zookeeper")

    def _notify(self) -> None:
        for membership in self._watchers:
            if isinstance(membership, SimMembership) and not membership.has_news:
                membership.has_news = True
                delay_s = 0.001 + 0.03 * self.rng.random()
                self.loop.call_later(delay_s, membership.hear, context=membership.context)

    def unplugged(self, membership: SimMembership) -> None:
        """Nothing is heard of a session any more: it ends after a while."""
        least_s, most_s = self._session_s
        cut = membership.cut
        self.loop.call_later(
            least_s + (most_s - least_s) * self.rng.random(),
            lambda: self._expire(membership, cut),
            context=self._context,
        )

    def _expire(self, membership: SimMembership, cut: int) -> None:
        if not self.is_down and not membership.is_plugged and membership.cut == cut:
            self.trace.note("session_expired", membership.node_id)
            self.remove(membership.node_id)

    def expire_all(self) -> None:
        """Every session ends, as when a server was frozen for longer than they last."""
        for node_id in self.members:
            self.trace.note("session_expired", node_id)
            self.remove(node_id)


class SimMembership(LocalMembership):
    """A node's session. Plugged: what happens is heard, and what is published arrives."""

    def __init__(
        self, zookeeper: SimZooKeeper, node_id: str, address: str, clock: SimClock, context: Context
    ) -> None:
        super().__init__(zookeeper, node_id, address, "sim", clock)
        self.node_id = node_id
        self.context = context
        self.is_plugged = True
        self.cut = 0
        """Counts the cuts."""
        self.has_news = False
        self._zookeeper = zookeeper
        self._blind_since_s = 0.0
        if zookeeper.is_down:
            self.is_plugged = False

    async def start(self) -> None:
        """See `Membership.start`."""
        if self.is_plugged:
            await super().start()
        else:
            self._is_running = True

    def view(self) -> MembershipView:
        """See `Membership.view`: what was read before a cut is as old as that."""
        if self.is_plugged or not self._view.is_connected:
            return super().view()
        return replace(self._view, read_at=self._blind_since_s)

    def publish(self, publication: Publication) -> None:
        """See `Membership.publish`."""
        if self.is_plugged:
            super().publish(publication)
        else:
            self._own = publication.by(self._own)

    def hear(self) -> None:
        """News arrive, in the node's process."""
        self.has_news = False
        if self.is_plugged and self._is_running:
            self.refresh()

    # --- faults --------------------------------------------------------------------------------------------------

    def unplug(self, *, is_noticed: bool, may_expire: bool = True) -> None:
        """Cut it off; noticed at once, or after a while."""
        if not self.is_plugged:
            return
        self.is_plugged = False
        self.cut += 1
        self._blind_since_s = self._timer.monotonic()
        self._registry.unwatch(self)
        if may_expire:
            self._zookeeper.unplugged(self)
        cut = self.cut
        delay_s = 0.0 if is_noticed else NOTICE_SHARE * 4.0
        self._zookeeper.loop.call_later(delay_s, lambda: self._notice(cut), context=self.context)

    def die(self) -> None:
        """Its process is killed: the session ends after a while, also when it was cut off before."""
        if self.is_plugged:
            self.unplug(is_noticed=True)
        else:
            self._zookeeper.unplugged(self)

    def _notice(self, cut: int) -> None:
        if not self.is_plugged and self.cut == cut and self._view.is_connected:
            self.disconnect()

    def plug(self, delay_s: float) -> None:
        """Let it find its way back, in the node's process."""
        self._zookeeper.loop.call_later(delay_s, self._return, self.cut, context=self.context)

    def _return(self, cut: int) -> None:
        if not self.is_plugged and self.cut == cut and not self._zookeeper.is_down:
            self.is_plugged = True
            self.reconnect()

    async def stop(self) -> None:
        """See `Membership.stop`."""
        if self.is_plugged:
            self.vanish()
