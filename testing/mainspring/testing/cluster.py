"""A cluster of real processes on this machine: MariaDB, ZooKeeper, scheduler nodes, executors.

Servers of the user's own are used when the environment names them, in a database and below a path of this cluster alone.
Nothing outlives the process that made the cluster (see `child_process`); `close` ends everything at once.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pymysql
from kazoo.client import KazooClient

from mainspring.testing.audit import install_audit, read_audit
from mainspring.testing.audit_trail import AuditTrail
from mainspring.testing.child_process import ChildProcess
from mainspring.testing.errors import ChildFailedError
from mainspring.testing.external import external_sql_server, external_zookeeper
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.member_process import (
    MemberProcess,
    Usage,
    import_environment,
    mainspring_command,
    usage_of,
)
from mainspring.testing.ports import LOOPBACK, free_ports
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.sql_server import ServerReading
from mainspring.testing.zookeeper import ZooKeeperServer

MIGRATE_TIMEOUT_S = 60.0
LISTEN_TIMEOUT_S = 30.0
NODE_ACCOUNTS = 12
"""Nodes with a database account of their own, so that an audit can tell who wrote; later ones share one."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How the cluster is made. Durations as the units say."""

    partitions: int = 256
    zookeeper_tick_ms: int = 1000
    zookeeper_session_s: float = 3.0
    """With ticks of 1 s a dead node is noticed within 2.6 to 3.3 s."""
    executor_capacity: int = 200
    buffer_pool_mb: int = 128
    has_audit: bool = False
    """Whether triggers watch every write (`audit`): for fault tests; it costs the database some of its speed."""
    database: str | None = None
    """Its name; one that the server's data hold already is used as it is. None: a new one of a unique name."""
    mariadb_options: tuple[str, ...] = ()
    """More options of a MariaDB of the cluster's own, such as "--log-bin"."""
    server_arguments: tuple[str, ...] = ()
    """More arguments of every node's `mainspring server`, such as "--engine", "retention_first_s=1"."""


