"""A node whose path in ZooKeeper is another cluster's ends with code 2 and says what to do, early or late."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.testing.child_process import ChildProcess
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.member_process import import_environment, mainspring_command
from mainspring.testing.ports import free_port
from mainspring.testing.sql_server import connect
from mainspring.testing.zookeeper import ZooKeeperServer


class Places:
    """Two databases and one path."""

    def __init__(self, mariadb: MariaDbServer, zookeeper: ZooKeeperServer, folder: Path) -> None:
        self.zookeeper, self.folder = zookeeper, folder
        self.path = f"/shared-{secrets.token_hex(4)}"
        self.urls = [mariadb.create_database() for _ in range(2)]
        self.ids = []
        for url, partitions in zip(self.urls, (16, 8), strict=True):
            migrating = self.command("migrate", "--partitions", str(partitions), url=url)
            migrating.start()
            assert migrating.wait(timeout_s=30) == 0, migrating.log_tail()
            connection = connect(url)
            with connection.cursor() as cursor:
                cursor.execute("SELECT cluster_id FROM cluster_settings")
                self.ids.append(cursor.fetchone()[0])
            connection.close()

    def command(self, *arguments: str, url: str) -> ChildProcess:
        name = f"{arguments[0]}-{secrets.token_hex(3)}"
        return ChildProcess(
            name,
            mainspring_command(*arguments),
            log_path=self.folder / f"{name}.log",
            environment={
                **import_environment(),
                "MAINSPRING_MYSQL_URL": url,
                "MAINSPRING_ZOOKEEPER": f"{self.zookeeper.hosts}{self.path}",
                "MAINSPRING_LISTEN": f"127.0.0.1:{free_port()}",
            },
        )

    def node(self, url: str) -> ChildProcess:
        node = self.command("server", url=url)
        node.start()
        return node

    def owners(self, url: str) -> set[str | None]:
        connection = connect(url)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT DISTINCT owner_id FROM partitions")
                return {owner for (owner,) in cursor.fetchall()}
        finally:
            connection.close()

    def until_owned(self, url: str) -> None:
        deadline = time.monotonic() + 20
        while None in self.owners(url):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def places(mariadb: MariaDbServer, own_zookeeper: ZooKeeperServer, tmp_path: Path) -> Iterator[Places]:
    made = Places(mariadb, own_zookeeper, tmp_path)
    yield made
    for url in made.urls:
        mariadb.drop_database(url)


def test_at_start_and_when_it_is_found_out_late(places: Places) -> None:
    first = places.node(places.urls[0])
    stranger = None
    try:
        places.until_owned(places.urls[0])
        stranger = places.node(places.urls[1])
        assert stranger.wait(timeout_s=20) == 2
        log = stranger.log_text()
        assert "node_failed" in log
        for part in (*places.ids, "16 partitions", "path of its own"):
            assert part in log
        assert places.owners(places.urls[1]) == {None}

        # The same node, when ZooKeeper comes up later: until then it owns nothing.
        places.zookeeper.kill()
        stranger = places.node(places.urls[1])
        deadline = time.monotonic() + 20
        while "node_started" not in stranger.log_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(2.0)
        assert stranger.is_running
        places.zookeeper.start()
        assert stranger.wait(timeout_s=20) == 2
        assert places.ids[0] in stranger.log_text()
        assert places.owners(places.urls[1]) == {None}
        assert first.is_running
        assert None not in places.owners(places.urls[0])
    finally:
        first.kill()
        if stranger is not None:
            stranger.kill()
