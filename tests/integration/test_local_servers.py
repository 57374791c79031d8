"""Servers from unpacked packages: what fault tests and demos rely on."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import pytest
from kazoo.client import KazooClient

from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.testing.external import ExternalSqlServer, ExternalZooKeeper
from mainspring.testing.mariadb import MariaDbServer
from mainspring.testing.mysql import MySqlServer
from mainspring.testing.sql_server import SqlServer, connect, database_of
from mainspring.testing.zookeeper import ZooKeeperServer

REFUSED_TO_THE_EVERYDAY_ACCOUNT = [
    "SET GLOBAL read_only = 1",
    "SET GLOBAL max_connections = 10",
    "CREATE DATABASE other",
]


def check_fresh_database(server: SqlServer, url: str) -> None:
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        assert cursor.fetchall() == ()
        cursor.execute("CREATE TABLE t (k INT PRIMARY KEY, v JSON) ENGINE=InnoDB")
        cursor.execute("INSERT INTO t VALUES (1, '[1]')")
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit, @@character_set_server FROM t")
        assert cursor.fetchall() == ((0, "utf8mb4"),), "the shared servers wait for no disk"
    assert server.database_url(urlsplit(url).path.lstrip("/")) == url


def test_a_fresh_database_on_mariadb(
    mariadb: MariaDbServer | ExternalSqlServer, fresh_database: Callable[..., str]
) -> None:
    url = fresh_database()
    check_fresh_database(mariadb, url)
    assert fresh_database() != url


def test_a_fresh_database_on_mysql(mysql: MySqlServer, fresh_database: Callable[..., str]) -> None:
    check_fresh_database(mysql, fresh_database(mysql))
    [(version,)] = mysql.execute("SELECT VERSION()")
    assert "MariaDB" not in version


@pytest.mark.parametrize("statement", REFUSED_TO_THE_EVERYDAY_ACCOUNT)
def test_the_everyday_account_may_not_change_the_server(own_mariadb: MariaDbServer, statement: str) -> None:
    with pytest.raises(pymysql.Error) as refused:
        own_mariadb.execute(statement)
    assert refused.value.args[0] in (1044, 1227)


def check_account_of_a_run(server: SqlServer) -> None:
    url = server.create_account(server.create_database())
    elsewhere = server.create_database(f"{database_of(url)}_audit")
    asyncio.run(migrate(MySQLSettings.from_url(url), partitions=4))
    statements = [
        *REFUSED_TO_THE_EVERYDAY_ACCOUNT,
        f"CREATE TABLE `{database_of(elsewhere)}`.t (k INT PRIMARY KEY)",
    ]
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM partitions")
        assert cursor.fetchall() == ((4,),)
        for statement in statements:
            with pytest.raises(pymysql.Error) as refused:
                cursor.execute(statement)
            assert refused.value.args[0] in (1044, 1142, 1227)
        server.execute("SET GLOBAL read_only = 1", administrator=True)
        with pytest.raises(pymysql.Error) as refused:
            cursor.execute("UPDATE partitions SET epoch = 1")
        assert refused.value.args[0] == 1290
        server.execute("SET GLOBAL read_only = 0", administrator=True)
        cursor.execute("UPDATE partitions SET epoch = 1")
    [(count,)] = server.execute(f"SELECT COUNT(*) FROM `{database_of(url)}`.tasks", administrator=True)
    assert count == 0
    server.drop_database(url)
    server.drop_database(elsewhere)


def test_the_account_of_a_run_reaches_its_database_alone_on_mariadb(own_mariadb: MariaDbServer) -> None:
    check_account_of_a_run(own_mariadb)


def test_the_account_of_a_run_reaches_its_database_alone_on_mysql(mysql: MySqlServer) -> None:
    check_account_of_a_run(mysql)


def test_a_killed_mariadb_restarts_on_the_same_port_with_its_data(own_mariadb: MariaDbServer) -> None:
    url, port, pid = own_mariadb.create_database(), own_mariadb.port, own_mariadb.pid
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (k INT PRIMARY KEY)")
        cursor.execute("INSERT INTO t VALUES (7)")
    own_mariadb.kill()
    with pytest.raises(pymysql.Error):
        connect(url)
    own_mariadb.restart()
    assert own_mariadb.port == port
    assert own_mariadb.pid != pid
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT k FROM t")
        assert cursor.fetchall() == ((7,),)


def test_a_server_of_ones_own_syncs_each_commit_to_the_disk(own_mariadb: MariaDbServer) -> None:
    statement = "SELECT @@global.innodb_flush_log_at_trx_commit, @@global.innodb_flush_method"
    [(at_commit, method)] = own_mariadb.execute(statement)
    assert at_commit == 1
    assert method != "nosync"


def threads_run(pid: int) -> bool:
    """Whether any thread of a process is not stopped: the signal reaches each by itself."""
    states = (
        file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")
    )
    return any(state not in "Tt" for state in states)


def test_a_paused_mariadb_is_silent_until_it_is_resumed(own_mariadb: MariaDbServer) -> None:
    with connect(own_mariadb.url, timeout_s=1.0) as connection, connection.cursor() as cursor:
        own_mariadb.pause()
        assert not threads_run(own_mariadb.pid)
        with pytest.raises(pymysql.Error):
            cursor.execute("SELECT 1")
    own_mariadb.resume()
    assert own_mariadb.execute("SELECT 1") == [(1,)]


def test_zookeeper_keeps_its_nodes_over_a_crash(own_zookeeper: ZooKeeperServer) -> None:
    client = KazooClient(
        own_zookeeper.hosts, connection_retry={"max_tries": -1, "delay": 0.05, "max_delay": 0.2}
    )
    client.start(timeout=10)
    try:
        client.create("/kept", b"value")
        own_zookeeper.kill()
        assert own_zookeeper.mode() is None
        own_zookeeper.restart()
        assert own_zookeeper.mode() == "standalone"
        assert client.retry(client.get, "/kept")[0] == b"value"
    finally:
        client.stop()
        client.close()


def test_a_chroot_is_there_and_empty(
    zookeeper: ZooKeeperServer | ExternalZooKeeper, zookeeper_chroot: str
) -> None:
    client = KazooClient(f"{zookeeper.hosts}{zookeeper_chroot}")
    client.start(timeout=10)
    try:
        assert client.get_children("/") == []
        client.create("/inside")
        assert client.get_children("/") == ["inside"]
    finally:
        client.stop()
        client.close()


def test_servers_run_without_anything_of_the_machine(
    own_mariadb: MariaDbServer, own_zookeeper: ZooKeeperServer
) -> None:
    """Every file mapped into the processes comes from the cache folder or belongs to the instance."""
    for server in (own_mariadb, own_zookeeper):
        mapped = {
            line.split()[-1]
            for line in Path(f"/proc/{server.pid}/maps").read_text().splitlines()
            if "/" in line
        }
        foreign = {path for path in mapped if ".so" in path and path.startswith(("/lib", "/usr"))}
        assert mapped
        assert foreign == set(), server.name


ORPHAN_MAKER = """
import os, signal, sys
from pathlib import Path
from mainspring.testing.mariadb import MariaDbServer
server = MariaDbServer(Path(sys.argv[1]), buffer_pool_mb=16).start()
print(server.pid, flush=True)
signal.pause()
"""


def test_servers_die_with_their_parent(own_mariadb: MariaDbServer, tmp_path: Path) -> None:
    """kill -9 of the process that started a server leaves nothing running. (The fixture makes sure packages are there.)"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN_MAKER, str(tmp_path / "orphan")],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait(timeout=10)
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the server outlived its parent by 10 s"
        time.sleep(0.02)


