"""Real servers for every test tier: started once per session, free loopback ports, nothing left behind.

A server that cannot be had is a skip on a developer's machine and a failure where CI is set; real MySQL alone may be skipped
there too, because it comes from a moving suite.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from mainspring.testing.cache import repository_root
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.external import (
    ExternalSqlServer,
    ExternalZooKeeper,
    external_sql_server,
    external_zookeeper,
)
from mainspring.testing.local_server import LocalServer
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.mysql import MySqlServer
from mainspring.testing.sql_server import SqlServer
from mainspring.testing.zookeeper import ZooKeeperServer

UNSYNCED = ("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--sync-binlog=0")
"""For servers that nobody kills: without waits for the disk a schema is made in a third of the time."""


def _start(server: LocalServer, *, may_skip_in_ci: bool = False) -> None:
    try:
        server.start()
        return
    except ServerUnavailableError as error:
        reason = str(error)
    if os.environ.get("CI") and not may_skip_in_ci:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Data of this session's servers, removed at the end."""
    root = repository_root()
    parent = root / "build" / "tests" if root else Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="session-", dir=parent))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb(servers_folder: Path) -> Iterator[MariaDbServer | ExternalSqlServer]:
    """The everyday MySQL-protocol server, shared by the session: don't break it (see `own_mariadb`)."""
    external = external_sql_server()
    if external is not None:
        yield external
        return
    server = MariaDbServer(servers_folder / "mariadb", options=(*UNSYNCED, "--debug-no-sync"))
    _start(server)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def mysql(servers_folder: Path) -> Iterator[MySqlServer]:
    """Real MySQL, shared by the session; tests that need it are skipped where it cannot be fetched."""
    server = MySqlServer(servers_folder / "mysql", options=UNSYNCED)
    _start(server, may_skip_in_ci=True)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def zookeeper(servers_folder: Path) -> Iterator[ZooKeeperServer | ExternalZooKeeper]:
    """ZooKeeper, shared by the session: don't break it (see `own_zookeeper`)."""
    external = external_zookeeper()
    if external is not None:
        yield external
        return
    server = ZooKeeperServer(servers_folder / "zookeeper")
    _start(server)
    yield server
    server.kill()


@pytest.fixture
def own_mariadb(tmp_path: Path) -> Iterator[MariaDbServer]:
    """A MariaDB of this test alone, to kill, freeze and restart. Never the user's own server."""
    server = MariaDbServer(tmp_path / "mariadb", buffer_pool_mb=32)
    _start(server)
    yield server
    server.kill()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def own_zookeeper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ZooKeeperServer]:
    """A ZooKeeper of this test alone, to kill, freeze and restart.

    Its ticks are 200 ms, so that sessions last from 400 ms to 4 s; or as a parameter says.
    """
    server = ZooKeeperServer(tmp_path / "zookeeper", tick_ms=getattr(request, "param", 200))
    _start(server)
    yield server
    server.kill()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """A factory of empty databases: `fresh_database()` on MariaDB, `fresh_database(mysql)` on the server given.

    Answers a URL such as `mysql://mainspring:...@127.0.0.1:3306/mainspring_1f2e3d`; dropped after the test.
    """
    made: list[tuple[SqlServer, str]] = []

    def make(server: SqlServer | None = None) -> str:
        chosen: SqlServer = server or request.getfixturevalue("mariadb")
        url = chosen.create_database()
        made.append((chosen, url))
        return url

    yield make
    for server, url in made:
        server.drop_database(url)


@pytest.fixture(scope="session")
def _zookeeper_client(zookeeper: ZooKeeperServer | ExternalZooKeeper) -> Iterator[KazooClient]:
    client = KazooClient(hosts=zookeeper.hosts, timeout=10.0)
    client.start(timeout=15)
    yield client
    client.stop()
    client.close()


@pytest.fixture
def zookeeper_chroot(
    zookeeper: ZooKeeperServer | ExternalZooKeeper, _zookeeper_client: KazooClient
) -> Iterator[str]:
    """An existing, empty path of this test alone; connect to `f"{zookeeper.hosts}{zookeeper_chroot}"`."""
    path = f"/mainspring-test-{secrets.token_hex(6)}"
    _zookeeper_client.create(path)
    yield path
    _zookeeper_client.delete(path, recursive=True)
