"""What is configured about the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """One pool of connections; work in one lane never waits for work in another."""

    connections: int
    """The most connections this lane opens (they open when first needed)."""
    max_waiters: int = 2000
    """Callers beyond this many waiting ones are refused at once with `StoreUnavailable`."""


@dataclass(frozen=True, slots=True)
class MySQLSettings:
    """Where the database is and how long anything may take. Durations are seconds."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    partition_count: int | None = None
    """N as configured; None takes the cluster's."""
    hot: LaneSettings = LaneSettings(connections=4)
    """Claims, assignments, completions, signs of life."""
    load: LaneSettings = LaneSettings(connections=2)
    """Loading the window and the sweeps: never behind a herd of claims."""
    api: LaneSettings = LaneSettings(connections=4)
    """Registrations and cancellations."""
    query: LaneSettings = LaneSettings(connections=2)
    """What callers read: a long listing must not hold up registrations."""
    ownership: LaneSettings = LaneSettings(connections=4, max_waiters=100)
    """Partition rows and the database's clock: never behind anything. As many as there are steps of hand-overs under
    way, so that their commits share one wait for the disk."""
    connect_timeout_s: float = 2.0
    """TCP connect, greeting, login and session set-up together."""
    statement_timeout_s: float = 3.0
    """One round trip. More than `lock_wait_timeout_s`, or a lock wait would look like a dead server."""
    unit_timeout_s: float = 5.0
    """A whole unit, waiting for a connection and retries included; a write sent before may take its full time."""
    ping_interval_s: float = 1.0
    """How often an idle connection shows a sign of life; well below `session_timeout_s`."""
    lock_wait_timeout_s: int = 2
    session_timeout_s: int = 3
    """After this long without a sign of life the server ends a session and frees its locks."""
    max_retries: int = 6
    """How often a unit is repeated after a deadlock (after a lock wait that timed out: once)."""

    def __post_init__(self) -> None:
        if not self.ping_interval_s < self.session_timeout_s:
            raise ValueError("ping_interval_s must be below session_timeout_s, or idle connections die")
        if not self.lock_wait_timeout_s < self.statement_timeout_s:
            raise ValueError("lock_wait_timeout_s must be below statement_timeout_s")
        if not self.statement_timeout_s <= self.unit_timeout_s:
            raise ValueError("statement_timeout_s must not exceed unit_timeout_s")

    @classmethod
    def from_url(cls, url: str, *, partition_count: int | None = None) -> MySQLSettings:
        """Reads `mysql://user:password@host:port/database`; port 3306 when left out, parts percent-encoded.

        Raises:
            ValueError: the URL is not of that form. The message does not repeat the password.
        """
        parts = urlsplit(url)
        database = unquote(parts.path.removeprefix("/"))
        if parts.scheme not in ("mysql", "mariadb") or not parts.hostname or not parts.username:
            raise ValueError("a database URL looks like mysql://user:password@host:port/database")
        if not database or "/" in database or "`" in database:
            raise ValueError("the database URL must end in the name of one database: .../database")
        if parse_qsl(parts.query) or parts.fragment:
            raise ValueError("a database URL takes no parameters")
        try:
            port = parts.port or 3306
        except ValueError as error:
            raise ValueError("the port of the database URL is not a port number") from error
        return cls(
            host=parts.hostname,
            port=port,
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            database=database,
            partition_count=partition_count,
        )