def check_deadlocks_are_counted(server: SqlServer) -> None:
    before = server.deadlocks()
    assert before is not None
    with server.fresh_database() as url, connect(url) as first, connect(url) as second:
        one, other = first.cursor(), second.cursor()
        one.execute("CREATE TABLE t (k INT PRIMARY KEY, v INT) ENGINE=InnoDB")
        one.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
        first.begin()
        second.begin()
        one.execute("UPDATE t SET v = 1 WHERE k = 1")
        other.execute("UPDATE t SET v = 1 WHERE k = 2")
        codes: list[int] = []

        def cross(cursor: object, connection: object, key: int) -> None:
            try:
                cursor.execute(f"UPDATE t SET v = 2 WHERE k = {key}")  # type: ignore[attr-defined]
                connection.commit()  # type: ignore[attr-defined]
            except pymysql.Error as error:
                codes.append(error.args[0])

        thread = threading.Thread(target=cross, args=(one, first, 2))
        thread.start()
        cross(other, second, 1)
        thread.join(timeout=10)
    assert codes == [1213]
    assert server.deadlocks() == before + 1


def test_deadlocks_are_counted_by_mariadb(mariadb: MariaDbServer | ExternalSqlServer) -> None:
    check_deadlocks_are_counted(mariadb)


def test_deadlocks_are_counted_by_mysql(mysql: MySqlServer) -> None:
    check_deadlocks_are_counted(mysql)
