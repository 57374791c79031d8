"""Servers of the user's own, used instead of unpacked ones when the environment names them."""

import os

from mainspring.testing.sql_server import SqlServer

MYSQL_VARIABLE = "MAINSPRING_MYSQL_URL"
ZOOKEEPER_VARIABLE = "MAINSPRING_ZOOKEEPER"


class ExternalSqlServer(SqlServer):
    """The server at `MAINSPRING_MYSQL_URL`; its account must be allowed to create databases named `mainspring_...`."""

    def __init__(self, url: str) -> None:
        """Take `mysql://user:password@host:port/`; nothing is connected yet."""
        self._url = url if url.endswith("/") else f"{url}/"

    @property
    def url(self) -> str:
        """URL of the account given, no database named."""
        return self._url

    @property
    def administrator_url(self) -> str:
        """The same: no other account is known."""
        return self._url


class ExternalZooKeeper:
    """The servers at `MAINSPRING_ZOOKEEPER`."""

    def __init__(self, hosts: str) -> None:
        """Take `host:port[,host:port...]`."""
        self.hosts = hosts


def external_sql_server() -> ExternalSqlServer | None:
    """The user's own SQL server, if one is named."""
    url = os.environ.get(MYSQL_VARIABLE)
    return ExternalSqlServer(url) if url else None


def external_zookeeper() -> ExternalZooKeeper | None:
    """The user's own ZooKeeper, if one is named."""
    hosts = os.environ.get(ZOOKEEPER_VARIABLE)
    return ExternalZooKeeper(hosts) if hosts else None
