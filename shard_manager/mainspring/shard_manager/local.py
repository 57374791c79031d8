"""Membership inside one process: for dev mode, and for tests with several nodes and any fault they like."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace

from mainspring.shard_manager.membership import (
    FIRST_PROTOCOL,
    Member,
    MembershipView,
    ProtocolRange,
    Publication,
    SessionState,
    Timer,
)


class LocalRegistry:
    """What ZooKeeper is elsewhere: who is registered. Changes are seen at once by everybody who is connected."""

    def __init__(self) -> None:
        """Nobody is registered."""
        self._members: dict[str, Member] = {}
        self._watchers: dict[LocalMembership, None] = {}

    @property
    def members(self) -> Mapping[str, Member]:
        """Who is registered now, a copy."""
        return dict(self._members)

    def put(self, member: Member) -> None:
        """Register a node, or change what it has published."""
        if self._members.get(member.node_id) != member:
            self._members[member.node_id] = member
            self._notify()

    def remove(self, node_id: str) -> None:
        """Remove a node, as the end of its session does."""
        if self._members.pop(node_id, None) is not None:
            self._notify()

    def watch(self, membership: "LocalMembership") -> None:
        """Tell a membership of each change from now on."""
        self._watchers[membership] = None

    def unwatch(self, membership: "LocalMembership") -> None:
        """Tell it no more."""
        self._watchers.pop(membership, None)

    def _notify(self) -> None:
        for membership in list(self._watchers):
            membership.refresh()


class LocalMembership:
    """A `Membership` over a `LocalRegistry`."""

    def __init__(
        self,
        registry: LocalRegistry,
        node_id: str,
        address: str,
        version: str,
        timer: Timer,
        protocol: ProtocolRange = FIRST_PROTOCOL,
        time_zone_database: str = "",
    ) -> None:
        """Not registered until `start`."""
        self._registry, self._timer = registry, timer
        self._node_id = node_id
        self._own = Member(
            node_id,
            address,
            version,
            ready=False,
            protocol=protocol,
            time_zone_database=time_zone_database,
        )
        self._changed = asyncio.Event()
        self._is_running = False
        self._view = MembershipView({}, False, 0, SessionState.STARTING, None, None, -math.inf)

    async def start(self) -> None:
        """See `Membership.start`."""
        self._is_running = True
        self.reconnect()

    async def stop(self) -> None:
        """See `Membership.stop`."""
        self.vanish()

    def view(self) -> MembershipView:
        """See `Membership.view`."""
        if not self._view.is_connected:
            return self._view
        return replace(self._view, read_at=self._timer.monotonic())

    async def wait_for_change(self, seen_generation: int, timeout_s: float) -> None:
        """See `Membership.wait_for_change`."""
        try:
            async with self._timer.timeout(timeout_s):
                while self._view.generation == seen_generation:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    def publish(self, publication: Publication) -> None:
        """See `Membership.publish`."""
        self._own = publication.by(self._own)
        if self._view.is_connected:
            self._registry.put(self._own)

    def vanish(self) -> None:
        """Crash: gone from the registry without a goodbye, and blind from now on."""
        self._is_running = False
        self._registry.unwatch(self)
        self._registry.remove(self._node_id)
        self._set(self._view.members, SessionState.EXPIRED, self._view.session_started_at, is_connected=False)

    def disconnect(self) -> None:
        """Cut this node off; it stays registered until `expire`."""
        self._registry.unwatch(self)
        self._set(
            self._view.members, SessionState.SUSPENDED, self._view.session_started_at, is_connected=False
        )

    def expire(self) -> None:
        """End this node's session without its knowing: it finds out at `reconnect`."""
        self._registry.remove(self._node_id)

    def reconnect(self) -> None:
        """Back after `disconnect`, with a new session when the old one has ended."""
        if not self._is_running:
            return
        now, started_at, expired_at = self._timer.monotonic(), self._view.session_started_at, None
        if self._node_id not in self._registry.members:
            expired_at = now if started_at is not None else None
            started_at = now
        self._registry.watch(self)
        self._set(
            self._registry.members, SessionState.LIVE, started_at, is_connected=True, expired_at=expired_at
        )
        self._registry.put(self._own)

    def refresh(self) -> None:
        """Called by the registry at each change; registers again when the node finds itself missing."""
        if self._node_id not in self._registry.members:
            self.reconnect()
            return
        self._set(self._registry.members, SessionState.LIVE, self._view.session_started_at, is_connected=True)

    def _set(
        self,
        members: Mapping[str, Member],
        session: SessionState,
        started_at: float | None,
        *,
        is_connected: bool,
        expired_at: float | None = None,
    ) -> None:
        self._view = MembershipView(
            members=members,
            is_connected=is_connected,
            generation=self._view.generation + 1,
            session=session,
            session_started_at=started_at,
            session_expired_at=expired_at if expired_at is not None else self._view.session_expired_at,
            read_at=self._timer.monotonic() if is_connected else self._view.read_at,
        )
        self._changed.set()
