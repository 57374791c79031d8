"""What only ZooKeeper can do to a membership."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from mainspring.shard_manager.cluster_entry import ClusterIdentity
from mainspring.shard_manager.membership import MembershipView, Publication, SessionState
from mainspring.shard_manager.zookeeper import ZooKeeperMembership
from mainspring.testing.zookeeper import ZooKeeperServer

SESSION_S = 1.2
PROMISED_S = 10.0
"""Within so much what is waited for has come."""
STUCK_S = 3.0


async def until_connected(membership: ZooKeeperMembership, within_s: float = PROMISED_S) -> MembershipView:
    async with asyncio.timeout(within_s):
        while not (view := membership.view()).is_connected:
            await membership.wait_for_change(view.generation, 0.5)
    return view


@pytest.fixture
async def memberships(own_zookeeper: ZooKeeperServer) -> AsyncIterator[list[ZooKeeperMembership]]:
    made = [
        ZooKeeperMembership(
            f"{own_zookeeper.hosts}/mainspring", f"node-{n}", f"127.0.0.1:{n}", "1", SESSION_S
        )
        for n in range(2)
    ]
    yield made
    for membership in made:
        await membership.stop()


@pytest.fixture
async def raw(own_zookeeper: ZooKeeperServer) -> AsyncIterator[KazooClient]:
    client = KazooClient(hosts=own_zookeeper.hosts)
    await asyncio.to_thread(client.start, 10)
    yield client
    await asyncio.to_thread(client.stop)
    client.close()


async def test_comes_up_without_a_server(
    own_zookeeper: ZooKeeperServer, memberships: list[ZooKeeperMembership]
) -> None:
    await asyncio.to_thread(own_zookeeper.kill)
    begun_at = time.monotonic()
    await memberships[0].start()
    memberships[0].publish(Publication(True, {1: 1}))
    assert time.monotonic() - begun_at < PROMISED_S, "it waits for no connection"
    await memberships[0].wait_for_change(memberships[0].view().generation, 1.0)
    assert memberships[0].view().session is SessionState.STARTING
    await asyncio.to_thread(own_zookeeper.start)
    view = await until_connected(memberships[0], within_s=PROMISED_S)
    assert view.members["node-0"].holds == {1: 1}


async def test_stops_without_a_server(
    own_zookeeper: ZooKeeperServer, memberships: list[ZooKeeperMembership]
) -> None:
    await memberships[0].start()
    await until_connected(memberships[0])
    await asyncio.to_thread(own_zookeeper.kill)
    async with asyncio.timeout(PROMISED_S):
        await memberships[0].stop()


async def test_server_frozen_beyond_the_session_timeout(
    own_zookeeper: ZooKeeperServer, memberships: list[ZooKeeperMembership]
) -> None:
    """Sessions end when it goes on; everybody comes back by themselves.

    Whether a session ends is a race: a ping that waited in the server's socket may be read before the expiry is looked
    at. So it is frozen until each of the two has ended once, and everybody has to come back every time.
    """
    for membership in memberships:
        await membership.start()
    for membership in memberships:
        await until_connected(membership)
    for _ in range(8):
        own_zookeeper.pause()
        frozen_at = time.monotonic()
        async with asyncio.timeout(PROMISED_S):
            while memberships[0].view().is_connected:
                await memberships[0].wait_for_change(memberships[0].view().generation, 0.5)
        assert memberships[0].view().read_at <= frozen_at
        await asyncio.sleep(
            max(0.0, frozen_at + 2 * SESSION_S + 0.5 - time.monotonic())
        )  # the fault's length
        own_zookeeper.resume()
        async with asyncio.timeout(10):
            for membership in memberships:
                while not ((view := membership.view()).is_connected and len(view.members) == 2):
                    await membership.wait_for_change(view.generation, 0.5)
        if all(membership.view().session_expired_at is not None for membership in memberships):
            return
    pytest.fail("no freeze ended both sessions: nothing was shown")


@pytest.mark.parametrize("own_zookeeper", [1_000], indirect=True)
async def test_restarted_server_forgets_nothing(own_zookeeper: ZooKeeperServer) -> None:
    membership = ZooKeeperMembership(
        f"{own_zookeeper.hosts}/mainspring", "node-0", "127.0.0.1:0", "1", session_timeout_s=20.0
    )
    await membership.start()
    started_at = (await until_connected(membership)).session_started_at
    for _ in range(2):
        await asyncio.to_thread(own_zookeeper.kill)
        await asyncio.to_thread(own_zookeeper.start)
        view = await until_connected(membership)
        assert view.session_started_at == started_at
        assert set(view.members) == {"node-0"}
    await membership.stop()


async def test_client_that_gave_up_is_replaced(
    memberships: list[ZooKeeperMembership], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mainspring.shard_manager.zookeeper.DEAD_AFTER_S", 0.5)
    await memberships[0].start()
    before = (await until_connected(memberships[0])).session_started_at
    await asyncio.to_thread(memberships[0]._client.stop)
    async with asyncio.timeout(PROMISED_S):
        while not (view := memberships[0].view()).is_connected or view.session_started_at == before:
            await memberships[0].wait_for_change(view.generation, 0.5)
    assert set(view.members) == {"node-0"}


async def test_entry_that_vanished_or_belongs_to_an_old_session_is_made_anew(
    raw: KazooClient, memberships: list[ZooKeeperMembership]
) -> None:
    path = "/mainspring/nodes/node-0"
    await memberships[0].start()
    await until_connected(memberships[0])
    await asyncio.to_thread(raw.delete, path)
    await expect_own_entry(raw, memberships[0], path)
    await asyncio.to_thread(raw.delete, path)
    await asyncio.to_thread(
        raw.create, path, b"{}", None, True
    )  # as after a quick restart: another session's
    await expect_own_entry(raw, memberships[0], path)


async def expect_own_entry(raw: KazooClient, membership: ZooKeeperMembership, path: str) -> None:
    assert membership._client is not None
    async with asyncio.timeout(PROMISED_S):
        while True:
            try:
                _, stat = await asyncio.to_thread(raw.get, path)
                if stat.ephemeralOwner == membership._client.client_id[0]:
                    break
            except NoNodeError:
                pass
            await membership.wait_for_change(membership.view().generation, 0.05)


async def test_writes_are_coalesced(raw: KazooClient, memberships: list[ZooKeeperMembership]) -> None:
    await memberships[0].start()
    await until_connected(memberships[0])
    begun_at = time.monotonic()
    for epoch in range(1, 101):
        memberships[0].publish(Publication(True, dict.fromkeys(range(256), epoch)))
        await asyncio.sleep(0.01)
    async with asyncio.timeout(PROMISED_S):
        while memberships[0].view().members["node-0"].holds.get(0) != 100:
            await memberships[0].wait_for_change(memberships[0].view().generation, 0.5)
    took_s = time.monotonic() - begun_at
    data, stat = await asyncio.to_thread(raw.get, "/mainspring/nodes/node-0")
    assert stat.version <= took_s / 0.2 + 1
    assert len(data) < 256


async def test_stuck_loop_is_not_a_member(raw: KazooClient, own_zookeeper: ZooKeeperServer) -> None:
    membership = ZooKeeperMembership(
        own_zookeeper.hosts, "stuck", "127.0.0.1:1", "1", SESSION_S, loop_stall_limit_s=0.6
    )
    await membership.start()
    await until_connected(membership)

    def watch_it_go() -> float:
        begun_at = time.monotonic()
        while raw.exists("/nodes/stuck"):
            if time.monotonic() - begun_at > PROMISED_S:
                return -1.0
            time.sleep(0.02)
        return time.monotonic() - begun_at

    going = asyncio.get_running_loop().run_in_executor(None, watch_it_go)
    time.sleep(STUCK_S)  # noqa: ASYNC251 - that is the fault
    assert 0.3 < await going < STUCK_S, "while it was stuck"
    await expect_own_entry(raw, membership, "/nodes/stuck")
    await membership.stop()


@pytest.mark.parametrize("own_zookeeper", [1_000], indirect=True)
async def test_stuck_loop_while_the_server_is_away_leaves_no_request_behind(
    raw: KazooClient, own_zookeeper: ZooKeeperServer
) -> None:
    """A removal that waits for the connection would be carried out when all is well again."""
    membership = ZooKeeperMembership(
        own_zookeeper.hosts, "stuck", "127.0.0.1:1", "1", 20.0, loop_stall_limit_s=0.6
    )
    await membership.start()
    await until_connected(membership)
    _, stat = await asyncio.to_thread(raw.get, "/nodes/stuck")
    await asyncio.to_thread(own_zookeeper.kill)
    async with asyncio.timeout(PROMISED_S):
        while membership.view().is_connected:
            await membership.wait_for_change(membership.view().generation, 0.5)
    time.sleep(1.5)  # noqa: ASYNC251 - that is the fault
    await asyncio.to_thread(own_zookeeper.start)
    await until_connected(membership)
    await membership.wait_for_change(membership.view().generation, 1.0)
    _, again = await asyncio.to_thread(raw.get, "/nodes/stuck")
    assert again.czxid == stat.czxid
    await membership.stop()


async def test_loop_stuck_before_the_server_is_back_is_no_member_either(
    own_zookeeper: ZooKeeperServer,
) -> None:
    """The removal was not possible when the stall began; it is made up for."""
    membership = ZooKeeperMembership(
        own_zookeeper.hosts, "stuck", "127.0.0.1:1", "1", 10 * SESSION_S, loop_stall_limit_s=0.6
    )
    await membership.start()
    await until_connected(membership)
    own_zookeeper.kill()
    async with asyncio.timeout(PROMISED_S):
        while membership.view().is_connected:
            await membership.wait_for_change(membership.view().generation, 0.5)

    def restart_and_look() -> bool:
        time.sleep(1.5)
        own_zookeeper.start()
        client = KazooClient(hosts=own_zookeeper.hosts)
        client.start(10)
        try:
            ends_at = time.monotonic() + 5
            while client.exists("/nodes/stuck") and time.monotonic() < ends_at:
                time.sleep(0.05)
            return client.exists("/nodes/stuck") is None
        finally:
            client.stop()
            client.close()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(restart_and_look).result(30)  # it blocks the loop: that is the fault
    await until_connected(membership)
    assert "stuck" in membership.view().members
    await membership.stop()


async def test_path_of_another_cluster(raw: KazooClient, own_zookeeper: ZooKeeperServer) -> None:
    hosts = f"{own_zookeeper.hosts}/shared/path"  # missing: it is created

    def member(node_id: str, cluster_id: str, partitions: int) -> ZooKeeperMembership:
        identity = ClusterIdentity(cluster_id, partitions)
        return ZooKeeperMembership(hosts, node_id, f"{node_id}:1", "1", SESSION_S, cluster=identity)

    first, second = member("a-1", "a" * 32, 16), member("a-2", "a" * 32, 16)
    for membership in (first, second):
        await membership.start()
    for membership in (first, second):
        await until_connected(membership)
    stranger = member("b-1", "b" * 32, 64)
    await stranger.start()
    stranger.publish(Publication(True, {}))
    async with asyncio.timeout(PROMISED_S):
        await stranger.refused.wait()
    assert "a" * 32 in stranger.refusal
    assert "b" * 32 in stranger.refusal
    assert not stranger.has_been_member
    assert not stranger.view().is_connected
    assert set(await asyncio.to_thread(raw.get_children, "/shared/path/nodes")) <= {"a-1", "a-2"}
    assert not first.refused.is_set()
    # Once the other cluster is gone for good and its entry is deleted, the path is free.
    for membership in (first, second):
        await membership.stop()
    await asyncio.to_thread(raw.delete, "/shared/path/cluster")
    view = await until_connected(stranger)
    assert set(view.members) == {"b-1"}
    assert not stranger.refused.is_set()
    await stranger.stop()


@pytest.mark.parametrize("node_id", ["", "a/b", ".", ".."])
def test_refuses_names_that_cannot_be_entries(node_id: str) -> None:
    with pytest.raises(ValueError, match="name of an entry"):
        ZooKeeperMembership("127.0.0.1:1", node_id, "a:1", "1")


async def test_everything_is_read_again_without_any_event(memberships: list[ZooKeeperMembership]) -> None:
    """A lost watch costs a refresh, and the view says how fresh it is."""
    await memberships[0].start()
    await until_connected(memberships[0])
    await memberships[0].wait_for_change(memberships[0].view().generation, 1.0)
    before = memberships[0].view()
    async with asyncio.timeout(PROMISED_S):
        while memberships[0].view().read_at < before.read_at + 3.0:
            await memberships[0].wait_for_change(memberships[0].view().generation, 0.1)
    assert memberships[0].view().generation == before.generation
