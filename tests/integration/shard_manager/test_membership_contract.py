"""One contract, two memberships: in process and ZooKeeper."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from mainspring.shard_manager.local import LocalMembership, LocalRegistry
from mainspring.shard_manager.membership import (
    Member,
    Membership,
    MembershipView,
    Publication,
    SessionState,
)
from mainspring.shard_manager.system_timer import SystemTimer
from mainspring.shard_manager.zookeeper import ZooKeeperMembership
from mainspring.testing.zookeeper import ZooKeeperServer

ROOT = Path(__file__).parents[3]
SESSION_S = 1.2
TIME_ZONES = "2026f"

CRASHING_NODE = """
import asyncio, sys
from mainspring.shard_manager.membership import Publication
from mainspring.shard_manager.zookeeper import ZooKeeperMembership

async def main():
    membership = ZooKeeperMembership(sys.argv[1], sys.argv[2], sys.argv[2] + ":1", "1", float(sys.argv[3]))
    await membership.start()
    membership.publish(Publication(True, {1: 1}))
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def until(
    membership: Membership, condition: Callable[[MembershipView], bool], within_s: float = 8.0
) -> MembershipView:
    """Wait for a view that fulfils the condition."""
    async with asyncio.timeout(within_s):
        while not condition(view := membership.view()):
            await membership.wait_for_change(view.generation, 0.5)
    return view


def sees(*node_ids: str) -> Callable[[MembershipView], bool]:
    return lambda view: view.is_connected and set(view.members) == set(node_ids)


class Registry(ABC):
    """A kind of membership and the faults the contract needs."""

    def __init__(self) -> None:
        self.started: list[Membership] = []

    @abstractmethod
    def make(self, node_id: str) -> Membership: ...

    @abstractmethod
    async def node_that_crashes(self, node_id: str) -> Callable[[], None]:
        """Start a ready node holding {1: 1}; the function returned crashes it."""

    @abstractmethod
    async def expire(self, membership: Membership) -> None: ...

    @abstractmethod
    async def go_away(self) -> None: ...

    @abstractmethod
    async def come_back(self) -> None: ...

    async def node(self, node_id: str) -> Membership:
        membership = self.make(node_id)
        self.started.append(membership)
        await membership.start()
        return membership

    async def close(self) -> None:
        for membership in self.started:
            await membership.stop()


class Local(Registry):
    def __init__(self) -> None:
        super().__init__()
        self.registry = LocalRegistry()
        self.is_away = False

    def make(self, node_id: str) -> Membership:
        return LocalMembership(
            self.registry, node_id, f"{node_id}:1", "1", SystemTimer(), time_zone_database=TIME_ZONES
        )

    async def node_that_crashes(self, node_id: str) -> Callable[[], None]:
        membership = await self.node(node_id)
        membership.publish(Publication(True, {1: 1}))
        assert isinstance(membership, LocalMembership)
        return membership.vanish

    async def expire(self, membership: Membership) -> None:
        assert isinstance(membership, LocalMembership)
        membership.expire()

    async def go_away(self) -> None:
        for membership in self.started:
            assert isinstance(membership, LocalMembership)
            membership.disconnect()

    async def come_back(self) -> None:
        for membership in self.started:
            assert isinstance(membership, LocalMembership)
            membership.reconnect()


