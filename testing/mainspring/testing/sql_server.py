"""What MariaDB, MySQL and a server of the user's own have in common: URLs, accounts, databases."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import pymysql

USER = "mainspring"
PASSWORD = "mainspring"
ADMINISTRATOR = "administrator"
ADMINISTRATOR_PASSWORD = "administrator"

# The everyday account owns its databases and nothing else: no SUPER and no READ_ONLY ADMIN, so that read-only mode and
# connection limits act on it as they would in production.
ACCOUNTS_SQL = (
    f"CREATE USER '{ADMINISTRATOR}'@'%' IDENTIFIED BY '{ADMINISTRATOR_PASSWORD}';",
    f"GRANT ALL PRIVILEGES ON *.* TO '{ADMINISTRATOR}'@'%' WITH GRANT OPTION;",
    f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';",
    f"GRANT ALL PRIVILEGES ON `mainspring`.* TO '{USER}'@'%';",
    rf"GRANT ALL PRIVILEGES ON `mainspring\_%`.* TO '{USER}'@'%';",
)

_READ_STATUS = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_deadlocks', 'Uptime')"


class ServerReading(NamedTuple):
    """What a server counted since it started, and for how many seconds it runs."""

    deadlocks: int
    uptime_s: int


def sql_url(host: str, port: int, user: str, password: str, database: str = "") -> str:
    """`mysql://user:password@host:port/database`, with user and password quoted."""
    return f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/{database}"


def database_of(url: str) -> str:
    """The database that a URL names; empty when it names none."""
    return urlsplit(url).path.lstrip("/")


def connect(url: str, *, timeout_s: float = 5.0) -> "pymysql.Connection[Any]":
    """A plain blocking connection in autocommit mode; the time limit holds for connecting and for each read and write."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=database_of(url) or None,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=max(1, round(timeout_s)),
        read_timeout=timeout_s,
        write_timeout=timeout_s,
    )


class SqlServer(ABC):
    """A server that speaks MySQL's protocol."""

    @property
    @abstractmethod
    def url(self) -> str:
        """URL of the everyday account, no database named: ends in a slash."""

    @property
    @abstractmethod
    def administrator_url(self) -> str:
        """URL of an account that may do everything; on a server of the user's own it is the everyday account."""

    def administrator_database_url(self, database_url: str) -> str:
        """URL of the same database for the administrator's account."""
        return f"{self.administrator_url}{database_of(database_url)}"

    def database_url(self, database: str) -> str:
        """URL of one database for the everyday account."""
        return f"{self.url}{database}"

    def execute(
        self, *statements: str, administrator: bool = False, timeout_s: float = 30.0
    ) -> list[tuple[Any, ...]]:
        """Run statements on a connection of their own and return the rows of the last one.

        Raises:
            pymysql.Error: what the server or the connection says.
        """
        url = self.administrator_url if administrator else self.url
        with connect(url, timeout_s=timeout_s) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def create_database(self, database: str | None = None) -> str:
        """Create an empty database, by default with a new unique name `mainspring_...`; return its URL.

        One of the name given that is there already is taken as it is.
        """
        name = database or f"mainspring_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE IF NOT EXISTS `{name}`")
        return self.database_url(name)

    def create_account(self, database_url: str, *, node: str = "mainspring") -> str:
        """Create an account that may do everything in this one database and nothing elsewhere; return its URL.

        Neither SUPER nor READ ONLY ADMIN: `SET GLOBAL read_only = 1` stops it, as it would in production.

        Args:
            database_url: names the database.
            node: the name of the node that it is for, of at most 19 characters: triggers read it there (`audit`). By
                default it is nobody's in particular.

        Raises:
            pymysql.Error: the administrator's account may not create others, or the server is away.
        """
        parts = urlsplit(database_url)
        database = database_of(database_url)
        mark = "_" if node == "mainspring" else "~"
        user, password = f"{node}{mark}{secrets.token_hex(6)}", secrets.token_urlsafe(18)
        pattern = database.replace("_", r"\_")  # in a grant `_` stands for any character
        self.execute(
            f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'",
            f"GRANT ALL PRIVILEGES ON `{pattern}`.* TO '{user}'@'%'",
            administrator=True,
        )
        return sql_url(parts.hostname or "127.0.0.1", parts.port or 3306, user, password, database)

    def drop_database(self, database_url: str) -> None:
        """Drop a database that `create_database` made; no error if it is gone already."""
        self.execute(f"DROP DATABASE IF EXISTS `{database_of(database_url)}`")

    def deadlocks(self, *, timeout_s: float = 30.0) -> int | None:
        """Deadlocks (error 1213) since the server started; None when it does not tell. Raises `pymysql.Error`."""
        reading = self.read_deadlocks(timeout_s=timeout_s)
        return None if reading is None else reading.deadlocks

    def read_deadlocks(self, *, timeout_s: float = 30.0) -> ServerReading | None:
        """The same, with the age of the process that counted; None when it does not tell. Raises `pymysql.Error`."""
        status = dict(self.execute(_READ_STATUS, timeout_s=timeout_s))
        deadlocks = status.get("Innodb_deadlocks")
        if deadlocks is None:
            rows = self.execute(
                "SELECT name, count FROM information_schema.INNODB_METRICS "
                "WHERE name = 'lock_deadlocks' AND status = 'enabled'",
                administrator=True,
                timeout_s=timeout_s,
            )
            deadlocks = rows[0][1] if rows else None
        return None if deadlocks is None else ServerReading(int(deadlocks), int(status["Uptime"]))

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """URL of an empty database for the length of a `with` block."""
        url = self.create_database()
        try:
            yield url
        finally:
            self.drop_database(url)
