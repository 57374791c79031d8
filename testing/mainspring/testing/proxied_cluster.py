"""A cluster whose nodes reach MySQL, ZooKeeper and each other, and are reached, over links that can be broken.

Each node also has a wall clock of its own, where there is a C compiler.
"""

import enum
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from mainspring.testing.clock_shim import ClockShim, clock_library
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.member_process import MemberProcess
from mainspring.testing.ports import LOOPBACK
from mainspring.testing.proxy.link import Counts, Mode
from mainspring.testing.proxy.proxies import Proxies
from mainspring.testing.run_folder import RunFolder


class Side(enum.Enum):
    """What a node's link leads to."""

    MYSQL = "mysql"
    ZOOKEEPER = "zookeeper"
    CALLERS = "callers"
    """The node's own server: executors, clients and other nodes reach it there."""


class ProxiedCluster(Cluster):
    """Each node has a link of its own to each server, and one in front of it."""

    def __init__(
        self,
        folder: RunFolder,
        settings: ClusterSettings | None = None,
        *,
        program: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; nothing runs yet.

        Args:
            folder: of the run.
            settings: see `Cluster`.
            program: runs the nodes in the place of `mainspring`.
            environment: added to that of the nodes.
        """
        super().__init__(folder, settings)
        self.proxies = Proxies()
        self._clocks: dict[str, ClockShim] = {}
        self._program = program
        self._extra_environment = dict(environment or {})

    def start_servers(self) -> None:
        """See `Cluster`; the proxies too."""
        self._guarded(self.proxies.start, self.proxies.close)
        super().start_servers()

    def close(self) -> None:
        """See `Cluster`; the proxies too."""
        super().close()
        self.proxies.close()

    @property
    def sql_port(self) -> int:
        """Where the database itself listens."""
        return urlsplit(self._mysql_url).port or 3306

    def node(self, name: str) -> MemberProcess:
        """The node of this name."""
        return next(node for node in self.nodes if node.name == name)

    def set_clock(self, node: MemberProcess, seconds: float) -> None:
        """Put a node's wall clock so far ahead (behind, when negative).

        Raises:
            ServerUnavailableError: nodes cannot be given clocks of their own here (no C compiler).
        """
        if node.name not in self._clocks:
            clock_library()  # says why not
        self._clocks[node.name].set_offset(seconds)

    def _clock_environment(self, name: str) -> dict[str, str]:
        try:
            clock = self._clocks[name] = ClockShim.prepare(self.folder.data / f"{name}.clock")
        except ServerUnavailableError:
            return {}  # `set_clock` will tell
        return clock.environment

    def set_link(
        self,
        node: MemberProcess,
        side: Side,
        mode: Mode,
        *,
        delay_s: float = 0.0,
        only: Sequence[MemberProcess] = (),
    ) -> None:
        """Change what a node's link does; with `only`, to connections of these members alone."""
        pids = [member.pid for member in only if member.is_running]
        self.proxies.set_mode(link_name(node, side), mode, delay_s=delay_s, only_pids=pids)

    def counts(self, node: MemberProcess, side: Side) -> Counts:
        """What a node's link saw."""
        return self.proxies.counts(link_name(node, side))

    def _make_node(
        self, name: str, environment: Mapping[str, str], program: Sequence[str] | None
    ) -> MemberProcess:
        return super()._make_node(name, environment, program or self._program)

    def _ways(self, name: str, listen_port: int) -> tuple[str, dict[str, str]]:
        zookeeper, _, path = self._zookeeper_hosts.partition("/")
        zookeeper_port = int(zookeeper.partition(",")[0].rpartition(":")[2])
        targets = {
            Side.MYSQL: self.sql_port,
            Side.ZOOKEEPER: zookeeper_port,
            Side.CALLERS: listen_port,
        }
        ports = {side: self.proxies.open(f"{name}/{side.value}", port) for side, port in targets.items()}
        parts = urlsplit(self.node_mysql_url(name))
        account = parts.netloc.rpartition("@")[0]
        address = f"{LOOPBACK}:{ports[Side.CALLERS]}"
        return address, {
            **self._extra_environment,
            **self._clock_environment(name),
            "MAINSPRING_MYSQL_URL": f"mysql://{account}@{LOOPBACK}:{ports[Side.MYSQL]}{parts.path}",
            "MAINSPRING_ZOOKEEPER": f"{LOOPBACK}:{ports[Side.ZOOKEEPER]}/{path}",
            "MAINSPRING_ADVERTISE": address,
        }

    def _wait_until_listening(self, node: MemberProcess) -> None:
        # The link listens from the beginning; the metrics' port opens after the server's own.
        assert node.metrics_port is not None
        node.child.wait_for_port(node.metrics_port, timeout_s=30.0)


def link_name(node: MemberProcess, side: Side) -> str:
    """A node's link, as the proxies know it."""
    return f"{node.name}/{side.value}"
