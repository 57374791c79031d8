"""Membership in ZooKeeper. The only importer of kazoo.

One ephemeral entry per process start under ``<chroot>/nodes/``, named by the node id, holding `member_codec`'s
document. ``<chroot>/cluster`` says whose path it is (`cluster_entry`): a node of another cluster never registers.
One task reconciles: registers again in each new session, writes what is to be published, reads everybody.
It runs at each connect, at each watch event, at each `publish` and every 2 s whatever happens, so a watch that got
lost or an entry that vanished costs 2 s and no more.

kazoo's threads only wake that task. Its state callbacks run on the connection's thread, where any call would
deadlock; its synchronous calls block through an outage; so only ``*_async`` calls are used, each with a deadline.
"""

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError
from kazoo.protocol.states import KazooState, KeeperState

from mainspring.shard_manager.cluster_entry import (
    ClusterIdentity,
    ForeignCluster,
    check_identity,
    encode_identity,
)
from mainspring.shard_manager.member_codec import decode, encode
from mainspring.shard_manager.membership import (
    FIRST_PROTOCOL,
    Member,
    MembershipView,
    ProtocolRange,
    Publication,
    SessionState,
    Timer,
)
from mainspring.shard_manager.system_timer import SystemTimer
from mainspring.shard_manager.watchdog import LoopWatchdog

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

REFRESH_S = 2.0
RETRY_S = 0.25
MIN_WRITE_INTERVAL_S = 0.2
MIN_READ_INTERVAL_S = 0.05
CALL_S = 2.0
"""Deadline of one call; kazoo itself has none."""
STOP_S = 3.0
REFUSAL_REPEAT_S = 15.0
DEAD_AFTER_S = 5.0
"""A kazoo client that has closed itself for so long will not come back."""


class _NotConnectedError(Exception):
    """There is no session right now, or it has changed under our hands."""