class Cluster:
    """The processes of one cluster.

    Methods block and may be called from any thread (`await asyncio.to_thread(cluster.add_node)`). Use it in a `with`
    block, or call `close`.
    """

    def __init__(
        self, folder: RunFolder, settings: ClusterSettings | None = None, *, keeps_data: bool = False
    ) -> None:
        """Describe the cluster; nothing runs yet. The servers' data are removed at the end unless `keeps_data`."""
        self.folder = folder
        self._keeps_data = keeps_data
        self.settings = settings or ClusterSettings()
        self.mariadb = (
            None
            if external_sql_server()
            else MariaDbServer(
                folder.data / "mariadb",
                buffer_pool_mb=self.settings.buffer_pool_mb,
                options=self.settings.mariadb_options,
            )
        )
        self.zookeeper = (
            None
            if external_zookeeper()
            else ZooKeeperServer(folder.data / "zookeeper", tick_ms=self.settings.zookeeper_tick_ms)
        )
        self.nodes: list[MemberProcess] = []
        self.executors: list[MemberProcess] = []
        self._mysql_url = ""
        self._administrator_url = ""
        self._node_urls: dict[str, str] = {}
        self._zookeeper_hosts = ""
        self._path = f"/mainspring-{secrets.token_hex(6)}"
        self._lock = threading.Lock()
        self._is_closed = False
        self._counts = {"node": 0, "executor": 0}

    def __enter__(self) -> Self:
        """Nothing is started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    # --- servers --------------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """Start MariaDB and ZooKeeper, or find the user's own, and make the database.

        Raises:
            ServerUnavailableError: a server cannot be had here.
            ChildFailedError: one did not start.
        """
        starts = [
            lambda server=server: self._guarded(server.start, server.kill)
            for server in (self.mariadb, self.zookeeper)
            if server is not None
        ]
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="start-servers") as pool:
            for started in [pool.submit(start) for start in starts]:
                started.result()
        sql_server = self.mariadb or external_sql_server()
        zookeeper = self.zookeeper or external_zookeeper()
        assert sql_server is not None
        assert zookeeper is not None
        url = sql_server.create_database(self.settings.database)
        self._administrator_url = sql_server.administrator_database_url(url)
        # A server of the user's own may not let anybody create accounts.
        self._mysql_url = url
        if self.mariadb is not None:
            self._mysql_url = self.mariadb.create_account(url)
            # Ahead of time: a node may be added while the server is away.
            for number in range(1, NODE_ACCOUNTS + 1):
                self._node_urls[f"node-{number}"] = self.mariadb.create_account(url, node=f"node-{number}")
        self._zookeeper_hosts = f"{zookeeper.hosts.partition('/')[0]}{self._path}"

    def migrate(self) -> None:
        """Create the schema with `mainspring migrate`.

        Raises:
            ChildFailedError: it failed; the message holds what it said.
        """
        command = mainspring_command("migrate", "--partitions", str(self.settings.partitions))
        child = ChildProcess(
            "mainspring migrate",
            command,
            log_path=self.folder.logs / "migrate.log",
            environment={**import_environment(), **self._environment()},
        )
        self._guarded(child.start, child.kill)
        if code := child.wait(timeout_s=MIGRATE_TIMEOUT_S):
            raise ChildFailedError(f"mainspring migrate ended with code {code}\n{child.log_tail()}")

    def install_audit(self) -> None:
        """Set the triggers of `audit` on the run's database, once its schema is there. Raises as `audit.install_audit`."""
        install_audit(self._administrator_url)

    def read_audit(self) -> AuditTrail:
        """What the triggers wrote down so far. Raises as `audit.read_audit`."""
        return read_audit(self._administrator_url)

    def server_deadlocks(self) -> ServerReading | None:
        """Deadlocks (error 1213) that the database server counted since its start; None on one that does not tell.

        Raises:
            pymysql.Error: the server is away.
        """
        server = self.mariadb or external_sql_server()
        return None if server is None else server.read_deadlocks(timeout_s=2.0)

    @property
    def mysql_url(self) -> str:
        """The run's database, by an account like the nodes': it has rights on this database alone, and no SUPER."""
        return self._mysql_url

    def node_mysql_url(self, name: str) -> str:
        """The run's database, by the account of the node of this name."""
        return self._node_urls.get(name, self._mysql_url)

    @property
    def administrator_url(self) -> str:
        """The run's database, by an account that may do everything; on a server of the user's own the nodes' account."""
        return self._administrator_url

    # --- members --------------------------------------------------------------------------------------------------

    def add_node(
        self,
        *,
        waits: bool = True,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] | None = None,
    ) -> MemberProcess:
        """Start one more scheduler node; with `waits`, return when it listens.

        Args:
            waits: for the node to listen.
            environment: wins over what the cluster tells its nodes: `MAINSPRING_MYSQL_URL` through a proxy, a shifted
                clock.
            program: see `MemberProcess`.

        Raises:
            ChildFailedError: it ended or did not listen in time.
        """
        node = self._make_node(self._next_name("node"), environment or {}, program)
        self.nodes.append(node)
        self._guarded(node.start, node.kill)
        if waits:
            self._wait_until_listening(node)
        return node

    def start_again(self, member: MemberProcess) -> None:
        """Start a node that has ended once more, at its address; it is another process and so another node id.

        Raises:
            ChildFailedError: it ended or did not listen in time.
        """
        self._guarded(member.start, member.kill)
        self._wait_until_listening(member)

    def _make_node(
        self, name: str, environment: Mapping[str, str], program: Sequence[str] | None
    ) -> MemberProcess:
        """Describe a node."""
        port, metrics_port = free_ports(2)
        address, ways = self._ways(name, port)
        told = {
            **self._environment(),
            **ways,
            "MAINSPRING_LISTEN": f"{LOOPBACK}:{port}",
            "MAINSPRING_NAME": name,
            "MAINSPRING_METRICS_LISTEN": f"{LOOPBACK}:{metrics_port}",
            **environment,
        }
        return MemberProcess(
            name,
            self._node_arguments(),
            told,
            self.folder.logs,
            address=address,
            metrics_port=metrics_port,
            program=program,
        )

    def _ways(self, name: str, listen_port: int) -> tuple[str, dict[str, str]]:
        """Where others reach a node that listens on this port, and how it reaches the servers; may differ in a subclass."""
        return f"{LOOPBACK}:{listen_port}", {"MAINSPRING_MYSQL_URL": self.node_mysql_url(name)}

    def _node_arguments(self) -> list[str]:
        return [
            "server",
            "--zookeeper-session",
            f"{self.settings.zookeeper_session_s:g}s",
            *self.settings.server_arguments,
        ]

    def wait_until_listening(self) -> None:
        """Wait until every node that was started listens. Raises ChildFailedError when one does not."""
        for node in self.nodes:
            self._wait_until_listening(node)

    def _wait_until_listening(self, node: MemberProcess) -> None:
        port = int(node.address.rpartition(":")[2])
        node.child.wait_for_port(port, timeout_s=LISTEN_TIMEOUT_S)

    def add_executor(
        self,
        *,
        addresses: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] | None = None,
    ) -> MemberProcess:
        """Start one more executor with the mock handlers; it finds the nodes itself. Its id is its name.

        Args:
            addresses: of the nodes that it is told of; default all that run.
            environment: as for a node.
            program: as for a node.
        """
        name = self._next_name("executor")
        arguments = [
            "executor",
            "--mock",
            "--address",
            ",".join(self.addresses if addresses is None else addresses),
            "--executor-id",
            name,
            "--capacity",
            str(self.settings.executor_capacity),
            "--run-log",
            str(self.folder.run_logs / f"{name}.jsonl"),
        ]
        executor = MemberProcess(name, arguments, environment or {}, self.folder.logs, program=program)
        self.executors.append(executor)
        self._guarded(executor.start, executor.kill)
        return executor

    @property
    def addresses(self) -> list[str]:
        """Addresses of the nodes that run."""
        return [node.address for node in self.nodes if node.is_running]

    @property
    def run_logs(self) -> list[Path]:
        """The executors' run logs that exist."""
        return sorted(self.folder.run_logs.glob("*.jsonl"))

    def usage(self) -> dict[str, Usage]:
        """What each process that still runs used so far, by its name."""
        found: dict[str, Usage | None] = {
            member.name: member.usage() for member in (*self.nodes, *self.executors) if member.is_running
        }
        for server in (self.mariadb, self.zookeeper):
            if server is not None and server.is_running:
                found[server.name] = usage_of(server.pid)
        return {name: usage for name, usage in found.items() if usage is not None}

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill everything; nothing can be started after it. Safe to call twice."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        for member in (*self.executors, *self.nodes):
            member.kill()
        if not was_closed and not self._keeps_data:
            self._clean_up_external()
        for server in (self.mariadb, self.zookeeper):
            if server is not None:
                server.kill()
        if not self._keeps_data:
            self.folder.remove_data()

    def _clean_up_external(self) -> None:
        sql_server, zookeeper = external_sql_server(), external_zookeeper()
        if sql_server is not None and self._mysql_url:
            try:
                sql_server.drop_database(self._mysql_url)
            except (pymysql.Error, OSError) as error:
                print(f"the database of this run could not be dropped: {error}")
        if zookeeper is not None and self._zookeeper_hosts:
            client = KazooClient(hosts=zookeeper.hosts.partition("/")[0], timeout=5.0)
            try:
                client.start(timeout=5)
                client.delete(self._path, recursive=True)
            except Exception as error:  # kazoo's own time-out classes have no common base
                print(f"{self._path} could not be removed from ZooKeeper: {error}")
            finally:
                client.stop()
                client.close()

    def _guarded(self, start: Callable[[], _T], kill: Callable[[], None]) -> _T:
        """Start something unless the cluster is closed; what was closed meanwhile is killed again."""
        if self._is_closed:
            raise ChildFailedError("the cluster is closed")
        started = start()
        with self._lock:
            if not self._is_closed:
                return started
        kill()
        raise ChildFailedError("the cluster is closed")

    def _environment(self) -> dict[str, str]:
        # By environment, not by option: the URL holds a password, and command lines are public.
        return {"MAINSPRING_MYSQL_URL": self._mysql_url, "MAINSPRING_ZOOKEEPER": self._zookeeper_hosts}

    def _next_name(self, kind: str) -> str:
        with self._lock:
            self._counts[kind] += 1
            return f"{kind}-{self._counts[kind]}"
