"""ZooKeeper with a Java runtime, both from the distribution's packages."""

import socket
from pathlib import Path

from mainspring.testing.debian_packages import PackageSet, program_command, unpacked
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.local_server import LocalServer
from mainspring.testing.ports import LOOPBACK, free_port

# The full closure is twice as large (106 MB against 51 MB): web server, fonts, printing, TLS, authentication. A standalone
# server opens none of that.
PACKAGES = PackageSet(
    "zookeeper",
    ("default-jre-headless", "libzookeeper-java"),
    keep=r"openjdk-\d+-jre-headless|lib(zookeeper|slf4j|dropwizard-metrics|snappy)-java|libc6|libgcc-s1|libstdc\+\+6|zlib1g",
    instead="MAINSPRING_ZOOKEEPER",
)
_JARS = ("zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-simple", "metrics-core", "snappy-java")


class ZooKeeperServer(LocalServer):
    """One standalone ZooKeeper."""

    name = "ZooKeeper"

    def __init__(
        self, folder: Path, *, port: int | None = None, tick_ms: int = 1000, heap_mb: int = 128
    ) -> None:
        """Describe the server; nothing runs yet.

        Args:
            folder: data and log go here; existing data are used again.
            port: default a free one.
            tick_ms: ZooKeeper's unit of time. Session timeouts lie between 2 and 20 ticks, and an expiry is noticed at the
                next tick.
            heap_mb: memory of the Java heap, in MiB.
        """
        super().__init__(folder, port=port or free_port())
        self._tick_ms = tick_ms
        self._heap_mb = heap_mb

    @property
    def hosts(self) -> str:
        """`host:port`, as a ZooKeeper client wants it."""
        return f"{LOOPBACK}:{self.port}"

    def mode(self) -> str | None:
        """What the server says it is ("standalone"), or None while it does not serve clients."""
        # `srvr` and not `ruok`: the latter answers before clients are served.
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
                connection.sendall(b"srvr")
                answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode(errors="replace")
        except OSError:
            return None
        modes = [line.removeprefix("Mode: ") for line in answer.splitlines() if line.startswith("Mode: ")]
        return modes[0] if modes else None

    def _answers(self) -> bool:
        return self.mode() is not None

    def _prepare(self) -> list[str]:
        root = unpacked(PACKAGES)
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        configuration = self.folder / "zoo.cfg"
        configuration.write_text(
            f"tickTime={self._tick_ms}\n"
            f"dataDir={data}\n"
            f"clientPort={self.port}\n"
            f"clientPortAddress={LOOPBACK}\n"
            "maxClientCnxns=0\n"
            "admin.enableServer=false\n"
            "4lw.commands.whitelist=srvr\n"
        )
        return [
            *program_command(root, _java(root)),
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            "-Djava.net.preferIPv4Stack=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-cp",
            ":".join(str(root / f"usr/share/java/{jar}.jar") for jar in _JARS),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(configuration),
        ]


def _java(root: Path) -> Path:
    found = sorted(root.glob("usr/lib/jvm/*/bin/java"))
    if not found:
        raise ServerUnavailableError(f"{root} holds no Java runtime")
    return found[0]