class ZooKeeperMembership:
    """A `Membership` over kazoo. Use from one asyncio loop."""

    def __init__(
        self,
        hosts: str,
        node_id: str,
        address: str,
        version: str,
        session_timeout_s: float = 4.0,
        timer: Timer | None = None,
        loop_stall_limit_s: float = 3.0,
        cluster: ClusterIdentity | None = None,
        protocol: ProtocolRange = FIRST_PROTOCOL,
        time_zone_database: str = "",
    ) -> None:
        """Nothing is opened yet.

        Args:
            hosts: ``host:port,host:port``, optionally ending in ``/a/chroot``, which is created when missing.
            node_id: Unique per process start.
            address: Where other nodes reach this one.
            version: Of this program, for people.
            session_timeout_s: How long the others wait for a silent node. The server clamps it to 2..20 of its ticks.
            timer: Monotonic time; the operating system's by default.
            loop_stall_limit_s: When the event loop stands still for longer, the entry is removed, because kazoo's own
                thread would keep it alive.
            cluster: Whose node this is; None: whose path it is, is not looked at.
            protocol: The versions of the nodes' own protocol that this one speaks.
            time_zone_database: The release that this node computes with, for people.

        Raises:
            ValueError: The node id cannot be an entry's name.
        """
        if not node_id or "/" in node_id or node_id in {".", "..", "zookeeper"}:
            raise ValueError(f"node id {node_id!r} cannot be the name of an entry")
        servers, _, chroot = hosts.partition("/")
        self._servers = servers
        self._folder = f"/{chroot}/nodes".replace("//", "/")
        self._cluster_path = f"/{chroot}/cluster".replace("//", "/")
        self._cluster = cluster
        self._refusal_told_at = -math.inf
        self.refused = asyncio.Event()
        """Set while the path belongs to another cluster; then this node is no member."""
        self.refusal = ""
        """Why, and what to do."""
        self._path = f"{self._folder}/{node_id}"
        self._session_timeout_s = session_timeout_s
        self._timer = timer or SystemTimer()
        self._own = Member(
            node_id,
            address,
            version,
            ready=False,
            protocol=protocol,
            time_zone_database=time_zone_database,
        )
        self._view = MembershipView({}, False, 0, SessionState.STARTING, None, None, -math.inf)
        self._client: KazooClient | None = None
        self._session_id: int | None = None
        self._has_folder = False
        self._written_at = self._alive_at = -math.inf
        self._wake, self._changed = asyncio.Event(), asyncio.Event()
        self._must_read = True
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchdog = LoopWatchdog(loop_stall_limit_s, self._withdraw)

    async def start(self) -> None:
        """See `Membership.start`."""
        self._loop = asyncio.get_running_loop()
        self._watchdog.start()
        self._task = asyncio.create_task(self._run(), name="zookeeper-membership")

    async def stop(self) -> None:
        """See `Membership.stop`. Ends the session, so the others see us go at once; takes 3 s at most."""
        self._watchdog.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._client is not None:
            await self._close(self._client)
            self._client = None
        self._update(is_connected=False, session=SessionState.EXPIRED)

    def view(self) -> MembershipView:
        """See `Membership.view`."""
        return self._view

    @property
    def has_been_member(self) -> bool:
        """Whether the members of the path were ever read."""
        return self._view.read_at > -math.inf

    async def wait_for_change(self, seen_generation: int, timeout_s: float) -> None:
        """See `Membership.wait_for_change`."""
        with contextlib.suppress(TimeoutError):
            async with self._timer.timeout(timeout_s):
                while self._view.generation == seen_generation:
                    self._changed.clear()
                    await self._changed.wait()

    def publish(self, publication: Publication) -> None:
        """See `Membership.publish`. Written at most every 200 ms."""
        wanted = publication.by(self._own)
        if wanted != self._own:
            self._own = wanted
            self._wake.set()

    # kazoo's threads.

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Run something in the loop, from any thread; nothing when the loop has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback, *arguments)

    def _on_state(self, state: str) -> None:
        self._post(self._see_state, state)

    def _on_watch(self, event: object) -> None:
        self._post(self._read_soon)

    def _withdraw(self) -> None:
        """From the watchdog's thread: the loop is stuck, so the others had better not count on us.

        Not while disconnected: kazoo would keep the request until it is connected again, perhaps when all is well.
        """
        client = self._client
        if client is not None and client.connected:
            client.delete_async(self._path)

    # The loop.

    def _see_state(self, state: str) -> None:
        if state != KazooState.CONNECTED:
            session = SessionState.EXPIRED if state == KazooState.LOST else SessionState.SUSPENDED
            if self._session_id is None:
                session = SessionState.STARTING
            log.warning("zookeeper_session", state=session.value)
            self._update(is_connected=False, session=session)
        self._read_soon()

    def _read_soon(self) -> None:
        self._must_read = True
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            pause_s = REFRESH_S
            try:
                await self._reconcile()
            except (KazooException, _NotConnectedError, TimeoutError) as error:
                log.debug("zookeeper_away", error=repr(error))
                self._must_read, pause_s = True, RETRY_S
                if isinstance(error, NoNodeError):
                    self._has_folder = False  # somebody has deleted the path: it is made again
            except ForeignCluster as error:
                self._refuse(str(error))
                self._must_read = True
            except Exception:
                log.exception("zookeeper_membership_failed")
                self._must_read, pause_s = True, RETRY_S
            await self._timer.sleep(MIN_READ_INTERVAL_S)
            until_write_s = self._written_at + MIN_WRITE_INTERVAL_S - self._timer.monotonic()
            if self._is_unwritten() and self._view.is_connected:
                await self._timer.sleep(max(0.0, until_write_s))
                continue
            try:
                async with self._timer.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                self._must_read = True

    def _is_unwritten(self) -> bool:
        return self._view.members.get(self._own.node_id) != self._own

    async def _reconcile(self) -> None:
        client = await self._open()
        identity = client.client_id
        if not client.connected or identity is None:
            raise _NotConnectedError
        session_id = identity[0]
        if session_id != self._session_id:
            self._begin_session(session_id)
        if not self._has_folder:
            await self._call(client.ensure_path_async(self._folder))
            if self._cluster is not None:
                await self._check_cluster(client, self._cluster)
            self._has_folder = True
        if self._must_read or self._is_unwritten():
            self._must_read = False
            await self._register(client, session_id)
            await self._read(client, session_id)

    async def _check_cluster(self, client: KazooClient, own: ClusterIdentity) -> None:
        """See that the path is this cluster's, in each session anew; the first node makes it so.

        Raises:
            ForeignCluster: it is another's.
        """
        while True:
            try:
                data, _ = await self._call(client.get_async(self._cluster_path))
                break
            except NoNodeError:
                with contextlib.suppress(NodeExistsError):
                    await self._call(client.create_async(self._cluster_path, encode_identity(own)))
        check_identity(own, data, f"{self._servers}{self._cluster_path}")
        self.refused.clear()
        self.refusal = ""

    def _refuse(self, why: str) -> None:
        self.refusal = why
        self.refused.set()
        self._update(is_connected=False)
        now = self._timer.monotonic()
        if now - self._refusal_told_at >= REFUSAL_REPEAT_S:
            self._refusal_told_at = now
            log.error("zookeeper_path_of_another_cluster", error=why)

    async def _open(self) -> KazooClient:
        """Return the client; a new one at first, and when kazoo has given up on the old one."""
        client, now = self._client, self._timer.monotonic()
        if client is None or client.client_state not in (KeeperState.CLOSED, KeeperState.AUTH_FAILED):
            self._alive_at = now
        if client is not None:
            if now - self._alive_at < DEAD_AFTER_S:  # CLOSED is also its state before the first attempt
                return client
            log.error("zookeeper_client_replaced", state=client.client_state)
            await self._close(client)
        self._alive_at = now
        client = KazooClient(
            hosts=self._servers,
            timeout=self._session_timeout_s,
            connection_retry={"max_tries": -1, "delay": 0.1, "backoff": 1.5, "max_delay": 1},
        )
        client.add_listener(self._on_state)
        client.start_async()  # returns at once: the first connect is made by kazoo's thread
        self._client = client
        return client

    def _begin_session(self, session_id: int) -> None:
        now = self._timer.monotonic()
        has_expired = self._session_id is not None
        self._session_id = session_id
        self._has_folder = False
        log.info("zookeeper_session_began", session_id=f"{session_id:#x}", has_expired=has_expired)
        self._update(
            is_connected=False,
            session=SessionState.LIVE,
            session_started_at=now,
            session_expired_at=now if has_expired else self._view.session_expired_at,
        )

    async def _register(self, client: KazooClient, session_id: int) -> None:
        """Make the own entry exist, in this session, with the present document."""
        wanted = encode(self._own)
        try:
            data, stat = await self._call(client.get_async(self._path))
        except NoNodeError:
            data, stat = None, None
        if stat is not None and stat.ephemeralOwner != session_id:
            # Of our own earlier session: it would vanish with that one, seconds from now.
            log.info("zookeeper_entry_of_old_session", session_id=f"{stat.ephemeralOwner:#x}")
            with contextlib.suppress(NoNodeError):
                await self._call(client.delete_async(self._path))
            stat = None
        if stat is None:
            self._written_at = self._timer.monotonic()
            with contextlib.suppress(NodeExistsError):  # a lost reply; the reading that follows tells
                await self._call(client.create_async(self._path, wanted, ephemeral=True))
        elif data != wanted and self._timer.monotonic() >= self._written_at + MIN_WRITE_INTERVAL_S:
            self._written_at = self._timer.monotonic()
            await self._call(client.set_async(self._path, wanted))

    async def _read(self, client: KazooClient, session_id: int) -> None:
        """Read everybody, and set the watches again. kazoo keeps each callback once per path, so they do not add up."""
        read_at = self._timer.monotonic()
        await self._call(client.sync_async(self._folder))
        names = await self._call(client.get_children_async(self._folder, watch=self._on_watch))
        readings = {name: client.get_async(f"{self._folder}/{name}", watch=self._on_watch) for name in names}
        members: dict[str, Member] = {}
        for name, reading in readings.items():
            try:
                data, stat = await self._call(reading)
                member = decode(name, data)
            except NoNodeError:
                continue
            except ValueError as error:
                log.warning("zookeeper_entry_unreadable", node_id=name, error=str(error))
                continue
            if name != self._own.node_id or stat.ephemeralOwner == session_id:
                members[name] = member
        identity = client.client_id
        if not client.connected or identity is None or identity[0] != session_id:
            raise _NotConnectedError
        self._update(members=members, is_connected=True, session=SessionState.LIVE, read_at=read_at)

    def _update(self, **changes: Any) -> None:
        changed = replace(self._view, **changes)
        if replace(changed, read_at=self._view.read_at) == self._view:
            self._view = changed
            return
        self._view = replace(changed, generation=self._view.generation + 1)
        self._changed.set()

    async def _call(self, result: Any) -> Any:
        """Await a kazoo result, for `CALL_S` at most; then its outcome is unknown."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        result.rawlink(lambda _: self._post(finish))
        async with self._timer.timeout(CALL_S):
            await done
        return result.get(block=False)

    async def _close(self, client: KazooClient) -> None:
        """End the session in a thread of its own: kazoo's `stop` can hang."""
        ended = asyncio.Event()
        client.remove_listener(self._on_state)

        def close() -> None:
            try:
                client.stop()
                client.close()
            except Exception as error:
                log.warning("zookeeper_close_failed", error=repr(error))
            finally:
                self._post(ended.set)

        threading.Thread(target=close, name="zookeeper-close", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with self._timer.timeout(STOP_S):
                await ended.wait()
