"""Settings: defaults here, overridden by environment variables, overridden by the command line. Read once."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from mainspring.server.engine.settings import EngineSettings
from mainspring.server.errors import InvalidField
from mainspring.server.rpc.validation import Limits


def split_address(address: str, setting: str) -> tuple[str, int]:
    """The host and the port of host:port.

    Raises:
        InvalidField: it is not of that form; names the setting.
    """
    host, _, port = address.strip().rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InvalidField(setting, f"{address!r} is not host:port")
    return host, int(port)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What any node needs to know, whichever its store and membership. Durations in seconds."""

    listen: str = "127.0.0.1:7300"
    """Where the gRPC server listens; port 0 takes a free one. Loopback unless told otherwise: there is no encryption."""
    advertise: str | None = None
    """host:port under which other nodes and executors reach this one; default: the listen address."""
    name: str = ""
    """For people; the node id is this plus what makes it unique per process start. Default: the host's name."""
    leave_s: float = 8.0
    """How long an orderly stop may take to hand over."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        host, _ = split_address(self.listen, "listen")
        if self.advertise is None and host in ("0.0.0.0", "[::]"):
            raise InvalidField(
                "advertise", "is required when listening on every interface: others cannot call that address"
            )
        if not self.engine.heartbeat_interval_s * 2 < self.engine.lease_s:
            raise InvalidField("engine.lease_s", "must be more than twice the heartbeat interval")

    def node_id(self) -> str:
        """A new node id: unique per process start, at most 64 characters of A-Z a-z 0-9 . _ -"""
        name = "".join(
            c if c.isascii() and (c.isalnum() or c in "._-") else "-"
            for c in self.name or socket.gethostname()
        )
        return f"{name[:40] or 'node'}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


ENVIRONMENT = (
    "mysql_url",
    "zookeeper",
    "listen",
    "advertise",
    "name",
    "metrics_listen",
    "log_level",
    "log_format",
)
"""The settings that an environment variable may give: MAINSPRING_ and the name in capitals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(NodeConfig):
    """What the process of a cluster's node needs besides."""

    mysql_url: str
    """mysql://user:password@host:port/database"""
    zookeeper: str
    """host:port[,host:port...][/chroot]"""
    partitions: int | None = None
    """N, to be refused when the cluster was created with another one; None takes the cluster's."""
    metrics_listen: str | None = None
    """host:port of the Prometheus endpoint; none by default."""
    zookeeper_session_s: float = 4.0
    """How long a dead node stays a member. The server clamps it to 2 to 20 of its ticks (2 s by default)."""
    log_level: str = "info"
    log_format: str = "json"

    def __post_init__(self) -> None:
        NodeConfig.__post_init__(self)
        if self.metrics_listen is not None:
            split_address(self.metrics_listen, "metrics_listen")
        for server in self.zookeeper.partition("/")[0].split(","):
            split_address(server, "zookeeper")
        if self.log_format not in ("json", "console"):
            raise InvalidField("log_format", "must be json or console")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise InvalidField("log_level", "must be debug, info, warning or error")

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, **overrides: str | float | None
    ) -> ServerConfig:
        """The settings of this process: `ENVIRONMENT`, and the overrides that are not None, which win.

        Raises:
            InvalidField: names the setting at fault.
        """
        values: dict[str, str | float] = {
            name: value for name in ENVIRONMENT if (value := environment.get(f"MAINSPRING_{name.upper()}"))
        }
        values.update({name: value for name, value in overrides.items() if value is not None})
        for name in ("mysql_url", "zookeeper"):
            if not values.get(name):
                raise InvalidField(
                    name, f"is required: set MAINSPRING_{name.upper()} or the option of that name"
                )
        return cls(**values)  # type: ignore[arg-type]  # checked field by field in __post_init__ and by the parsers