class ZooKeeper(Registry):
    def __init__(self, server: ZooKeeperServer) -> None:
        super().__init__()
        self.server = server
        self.hosts = f"{server.hosts}/contract/{secrets.token_hex(4)}"  # a chroot that does not exist yet
        self.children: list[subprocess.Popen[bytes]] = []

    def make(self, node_id: str) -> Membership:
        return ZooKeeperMembership(
            self.hosts, node_id, f"{node_id}:1", "1", SESSION_S, time_zone_database=TIME_ZONES
        )

    async def node_that_crashes(self, node_id: str) -> Callable[[], None]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "shard_manager")}
        command = [sys.executable, "-c", CRASHING_NODE, self.hosts, node_id, str(SESSION_S)]
        child = subprocess.Popen(command, env=environment)  # noqa: ASYNC220 - returns at once
        self.children.append(child)
        return lambda: child.send_signal(signal.SIGKILL)

    async def expire(self, membership: Membership) -> None:
        """End its session from another connection, as the server would."""
        assert isinstance(membership, ZooKeeperMembership)
        assert membership._client is not None
        thief = KazooClient(
            hosts=self.server.hosts, client_id=membership._client.client_id, timeout=SESSION_S
        )
        await asyncio.to_thread(thief.start, 5)
        await asyncio.to_thread(thief.stop)
        thief.close()

    async def go_away(self) -> None:
        await asyncio.to_thread(self.server.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def close(self) -> None:
        await super().close()
        for child in self.children:
            child.kill()
            await asyncio.to_thread(child.wait, 5)


@pytest.fixture(params=["local", "zookeeper"])
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[Registry]:
    kind: Registry = (
        Local() if request.param == "local" else ZooKeeper(request.getfixturevalue("own_zookeeper"))
    )
    yield kind
    await kind.close()


async def test_join_publish_and_leave(registry: Registry) -> None:
    first = await registry.node("first")
    view = await until(first, sees("first"))
    assert view.session is SessionState.LIVE
    assert view.session_started_at is not None
    assert view.session_expired_at is None
    assert view.members["first"] == Member(
        "first", "first:1", "1", ready=False, time_zone_database=TIME_ZONES
    )

    second = await registry.node("second")
    holds = {partition: partition % 7 + 1 for partition in range(256)}
    second.publish(Publication(True, holds, frozenset({3, 4}), True))
    expected = Member(
        "second", "second:1", "1", True, holds, frozenset({3, 4}), True, time_zone_database=TIME_ZONES
    )
    for membership in (first, second):
        await until(membership, lambda view: view.members.get("second") == expected)

    await second.stop()
    assert not second.view().is_connected
    await until(first, sees("first"), within_s=1.0)  # a clean stop does not wait for the session's timeout


async def test_crash_is_seen_after_the_session_timeout(registry: Registry) -> None:
    watcher = await registry.node("watcher")
    crash = await registry.node_that_crashes("victim")
    await until(watcher, lambda view: "victim" in view.members and view.members["victim"].ready)
    crash()
    await until(watcher, sees("watcher"), within_s=SESSION_S + 1.5)


async def test_expired_session_is_replaced_and_published_again(registry: Registry) -> None:
    victim, other = await registry.node("victim"), await registry.node("other")
    victim.publish(Publication(True, {5: 2}))
    for membership in (victim, other):
        await until(
            membership, lambda view: view.members.get("victim", Member("", "", "", False)).holds == {5: 2}
        )
    before = victim.view()
    await registry.expire(victim)
    view = await until(victim, lambda view: view.is_connected and view.session_expired_at is not None)
    assert view.session_started_at is not None
    assert before.session_started_at is not None
    assert view.session_started_at > before.session_started_at
    for membership in (victim, other):
        await until(
            membership, lambda view: view.members.get("victim", Member("", "", "", False)).holds == {5: 2}
        )


def holds_of(view: MembershipView, node_id: str) -> dict[int, int] | None:
    member = view.members.get(node_id)
    return None if member is None else dict(member.holds)


async def test_outage_keeps_the_last_view_and_ends_by_itself(registry: Registry) -> None:
    first, second = await registry.node("first"), await registry.node("second")
    for membership in (first, second):
        await until(membership, sees("first", "second"))
    await registry.go_away()
    view = await until(first, lambda view: not view.is_connected)
    assert view.session is SessionState.SUSPENDED
    assert set(view.members) == {"first", "second"}
    first.publish(Publication(True, {9: 9}))  # must not block, and must arrive later
    await registry.come_back()
    for membership in (first, second):
        view = await until(membership, lambda view: view.is_connected and holds_of(view, "first") == {9: 9})
        assert view.session is SessionState.LIVE


async def test_stop_works_twice_and_before_start(registry: Registry) -> None:
    membership = registry.make("nobody")
    await membership.stop()
    membership = await registry.node("somebody")
    await until(membership, sees("somebody"))
    await membership.stop()
    await membership.stop()


async def test_waiting_for_a_change_ends_with_its_time(registry: Registry) -> None:
    membership = await registry.node("alone")
    view = await until(membership, sees("alone"))
    async with asyncio.timeout(5):
        await membership.wait_for_change(view.generation - 1, 60)
        with contextlib.suppress(TimeoutError):
            await membership.wait_for_change(membership.view().generation, 0.05)
